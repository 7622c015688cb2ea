import { describe, expect, test } from 'vitest';
import {
  HGM_POSTED_COLLAPSE_LOOP,
  HGM_POSTED_GUP_UNITS,
  HGM_POSTED_PROT_NONE_PUD,
  type HgmOptions,
} from '../../src/linux/base/hgm.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import type { Sequence } from '../../src/replay/sequence/sequence.ts';
import {
  CONTINUE,
  END,
  HEADER,
  HGM_HEADER,
  HGM_MMAP,
  HGM_READ,
  HGM_WRITE,
  MMAP,
  refusal,
  scenarioOf,
} from './support.ts';

function sequencesOf(...lines: readonly object[]): readonly Sequence[] {
  return parseScenario('hgm.jsonl', scenarioOf(...lines)).sequences;
}

const V2 = { kernel: 'v2, fixed' };
const RFC_V2 = { kernel: 'fixed' };
const FORK = { op: 'fork', proc: 0, child: 1 };
const state = { pool: [6, 6, 0, 0], usage: [[0, 0]], cache: [], maps: [] };

/** The kernel that a sequence is run on, after lines about it. */
function kernelOf(...lines: readonly object[]): HgmOptions {
  return sequencesOf(...lines, HGM_HEADER, END)[0]!.setting.hgm;
}

describe('a scenario of high-granularity mapping', () => {
  test.each([
    [512, 2 ** 21, 2 ** 30],
    [262_144, 2 ** 30, 2 ** 33],
  ])('is known by its header: a huge page is %i pages of 4 KiB', (hugepage, hugePageSize, slotBytes) => {
    const [sequence] = sequencesOf({ ...HGM_HEADER, hugepage, what: 'in words' }, END);
    expect(sequence!.setting).toEqual({
      hugePageSize,
      pool: 6,
      flushes: 'interrupt',
      overcommit: 0,
      files: [2, 1],
      hgm: { version: 'v2', posted: 0 },
      bugs: 0,
      fixes: 0,
      pageBytes: 4096,
      slotBytes,
      slotPages: slotBytes / 4096,
    });
  });

  test('may stand in one file with sequences of the other format, in which there is no HGM', () => {
    const sequences = sequencesOf(
      HEADER,
      MMAP,
      { pages: [] },
      END,
      V2,
      { ...HGM_HEADER, seq: 2 },
      HGM_MMAP,
      state,
      { end: 2 },
      { ...HEADER, seq: 3, hugepage: '1G' },
      { ...MMAP, pages: 8 },
      { end: 3 },
    );
    expect(sequences.map(({ number, setting }) => [number, setting.hgm.version, setting.pageBytes])).toEqual([
      [1, 'none', 2 ** 21],
      [2, 'v2', 4096],
      [3, 'none', 2 ** 30],
    ]);
  });

  test('is of v2, as it ought to be, where nothing is said of the kernel', () => {
    expect(kernelOf()).toEqual({ version: 'v2', posted: 0 });
  });

  test.each<[string, HgmOptions]>([
    ['fixed', { version: 'rfc-v2', posted: HGM_POSTED_PROT_NONE_PUD }],
    ['fixed (no HGM used: plain 6.1 behaviour)', { version: 'rfc-v2', posted: HGM_POSTED_PROT_NONE_PUD }],
    ['posted: 1 (units bug)', { version: 'rfc-v2', posted: HGM_POSTED_PROT_NONE_PUD | HGM_POSTED_GUP_UNITS }],
    ['posted: 127', { version: 'rfc-v2', posted: HGM_POSTED_PROT_NONE_PUD | 127 }],
    ['v2, fixed', { version: 'v2', posted: HGM_POSTED_PROT_NONE_PUD | HGM_POSTED_COLLAPSE_LOOP }],
    ['v2, posted: 96', { version: 'v2', posted: HGM_POSTED_PROT_NONE_PUD | HGM_POSTED_COLLAPSE_LOOP | 96 }],
  ])('of the kernel "%s" has the faults that were recorded with it, and those that nobody mended', (kernel, hgm) => {
    expect(kernelOf({ kernel })).toEqual(hgm);
  });

  test('is of the kernel that was named last before its header', () => {
    const second = { ...HGM_HEADER, seq: 2 };
    const third = { ...HGM_HEADER, seq: 3 };
    const sequences = sequencesOf(RFC_V2, HGM_HEADER, END, second, { end: 2 }, RFC_V2, V2, third, { end: 3 });
    expect(sequences.map(({ setting }) => setting.hgm.version)).toEqual(['rfc-v2', 'rfc-v2', 'v2']);
  });

  test('tells a state once for as long as it stays the same', () => {
    const [sequence] = sequencesOf(HGM_HEADER, HGM_MMAP, state, HGM_READ, HGM_READ, { same: true }, END);
    expect(sequence!.steps.map((step) => step.state)).toEqual([state, undefined, state]);
  });

  test('tells of a state what it likes', () => {
    for (const [field, value] of Object.entries(state)) {
      const [sequence] = sequencesOf(HGM_HEADER, HGM_MMAP, { [field]: value }, END);
      expect(sequence!.steps[0]!.state).toEqual({ [field]: value });
    }
  });
});

/** After a header and a mapping; what is refused is in line 3. */
const told = (line: object, ...before: readonly object[]): object[] => [HGM_HEADER, HGM_MMAP, ...before, line, END];
const maps = (...run: unknown[]): object[] => told({ maps: [[0, 0, [run]]] });
const RUN = [0, 1, 1, 0, 0, 'wd'];
const MESSAGE = {
  uffd_message: 'hgm+exact',
  register: 'OK',
  touch_page: 5,
  touch_byte: 123,
  message_offset: 20_603,
  flags: 4,
  continue: 'OK',
  woken_by_other_continue: false,
  woken_by_continue: true,
};
const SMAPS = { page: 0, pages: 512, kernel_page_kb: 2048, mmu_page_kb: 2048, shared_kb: 0, private_kb: 0 };
const PTDUMP = { ptdump: '0x0000100000000000-0x0000100000001000 4K pte' };
const OPEN = { op: 'uffd_open', proc: 0, uffd: 0, hgm: true, exact_address: true, event_fork: false };
const crash = { crash: 1, last_op: 'write p0 s0 3', kind: 'soft lockup' };

describe('is refused, with file, line, field, what was expected and what is there:', () => {
  test.each<[string, object[], string]>([
    [
      'a kernel that nobody has recorded',
      [{ kernel: 'v3' }],
      '1: kernel: expected "fixed", "v2, fixed", "posted: MASK" or "v2, posted: MASK", got "v3"',
    ],
    ['a kernel with a fault that there is not', [{ kernel: 'posted: 128' }], '1: kernel: expected "fixed", '],
    ['a kernel that is no text', [{ kernel: 1 }], '1: kernel: expected "fixed", '],
    ['a kernel with more', [{ ...V2, version: 2 }], '1: version: expected no such field in a kernel, got 2'],
    [
      'a kernel within a sequence',
      [HGM_HEADER, V2, END],
      '2: line: expected an object with one of op, seq, end, hang, crash, schedule, note, expect, pool, usage, cache, maps, same, uffd_message, pagemap, smaps, ptdump, ptdump_collapse, got {"kernel":"v2, fixed"}',
    ],

    [
      'a huge page of another size',
      [{ ...HGM_HEADER, hugepage: 511 }, END],
      '1: hugepage: expected "2M" or "1G", or 512 or 262144, got 511',
    ],
    [
      'a pool that is left out',
      [{ ...HGM_HEADER, pool: undefined }, END],
      '1: pool: expected an integer from 0 to 65536, got nothing',
    ],
    ['a mode', [{ ...HGM_HEADER, mode: 'A' }, END], '1: mode: expected no such field in a header, got "A"'],
    [
      'surplus pages of 1 GiB',
      [{ ...HGM_HEADER, hugepage: 262144, overcommit: 1 }, END],
      '1: overcommit: expected 0, as pages of 1 GiB are never surplus, got 1',
    ],
    [
      'files that are no list',
      [{ ...HGM_HEADER, files: 2 }, END],
      '1: files: expected a list of at most 64 integers from 0 to 65536, got 2',
    ],
    ['words that are none', [{ ...HGM_HEADER, what: 7 }, END], '1: what: expected a text, got 7'],

    ['an operation of the other format', [HEADER, { op: 'fill' }, END], '2: op: expected one of mmap, munmap, '],
    ['a line of the other format', told({ pages: [] }), '3: line: expected an object with one of op, seq, '],
    [
      'a state of this format in the other',
      [HEADER, MMAP, { usage: [] }, END],
      '3: line: expected an object with one of op, seq, end, hang, crash, schedule, note, expect, pool, pages, got {"usage":[]}',
    ],
    [
      'fields of the other format',
      [HGM_HEADER, { ...MMAP, hugepages: 1 }, END],
      '2: pages: expected no such field in mmap, got 1',
    ],
    [
      'a page behind its slot',
      told({ ...HGM_READ, page: 262_144 }),
      '3: page: expected an integer from 0 to 262143, got 262144',
    ],
    [
      'a byte behind its page',
      told({ ...HGM_READ, byte: 4096 }),
      '3: byte: expected an integer from 0 to 4095, got 4096',
    ],
    [
      'a mapping longer than its slot',
      [HGM_HEADER, { ...HGM_MMAP, hugepages: 513 }, END],
      '2: hugepages: expected an integer from 1 to 512, got 513',
    ],
    [
      'a mapping of a file that there is not',
      [HGM_HEADER, { ...HGM_MMAP, file: 2 }, END],
      '2: file: expected an integer from 0 to 1, got 2',
    ],
    [
      'a mapping that is shared or not',
      [HGM_HEADER, { ...HGM_MMAP, shared: 1 }, END],
      '2: shared: expected true or false, got 1',
    ],
    [
      'a protection that there is not',
      [HGM_HEADER, { ...HGM_MMAP, prot: 'x' }, END],
      '2: prot: expected "rw" or "r" or "none", got "x"',
    ],
    [
      'a range that ends behind its slot',
      told({ op: 'munmap', proc: 0, slot: 0, page: 262_143, pages: 2 }),
      '3: pages: expected at most 1, as a slot has 262144 pages, got 2',
    ],
    [
      'a tag that is no byte',
      told({ op: 'fill', file: 0, hugepage: 0, tag: 256 }),
      '3: tag: expected an integer from 0 to 255, got 256',
    ],
    [
      'a place in core that is no number',
      told({ op: 'mincore', proc: 0, slot: 0, page: 0, pages: 1, incore: 'all' }),
      '3: incore: expected an integer from -1 to 16777216, got "all"',
    ],
    [
      'a pipe that is said to have something',
      told({ op: 'vmsplice', proc: 0, slot: 0, page: 0, byte: 0, length: 1, same_as_memory: 'yes' }),
      '3: same_as_memory: expected true or false, got "yes"',
    ],
    [
      'a file that is cut from somewhere',
      told({ op: 'ftruncate', file: 0, offset: 1, hugepages: 1 }),
      '3: offset: expected 0, got 1',
    ],
    [
      'a userfaultfd that is opened as a third',
      told({ ...OPEN, uffd: 2 }),
      '3: uffd: expected an integer from 0 to 1, got 2',
    ],
    [
      'a feature of a userfaultfd that is neither there nor not',
      told({ ...OPEN, hgm: 1 }),
      '3: hgm: expected true or false, got 1',
    ],
    [
      'a userfaultfd that there is not',
      told({ ...CONTINUE, uffd: 3 }),
      '3: uffd: expected an integer from 0 to 2, got 3',
    ],
    [
      'a userfaultfd for a process that does not live',
      told({ ...CONTINUE, proc: 1 }),
      '3: proc: expected a living process (0), got 1',
    ],
    [
      'more bytes than there are',
      told({ ...CONTINUE, mapped: 2 ** 41 }),
      '3: mapped: expected an integer from -133 to 1099511627776, got 2199023255552',
    ],
    [
      'letters of a mode that there are not',
      told({ ...CONTINUE, op: 'uffd_register', mode: 'x' }),
      '3: mode: expected one or more of the letters m, w and c, got "x"',
    ],

    ['the same as nothing', told({ same: true }), '3: same: expected a state of the sequence before it, got true'],
    [
      'the same as in another sequence',
      [HGM_HEADER, HGM_MMAP, state, END, { ...HGM_HEADER, seq: 2 }, HGM_MMAP, { same: true }],
      '7: same: expected a state of the sequence before it, got true',
    ],
    ['what is not the same', told({ same: false }, state, HGM_READ), '5: same: expected true, got false'],
    [
      'the same, and more',
      told({ same: true, pool: [6, 6, 0, 0] }),
      '3: same: expected no such field in a state, got true',
    ],
    [
      'a state without an operation',
      [HGM_HEADER, state, END],
      '2: pool: expected an operation before it, got [6,6,0,0]',
    ],
    ['usage that is no list', told({ usage: 0 }), '3: usage: expected a list of processes, got 0'],
    ['usage of no process', told({ usage: [[64, 0]] }), '3: usage[0][0]: expected an integer from 0 to 63, got 64'],
    [
      'usage below 0',
      told({ usage: [[0, -1]] }),
      '3: usage[0][1]: expected an integer from 0 to 2305843009213694000, got -1',
    ],
    ['a cache that is no list', told({ cache: {} }), '3: cache: expected a list of huge pages, got {}'],
    [
      'a huge page without map counts of its pages, in v2',
      told({ cache: [[0, 0, 0, 1]] }),
      '3: cache[0]: expected a list of 5 items, got [0,0,0,1]',
    ],
    [
      'a huge page with them, in RFC v2',
      [RFC_V2, ...told({ cache: [[0, 0, 0, 1, []]] })],
      '4: cache[0]: expected a list of 4 numbers, got [0,0,0,1,[]]',
    ],
    [
      'a reference count below 0',
      told({ cache: [[0, 0, 0, -1, []]] }),
      '3: cache[0][3]: expected an integer from 0 to 2147483647, got -1',
    ],
    [
      'map counts that are no list',
      told({ cache: [[0, 0, 0, 1, 7]] }),
      '3: cache[0][4]: expected a list of runs, got 7',
    ],
    [
      'a run of no pages',
      told({ cache: [[0, 0, 0, 1, [[0, 0, 0]]]] }),
      '3: cache[0][4][0][1]: expected an integer from 1 to 2147483647, got 0',
    ],
    ['maps that are no list', told({ maps: 1 }), '3: maps: expected a list of slots, got 1'],
    ['a slot without its runs', told({ maps: [[0, 0]] }), '3: maps[0]: expected a list of 3 items, got [0,0]'],
    [
      'a slot that there is not',
      told({ maps: [[0, 64, []]] }),
      '3: maps[0][1]: expected an integer from 0 to 63, got 64',
    ],
    ['runs that are no list', told({ maps: [[0, 0, {}]] }), '3: maps[0][2]: expected a list of runs, got {}'],
    ['a run of five items', maps(...RUN.slice(1)), '3: maps[0][2][0]: expected a list of 6 items, got '],
    [
      'a run behind its slot',
      maps(...RUN.with(0, 262_144)),
      '3: maps[0][2][0][0]: expected an integer from 0 to 262143, got 262144',
    ],
    [
      'a run of no entries',
      maps(...RUN.with(1, 0)),
      '3: maps[0][2][0][1]: expected an integer from 1 to 2147483647, got 0',
    ],
    [
      'entries larger than a huge page',
      maps(...RUN.with(2, 262_144)),
      '3: maps[0][2][0][2]: expected 1 or 512, got 262144',
    ],
    ['entries of no file', maps(...RUN.with(3, -2)), '3: maps[0][2][0][3]: expected an integer from -1 to 63, got -2'],
    [
      'entries of no page',
      maps(...RUN.with(4, -2)),
      '3: maps[0][2][0][4]: expected an integer from -1 to 2147483647, got -2',
    ],
    [
      'flags in another order',
      maps(...RUN.with(5, 'dw')),
      '3: maps[0][2][0][5]: expected "-", "m", or n, w or r, d, u, got "dw"',
    ],

    [
      'a crash of another sequence',
      [HGM_HEADER, { ...crash, crash: 2 }],
      '2: crash: expected 1, the number of the sequence, got 2',
    ],
    ['an end after a crash', [HGM_HEADER, crash, END], '3: end: expected the header of a sequence before it, got 1'],
    [
      'a hang after a result',
      told({ hang: 1 }, { ...HGM_WRITE, result: 'OK' }),
      '4: hang: expected an operation without a result before it, not with "OK", got 1',
    ],

    [
      'a message of features that there are not',
      told({ ...MESSAGE, uffd_message: 'all' }),
      '3: uffd_message: expected "plain" or "exact" or "hgm" or "hgm+exact", got "all"',
    ],
    [
      'a message of a page that is not there',
      told({ ...MESSAGE, touch_page: 511 }),
      '3: touch_page: expected an integer from 0 to 510, got 511',
    ],
    [
      'a message of a byte that is not there',
      told({ ...MESSAGE, touch_byte: 4096 }),
      '3: touch_byte: expected an integer from 0 to 4095, got 4096',
    ],
    [
      'a message that lacks something',
      told({ ...MESSAGE, flags: undefined }),
      '3: flags: expected an integer from 0 to 7, got nothing',
    ],
    [
      'a message of a place that is not there',
      told({ ...MESSAGE, message_offset: 2 ** 21 }),
      '3: message_offset: expected an integer from 0 to 2097151, got 2097152',
    ],
    [
      'a register that ends in a signal',
      told({ ...MESSAGE, register: 'no' }),
      '3: register: expected "OK" or the name of an errno, got "no"',
    ],
    [
      'a continue that ends in no name',
      told({ ...MESSAGE, continue: 0 }),
      '3: continue: expected "OK" or the name of an errno, got 0',
    ],
    [
      'somebody who is half woken',
      told({ ...MESSAGE, woken_by_continue: 1 }),
      '3: woken_by_continue: expected true or false, got 1',
    ],
    [
      'a waiter that is woken by a number',
      told({ ...MESSAGE, woken_by_other_continue: 0 }),
      '3: woken_by_other_continue: expected true or false, got 0',
    ],
    [
      'a pagemap that is no object',
      told({ pagemap: [] }),
      '3: pagemap: expected an object, and nothing beside it, got []',
    ],
    [
      'a pagemap without entries',
      told({ pagemap: { page: 0, entries: [] } }),
      '3: entries: expected a list of pages, each a list of 6 integers, got []',
    ],
    [
      'a pagemap of a page behind its slot',
      told({ pagemap: { page: -1, entries: [[0, 0, 0, 0, -1, 0]] } }),
      '3: page: expected an integer from 0 to 262143, got -1',
    ],
    [
      'a pagemap that means something else',
      told({ pagemap: { page: 0, entries: [[0, 0, 0, 0, -1, 0]], means: 'x' } }),
      '3: means: expected "present,file,',
    ],
    [
      'smaps with a field that is missing',
      told({ smaps: [{ ...SMAPS, pages: undefined }] }),
      '3: smaps: expected a list of mappings with page, pages, kernel_page_kb, mmu_page_kb, shared_kb, private_kb, got ',
    ],
    ['smaps that are no list', told({ smaps: 1 }), '3: smaps: expected a list of mappings with '],
    ['a listing that is none', told({ ptdump: 'nothing' }), '3: ptdump: expected a line of a listing, got "nothing"'],
    [
      'a collapse by its name',
      told({ ptdump_collapse: 'OK' }, PTDUMP),
      '4: ptdump_collapse: expected an integer from -133 to 0, got "OK"',
    ],
    [
      'a second collapse',
      told({ ptdump_collapse: 0 }, PTDUMP, { ptdump_collapse: 0 }),
      '5: ptdump_collapse: expected one collapse between two listings, got 0',
    ],
    ['a state of what only looks', told(state, MESSAGE), '4: pool: expected an operation before it, got [6,6,0,0]'],
    ['a fork of a child that lives', told(FORK, FORK), '4: child: expected the number of no living process, got 1'],
  ])('%s', (_, lines, message) => {
    expect(refusal(scenarioOf(...lines)).slice(0, message.length)).toBe(message);
  });
});
