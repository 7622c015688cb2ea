/**
 * Reserving pages for a mapping, and giving reservations back with a file's pages. mm/hugetlb.c of Linux 6.1:
 * hugetlb_reserve_pages, hugetlb_unreserve_pages, hugetlb_vm_op_close.
 */
import { rangeWords } from '../base/flag-words.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_NORESERVE } from '../base/vm-flags.ts';
import type { Vma } from '../mm/vma.ts';
import type { HugetlbfsInode } from '../pool/inode.ts';
import { ReserveMap } from '../pool/reserve-map.ts';
import { subpoolGetPages, subpoolPutPages } from '../pool/subpool.ts';

/**
 * `hugetlb_reserve_pages`: promises the pages [from, to) of a file to a new mapping; of a private one, all of them, of a
 * shared one, those that nobody reserved before.
 *
 * @returns whether there are enough
 */
export const reservePages: typeof reserve = kernelFunction('hugetlb_reserve_pages', reserve, {
  args: (vma, from, to) => `${vma.inode.name}, from=${from}, to=${to}`,
});

function* reserve(task: Task, vma: Vma, from: number, to: number): Path<boolean> {
  const { inode, hstate } = vma;
  vma.allocateLock();
  if (vma.flags & VM_NORESERVE) return true;

  let change = to - from;
  if (vma.mayShare) change = yield* inode.reserveMap.change(task, from, to);
  else {
    vma.privateMap = new ReserveMap(`consumed reservations of a private mapping of ${inode.name}`);
    vma.ownsReserves = true;
  }

  const needed = yield* subpoolGetPages(task, inode.subpool, change);
  if (needed !== 'ENOMEM') {
    if ((yield* hstate.acctMemory(task, needed)) === 'OK') {
      if (vma.mayShare) yield* commitShared(task, vma, from, to, change);
      return true;
    }
    /* The mount may take back more than it gave: see allocHugePage. */
    const dropped = yield* subpoolPutPages(task, inode.subpool, change);
    hstate.lostReservations += dropped - needed;
  }
  yield* vma.freeLock(task);
  if (vma.mayShare) yield* inode.reserveMap.abort(task);
  else vma.forgetPrivate();
  return false;
}

function* commitShared(task: Task, vma: Vma, from: number, to: number, change: number): Path<void> {
  const { inode, hstate } = vma;
  const added = yield* inode.reserveMap.add(task, from, to);
  if (change <= added) return;
  /* Faults took some of the pages in between, and made entries of their own: those need no reservation. */
  const dropped = yield* subpoolPutPages(task, inode.subpool, change - added);
  yield* hstate.acctMemory(task, -dropped);
}

/**
 * `hugetlb_unreserve_pages`: the pages [from, to) of a file are gone, and so are their reservations.
 *
 * @param to may be Infinity
 * @param freed pages of them that were in the page cache: those gave back what they had when they were freed
 */
export const unreservePages: typeof unreserve = kernelFunction('hugetlb_unreserve_pages', unreserve, {
  args: (inode, from, to, freed) =>
    `${inode.name}, start=${from}, end=${to === Number.POSITIVE_INFINITY ? 'LONG_MAX' : to}, freed=${freed}`,
});

function* unreserve(task: Task, inode: HugetlbfsInode, from: number, to: number, freed: number): Path<void> {
  const deleted = yield* inode.reserveMap.delete(task, from, to);
  const dropped = yield* subpoolPutPages(task, inode.subpool, deleted - freed);
  yield* inode.hstate.acctMemory(task, -dropped);
}

/** `hugetlb_vm_op_close`: the owner of a private mapping gives back what it did not consume. */
export const closeReservations: typeof close = kernelFunction('hugetlb_vm_op_close', close, {
  args: (vma) => rangeWords(vma.start, vma.end),
});

function* close(task: Task, vma: Vma): Path<void> {
  yield* vma.freeLock(task);
  const map = vma.mayShare ? undefined : vma.privateMap;
  if (!map || !vma.ownsReserves) return;
  const from = vma.hugeIndex(vma.start);
  const to = vma.hugeIndex(vma.end);
  const unused = to - from - map.count(from, to);
  if (unused > 0) {
    const dropped = yield* subpoolPutPages(task, vma.inode.subpool, unused);
    yield* vma.hstate.acctMemory(task, -dropped);
  }
  map.references--;
}
