import { describe, expect, test } from 'vitest';
import { OPERATIONS as HGM_OPERATIONS } from '../../src/replay/hgm/operations.ts';
import { OPERATIONS as HUGETLB_OPERATIONS } from '../../src/replay/hugetlb/operations.ts';
import { memoryForTables, replaySequence } from '../../src/replay/replay.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import type { Operation } from '../../src/replay/sequence/operation.ts';
import type { ScenarioStep, Sequence } from '../../src/replay/sequence/sequence.ts';
import { END, found, HEADER, HGM_HEADER, HGM_MMAP, HGM_READ, MMAP, refusal, scenarioOf, WRITE } from './support.ts';

const LOCKUP = 'soft lockup';
const BUG = 'kernel BUG at mm/hugetlb.c:6498';
const crash = (last_op: string, kind = LOCKUP): object => ({ crash: 1, last_op, kind });

function sequencesOf(...lines: readonly object[]): readonly Sequence[] {
  return parseScenario('crash.jsonl', scenarioOf(...lines)).sequences;
}

/** The step that a crash is, with process 1 there, and all four of a sequence's slots and files. */
function fatal(header: object, last_op: string): ScenarioStep {
  const fork = { op: 'fork', proc: 0, child: 1, result: 'OK' };
  return sequencesOf(header, fork, crash(last_op))[0]!.steps.at(-1)!;
}

/** Every operation in the words of a recorder, and what is read of them. */
type Words = Readonly<Record<string, readonly [last_op: string, values: object]>>;

const HGM_WORDS: Words = {
  fill: ['fill f1 3', { file: 1, hugepage: 3, tag: 0 }],
  mmap: ['mmap p0 s1 f0 1+2 r shared', { proc: 0, slot: 1, file: 0, offset: 1, hugepages: 2, prot: 1 }],
  munmap: ['munmap p0 s0 512+512', { proc: 0, slot: 0, page: 512, pages: 512 }],
  mprotect: ['mprotect p0 s0 0+512 2', { proc: 0, slot: 0, page: 0, pages: 512, prot: 0 }],
  mremap: ['mremap p0 s0->1 0+1024', { proc: 0, slot: 0, to: 1, page: 0, pages: 1024 }],
  mincore: ['mincore p1 s2 4+8', { proc: 1, slot: 2, page: 4, pages: 8 }],
  read: ['read p0 s0 515', { proc: 0, slot: 0, page: 515, at: 0 }],
  write: ['write p0 s0 3+17', { proc: 0, slot: 0, page: 3, at: 17, value: 0 }],
  fork: ['fork p1', { proc: 1, child: 2 }],
  exit: ['exit p1', { proc: 1 }],
  madvise_dontneed: ['madvise_dontneed p0 s0 0+512', { proc: 0, slot: 0, page: 0, pages: 512 }],
  madvise_dontfork: ['madvise_dontfork p0 s0 1+2', { page: 1, pages: 2 }],
  madvise_dofork: ['madvise_dofork p0 s0 1+2', { page: 1, pages: 2 }],
  madvise_remove: ['madvise_remove p0 s0 1+2', { proc: 0, slot: 0, page: 1, pages: 2 }],
  madvise_populate_read: ['madvise_populate_read p0 s0 1+2', { page: 1, pages: 2 }],
  madvise_populate_write: ['madvise_populate_write p0 s0 1+2', { page: 1, pages: 2 }],
  madvise_collapse: ['madvise_collapse p0 s0 0+512', { page: 0, pages: 512 }],
  madvise_split: ['madvise_split p0 s0 0+512', { page: 0, pages: 512 }],
  process_vm_read: ['process_vm_read p1 s2 7 len9', { proc: 1, slot: 2, page: 7, at: 0, length: 9 }],
  process_vm_write: [
    'process_vm_write p0 s2 512+402 len2305661',
    { proc: 0, slot: 2, page: 512, at: 402, length: 2_305_661, value: 0 },
  ],
  proc_mem_read: ['proc_mem_read p0 s2 7+1 len9', { page: 7, at: 1, length: 9 }],
  proc_mem_write: ['proc_mem_write p0 s2 7+1 len9', { page: 7, at: 1, length: 9 }],
  pin_longterm_write: ['pin p0 s0 683 len4096', { proc: 0, slot: 0, page: 683, at: 0, length: 4096 }],
  unpin: ['unpin p1 s0 0', { proc: 1 }],
  vmsplice: ['vmsplice p0 s0 3+5 len100', { page: 3, at: 5, length: 100 }],
  uffd_open: ['uffd_open p0 u0', {}],
  uffd_register: ['uffd_register p0 uffd1 s0 0+1024 mw', { uffd: 1, page: 0, pages: 1024, mode: 3 }],
  uffd_unregister: ['uffd_unregister p0 s0 0+1024', { uffd: 0, page: 0, pages: 1024 }],
  uffd_continue: ['uffd_continue p1 s0 987+1', { proc: 1, uffd: 2, page: 987, pages: 1 }],
  uffd_copy: ['uffd_copy p0 u1 s0 0+512 wp', { uffd: 1, page: 0, pages: 512, wp: true, value: 0 }],
  uffd_writeprotect: ['uffd_writeprotect p0 s0 0+512', { uffd: 0, page: 0, pages: 512 }],
  uffd_unwriteprotect: ['uffd_unwriteprotect p0 s0 0+512', { uffd: 0, page: 0, pages: 512 }],
  fallocate: ['fallocate file1 1+2', { file: 1, offset: 1, hugepages: 2 }],
  punch_hole: ['punch_hole f0 0+1', { file: 0, offset: 0, hugepages: 1 }],
  ftruncate: ['ftruncate f0 0+1', { file: 0, offset: 0, hugepages: 1 }],
};

const HUGETLB_WORDS: Words = {
  ...Object.fromEntries(
    Object.entries(HGM_WORDS).filter(([op]) => HUGETLB_OPERATIONS.has(op) && !/^uffd|^process|^proc_|^pin/.test(op)),
  ),
  mmap: [
    'mmap p0 s1 shared_file f0 1+2 r noreserve',
    { slot: 1, file: 0, offset: 1, hugepages: 2, prot: 1, noreserve: true },
  ],
  munmap: ['munmap p0 s0 1+2', { page: 1, pages: 2 }],
  mprotect: ['mprotect p0 s0 1+2 1', { page: 1, pages: 2, prot: 1 }],
  mremap: ['mremap p0 s0->1 0+4', { slot: 0, to: 1, page: 0, pages: 4 }],
  read: ['read p0 s0 3', { page: 3, at: 0 }],
  write: ['write p0 s0 3+70000', { page: 3, at: 70_000, value: 0 }],
  madvise_dontneed: ['madvise_dontneed p0 s0 1+2', { page: 1, pages: 2 }],
  process_vm_read: ['process_vm_read p1 s2 7 len9', { page: 7, at: 0, length: 9 }],
  process_vm_write: ['process_vm_write p0 s2 1+402 len2305661', { page: 1, at: 402, length: 2_305_661 }],
  proc_mem_read: ['proc_mem_read p0 s2 1+1 len9', { page: 1, at: 1, length: 9 }],
  proc_mem_write: ['proc_mem_write p0 s2 1+1 len9', { page: 1, at: 1, length: 9 }],
  pin_longterm_write: ['pin p0 s0 3 len4096', { page: 3, at: 0, length: 4096 }],
  uffd_register: ['uffd_register p0 s0 0+4 c', { page: 0, pages: 4, mode: 4 }],
  uffd_unregister: ['uffd_unregister p0 s0 0+4', { page: 0, pages: 4 }],
  uffd_copy: ['uffd_copy p0 s0 0+1 wp', { page: 0, pages: 1, wp: true }],
  uffd_continue: ['uffd_continue p0 s0 0+1', { page: 0, pages: 1 }],
  uffd_zeropage: ['uffd_zeropage p0 s0 0+1', { page: 0, pages: 1 }],
  uffd_writeprotect: ['uffd_writeprotect p0 s0 0+1', { page: 0, pages: 1 }],
  uffd_unwriteprotect: ['uffd_unwriteprotect p0 s0 0+1', { page: 0, pages: 1 }],
  fallocate: ['fallocate f1 1+2', { file: 1, offset: 1, hugepages: 2 }],
  punch_hole: ['punch_hole f0 0+1', { file: 0, offset: 0, hugepages: 1 }],
  ftruncate: ['ftruncate f0 3', { file: 0, hugepages: 3 }],
};

const FORMATS: readonly (readonly [string, object, ReadonlyMap<string, Operation>, Words])[] = [
  ['high-granularity mapping', HGM_HEADER, HGM_OPERATIONS, HGM_WORDS],
  ['Linux 6.1', { ...HEADER, files: [2, 1] }, HUGETLB_OPERATIONS, HUGETLB_WORDS],
];

/** What no recording has. */
const NEVER_RECORDED =
  /^(corrupt_pfn|follow_page|get_|madvise_hwpoison|migrate|mlock|munlock|pin_user|put_page|split_huge_pages|uffd_(close|read|wake)|unpin_|wait)/;

/** Its features are more than words tell: it is never compared. */
const NOT_IN_WORDS = 'uffd_open p0 u0';

describe.each(FORMATS)('the last operation in words, of %s', (_, header, operations, words) => {
  test('every operation has some', () => {
    const recorded = [...operations.keys()].filter((op) => !NEVER_RECORDED.test(op) && !(op in words));
    expect(Object.keys(words).filter((op) => !operations.has(op))).toEqual([]);
    /* Each format has some that only recordings of the other one have. */
    expect(recorded.filter((op) => !(op in HGM_WORDS || op in HUGETLB_WORDS))).toEqual([]);
  });

  test.each(Object.entries(words))('%s: %s', (op, [last_op, values]) => {
    const step = fatal(header, last_op);
    if (last_op === NOT_IN_WORDS) {
      expect(step.uncompared).toBeDefined();
      return;
    }
    expect(step).toMatchObject({ kind: 'look', operation: operations.get(op), values, hang: false, died: 'HANG' });
    expect(step.uncompared).toBeUndefined();
  });
});

describe('a crash', () => {
  test.each([
    [LOCKUP, 'HANG'],
    ['watchdog: hard LOCKUP', 'HANG'],
    ['INFO: rcu_preempt self-detected stall', 'HANG'],
    [BUG, 'BUG'],
  ])('of a "%s" wants %s, and ends the sequence without an end', (kind, died) => {
    const [first, second] = sequencesOf(
      HGM_HEADER,
      HGM_MMAP,
      crash('write p0 s0 3', kind),
      { ...HGM_HEADER, seq: 2 },
      { end: 2 },
    );
    expect(first!.steps[1]).toMatchObject({ kind: 'look', values: { proc: 0, slot: 0, page: 3, at: 0 }, died });
    expect([first!.end, second!.number]).toEqual([undefined, 2]);
  });

  test('is in the operation that was under way, or, if that was told, in the end of all processes', () => {
    const read = { ...HGM_READ, page: 515, result: 'OK', value: 122 };
    const [told] = sequencesOf(HGM_HEADER, HGM_MMAP, read, { usage: [[0, 1]] }, crash('read p0 s0 515'));
    const [untold] = sequencesOf(HGM_HEADER, HGM_MMAP, { ...read, page: 514 }, crash('read p0 s0 515'));
    expect(told!.steps.map(({ values }) => values.page)).toEqual([undefined, 515, undefined]);
    expect(untold!.steps.map(({ values }) => values.page)).toEqual([undefined, 514, 515]);
  });

  test('is in the operation before it, if that has no result, or says that it never ended; once, though words say it, too', () => {
    for (const result of [undefined, 'E9999']) {
      for (const line of [{ crash: 1 }, crash('write p0 s0 0')]) {
        const [sequence] = sequencesOf(HEADER, { ...MMAP, result: 'OK' }, { ...WRITE, result }, line);
        expect(sequence!.steps.map(({ kind, died }) => [kind, died !== undefined])).toEqual([
          ['operation', false],
          ['operation', true],
        ]);
      }
    }
  });

  test('of which it is not told how, is a difference unless the model dies, too', () => {
    expect(found(HEADER, { ...MMAP, result: 'OK' }, WRITE, { crash: 1 })).toEqual([
      { what: 'result', line: 3, kernel: 'BUG or HANG', model: 'OK' },
    ]);
  });
});

describe('what a kernel died of is not compared, and everything before is', () => {
  test.each([
    [
      'an operation that nobody knows',
      crash('dance p0 s0 0'),
      /^last_op: expected one of mmap, .*fill, .*, pin, got "dance p0 s0 0"$/,
    ],
    [
      'a word that nobody knows',
      crash('write p0 s0 3 twice'),
      /^last_op: expected words such as p0, .* not "twice", got "write p0 s0 3 twice"$/,
    ],
    [
      'words that leave out too much',
      crash('munmap p0 s0 0'),
      /^pages: expected an integer from 1 to \d+, got nothing$/,
    ],
    [
      'words without a userfaultfd, whose features matter',
      crash('uffd_register p0 s0 0+512 c'),
      /^uffd: expected .*, got nothing$/,
    ],
    ['a process that does not live', crash('write p1 s0 0'), /^proc: expected a living process \(0\), got 1$/],
    [
      'a range behind the end of its slot',
      crash('munmap p0 s0 262143+2'),
      /^pages: expected at most 1, as a slot has 262144 pages, got 2$/,
    ],
    ['rights that there are not', crash('mprotect p0 s0 0+512 7'), /^prot: expected "rw" or "r" or "none", got 7$/],
    [
      'a kind of death that nobody knows',
      crash('write p0 s0 3', 'general protection fault'),
      /^kind: expected "soft lockup" or "kernel BUG at FILE:LINE", got "general/,
    ],
    ['no operation', { crash: 1, kind: LOCKUP }, /^last_op: expected the operation that was under way, got nothing$/],
  ])('%s', (_, line, why) => {
    const before = [HGM_HEADER, { ...HGM_MMAP, result: 'ENOMEM' }];
    const [sequence] = sequencesOf(...before, line);
    const lines = [...replaySequence(sequence!, memoryForTables())];
    expect(lines.map(({ kind, differences }) => [kind, differences.length])).toEqual([
      ['operation', 1],
      ['look', 0],
    ]);
    expect(lines[0]!.uncompared).toBeUndefined();
    expect(lines[1]!.uncompared).toMatch(why);
  });
});

describe('a crash is refused, where it is no such line:', () => {
  test.each([
    [
      'of another sequence',
      { ...crash('write p0 s0 3'), crash: 2 },
      '2: crash: expected 1, the number of the sequence, got 2',
    ],
    ['in no text', { crash: 1, last_op: 7 }, '2: last_op: expected an operation in words, got 7'],
    ['with more', { ...crash('write p0 s0 3'), why: 1 }, '2: why: expected no such field in a crash, got 1'],
  ])('%s', (_, line, message) => {
    expect(refusal(scenarioOf(HGM_HEADER, line, END))).toBe(message);
  });
});
