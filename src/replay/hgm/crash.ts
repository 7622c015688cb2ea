/**
 * `{"crash":N,"last_op":T,"kind":K}`: the kernel died, and with it the sequence.
 */
import type { Begun } from '../begun.ts';
import { integer, text } from '../fields.ts';
import { checkNumber, checkTogether, type LineObject, read, refused } from '../lines.ts';
import { type Operation, operation } from '../operation.ts';
import type { Line, ScenarioStep } from '../sequence.ts';
import { OPERATIONS } from './operations.ts';

const CRASH = {
  crash: integer(0, 2 ** 31 - 1),
  last_op: text(/^[a-z_]+ p\d+ s\d+ \d+/, 'an operation in words'),
  kind: text(/^(soft lockup|kernel BUG at \S+:\d+)$/, '"soft lockup" or "kernel BUG at FILE:LINE"'),
};

/** What operations in words have behind `p<proc> s<slot>`: how to read it, as fields of the operation. */
interface Wording {
  readonly op: string;
  readonly rest: RegExp;
  readonly fields: (groups: number[]) => LineObject;
}

const PROTECTIONS = ['rw', 'r', 'none'];

const ranges = (op: string): Wording => ({
  op,
  rest: /^(\d+)\+(\d+)$/,
  fields: ([page, pages]) => ({ page, pages }),
});

const WORDINGS: ReadonlyMap<string, Wording> = new Map([
  ['read', { op: 'read', rest: /^(\d+)$/, fields: ([page]) => ({ page, byte: 0 }) }],
  ['write', { op: 'write', rest: /^(\d+)$/, fields: ([page]) => ({ page, byte: 0, value: 0 }) }],
  [
    'pin',
    { op: 'pin_longterm_write', rest: /^(\d+) len(\d+)$/, fields: ([page, length]) => ({ page, byte: 0, length }) },
  ],
  [
    'mprotect',
    {
      op: 'mprotect',
      rest: /^(\d+)\+(\d+) ([012])$/,
      fields: ([page, pages, prot]) => ({ page, pages, prot: PROTECTIONS[prot!] }),
    },
  ],
  ...['munmap', ...[...OPERATIONS.keys()].filter((op) => op.startsWith('madvise_'))].map((op): [string, Wording] => [
    op,
    ranges(op),
  ]),
]);

/** What goes on when all processes end. */
const endOfAll: Operation = operation({}, { run: (stage) => ({ result: stage.clear() }) });

/** Takes the line: it is one more operation, which never ends, or the end of the processes, if that operation was told already. */
export function takeCrash(line: Line, object: LineObject, begun: Begun): void {
  const { crash, last_op, kind } = read(line, object, CRASH, begun, 'a crash');
  checkNumber(line, 'crash', crash, begun.number);
  const { operation, values } = fatalOf(line, object, last_op, begun);
  const hang = kind === 'soft lockup';
  begun.look({ ...line, kind: 'look', operation, values, hang, ...(!hang && { result: 'BUG' }) });
  begun.finish();
}

interface Fatal {
  readonly operation: Operation;
  readonly values: Readonly<Record<string, unknown>>;
}

function fatalOf(line: Line, object: LineObject, words: string, begun: Begun): Fatal {
  const [, name = '', proc, slot, rest = ''] = /^(\S+) p(\d+) s(\d+) (.*)$/.exec(words) ?? [];
  const wording = WORDINGS.get(name);
  const groups = wording?.rest.exec(rest);
  if (!wording || !groups) {
    const known = `one of ${[...WORDINGS.keys()].join(', ')}`;
    throw refused(line, 'last_op', wording ? `a place as ${name} has it` : known, words);
  }
  const fields: LineObject = { proc: Number(proc), slot: Number(slot), ...wording.fields(groups.slice(1).map(Number)) };
  const operation = OPERATIONS.get(wording.op)!;
  const values = read(line, fields, operation.fields, begun, 'last_op');
  checkTogether(line, operation, values, begun, object);
  return isTold(begun.last, operation, values) ? { operation: endOfAll, values: {} } : { operation, values };
}

/** Whether the last operation is the one: words leave out the byte, and its value. */
function isTold(last: ScenarioStep | undefined, operation: Operation, values: Fatal['values']): boolean {
  if (last?.operation !== operation || last.result === undefined) return false;
  return ['proc', 'slot', 'page', 'pages', 'length', 'prot'].every((name) => last.values[name] === values[name]);
}
