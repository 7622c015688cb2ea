/**
 * What a line must have, what it may leave out, and what its fields were called before.
 */
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../src/replay/scenario.ts';
import { END, found, HEADER, HGM_HEADER, HGM_MMAP, MMAP, refusal, scenarioOf } from './support.ts';

/** What the first operation of a sequence means. */
const valuesOf = (header: object, line: object): Readonly<Record<string, unknown>> =>
  parseScenario('values.jsonl', scenarioOf(header, line, END)).sequences[0]!.steps[0]!.values;

const FILES = { ...HEADER, files: [2] };
const K4 = { seq: 1, unit: '4K', pool: 2, files: [2] };

describe('a line that lacks something', () => {
  test('is refused for all that is missing, all that is wrong, and all that is not known, at once', () => {
    const { slot: _, prot: __, ...rest } = MMAP;
    const message = refusal(scenarioOf(HEADER, { ...rest, kind: 'anon', colour: 'red', size: 1 }, END));
    expect(message).toBe(
      '2: colour, size, slot, kind, prot: expected colour: no such field in mmap; size: no such field in mmap; ' +
        'slot: an integer from 0 to 63; kind: "private_anon" or "shared_anon" or "private_file" or "shared_file"; ' +
        'prot: "rw" or "r" or "none", got "red"; 1; nothing; "anon"; nothing',
    );
  });

  test.each<[string, object[], string]>([
    [
      'a header',
      [{ seq: 1, colour: 1 }, END],
      '1: colour, pool: expected colour: no such field in a header; pool: an ',
    ],
    ['an operation on nothing', [HEADER, { op: 'read' }, END], '2: proc, slot, page: expected proc: an integer '],
    [
      'one with one fault',
      [HEADER, { op: 'read', proc: 0, slot: 0 }, END],
      '2: page: expected an integer from 0 to 511, got nothing',
    ],
    [
      'the other format',
      [HGM_HEADER, { op: 'uffd_copy', proc: 0, slot: 0, page: 0, pages: 1 }, END],
      '2: uffd, value: expected uffd: an integer from 0 to 2; value: an integer from 0 to 255, got nothing; nothing',
    ],
    [
      'a thread of what no thread can do',
      [HEADER, { op: 'unpin', proc: 0, thread: 1 }, END],
      '2: thread: expected no such field in unpin, got 1',
    ],
    [
      'the main thread by a number',
      [HEADER, { op: 'read', proc: 0, thread: 0, slot: 0, page: 0 }, END],
      '2: thread: expected an integer from 1 to 63, got 0',
    ],
    [
      'flags that are none of GUP',
      [HEADER, { op: 'get_user_pages', proc: 0, slot: 0, page: 0, nr_pages: 1, flags: 'FOLL_WRITE|WRITE' }, END],
      '2: flags: expected some of FOLL_',
    ],
  ])('is refused in %s', (_, lines, message) => {
    expect(refusal(scenarioOf(...lines)).slice(0, message.length)).toBe(message);
  });
});

describe('what a line leaves out', () => {
  test.each<[string, object, object, object]>([
    ['a byte', HEADER, { op: 'read', proc: 0, slot: 0, page: 0 }, { at: 0 }],
    [
      'MAP_NORESERVE',
      HEADER,
      { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 1, prot: 'r' },
      { noreserve: false },
    ],
    ['where a hole begins', FILES, { op: 'punch_hole', file: 0, hugepages: 1 }, { offset: 0 }],
    ['the page of mremap', HEADER, { op: 'mremap', proc: 0, slot: 0, pages: 1, to: 1 }, { page: 0 }],
    [
      'write protection of a copy',
      HEADER,
      { op: 'uffd_copy', proc: 0, slot: 0, page: 0, pages: 1, value: 0 },
      { wp: false, uffd: undefined },
    ],
    [
      'features of a userfaultfd',
      K4,
      { op: 'uffd_open', proc: 0, uffd: 0 },
      { hgm: false, exact_address: false, event_fork: false, waits: false },
    ],
    [
      'flags and list of GUP',
      HEADER,
      { op: 'pin_user_pages', proc: 0, slot: 0, page: 0, nr_pages: 1 },
      { flags: 0, list: 0, at: 0 },
    ],
    ['whether pages are dirty', HEADER, { op: 'unpin_user_pages' }, { dirty: false, list: 0 }],
  ])('is what Linux does without it: %s', (_, header, line, values) => {
    expect(valuesOf(header, line)).toMatchObject(values);
  });

  test('in a header is 2 MiB, no surplus, no files', () => {
    for (const unit of [{}, { unit: '4K' }]) {
      const [sequence] = parseScenario('small.jsonl', scenarioOf({ seq: 1, pool: 1, ...unit }, END)).sequences;
      expect(sequence!.setting).toMatchObject({ hugePageSize: 2 ** 21, overcommit: 0, files: [] });
    }
  });
});

describe('both formats', () => {
  test('call the same thing alike, and read the names that it had before', () => {
    const mapped = { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, offset: 1, hugepages: 1, prot: 'rw' };
    const { hugepages: pages, ...rest } = mapped;
    expect(valuesOf(FILES, { ...rest, pages })).toEqual(valuesOf(FILES, mapped));
    const { kind: _, ...shared } = mapped;
    expect(valuesOf(K4, { ...shared, shared: true })).toEqual(valuesOf(K4, mapped));
    expect(valuesOf(K4, { ...shared, shared: false })).toEqual(valuesOf(K4, { ...mapped, kind: 'private_file' }));
    const read = { op: 'read', proc: 0, slot: 0, page: 1 };
    expect(valuesOf(K4, { ...read, byte: 7 })).toEqual(valuesOf(K4, { ...read, at: 7 }));
    expect(valuesOf(FILES, { op: 'ftruncate', file: 0, pages: 1 })).toEqual(
      valuesOf(FILES, { op: 'ftruncate', file: 0, hugepages: 1 }),
    );
  });

  test('refuse a field that has both its names, and speak of the name that is there', () => {
    const both = { ...MMAP, hugepages: 1 };
    expect(refusal(scenarioOf(HEADER, both, END))).toBe('2: pages: expected no such field in mmap, got 1');
    expect(refusal(scenarioOf(HEADER, { ...MMAP, pages: 513 }, END))).toBe(
      '2: pages: expected an integer from 1 to 512, got 513',
    );
    expect(refusal(scenarioOf(HGM_HEADER, { ...HGM_MMAP, shared: 1 }, END))).toBe(
      '2: shared: expected true or false, got 1',
    );
  });

  test('map what has no file, and with PROT_NONE', () => {
    const anon = { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 1, prot: 'none', result: 'OK' };
    for (const header of [HEADER, K4]) {
      expect(
        found(header, anon, { op: 'read', proc: 0, slot: 0, page: 0, result: 'SIGSEGV', si_code: 'SEGV_ACCERR' }, END),
      ).toEqual([]);
    }
  });
});
