import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../src/replay/scenario.ts';
import { HEADER, linesOf, MMAP, READ, refusal, scenarioOf, WRITE } from './support.ts';

const end = { end: 1 };
const forked = { op: 'fork', proc: 0, child: 1 };
const ofFile = { ...MMAP, kind: 'shared_file', file: 0, offset: 0 };
const pages = (...entries: unknown[]): object[] => [HEADER, MMAP, { pages: entries }, end];

describe('a scenario', () => {
  test('has sequences, their operations and what is known of each', () => {
    const { file, sequences } = parseScenario(
      'good.jsonl',
      scenarioOf(
        { seq: 7, mode: 'A', pool: 9, overcommit: 2, files: [5, 4] },
        { ...MMAP, result: 'ENOMEM' },
        { pool: [9, 9, 0, 0], pages: [] },
        { ...READ, result: 'OK', value: 3 },
        WRITE,
        { end: 7, pool: [9, 9, 0, 0] },
        { seq: 8, pool: 0 },
        { end: 8 },
      ),
    );
    expect(file).toBe('good.jsonl');
    expect(sequences.map(({ number, line, steps }) => [number, line, steps.length])).toEqual([
      [7, 1, 3],
      [8, 7, 0],
    ]);
    const [{ setting, steps, end } = expect.fail()] = sequences;
    expect(setting).toMatchObject({ hugePageSize: 2 ** 21, pool: 9, overcommit: 2, files: [5, 4], slotPages: 512 });
    expect(steps.map(({ line, result, found, state, hang }) => ({ line, result, found, state, hang }))).toEqual([
      { line: 2, result: 'ENOMEM', found: undefined, state: { pool: [9, 9, 0, 0], pages: [] }, hang: false },
      { line: 4, result: 'OK', found: { value: 3 }, state: undefined, hang: false },
      { line: 5, result: undefined, found: {}, state: undefined, hang: false },
    ]);
    expect([end?.line, end?.pool]).toEqual([6, [9, 9, 0, 0]]);
  });

  test('may have notes and empty lines anywhere, and lines that end as those of Windows do', () => {
    const text = scenarioOf({ note: 'first' }, HEADER, { note: 'a' }, MMAP, { note: 'b' }, { pages: [] }, end, {
      note: '',
    });
    for (const variant of [text, text.replaceAll('\n', '\n\n'), text.replaceAll('\n', '\r\n'), text.trim()]) {
      expect(parseScenario('notes.jsonl', variant).sequences[0]!.steps[0]!.state).toEqual({ pages: [] });
    }
  });

  test.each([
    [{}, 2 ** 21, 2 ** 30],
    [{ mode: 'B' }, 2 ** 21, 2 ** 30],
    [{ mode: 'P' }, 2 ** 21, 2 ** 31],
    [{ mode: 'G' }, 2 ** 30, 2 ** 33],
    [{ hugepage: '2M' }, 2 ** 21, 2 ** 30],
    [{ hugepage: '1G' }, 2 ** 30, 2 ** 33],
    [{ mode: 'G', hugepage: '1G' }, 2 ** 30, 2 ** 33],
  ])('with %j in its header has pages of %i bytes and slots of %i', (fields, hugePageSize, slotBytes) => {
    const [sequence] = parseScenario('sizes.jsonl', scenarioOf({ ...HEADER, ...fields }, end)).sequences;
    expect(sequence!.setting).toMatchObject({ hugePageSize, slotBytes, slotPages: slotBytes / hugePageSize });
  });

  test('lets a process be born again after it has ended, and after a fork that failed', () => {
    parseScenario('fork.jsonl', scenarioOf(HEADER, forked, { op: 'exit', proc: 1 }, forked, end));
    parseScenario('fork.jsonl', scenarioOf(HEADER, { ...forked, result: 'ENOMEM' }, forked, end));
  });

  test('may hang at its last operation, with or without the result that recorders write', () => {
    for (const result of [{}, { result: 'E9999' }, { result: 'HANG' }]) {
      const [sequence] = parseScenario(
        'hang.jsonl',
        scenarioOf(HEADER, { ...WRITE, ...result }, { hang: 1 }, end),
      ).sequences;
      expect(sequence!.steps).toMatchObject([{ hang: true }]);
      expect(sequence!.steps[0]!.result).toBeUndefined();
    }
  });
});

describe('is refused, with file, line, field, what was expected and what is there:', () => {
  test.each<[string, object[], string]>([
    [
      'an operation that does not exist',
      [HEADER, { op: 'mmop' }, end],
      '2: op: expected one of mmap, munmap, mprotect, mremap, mincore, read, write, fork, exit, madvise_dontneed, ',
    ],
    ['an operation that is no name', [HEADER, { op: 7 }, end], '2: op: expected one of mmap'],
    [
      "an operation by the name of an object's own property",
      [HEADER, { op: 'constructor' }, end],
      '2: op: expected one of',
    ],
    [
      'a line that is nothing that there is',
      [HEADER, { opp: 'read' }, end],
      '2: line: expected an object with one of op, seq, end, hang, crash, schedule, note, expect, pool, pages, got {"opp":"read"}',
    ],
    [
      'a field that is missing',
      [HEADER, { ...WRITE, value: undefined }, end],
      '2: value: expected an integer from 0 to 255, got nothing',
    ],
    [
      'a field that there is not',
      [HEADER, { ...WRITE, colour: 'red' }, end],
      '2: colour: expected no such field in write, got "red"',
    ],
    [
      'a field of another type',
      [HEADER, { ...WRITE, slot: '0' }, end],
      '2: slot: expected an integer from 0 to 63, got "0"',
    ],
    [
      'a flag that is a number',
      [HEADER, { ...MMAP, noreserve: 1 }, end],
      '2: noreserve: expected true or false, got 1',
    ],
    [
      'a number that is no integer',
      [HEADER, { ...WRITE, value: 1.5 }, end],
      '2: value: expected an integer from 0 to 255, got 1.5',
    ],
    [
      'a number below its range',
      [HEADER, { ...WRITE, at: -1 }, end],
      '2: at: expected an integer from 0 to 2097151, got -1',
    ],
    [
      'a byte behind the huge page',
      [HEADER, { ...WRITE, at: 2 ** 21 }, end],
      '2: at: expected an integer from 0 to 2097151, got 2097152',
    ],
    [
      'a byte behind the huge page of 1 GiB',
      [{ ...HEADER, mode: 'G' }, { ...WRITE, at: 2 ** 30 }, end],
      '2: at: expected an integer from 0 to 1073741823',
    ],
    [
      'a value that is no byte',
      [HEADER, { ...WRITE, value: 256 }, end],
      '2: value: expected an integer from 0 to 255, got 256',
    ],
    [
      'a slot that there is not',
      [HEADER, { ...WRITE, slot: 64 }, end],
      '2: slot: expected an integer from 0 to 63, got 64',
    ],
    [
      'a page behind its slot',
      [HEADER, { ...WRITE, page: 512 }, end],
      '2: page: expected an integer from 0 to 511, got 512',
    ],
    [
      'a page behind its slot of 1 GiB pages',
      [{ ...HEADER, hugepage: '1G' }, { ...WRITE, page: 8 }, end],
      '2: page: expected an integer from 0 to 7, got 8',
    ],
    [
      'a mapping that is longer than its slot',
      [HEADER, { ...MMAP, pages: 513 }, end],
      '2: pages: expected an integer from 1 to 512, got 513',
    ],
    [
      'a range that ends behind its slot',
      [HEADER, { op: 'munmap', proc: 0, slot: 0, page: 511, pages: 2 }, end],
      '2: pages: expected at most 1, as a slot has 512 pages, got 2',
    ],
    [
      'a part of a slot to be moved',
      [HEADER, { op: 'mremap', proc: 0, slot: 0, page: 1, pages: 1, to: 1 }, end],
      '2: page: expected 0, got 1',
    ],
    [
      'a kind of mapping that there is not',
      [HEADER, { ...MMAP, kind: 'anon' }, end],
      '2: kind: expected "private_anon" or "shared_anon" or "private_file" or "shared_file", got "anon"',
    ],
    [
      'a protection that there is not',
      [HEADER, { ...MMAP, prot: 'w' }, end],
      '2: prot: expected "rw" or "r" or "none", got "w"',
    ],
    [
      'a mapping of no file',
      [{ ...HEADER, files: [1] }, { ...ofFile, file: undefined }, end],
      '2: file: expected an integer, as a file is mapped, got nothing',
    ],
    [
      'a file for memory without one',
      [{ ...HEADER, files: [1] }, { ...MMAP, file: 0, offset: 0 }, end],
      '2: file: expected no such field for memory without a file, got 0',
    ],
    [
      'a file that there is not',
      [{ ...HEADER, files: [1, 1] }, { ...ofFile, file: 2 }, end],
      '2: file: expected an integer from 0 to 1, got 2',
    ],
    [
      'a file in a sequence without any',
      [HEADER, { op: 'ftruncate', file: 0, pages: 1 }, end],
      '2: file: expected no operation on a file in a sequence without "files", got 0',
    ],
    [
      'a file that is too long',
      [{ ...HEADER, files: [1] }, { op: 'ftruncate', file: 0, pages: 65537 }, end],
      '2: pages: expected an integer from 0 to 65536, got 65537',
    ],
    ['a process that never was', [HEADER, { ...WRITE, proc: 1 }, end], '2: proc: expected a living process (0), got 1'],
    [
      'a process that has ended',
      [HEADER, forked, { op: 'exit', proc: 1 }, { ...WRITE, proc: 1 }, end],
      '4: proc: expected a living process (0), got 1',
    ],
    [
      'a child of a fork that failed',
      [HEADER, { ...forked, result: 'ENOMEM' }, { ...WRITE, proc: 1 }, end],
      '3: proc: expected a living process (0), got 1',
    ],
    [
      'a process whose number is no number',
      [HEADER, { ...WRITE, proc: 'a' }, end],
      '2: proc: expected an integer from 0 to 63, got "a"',
    ],
    [
      'a fork of a child that lives',
      [HEADER, forked, forked, end],
      '3: child: expected the number of no living process, got 1',
    ],
    [
      'the end of process 0',
      [HEADER, { op: 'exit', proc: 0 }, end],
      '2: proc: expected another process than 0, which lives to the end, got 0',
    ],
    [
      'a signal for a system call',
      [HEADER, { ...MMAP, result: 'SIGBUS' }, end],
      '2: result: expected "OK", "BLOCKED" or the name of an errno, got "SIGBUS"',
    ],
    [
      'an errno for a touch',
      [HEADER, { ...WRITE, result: 'EFAULT' }, end],
      '2: result: expected "OK", "BLOCKED", "SIGBUS" or "SIGSEGV", got "EFAULT"',
    ],
    [
      'a result that is no name',
      [HEADER, { ...MMAP, result: 0 }, end],
      '2: result: expected "OK", "BLOCKED" or the name of an errno, got 0',
    ],

    ['a sequence without its pool', [{ seq: 1 }, end], '1: pool: expected an integer from 0 to 65536, got nothing'],
    [
      'a sequence without its number',
      [{ seq: null, pool: 1 }, end],
      '1: seq: expected an integer from 0 to 2147483647, got null',
    ],
    [
      'a mode that there is not',
      [{ ...HEADER, mode: 'X' }, end],
      '1: mode: expected "A" or "B" or "C" or "P" or "G", got "X"',
    ],
    [
      'a page size that there is not',
      [{ ...HEADER, hugepage: '4K' }, end],
      '1: hugepage: expected "2M" or "1G", got "4K"',
    ],
    [
      "a page size that is not the mode's",
      [{ ...HEADER, mode: 'G', hugepage: '2M' }, end],
      '1: hugepage: expected "1G" in mode "G", got "2M"',
    ],
    [
      'surplus pages of 1 GiB',
      [{ ...HEADER, hugepage: '1G', overcommit: 1 }, end],
      '1: overcommit: expected 0, as pages of 1 GiB are never surplus, got 1',
    ],
    [
      'files that are no list',
      [{ ...HEADER, files: 2 }, end],
      '1: files: expected a list of at most 64 integers from 0 to 65536, got 2',
    ],
    [
      'a file without a size',
      [{ ...HEADER, files: [1, null] }, end],
      '1: files: expected a list of at most 64 integers from 0 to 65536, got [1,null]',
    ],
    [
      'a pool that nobody has memory for',
      [{ ...HEADER, pool: 65537 }, end],
      '1: pool: expected an integer from 0 to 65536, got 65537',
    ],

    [
      'a state without an operation',
      [HEADER, { pool: [9, 9, 0, 0] }, end],
      '2: pool: expected an operation before it, got [9,9,0,0]',
    ],
    [
      'a second state',
      [HEADER, MMAP, { pages: [] }, { pages: [] }, end],
      '4: pages: expected an operation before it, got []',
    ],
    [
      'a state of an operation that hangs',
      [HEADER, { ...WRITE, result: 'E9999' }, { pages: [] }, end],
      '3: pages: expected no state, since the operation hangs, got []',
    ],
    [
      'a state with a field that there is not',
      [HEADER, MMAP, { pages: [], time: 1 }, end],
      '3: time: expected no such field in a state, got 1',
    ],
    [
      'a pool of three counts',
      [HEADER, MMAP, { pool: [1, 1, 0] }, end],
      '3: pool: expected a list of 4 numbers, got [1,1,0]',
    ],
    [
      'a count that is no number',
      [HEADER, MMAP, { pool: [1, 1, '0', 0] }, end],
      '3: pool[2]: expected an integer from 0 to 2147483647, got "0"',
    ],
    ['pages that are no list', pages().with(2, { pages: {} }), '3: pages: expected a list of pages, got {}'],
    ['a page of five numbers', pages([0, 0, 0, 0, 1]), '3: pages[0]: expected a list of 6 numbers, got [0,0,0,0,1]'],
    [
      'a page behind its slot in a state',
      pages([0, 0, 0, 0, 1, 1], [0, 0, 512, 1, 1, 1]),
      '3: pages[1][2]: expected an integer from 0 to 511, got 512',
    ],
    [
      'a class below -1',
      pages([0, 0, 0, -2, 1, 1]),
      '3: pages[0][3]: expected an integer from -1 to 2147483647, got -2',
    ],
    [
      'flags that pagemap does not have',
      pages([0, 0, 0, 0, 1, 128]),
      '3: pages[0][5]: expected an integer from 0 to 127, got 128',
    ],

    ['an operation outside a sequence', [MMAP], '1: op: expected the header of a sequence before it, got "mmap"'],
    [
      'an operation after the end',
      [HEADER, end, MMAP],
      '3: op: expected the header of a sequence before it, got "mmap"',
    ],
    ['a state outside a sequence', [{ pages: [] }], '1: pages: expected the header of a sequence before it, got []'],
    ['an end without a beginning', [end], '1: end: expected the header of a sequence before it, got 1'],
    ['an end of another sequence', [HEADER, { end: 2 }], '2: end: expected 1, the number of the sequence, got 2'],
    [
      'a sequence within another',
      [HEADER, { seq: 2, pool: 1 }],
      '2: seq: expected the end of sequence 1 before it, got 2',
    ],
    ['a sequence without an end', [HEADER, MMAP], '2: end: expected the end of sequence 1, got the end of the file'],
    [
      'an operation after one that hangs',
      [HEADER, WRITE, { hang: 1 }, WRITE, end],
      '4: op: expected the end of the sequence, since it hangs, got "write"',
    ],
    ['a hang without an operation', [HEADER, { hang: 1 }, end], '2: hang: expected an operation before it, got 1'],
    [
      'a hang of another sequence',
      [HEADER, WRITE, { hang: 2 }, end],
      '3: hang: expected 1, the number of the sequence, got 2',
    ],
    [
      'a hang of an operation that ended',
      [HEADER, { ...WRITE, result: 'OK' }, { hang: 1 }, end],
      '3: hang: expected an operation without a result before it, not with "OK", got 1',
    ],
    ['a note that is no text', [HEADER, { note: 1 }, end], '2: note: expected a text, got 1'],
  ])('%s', (_, objects, message) => {
    const found = refusal(scenarioOf(...objects));
    expect(found.slice(0, message.length)).toBe(message);
  });

  test.each([
    ['a file that is empty', '', '1: seq: expected a sequence, got the end of the file'],
    ['a file of empty lines', '\n\n', '1: seq: expected a sequence, got the end of the file'],
    ['a line that is no JSON', '{"seq":1', '1: line: expected a JSON object, got {"seq":1'],
    ['a line that is no object', '[1]', '1: line: expected a JSON object, got [1]'],
    ['a line that is null', 'null', '1: line: expected a JSON object, got null'],
    [
      'two objects on a line',
      '{"seq":1,"pool":1}{"end":1}',
      '1: line: expected a JSON object, got {"seq":1,"pool":1}{"end":1}',
    ],
    ['a line that would break the message', '"\u001b[2K"', '1: line: expected a JSON object, got "\\u001b[2K"'],
    ['a long line, in short', 'x'.repeat(100), `1: line: expected a JSON object, got ${'x'.repeat(60)}…`],
  ])('%s', (_, text, message) => {
    expect(refusal(text)).toBe(message);
  });

  test('whatever line of a recording is cut', () => {
    const lines = linesOf(scenarioOf(HEADER, MMAP, { pool: [1, 1, 1, 0], pages: [] }, WRITE, { hang: 1 }, end));
    for (const [i, line] of lines.entries()) {
      for (let length = 1; length < line.length; length++) {
        expect(refusal(lines.with(i, line.slice(0, length)).join('\n'))).toMatch(new RegExp(`^${i + 1}: line: `));
      }
    }
  });
});
