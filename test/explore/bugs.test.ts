/**
 * Faults that Linux had, or that the HGM series had when it was posted: a scenario of two or three ordinary operations finds each, and finds nothing where it is
 * mended.
 */
import { expect, test } from 'vitest';
import { judgedWitness } from '../../src/explore/judged.ts';
import { explored, sceneOf } from './support.ts';

interface Bug {
  readonly name: string;
  /** Of the header: what makes the fault, and what mends it. */
  readonly bug: object;
  readonly mended: object;
  readonly kernel?: string;
  readonly header: object;
  readonly lines: readonly object[];
  readonly kind: string;
  readonly what: RegExp;
}

const file = { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, prot: 'rw' };
const anon = { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 1, prot: 'rw' };
const page = { proc: 0, slot: 0, page: 0 };
const write = { op: 'write', ...page, value: 1 };
/** 1 GiB that process 0 has, and process 1 maps, too. */
const gigabyte = [{ ...file, hugepages: 512, noreserve: true }, write, { op: 'fork', proc: 0, child: 1 }];
const GIGABYTE = { mode: 'P', pool: 8, files: [512] };
/** Two huge pages of a file, mapped in pieces. */
const pieces = (features: object): object[] => [
  { op: 'uffd_open', proc: 0, uffd: 0, ...features },
  { op: 'fill', file: 0, hugepage: 0, tag: 10 },
  { op: 'fill', file: 0, hugepage: 1, tag: 20 },
  { ...file, hugepages: 2 },
];
const register = { op: 'uffd_register', proc: 0, uffd: 0, slot: 0, page: 0, pages: 1024, mode: 'c' };
const arrives = (page: number) => ({ op: 'uffd_continue', proc: 0, uffd: 0, slot: 0, page, pages: 1 });
const PIECES = { unit: '4K', pool: 3, files: [2] };

/** A mapping is cut within the 1 GiB whose page table another process begins to share. */
const splitAgainstShare = {
  mended: { fixes: ['SPLIT_UNDER_LOCK'] },
  header: GIGABYTE,
  lines: [
    ...gigabyte,
    { op: 'madvise_dontfork', ...page, page: 256, pages: 256, task: 0 },
    { op: 'read', ...page, proc: 1, task: 1 },
  ],
  kind: 'broken rule',
  what: /a table that others use, under a mapping that may not share/,
};

const BUGS: readonly Bug[] = [
  {
    name: 'CVE-2025-38085: GUP-fast walks a table that was given up, and in which its last user has another mapping by now',
    bug: { bugs: ['UNSHARE_WITHOUT_IPI'] },
    mended: {},
    header: { ...GIGABYTE, flushes: 'hypercall' },
    lines: [
      ...gigabyte,
      { op: 'read', ...page, proc: 1 },
      { op: 'get_user_pages_fast', ...page, proc: 1, nr_pages: 1, task: 0 },
      { op: 'munmap', ...page, proc: 1, pages: 512, task: 1 },
      { op: 'munmap', ...page, pages: 256, task: 1 },
      { ...anon, hugepages: 256, noreserve: true, task: 1 },
      { ...write, task: 1 },
    ],
    kind: 'wrong page',
    what: /GUP gives pfn/,
  },
  {
    name: 'faults without the VMA lock write through a table that migration has taken away',
    bug: { bugs: ['FAULT_WITHOUT_VMA_LOCK'] },
    mended: {},
    header: GIGABYTE,
    lines: [
      ...gigabyte,
      { op: 'read', ...page, proc: 1 },
      { ...write, page: 1, task: 0 },
      { op: 'migrate', ...page, task: 1 },
    ],
    kind: 'unguarded write',
    what: /not the process's any more/,
  },
  {
    name: 'a missing fault without hugetlb_pte_stable meets the moment in which migration has emptied the entry',
    bug: { bugs: ['FAULT_TRUSTS_NONE'] },
    mended: {},
    header: { pool: 3 },
    lines: [
      anon,
      write,
      { op: 'uffd_open', proc: 0, uffd: 0 },
      { op: 'uffd_register', ...page, pages: 1, uffd: 0, mode: 'm' },
      { op: 'read', ...page, task: 0 },
      { op: 'migrate', ...page, task: 1 },
    ],
    kind: 'outcome',
    what: /SIGBUS/,
  },
  {
    name: 'a hole that is punched leaves a page mapped that a fault has mapped meanwhile',
    bug: { bugs: ['PUNCH_LEAVES_MAPPED'] },
    mended: {},
    header: { pool: 3, files: [2] },
    lines: [
      { ...file, hugepages: 2 },
      write,
      { op: 'read', ...page, task: 0 },
      { op: 'madvise_remove', ...page, pages: 1, task: 1 },
    ],
    kind: 'broken rule',
    what: /in no file any more/,
  },
  {
    name: 'GUP-fast without its second look takes a page that is another mapping’s by now',
    bug: { bugs: ['GUP_FAST_LOOKS_ONCE'] },
    mended: {},
    /* Where a flush sends interrupts, the page is not let go before GUP-fast has ended. */
    header: { pool: 1, flushes: 'hypercall' },
    lines: [
      anon,
      { ...anon, slot: 1, noreserve: true },
      write,
      { op: 'get_user_pages_fast', ...page, nr_pages: 1, list: 0, task: 0 },
      { op: 'madvise_dontneed', ...page, pages: 1, task: 1 },
      { ...write, slot: 1, task: 1 },
    ],
    kind: 'wrong page',
    what: /not mapped meanwhile/,
  },
  {
    name: 'GUP-fast that does not look for a fork pins a page that parent and child share',
    bug: { bugs: ['GUP_FAST_MISSES_FORK'] },
    mended: {},
    header: { pool: 3 },
    lines: [
      anon,
      write,
      { op: 'pin_user_pages_fast', ...page, nr_pages: 1, list: 0, flags: 'FOLL_WRITE', task: 0 },
      { op: 'fork', proc: 0, child: 1, task: 1 },
    ],
    kind: 'pinned page',
    what: /is pinned for 0x100000000000 of process 0, which shares it/,
  },
  {
    name: 'CVE-2025-38084, before its fix: a table is shared again between the unshare and the split',
    bug: { bugs: ['SPLIT_UNSHARES_EARLY'] },
    ...splitAgainstShare,
  },
  {
    name: 'CVE-2025-38084 as 6.1.192 has it: hugetlb_split comes before i_mmap_rwsem, on which it relies',
    bug: {},
    ...splitAgainstShare,
  },
  {
    name: 'hugetlb_wp of 6.1.192 takes the fault mutex again while it has the page of the page cache locked',
    bug: {},
    mended: { fixes: ['WP_DEADLOCK'] },
    header: { pool: 2, files: [1] },
    lines: [
      { op: 'fallocate', file: 0, hugepages: 1 },
      { ...file, kind: 'private_file', hugepages: 1 },
      write,
      { ...file, slot: 1, hugepages: 1 },
      { op: 'fork', proc: 0, child: 1 },
      { ...write, value: 2, task: 0 },
      { op: 'read', ...page, slot: 1, task: 1 },
    ],
    kind: 'deadlock',
    what: /waits for hugetlb_fault_mutex .*; .* waits for page lock/,
  },
  {
    name: 'RFC v2: GUP drops the VMA lock before it has the page-table lock, and reads a table that a collapse has freed',
    bug: { posted: ['GUP_DROPS_LOCK'] },
    mended: {},
    kernel: 'fixed',
    header: PIECES,
    lines: [
      ...pieces({ hgm: true }),
      register,
      arrives(0),
      { op: 'pin_user_pages', ...page, nr_pages: 1, list: 0, task: 0 },
      { op: 'madvise_collapse', ...page, pages: 512, task: 1 },
    ],
    kind: 'freed table',
    what: /which was freed/,
  },
  {
    name: 'v1: GUP that lost a race to a split looks again with the VMA lock still held',
    bug: { posted: ['GUP_LEAKS_LOCK'] },
    mended: {},
    kernel: 'v2, fixed',
    header: PIECES,
    lines: [
      ...pieces({ exact_address: true }),
      { op: 'madvise_split', ...page, pages: 1024 },
      register,
      arrives(512),
      { op: 'pin_user_pages', ...page, page: 5, nr_pages: 1, list: 0, task: 0 },
      { ...arrives(5), task: 1 },
    ],
    kind: 'leaked lock',
    what: /vma_lock/,
  },
  {
    name: 'v2: fork takes a reference that it gets for one that it does not get, and returns with the page-table locks held',
    bug: { posted: ['FORK_TRY_GET'] },
    mended: {},
    kernel: 'v2, fixed',
    header: PIECES,
    lines: [anon, write, { op: 'fork', proc: 0, child: 1, task: 0 }, { op: 'read', ...page, task: 1 }],
    kind: 'leaked lock',
    what: /page-table lock/,
  },
];

const scene = ({ kernel, header, lines }: Bug, how: object) =>
  sceneOf([...(kernel ? [{ kernel }] : []), { seq: 1, ...header, ...how }, ...lines, { end: 1 }]);

test.each(BUGS)('$name; its schedule leads there again', (bug) => {
  const { found } = explored(scene(bug, bug.bug));
  expect(found?.finding.kind).toBe(bug.kind);
  expect(found?.finding.what).toMatch(bug.what);
  const { kind, task } = found!.finding;
  expect(judgedWitness(scene(bug, bug.bug), found!.schedule).finding).toMatchObject({ kind, task });
});

test.each(BUGS)('mended, nothing is found: $name', (bug) => {
  const { found, exhausted } = explored(scene(bug, bug.mended));
  expect(found).toBeUndefined();
  expect(exhausted).toBe(true);
});
