import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import { Process } from '../../src/linux/machine/process.ts';
import { describeDifference } from '../../src/replay/describe.ts';
import { HGM } from '../../src/replay/hgm/format.ts';
import { OPERATIONS as HGM_OPERATIONS } from '../../src/replay/hgm/operations.ts';
import { STATE_FIELDS } from '../../src/replay/hgm/state.ts';
import { OPERATIONS } from '../../src/replay/hugetlb/operations.ts';
import type { Difference } from '../../src/replay/replayed.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { THOROUGH } from '../support/thorough.ts';
import {
  differencesIn,
  END,
  found,
  HEADER,
  linesOf,
  MMAP,
  READ,
  RECORDINGS,
  refusal,
  replayed,
  scenarioOf,
  textOf,
  WRITE,
} from './support.ts';

const mapped = { ...MMAP, result: 'OK' };
const written = { ...WRITE, result: 'OK' };
const forked = { op: 'fork', proc: 0, child: 1, result: 'OK' };

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(Object.values(RECORDINGS))('the recording $path', (recording) => {
  const { sequences, operations } = recording;
  const parsed = parseScenario(recording.path, textOf(recording)).sequences;

  test('is what the model does, one sequence in two', () => {
    const some = parsed.filter((_, index) => index % 2 === 0);
    expect(replayed(some, { trace: false })).toMatchObject({ sequences: some.length, differences: [] });
  });

  test('is what the model does, all of it', THOROUGH, () => {
    expect(replayed(parsed, { trace: false })).toEqual({ sequences, operations, differences: [] });
  });

  test('is what the model does with a trace', THOROUGH, () => {
    expect(replayed(parsed)).toEqual({ sequences, operations, differences: [] });
  });
});

describe('recording A', () => {
  /* Forty of its sequences, which know nothing of the others. */
  const starts = linesOf(textOf(RECORDINGS.A)).flatMap((line, i) => (line.startsWith('{"seq"') ? [i] : []));
  const lines = linesOf(textOf(RECORDINGS.A)).slice(starts[200], starts[240]);

  test('takes less than two seconds of a processor', () => {
    const seconds = (): number => {
      const before = process.cpuUsage();
      differencesIn(textOf(RECORDINGS.A));
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1e6;
    };
    /* One that is disturbed proves nothing. */
    expect([1, 2, 3].some(() => seconds() < 2)).toBe(true);
  });

  /* The first line behind the first quarter that can be changed so, and what is found then. */
  interface Change {
    readonly what: Difference['what'];
    /** The line with a change, or undefined where there is nothing to change. */
    readonly change: (object: Recorded) => Recorded | undefined;
  }

  interface Recorded {
    readonly op?: string;
    readonly end?: number;
    readonly result?: string;
    readonly value?: number;
    readonly pool?: number[];
    readonly pages?: number[][];
  }

  const atPool = (i: number) => (object: Recorded) =>
    object.pages && { ...object, pool: object.pool!.with(i, object.pool![i]! + 1) };
  const atPage = (i: number, change: (n: number) => number) => (object: Recorded) => {
    const entry = object.pages?.at(-1);
    return entry && { ...object, pages: object.pages!.with(-1, entry.with(i, change(entry[i]!))) };
  };

  test.each<[string, Change]>([
    [
      'a result of a system call',
      { what: 'result', change: (o) => (o.op === 'munmap' ? { ...o, result: 'EINVAL' } : undefined) },
    ],
    ['an errno', { what: 'result', change: (o) => (o.result === 'ENOMEM' ? { ...o, result: 'OK' } : undefined) }],
    ['a signal', { what: 'result', change: (o) => (o.result === 'SIGBUS' ? { ...o, result: 'SIGSEGV' } : undefined) }],
    [
      'a value that was read',
      {
        what: 'found',
        change: (o) => (o.op === 'read' && o.result === 'OK' ? { ...o, value: o.value! ^ 1 } : undefined),
      },
    ],
    ['the size of the pool', { what: 'pool', change: atPool(0) }],
    ['the number of free pages', { what: 'pool', change: atPool(1) }],
    ['the number of reserved pages', { what: 'pool', change: atPool(2) }],
    ['the number of surplus pages', { what: 'pool', change: atPool(3) }],
    ['the process of a page', { what: 'pages', change: atPage(0, (n) => n + 1) }],
    ['the slot of a page', { what: 'pages', change: atPage(1, (n) => n + 1) }],
    ['the number of a page', { what: 'pages', change: atPage(2, (n) => n + 1) }],
    ['the class of a page', { what: 'pages', change: atPage(3, (n) => n + 1) }],
    ['a page that is said not to be present', { what: 'pages', change: atPage(3, () => -1) }],
    ['a map count', { what: 'pages', change: atPage(4, (n) => n + 1) }],
    ['whether a page is mapped exclusively', { what: 'pages', change: atPage(5, (n) => n ^ 1) }],
    ['whether a page is write-protected', { what: 'pages', change: atPage(5, (n) => n ^ 2) }],
    ['whether a page is of a file', { what: 'pages', change: atPage(5, (n) => n ^ 32) }],
    [
      'a page that is missing',
      { what: 'pages', change: (o) => (o.pages?.length ? { ...o, pages: o.pages.slice(1) } : undefined) },
    ],
    [
      'a page that is not there',
      { what: 'pages', change: (o) => o.pages && { ...o, pages: [...o.pages, [2, 63, 0, 99, 1, 1]] } },
    ],
    ['the pool at the end', { what: 'end', change: (o) => (o.end ? { ...o, pool: o.pool!.with(1, 0) } : undefined) }],
  ])('with %s altered differs there, and only there', (_, { what, change }) => {
    const begin = lines.length >> 2;
    const objects = lines.slice(begin).map((line) => JSON.parse(line) as Recorded);
    const at = begin + objects.findIndex((object) => change(object));
    const altered = lines.with(at, JSON.stringify(change(objects[at - begin]!)));
    const differences = differencesIn(altered.join('\n'));
    const isState = what === 'pool' || what === 'pages';
    expect(differences.map((one) => [one.what, one.line])).toEqual([[what, isState ? at : at + 1]]);
    expect(differences[0]!.operation).toBe(altered[isState ? at - 1 : at]);
  });
});

describe('the scenarios of the documentation', () => {
  const folder = new URL('../../docs/scenarios/', import.meta.url);

  test.each(readdirSync(folder))('%s is what the model does', (name) => {
    expect(differencesIn(readFileSync(new URL(name, folder), 'utf8'))).toEqual([]);
  });
});

describe('docs/replay.md', () => {
  const text = readFileSync(new URL('../../docs/replay.md', import.meta.url), 'utf8');
  const [example = '', fresh = '', waiting = '', expecting = '', hgmExample = ''] = [
    ...text.matchAll(/^```json\n(.*?)^```$/gms),
  ].map(([, lines]) => lines!);

  test('has an example that is what the model does', () => {
    expect(linesOf(example).length).toBeGreaterThan(10);
    expect(differencesIn(example)).toEqual([]);
    expect(linesOf(hgmExample).length).toBeGreaterThan(10);
    expect(differencesIn(hgmExample)).toEqual([]);
    expect(linesOf(waiting).length).toBeGreaterThan(9);
    expect(differencesIn(waiting)).toEqual([]);
    expect(differencesIn(fresh)).toEqual([]);
    expect(differencesIn(expecting)).toEqual([]);
  });

  test('shows the difference that is found when the example claims something else', () => {
    const [, shown = ''] = /^```text\n(example.*?)^```$/ms.exec(text) ?? [];
    const claim = linesOf(shown)[0]!.replace(/^\S+ /, '');
    const lines = linesOf(example);
    const at = lines.indexOf(claim.replace('SIGBUS', 'OK'));
    const differences = differencesIn(lines.with(at, claim).join('\n'));
    expect(
      differences.map((one) => [`example.jsonl:${one.line}: ${one.operation}`, ...describeDifference(one)]),
    ).toEqual([linesOf(shown.replace(/^ {2}/gm, '')).slice(0, 2)]);
  });

  test.each([
    ['first', '## Operations', '## Threads that wait', OPERATIONS],
    [
      'second',
      '### The operations',
      '### The state',
      new Map([...HGM_OPERATIONS].filter(([op]) => !OPERATIONS.has(op))),
    ],
  ])('has all operations of the %s format, with their fields', (_, from, to, operations) => {
    const section = text.slice(text.indexOf(`\n${from}\n`), text.indexOf(`\n${to}\n`));
    const rows = [...section.matchAll(/^\| `(\w+)` \| (.*?) \|/gm)];
    const documented = rows.map(([, op, fields]) => [
      op,
      [...fields!.matchAll(/`(\w+)`/g)].map(([, name]) => name!).sort(),
    ]);
    /* All that a thread can do has `thread`, and `wait` finds what others find. */
    const existing = [...operations].map(([op, { fields, found = [], waits }]) => [
      op,
      Object.keys(fields)
        .filter((name) => (waits ? !found.includes(name) : name !== 'thread'))
        .sort(),
    ]);
    expect(documented.sort()).toEqual(existing.sort());
  });

  test('has all operations that no other thread can do', () => {
    const [, listed = ''] = /belong to the whole process: (.*?)\. An operation/s.exec(text) ?? [];
    const without = [...OPERATIONS]
      .filter(([, { fields, waits }]) => !('thread' in fields) && !waits)
      .map(([op]) => op);
    expect([...listed.matchAll(/`(\w+)`/g)].map(([, op]) => op)).toEqual(without.sort());
  });

  test('has all fields of a state, and all kinds of lines of the second format', () => {
    const section = text.slice(text.indexOf('\n## High-granularity mapping\n'));
    for (const kind of HGM.kinds) expect(section).toMatch(new RegExp(`\\{"${kind}":|,"${kind}":`));
    for (const field of STATE_FIELDS) expect(section).toContain(`- \`${field}\`: `);
  });

  test('has all faults that a kernel may be said to have', () => {
    const section = text.slice(text.indexOf('\n### The kernel\n'), text.indexOf('\n### The header\n'));
    const faults = [...section.matchAll(/^\| (\d+) \|/gm)].map(([, number]) => Number(number));
    const all = faults.reduce((sum, fault) => sum + fault);
    const posted = (mask: number): string => scenarioOf({ kernel: `posted: ${mask}` }, HEADER, END);
    expect(differencesIn(posted(all))).toEqual([]);
    expect(refusal(posted(all + 1))).toContain('kernel: expected');
  });
});

describe('a written scenario', () => {
  test('is compared only where it says something', () => {
    expect(
      found(
        HEADER,
        MMAP,
        WRITE,
        READ,
        forked,
        { ...WRITE, proc: 1 },
        {
          pages: [
            [0, 0, 0, 0, 1, 1],
            [1, 0, 0, 1, 1, 1],
          ],
        },
        END,
      ),
    ).toEqual([]);
    expect(found(HEADER, MMAP, { pool: [4, 4, 1, 0] }, { ...READ, value: 0 }, { pool: [4, 3, 0, 0] }, END)).toEqual([]);
  });

  test('has sequences that know nothing of each other', () => {
    const sequence = [mapped, written, { pool: [4, 3, 0, 0] }];
    expect(found(HEADER, ...sequence, END, { ...HEADER, seq: 2 }, ...sequence, { end: 2, pool: [4, 4, 0, 0] })).toEqual(
      [],
    );
  });

  test('may be about pages of 1 GiB', () => {
    const far = { ...WRITE, page: 1, at: 2 ** 30 - 1 };
    const lines = [
      { ...HEADER, hugepage: '1G' },
      { ...mapped, pages: 2 },
      far,
      { pool: [4, 3, 1, 0], pages: [[0, 0, 1, 0, 1, 1]] },
    ];
    expect(found(...lines, END)).toEqual([]);
  });

  test('of mode P lists six pages of a slot', () => {
    const touched = [0, 1, 2, 3, 254, 255, 256, 257, 510, 511];
    const pages = [0, 1, 2, 255, 256, 511].map((page, i) => [0, 0, page, i, 1, 1]);
    const last = touched.map((page) => ({ ...WRITE, page }));
    const header = { ...HEADER, mode: 'P', pool: 12 };
    expect(found(header, { ...mapped, pages: 512, noreserve: true }, ...last, { pages }, END)).toEqual([]);
  });

  test('has results, values, pools and pages compared, each on its own', () => {
    expect(
      found(
        HEADER,
        { ...MMAP, result: 'ENOMEM' },
        { ...READ, result: 'OK', value: 9 },
        { pool: [4, 4, 0, 0], pages: [] },
        { end: 1, pool: [4, 3, 0, 0] },
      ),
    ).toEqual([
      { what: 'result', line: 2, kernel: 'ENOMEM', model: 'OK' },
      { what: 'found', line: 3, kernel: 9, model: 0 },
      { what: 'pool', line: 3, kernel: [4, 4, 0, 0], model: [4, 3, 0, 0] },
      { what: 'pages', line: 3, kernel: [], model: [[0, 0, 0, 0, 1, 1]] },
      { what: 'end', line: 5, kernel: [4, 3, 0, 0], model: [4, 4, 0, 0] },
    ]);
  });

  test('where a touch fails otherwise has one difference, not two', () => {
    expect(found(HEADER, { ...READ, result: 'SIGBUS', value: -1 }, END)).toMatchObject([
      { what: 'result', model: 'SIGSEGV' },
    ]);
    expect(found(HEADER, { ...READ, result: 'SIGSEGV', value: -1 }, END)).toEqual([]);
  });

  test("has the model's record with every difference", () => {
    const [difference] = differencesIn(scenarioOf(HEADER, MMAP, { ...WRITE, result: 'SIGBUS' }, END));
    expect(difference).toMatchObject({ file: 'test.jsonl', sequence: 1, line: 3, what: 'result' });
    expect(difference!.trace).toContainEqual(expect.objectContaining({ kind: 'page', what: 'allocated' }));
    expect(difference!.trace.map(({ kind }) => kind)).toContain('entry');
  });
});

describe('processes', () => {
  const ofChild = { ...READ, proc: 1 };

  test('whose fork failed in the kernel, and not in the model, are gone', () => {
    const state = { pages: [[0, 0, 0, 0, 1, 1]] };
    expect(found(HEADER, mapped, written, { ...forked, result: 'ENOMEM' }, state, forked, END)).toEqual([
      { what: 'result', line: 4, kernel: 'ENOMEM', model: 'OK' },
    ]);
  });

  test('that the model lacks are a difference each time that they act', () => {
    vi.spyOn(Process.prototype, 'fork').mockReturnValue('ENOMEM');
    const ended = { op: 'exit', proc: 1 };
    expect(
      found(
        HEADER,
        mapped,
        forked,
        ofChild,
        { ...ofChild, result: 'OK' },
        { ...forked, proc: 1, child: 2 },
        ended,
        END,
      ),
    ).toEqual([
      { what: 'result', line: 3, kernel: 'OK', model: 'ENOMEM' },
      ...[4, 5, 6, 7].map((line) => ({
        what: 'result',
        line,
        /* Two of the lines tell how it ended. */
        kernel: line === 5 || line === 6 ? 'OK' : undefined,
        model: 'no process 1',
      })),
    ]);
  });
});

describe('a hang', () => {
  const hangs = [HEADER, mapped, WRITE, { hang: 1 }, END];

  test('that is recorded is what the model must foresee', () => {
    expect(found(...hangs)).toEqual([{ what: 'hang', line: 3, kernel: 'HANG', model: 'OK' }]);
    vi.spyOn(Process.prototype, 'write').mockReturnValue('HANG');
    expect(found(...hangs)).toEqual([]);
  });

  test('that is not recorded is a difference, also where no result is told', () => {
    vi.spyOn(Process.prototype, 'write').mockReturnValue('HANG');
    expect(found(HEADER, mapped, WRITE, { ...WRITE, result: 'SIGBUS' }, END)).toEqual([
      { what: 'hang', line: 3, kernel: undefined, model: 'HANG' },
      { what: 'hang', line: 4, kernel: 'SIGBUS', model: 'HANG' },
    ]);
  });
});

describe('a rule of its own that the model breaks', () => {
  const unmapped = { op: 'munmap', proc: 0, slot: 0, page: 0, pages: 1 };

  test('is a difference, and the end of its sequence, but not of those behind it', () => {
    vi.spyOn(Process.prototype, 'munmap').mockImplementation(() => {
      throw new InvariantError('a count is wrong');
    });
    const wrong = { ...READ, result: 'SIGBUS' };
    expect(found(HEADER, mapped, unmapped, wrong, END, { ...HEADER, seq: 2 }, wrong, { end: 2 })).toEqual([
      { what: 'invariant', line: 3, kernel: 'no such thing', model: 'a count is wrong' },
      { what: 'result', line: 7, kernel: 'SIGBUS', model: 'SIGSEGV' },
    ]);
  });

  test('is no other error: those are defects', () => {
    vi.spyOn(Process.prototype, 'munmap').mockImplementation(() => {
      throw new TypeError('undefined is not a function');
    });
    expect(() => found(HEADER, mapped, unmapped, END)).toThrow(TypeError);
  });
});
