/**
 * `{"crash":N,"last_op":T,"kind":K}`: the kernel died, and with it the sequence.
 */
import { optional, text } from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import { checkNumber, read, refused, sequenceNumber } from '../line/lines.ts';
import { ScenarioError } from '../line/scenario-error.ts';
import type { Begun } from '../sequence/begun.ts';
import { type Operation, operation } from '../sequence/operation.ts';
import type { Died } from '../sequence/sequence.ts';
import { checkTogether } from '../sequence/steps.ts';
import { readLastOp } from './last-op.ts';

/** Those of the sequence's format. */
type Operations = ReadonlyMap<string, Operation>;

const CRASH = {
  crash: sequenceNumber,
  last_op: optional(text(/\S/, 'an operation in words')),
  kind: optional(text(/\S/, 'what the kernel said when it died')),
};

/** What kernels say when they die, and how the model answers then. */
const KINDS: readonly { readonly pattern: RegExp; readonly died: Died }[] = [
  { pattern: /^kernel BUG at \S+:\d+$/, died: 'BUG' },
  { pattern: /lockup|hung task|blocked for more than|stall/i, died: 'HANG' },
];

/** What goes on when all processes end. */
const endOfAll: Operation = operation({}, { run: (stage) => ({ result: stage.clear() }) });

/** What is not asked of the model, as nobody knows what it is. */
const unknown: Operation = operation({}, { run: () => ({ result: 'not compared' }) });

/**
 * Takes the line. What was under way is one more operation, which never ends; or the end of the processes, if that operation was told already. What
 * cannot be read is not compared, and the step says why: what was recorded before is worth as much without it.
 */
export function takeCrash(line: Line, object: LineObject, operations: Operations, begun: Begun): void {
  const { crash, last_op, kind } = read(line, object, CRASH, begun, 'a crash');
  checkNumber(line, 'crash', crash, begun.number);
  try {
    takeFatal(line, last_op, diedOf(line, kind), operations, begun);
  } catch (error) {
    if (!(error instanceof ScenarioError)) throw error;
    begun.look({ ...line, kind: 'look', operation: unknown, values: {}, hang: false, uncompared: error.problem });
  }
  begun.finish();
}

function diedOf(line: Line, kind: string | undefined): Died {
  if (kind === undefined) return 'either';
  const known = KINDS.find(({ pattern }) => pattern.test(kind));
  if (!known) throw refused(line, 'kind', '"soft lockup" or "kernel BUG at FILE:LINE"', kind);
  return known.died;
}

/** @throws ScenarioError where the words do not say what the model would have to do */
function takeFatal(line: Line, words: string | undefined, died: Died, operations: Operations, begun: Begun): void {
  const { last } = begun;
  const open = last?.kind === 'operation' && last.result === undefined && last.state === undefined;
  if (words === undefined) {
    if (!open) throw refused(line, 'last_op', 'the operation that was under way', words);
    begun.complete({ ...last, hang: false, died });
    return;
  }
  const lastOp = readLastOp(words, operations, begun);
  if (typeof lastOp === 'string') throw refused(line, 'last_op', lastOp, words);
  const { operation, fields, told } = lastOp;
  const values = read(line, fields, operation.fields, begun, 'last_op');
  checkTogether(line, operation, values, begun, fields);
  const same = last?.operation === operation && told.every((name) => last.values[name] === values[name]);
  const step = { ...line, kind: 'look', hang: false, died } as const;
  if (same && open) begun.complete({ ...last, hang: false, died });
  else if (same && last.result !== undefined) begun.look({ ...step, operation: endOfAll, values: {} });
  else begun.look({ ...step, operation, values });
}
