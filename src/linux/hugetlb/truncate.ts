/**
 * Taking pages out of a file: truncation, holes, and the end of the file. fs/hugetlbfs/inode.c of Linux 6.1:
 * hugetlb_vmtruncate, hugetlbfs_punch_hole, hugetlb_vmdelete_list, remove_inode_hugepages, remove_inode_single_folio,
 * hugetlb_unmap_file_folio, hugetlbfs_zero_partial_page, hugetlbfs_evict_inode.
 *
 * A truncation removes every reservation behind the new end. A hole removes only those of the pages that it finds: a
 * page that was reserved and never touched stays reserved.
 */
import { hex } from '../../core/errors.ts';
import type { Result } from '../base/errno.ts';
import { rangeWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { LINUX_BUG_PUNCH_LEAVES_MAPPED } from '../base/linux-bugs.ts';
import type { Lock } from '../base/lock.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { vmasShowing } from '../mm/i-mmap.ts';
import type { Vma } from '../mm/vma.ts';
import { leavesOfPage } from '../page-tables/page-vma-mapped.ts';
import type { Folio } from '../pool/folio.ts';
import type { HugetlbfsInode } from '../pool/inode.ts';
import { putPage } from './alloc-page.ts';
import { findLockPage, unlockAndPut } from './find-lock-page.ts';
import { unreservePages } from './reserve-pages.ts';
import { unmapHugepageRange } from './unmap.ts';

/** `hugetlbfs_setattr` of a size, in bytes. */
export const sysFtruncate: typeof setattr = kernelFunction('hugetlbfs_setattr', setattr, {
  args: (inode, size) => `${inode.name}, size=${hex(size)}`,
});

function* setattr(task: Task, inode: HugetlbfsInode, size: number): Path<Result> {
  if (size % inode.hstate.size !== 0) {
    return refuse(task, 'EINVAL', `size ${hex(size)} is not a multiple of the huge page`);
  }
  yield* inode.lock.write(task);
  inode.size = size;
  const { iMmapRwsem } = inode.pageCache;
  yield* iMmapRwsem.write(task);
  yield* unmapFileRange(task, inode, size / PAGE_SIZE, Number.POSITIVE_INFINITY, true);
  iMmapRwsem.unlock(task);
  yield* removeInodeHugepages(task, inode, size / inode.hstate.size, Number.POSITIVE_INFINITY);
  inode.lock.unlock(task);
  return 'OK';
}

/** `hugetlbfs_punch_hole`: whole pages go, parts of pages become zero. Bytes. */
export const punchHole: typeof punch = kernelFunction('hugetlbfs_punch_hole', punch, {
  args: (inode, offset, length) => `${inode.name}, offset=${hex(offset)}, len=${hex(length)}`,
});

function* punch(task: Task, inode: HugetlbfsInode, offset: number, length: number): Path<Result> {
  const { size } = inode.hstate;
  const end = offset + length;
  const holeStart = Math.ceil(offset / size) * size;
  const holeEnd = Math.floor(end / size) * size;
  const { iMmapRwsem } = inode.pageCache;
  yield* inode.lock.write(task);
  yield* iMmapRwsem.write(task);
  if (offset < holeStart) yield* zeroPartialPage(task, inode, offset, Math.min(end, holeStart));
  if (holeEnd > holeStart) yield* unmapFileRange(task, inode, holeStart / PAGE_SIZE, holeEnd / PAGE_SIZE, false);
  if (end > holeEnd && end > holeStart) yield* zeroPartialPage(task, inode, holeEnd, end);
  iMmapRwsem.unlock(task);
  if (holeEnd > holeStart) yield* removeInodeHugepages(task, inode, holeStart / size, holeEnd / size);
  inode.lock.unlock(task);
  return 'OK';
}

/** `hugetlb_vmdelete_list`: unmaps a part of the file everywhere. The caller holds i_mmap_rwsem for writing. 4 KiB pages. */
const unmapFileRange = kernelFunction('hugetlb_vmdelete_list', unmapPart, {
  args: (inode, from, to) => `${inode.name}, start=${from}, end=${to === Number.POSITIVE_INFINITY ? 0 : to}`,
});

function* unmapPart(task: Task, inode: HugetlbfsInode, from: number, to: number, dropMarker: boolean): Path<void> {
  for (const vma of vmasShowing(inode.pageCache, from, to)) {
    /* The VMA lock comes before i_mmap_rwsem: only try. Who is passed over is met again, page by page, below. */
    yield* preemptionPoint(task, vma);
    if (!vma.tryLockWrite(task)) continue;
    const start = addressOf(vma, from);
    yield* unmapHugepageRange(task, vma, start, Math.min(addressOf(vma, to), vma.end), { dropMarker });
    yield* preemptionPoint(task, vma);
    vma.unlockWrite(task);
  }
}

/** Where a VMA maps a 4 KiB page of its file, or its start if that page lies before. */
export function addressOf(vma: Vma, page: number): number {
  return page > vma.pgoff ? vma.start + (page - vma.pgoff) * PAGE_SIZE : vma.start;
}

/** Pages that are looked up at a time: include/linux/pagevec.h. */
const PAGEVEC_SIZE = 15;

/**
 * `remove_inode_hugepages`: takes pages out of the page cache, which frees those that nobody pinned.
 *
 * @param from, to huge pages; with Infinity it is a truncation
 */
const removeInodeHugepages = kernelFunction('remove_inode_hugepages', removePages, {
  args: (inode, from, to) => `${inode.name}, start=${from}, end=${to === Number.POSITIVE_INFINITY ? 'LLONG_MAX' : to}`,
});

function* removePages(task: Task, inode: HugetlbfsInode, from: number, to: number): Path<void> {
  const isTruncation = to === Number.POSITIVE_INFINITY;
  let freed = 0;
  for (let next = from; ; ) {
    yield* preemptionPoint(task, inode.pageCache);
    const batch = inode.pageCache.range(next, to).slice(0, PAGEVEC_SIZE);
    if (batch.length === 0) break;
    /* `filemap_get_folios`: with references to all of them, none can be moved until they are put. */
    for (const folio of batch) folio.get();
    next = batch.at(-1)!.index + 1;
    for (const folio of batch) {
      const { index } = folio;
      const mutex = inode.faultMutex(index);
      yield* mutex.write(task);
      yield* removeInodeSingleFolio(task, inode, folio, index, isTruncation);
      freed++;
      mutex.unlock(task);
    }
    for (const folio of batch) yield* putPage(task, folio);
  }
  if (isTruncation) yield* unreservePages(task, inode, from, to, freed);
}

/** `remove_inode_single_folio`. */
const removeInodeSingleFolio = kernelFunction('remove_inode_single_folio', removeOne, {
  args: (inode, folio, index) => `${inode.name}, pfn ${hex(folio.pfn)}, index=${index}`,
});

function* removeOne(task: Task, inode: HugetlbfsInode, folio: Folio, index: number, isTruncation: boolean): Path<void> {
  yield* folio.lock.write(task);
  const unmaps = !inode.hstate.machine.hasBug(LINUX_BUG_PUNCH_LEAVES_MAPPED);
  if (folio.leaves > 0 && unmaps) yield* unmapFileFolio(task, inode, folio, index);
  inode.pageCache.delete(folio);
  yield* putPage(task, folio);
  if (!isTruncation) yield* unreservePages(task, inode, index, index + 1, 1);
  folio.lock.unlock(task);
}

/**
 * `hugetlb_unmap_file_folio`: a fault mapped the page after the range was unmapped, or the VMA's lock was taken then. The
 * fault mutex, which the caller holds, keeps it from happening again.
 */
const unmapFileFolio = kernelFunction('hugetlb_unmap_file_folio', unmapEverywhere, {
  args: (inode, folio, index) => `${inode.name}, pfn ${hex(folio.pfn)}, index=${index}`,
});

function* unmapEverywhere(task: Task, inode: HugetlbfsInode, folio: Folio, index: number): Path<void> {
  const { pageCache, hstate } = inode;
  const from = index * hstate.pagesPerHugePage;
  /*
   * With a page lock held. Who takes the two in the other order holds the page's fault mutex, which the caller has: faults, UFFDIO_CONTINUE; or
   * only tries the page lock: MADV_COLLAPSE.
   */
  yield* pageCache.iMmapRwsem.writeOutOfOrder(task);
  for (;;) {
    const busy = yield* unmapWhereFree(task, inode, folio, from);
    if (!busy) break;
    const { vma, lock } = busy;
    pageCache.iMmapRwsem.unlock(task);
    yield* lock.writeOutOfOrder(task);
    yield* pageCache.iMmapRwsem.writeOutOfOrder(task);
    /* It may have gone meanwhile, and with it what it mapped. */
    if (vma.hugetlbLock === lock) yield* unmapOne(task, inode, folio, from, vma);
    lock.unlock(task);
  }
  pageCache.iMmapRwsem.unlock(task);
}

/** A mapping whose lock is not free. */
interface Busy {
  readonly vma: Vma;
  readonly lock: Lock;
}

/** Unmaps the page from every VMA whose lock is free. Returns the first whose lock was not. */
function* unmapWhereFree(task: Task, inode: HugetlbfsInode, folio: Folio, from: number): Path<Busy | undefined> {
  const to = from + inode.hstate.pagesPerHugePage;
  for (const vma of vmasShowing(inode.pageCache, from, to)) {
    const start = addressOf(vma, from);
    /* Entries are looked at without their locks. */
    yield* preemptionPoint(task, folio);
    if (!mapsPage(vma, start, folio)) continue;
    const lock = vma.hugetlbLock;
    if (lock && !lock.tryWrite(task)) return { vma, lock };
    yield* unmapOne(task, inode, folio, from, vma);
    vma.unlockWrite(task);
  }
  return undefined;
}

/** Unmaps the page from a VMA, if that maps it. The caller holds its lock. @param from of the file, in 4 KiB pages */
function* unmapOne(task: Task, inode: HugetlbfsInode, folio: Folio, from: number, vma: Vma): Path<void> {
  const start = addressOf(vma, from);
  if (!mapsPage(vma, start, folio)) return;
  const end = Math.min(addressOf(vma, from + inode.hstate.pagesPerHugePage), vma.end);
  yield* unmapHugepageRange(task, vma, start, end, { dropMarker: true });
}

/** `hugetlb_vma_maps_page`: whether any leaf of it is mapped at its place; a private copy is another page. */
export function mapsPage(vma: Vma, start: number, folio: Folio): boolean {
  return !leavesOfPage(vma, folio, start).next().done;
}

/** `hugetlbfs_zero_partial_page`: of one page, if it is in memory. Bytes of the file. */
const zeroPartialPage = kernelFunction('hugetlbfs_zero_partial_page', zeroPart, {
  args: (inode, start, end) => `${inode.name}, ${rangeWords(start, end)}`,
});

function* zeroPart(task: Task, inode: HugetlbfsInode, start: number, end: number): Path<void> {
  const { size } = inode.hstate;
  const index = Math.floor(start / size);
  const folio = yield* findLockPage(task, inode.pageCache, index);
  if (!folio) return;
  folio.contents.zero(start - index * size, end - index * size);
  yield* unlockAndPut(task, folio);
}

/** `iput`: with the last reference, the file, its pages and their reservations go. */
export function* putInode(task: Task, inode: HugetlbfsInode): Path<void> {
  inode.references--;
  if (inode.references > 0) return;
  yield* removeInodeHugepages(task, inode, 0, Number.POSITIVE_INFINITY);
  inode.hstate.machine.inodes.delete(inode);
}
