/**
 * munmap, and the end of an address space. mm/mmap.c of Linux 6.1: do_mas_align_munmap, unmap_region, remove_vma, exit_mmap; mm/memory.c:
 * unmap_vmas, free_pgtables.
 */
import { hex } from '../../core/errors.ts';
import type { Result } from '../base/errno.ts';
import { boundWords, lengthWords, rangeWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { closeReservations } from '../hugetlb/reserve-pages.ts';
import { putInode } from '../hugetlb/truncate.ts';
import { finishMmu, unmapSingleVma } from '../hugetlb/unmap.ts';
import { type Mm, TASK_SIZE } from '../mm/mm.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import type { Vma } from '../mm/vma.ts';
import { freePgdRange } from '../page-tables/page-table.ts';
import { splitVma } from '../page-tables/split-vma.ts';
import { type UnmapEvents, userfaultfdUnmapComplete, userfaultfdUnmapPrep } from '../userfaultfd/uffd-event.ts';

/** munmap(2). */
export const sysMunmap: typeof vmMunmap = kernelFunction('__vm_munmap', vmMunmap, {
  args: (_mm, start, length) => lengthWords(start, length),
});

function* vmMunmap(task: Task, mm: Mm, start: number, length: number): Path<Result> {
  const unmaps: UnmapEvents = [];
  yield* mm.mmapLock.write(task);
  const result = yield* doMunmap(task, mm, start, length, unmaps);
  mm.mmapLock.unlock(task);
  yield* userfaultfdUnmapComplete(task, unmaps);
  return result;
}

/**
 * `do_munmap`, with mmap_lock held for writing. A range that nothing is mapped in is no error.
 *
 * @param unmaps whom the caller has to tell when it has dropped mmap_lock
 */
export const doMunmap: typeof munmapLocked = kernelFunction('do_munmap', munmapLocked, {
  args: (_mm, start, length) => lengthWords(start, length),
});

function* munmapLocked(task: Task, mm: Mm, start: number, length: number, unmaps: UnmapEvents): Path<Result> {
  if (start % PAGE_SIZE !== 0) return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to a page`);
  if (start > TASK_SIZE || length > TASK_SIZE - start) {
    return refuse(task, 'EINVAL', `the end ${hex(start + length)} is no program's address`);
  }
  const end = start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (end === start) return refuse(task, 'EINVAL', 'len is 0');
  const [first] = mm.intersecting(start, end);
  if (!first) return 'OK';

  if (start > first.start && (yield* splitVma(task, first, start, false)) === 'EINVAL') return 'EINVAL';
  const last = mm.intersecting(start, end).at(-1)!;
  /* The first cut stays when the second fails. */
  if (last.end > end && (yield* splitVma(task, last, end, true)) === 'EINVAL') return 'EINVAL';

  userfaultfdUnmapPrep(mm, start, end, unmaps);
  const vmas = mm.intersecting(start, end);
  for (const vma of vmas) mm.remove(vma);
  yield* unmapRegion(task, mm, vmas, start, end);
  for (const vma of vmas) yield* removeVma(task, vma);
  return 'OK';
}

/** `unmap_region`: takes the pages out, then the tables, then lets the pages go. */
const unmapRegion = kernelFunction('unmap_region', unmapAndFree, {
  args: (_mm, _vmas, start, end) => rangeWords(start, end),
});

function* unmapAndFree(task: Task, mm: Mm, vmas: readonly Vma[], start: number, end: number): Path<void> {
  const gather = new MmuGather(mm);
  yield* unmapVmas(task, gather, vmas, start, end);
  const { floor, ceiling } = mm.gapAround(start, end);
  yield* freePgtables(task, gather, vmas, floor, ceiling);
  yield* finishMmu(task, gather);
}

/** `unmap_vmas`: takes the pages out of page tables. */
const unmapVmas = kernelFunction('unmap_vmas', unmapEach, {
  args: (_gather, _vmas, start, end) => rangeWords(start, end),
});

function* unmapEach(task: Task, gather: MmuGather, vmas: readonly Vma[], start: number, end: number): Path<void> {
  for (const vma of vmas) yield* unmapSingleVma(task, gather, vma, start, end, true);
}

/** `free_pgtables`: frees the tables, VMA by VMA. @param floor, ceiling where the neighbours' mappings end and begin */
const freePgtables = kernelFunction('free_pgtables', freeEach, {
  args: (_gather, _vmas, floor, ceiling) => boundWords(floor, ceiling),
});

function* freeEach(task: Task, gather: MmuGather, vmas: readonly Vma[], floor: number, ceiling: number): Path<void> {
  for (const [index, vma] of vmas.entries()) {
    yield* unlinkFile(task, vma);
    freePgdRange(task, gather, vma.start, vma.end, floor, vmas[index + 1]?.start ?? ceiling);
  }
}

/** `unlink_file_vma`: nobody finds the VMA by its file any more. */
function* unlinkFile(task: Task, vma: Vma): Path<void> {
  const { pageCache } = vma.inode;
  yield* pageCache.iMmapRwsem.write(task);
  pageCache.unlink(vma);
  pageCache.iMmapRwsem.unlock(task);
}

/** `remove_vma`: gives back its reservations, and its reference to the file. */
const removeVma = kernelFunction('remove_vma', giveBackVma, { args: (vma) => rangeWords(vma.start, vma.end) });

function* giveBackVma(task: Task, vma: Vma): Path<void> {
  yield* closeReservations(task, vma);
  yield* putInode(task, vma.inode);
}

/** `mmput`: with its last user, an address space goes. */
export function* mmput(task: Task, mm: Mm): Path<void> {
  mm.users--;
  if (mm.exited) yield* exitMmap(task, mm);
}

/** Works on an address space that may be another's, and may have gone (`mmget_not_zero`): then the path finds it empty. */
export function* usingMm<T>(task: Task, mm: Mm, path: Path<T>): Path<T> {
  if (mm.exited) return yield* path;
  mm.users++;
  const result = yield* path;
  yield* mmput(task, mm);
  return result;
}

/**
 * `exit_mmap`: unmaps everything, and frees the page tables with the root.
 *
 * Nobody works on the address space any more, as mm_users is 0. Threads of the process that are in it are not counted: it begins when they are out,
 * and who comes later finds no VMA.
 */
const exitMmap = kernelFunction('exit_mmap', unmapAll, { args: (mm) => mm.process });

function* unmapAll(task: Task, mm: Mm): Path<void> {
  yield* mm.mmapLock.readAlone(task);
  const vmas = [...mm.vmas];
  for (const vma of vmas) mm.remove(vma);
  const gather = new MmuGather(mm);
  if (vmas.length > 0) yield* unmapVmas(task, gather, vmas, vmas[0]!.start, vmas.at(-1)!.end);
  mm.mmapLock.unlock(task);
  if (vmas.length > 0) {
    yield* mm.mmapLock.write(task);
    yield* freePgtables(task, gather, vmas, 0, Number.POSITIVE_INFINITY);
    yield* finishMmu(task, gather);
    for (const vma of vmas) yield* removeVma(task, vma);
    mm.mmapLock.unlock(task);
  }
  mm.machine.tables.free(mm.pgd);
}
