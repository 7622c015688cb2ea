/**
 * A trace has the kernel's order: where locks are taken and dropped, and which function does it. mm/hugetlb.c, mm/mmap.c, mm/memory.c, fs/hugetlbfs of
 * Linux 6.1.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_DONTNEED,
  MAP_FIXED,
  MAP_NORESERVE,
  type Machine,
  type TraceEvent,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
} from '../../src/linux/index.ts';
import { folioAt, GIB1, MIB2, machineWith, mapPrivate, mapShared, traced } from './support.ts';

/** Functions and locks, in order: `hugetlb_fault {`, `} hugetlb_fault`, `takes vma_lock (read)`, `releases vma_lock`. Locks without whose they are. */
function steps(trace: readonly TraceEvent[]): string[] {
  return trace.flatMap((event) => {
    if (event.kind === 'enter') return [`${event.name} {`];
    if (event.kind === 'leave') return [`} ${event.name}`];
    if (event.kind === 'lock') return [`takes ${kindOf(event.lock)}${event.mode === 'read' ? ' (read)' : ''}`];
    return event.kind === 'unlock' ? [`releases ${kindOf(event.lock)}`] : [];
  });
}

const kindOf = (lock: string): string => /^(page lock|page-table lock|\S+)/.exec(lock)![1]!;

/** Those of the steps that have one of the words. */
const only = (all: readonly string[], ...words: string[]): string[] =>
  all.filter((step) => words.some((word) => step.includes(word)));

/** What is between a function's beginning and its end. */
function inside(all: readonly string[], name: string): string[] {
  return all.slice(all.indexOf(`${name} {`) + 1, all.lastIndexOf(`} ${name}`));
}

const machine61 = (pages: number): Machine => machineWith({ pages, hgm: { version: 'none' } });

describe('hugetlb_no_page', () => {
  const words = [
    'hugetlb_no_page',
    'handle_userfault',
    'hugetlb_fault {',
    '} hugetlb_fault',
    'vma_lock',
    'fault_mutex',
  ];

  test.each(['none', 'v2'] as const)('drops the VMA lock and the fault mutex at its end (HGM %s)', (version) => {
    const machine = machineWith({ pages: 1, hgm: { version } });
    const process = machine.createProcess();
    const at = mapShared(process, 1);
    expect(only(steps(traced(machine, () => process.write(at, 1))), ...words)).toEqual([
      'hugetlb_fault {',
      'takes hugetlb_fault_mutex',
      'takes vma_lock (read)',
      'hugetlb_no_page {',
      'releases vma_lock',
      'releases hugetlb_fault_mutex',
      '} hugetlb_no_page',
      '} hugetlb_fault',
    ]);
  });

  test.each([
    ['missing', UFFDIO_REGISTER_MODE_MISSING],
    ['minor', UFFDIO_REGISTER_MODE_MINOR],
  ])('drops them before it calls handle_userfault: %s', (_reason, mode) => {
    const machine = machine61(1);
    const process = machine.createProcess();
    const file = machine.memfdCreate();
    file.ftruncate(MIB2);
    if (mode === UFFDIO_REGISTER_MODE_MINOR) file.fallocate(0, MIB2);
    const at = mapShared(process, 1, { file });
    const uffd = process.userfaultfd();
    uffd.api();
    uffd.register(at, MIB2, mode);
    const trace = steps(traced(machine, () => expect(process.read(at)).toBe('BLOCKED')));
    expect(only(inside(trace, 'hugetlb_no_page'), ...words)).toEqual([
      'releases vma_lock',
      'releases hugetlb_fault_mutex',
      'handle_userfault {',
      '} handle_userfault',
    ]);
  });
});

test('exit_mmap unmaps with mmap_lock for reading, frees page tables with mmap_lock for writing', () => {
  const machine = machine61(2);
  const process = machine.createProcess();
  for (const address of [GIB1, 3 * GIB1]) process.write(mapPrivate(process, 1, { address }), 1);
  const trace = steps(traced(machine, () => process.exit()));
  const words = ['mmap_lock', 'exit_mmap', 'unmap_vmas', 'unmap_single_vma', 'free_pg', 'free_huge_page', 'remove_vma'];
  const freed = ['free_huge_page {', '} free_huge_page'];
  const removed = ['remove_vma {', '} remove_vma'];
  const range = ['free_pgd_range {', '} free_pgd_range'];
  const unmapped = ['unmap_single_vma {', '} unmap_single_vma'];
  expect(only(trace, ...words)).toEqual([
    'exit_mmap {',
    'takes mmap_lock (read)',
    'unmap_vmas {',
    ...unmapped,
    ...unmapped,
    '} unmap_vmas',
    'releases mmap_lock',
    'takes mmap_lock',
    'free_pgtables {',
    ...range,
    ...range,
    '} free_pgtables',
    ...freed,
    ...freed,
    ...removed,
    ...removed,
    'releases mmap_lock',
    '} exit_mmap',
  ]);
});

test('exit_mmap of a process without a mapping takes mmap_lock only for reading', () => {
  const machine = machine61(0);
  const process = machine.createProcess();
  expect(steps(traced(machine, () => process.exit()))).toEqual([
    'exit_mmap {',
    'takes mmap_lock (read)',
    'releases mmap_lock',
    '} exit_mmap',
  ]);
});

test('free_pgd_range frees a table when the last mapping in it goes', () => {
  const machine = machine61(2);
  const process = machine.createProcess();
  const [one, other] = [GIB1, GIB1 + MIB2].map((address) => mapPrivate(process, 1, { address })) as [number, number];
  process.write(one, 1);
  process.write(other, 1);
  const freedBy = (at: number): string[] => {
    const trace = traced(machine, () => process.munmap(at, MIB2));
    const from = trace.findIndex((event) => event.kind === 'enter' && event.name === 'free_pgd_range');
    const to = trace.findIndex((event) => event.kind === 'leave' && event.name === 'free_pgd_range');
    return trace
      .slice(from + 1, to)
      .flatMap((event) => (event.kind === 'table' ? [`${event.what} ${event.level}`] : []));
  };
  expect(freedBy(one)).toEqual([]);
  expect(freedBy(other)).toEqual(['freed 2', 'freed 3']);
});

test('huge_pmd_unshare says 1 where the table was shared, and 0 where it was not', () => {
  const machine = machine61(1);
  const file = machine.memfdCreate();
  file.ftruncate(GIB1);
  const [first, second] = [machine.createProcess(), machine.createProcess()];
  const map = { file, address: 2 ** 40, flags: MAP_FIXED | MAP_NORESERVE };
  for (const process of [first, second]) mapShared(process, GIB1 / MIB2, map);
  first.read(2 ** 40);
  second.read(2 ** 40);
  const unshared = (action: () => unknown): string[] =>
    traced(machine, action).flatMap((event) =>
      event.kind === 'leave' && event.name === 'huge_pmd_unshare' ? [event.result] : [],
    );
  expect(unshared(() => second.madvise(2 ** 40, MIB2, MADV_DONTNEED))).toEqual(['1']);
  expect(unshared(() => first.madvise(2 ** 40, MIB2, MADV_DONTNEED))).toEqual(['0']);
});

test('try_to_unmap_one only tries the VMA lock, and only for the table that may be shared', () => {
  const machine = machine61(1);
  const process = machine.createProcess();
  const at = mapShared(process, 1);
  process.write(at, 1);
  const trace = traced(machine, () => machine.memoryFailure(folioAt(process, at).pfn));
  expect(only(inside(steps(trace), 'try_to_unmap_one'), 'lock', 'huge_pmd')).toEqual([
    'takes page-table lock',
    'takes vma_lock',
    'huge_pmd_unshare {',
    '} huge_pmd_unshare',
    'releases vma_lock',
    'releases page-table lock',
  ]);
});

test('fallocate drops the fault mutex before the page lock', () => {
  const machine = machine61(1);
  const file = machine.memfdCreate();
  expect(only(steps(traced(machine, () => file.fallocate(0, MIB2))), 'page lock', 'fault_mutex')).toEqual([
    'takes hugetlb_fault_mutex',
    'takes page lock',
    'releases hugetlb_fault_mutex',
    'releases page lock',
  ]);
});
