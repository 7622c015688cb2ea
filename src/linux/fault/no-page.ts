/**
 * A page fault where nothing is mapped. mm/hugetlb.c of Linux 6.1: hugetlb_no_page, hugetlb_handle_userfault, hugetlb_pte_stable.
 *
 *   the file has the page ── maps it, or asks userfaultfd first (minor)
 *   it has not            ── a new page, zeroed: the file's or the mapping's own; or userfaultfd's (missing)
 */
import { hex } from '../../core/errors.ts';
import { FAULT_FLAG_WRITE, type VmFault } from '../base/fault-flags.ts';
import { faultFlagWords } from '../base/flag-words.ts';
import { kernelFunction, recordCall, refuse } from '../base/kernel-function.ts';
import { LINUX_BUG_FAULT_TRUSTS_NONE, LINUX_BUG_FAULT_WITHOUT_VMA_LOCK } from '../base/linux-bugs.ts';
import type { Lock } from '../base/lock.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Pte } from '../base/pte.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { VM_SHARED, VM_UFFD_MINOR, VM_UFFD_MISSING, VM_WRITE } from '../base/vm-flags.ts';
import { allocHugePage } from '../hugetlb/alloc-page.ts';
import { hugetlbWp, makeHugePte } from '../hugetlb/cow.ts';
import { findLockPage, unlockAndPut } from '../hugetlb/find-lock-page.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Vma } from '../mm/vma.ts';
import { setHugePteAt } from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';
import { examineReservation, isExamineSeen, restoreReserveOnError } from '../pool/reserve-map.ts';
import { healthyPiece } from './hwpoison-fault.ts';
import { handleUserfault, type UffdReason } from './uffd-fault.ts';

/** The fault is userfaultfd's, which is asked when all locks but mmap_lock are dropped. */
export interface Userfault {
  readonly reason: UffdReason;
}

/** Drops what a fault holds: the VMA lock and the fault mutex. */
export function unlockFault(task: Task, vma: Vma, address: number): void {
  faultLock(vma)?.unlock(task);
  vma.inode.faultMutex(vma.hugeIndex(address)).unlock(task);
}

/** `hugetlb_vma_lock_read`: the lock that keeps page tables where they are during a fault. */
export function faultLock(vma: Vma): Lock | undefined {
  return vma.mm.machine.hasBug(LINUX_BUG_FAULT_WITHOUT_VMA_LOCK) ? undefined : vma.hugetlbLock;
}

/** Where the leaf begins that an address lies in. */
export function leafBase(address: number, { size }: HugetlbPte): number {
  return Math.floor(address / size) * size;
}

/** `hugetlb_no_page`: nothing is mapped; a page comes from the file, or is new and zero. Drops the VMA lock and the fault mutex. */
export const hugetlbNoPage: typeof noPage = kernelFunction('hugetlb_no_page', noPage, {
  args: (vma, address, _hole, empty, flags) =>
    `${vma.inode.name}, idx=${vma.hugeIndex(address)}, addr=${hex(address)}, ${empty.isMarker ? 'marker, ' : ''}flags=${faultFlagWords(flags)}`,
});

function* noPage(task: Task, vma: Vma, address: number, hole: HugetlbPte, empty: Pte, flags: number): Path<VmFault> {
  const result = yield* fillHole(task, vma, address, hole, empty, flags);
  unlockFault(task, vma, address);
  if (typeof result === 'string') return result;
  return yield* handleUserfault(task, vma, address, flags, result.reason);
}

function* fillHole(
  task: Task,
  vma: Vma,
  address: number,
  hole: HugetlbPte,
  empty: Pte,
  flags: number,
): Path<VmFault | Userfault> {
  /* The page that belongs here was taken away for the owner's copy. A zero page would look like lost data. */
  if (vma.reserveUnmapped) {
    return refuse(task, 'SIGBUS', "HPAGE_RESV_UNMAPPED: a page was taken from this mapping for its owner's copy");
  }
  const folio = yield* findLockPage(task, vma.inode.pageCache, vma.hugeIndex(address));
  if (folio) return yield* cachedPageFault(task, vma, address, hole, empty, flags, folio);
  return yield* missingPageFault(task, vma, address, hole, empty, flags);
}

/** The file has the page, which is locked, with a reference. */
function* cachedPageFault(
  task: Task,
  vma: Vma,
  address: number,
  hole: HugetlbPte,
  empty: Pte,
  flags: number,
  folio: Folio,
): Path<VmFault | Userfault> {
  let hpte = hole;
  let old = empty;
  let refused: VmFault | undefined;
  /* v2, patch 35. Pieces of one page can be mapped more often than references are counted. */
  if (folio.overflown)
    refused = refuse(task, 'SIGBUS', `pfn ${hex(folio.pfn)} has all the references that can be counted`);
  else if (folio.hwpoison) {
    const piece = yield* healthyPiece(task, vma, address, hole, folio);
    if (typeof piece === 'string') refused = piece;
    else {
      hpte = piece;
      old = vma.mm.machine.tables.read(hpte.ptep);
      if (!old.noneMostly) refused = 'done';
    }
  }
  if (refused === undefined && !(vma.flags & VM_UFFD_MINOR))
    return yield* mapFaultedPage(task, vma, address, hpte, old, flags, folio, false);
  yield* unlockAndPut(task, folio);
  if (refused !== undefined) return refused;
  return (yield* isStable(task, vma, hpte, old)) ? { reason: 'minor' } : 'done';
}

/** The file has no page here, or the mapping is private and has none of its own: userfaultfd's program brings one, or it is new. */
function* missingPageFault(
  task: Task,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  old: Pte,
  flags: number,
): Path<VmFault | Userfault> {
  const index = vma.hugeIndex(address);
  /* i_size is read without a lock. */
  yield* preemptionPoint(task, vma.inode);
  if (index >= Math.floor(vma.inode.size / vma.hstate.size)) {
    return refuse(task, 'SIGBUS', `index ${index} lies behind the end of the file, ${hex(vma.inode.size)} bytes`);
  }
  if (vma.flags & VM_UFFD_MISSING) return (yield* isStable(task, vma, hpte, old)) ? { reason: 'missing' } : 'done';
  const folio = yield* newPage(task, vma, leafBase(address, hpte), hpte, old, index);
  if (typeof folio === 'string') return folio;
  return yield* mapFaultedPage(task, vma, address, hpte, old, flags, folio, true);
}

/** Maps a page that is locked, if the entry is still what it was. @param isNew whether the page was made for this fault */
function* mapFaultedPage(
  task: Task,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  old: Pte,
  flags: number,
  folio: Folio,
  isNew: boolean,
): Path<VmFault> {
  const base = leafBase(address, hpte);
  const isOwn = isNew && !vma.mayShare;
  const copies = (flags & FAULT_FLAG_WRITE) !== 0 && (vma.flags & VM_SHARED) === 0;
  if (copies && isExamineSeen(task)) yield* examineReservation(task, vma, base);
  yield* hpte.lockPte(task);
  if (!vma.mm.machine.tables.read(hpte.ptep).same(old)) {
    hpte.lock.unlock(task);
    if (isOwn) yield* restoreReserveOnError(task, vma, base, folio.restoreReserve);
    yield* unlockAndPut(task, folio);
    return 'done';
  }
  enterPage(vma, base, hpte, old, folio, isOwn);
  let result: VmFault = 'done';
  if (copies) {
    /* The write would fault again at once: a page of the file is copied now. */
    result = yield* hugetlbWp(task, vma, base, hpte, flags, folio);
  }
  hpte.lock.unlock(task);
  if (isNew) folio.migratable = true;
  folio.lock.unlock(task);
  return result;
}

/** Counts the mapping and writes the entry, with its lock held. @param isOwn whether the page is the mapping's own, and new */
function enterPage(vma: Vma, base: number, hpte: HugetlbPte, old: Pte, folio: Folio, isOwn: boolean): void {
  const { mm } = vma;
  const page = (base % vma.hstate.size) / PAGE_SIZE;
  if (isOwn) {
    folio.restoreReserve = false;
    folio.addNewAnonRmap(vma.inode.pageCache, vma.hugeIndex(base));
  } else folio.addFileRmap(page, hpte.pages);
  const writable = (vma.flags & VM_WRITE) !== 0 && (vma.flags & VM_SHARED) !== 0;
  const fresh = makeHugePte(vma, folio.pfn + page, hpte.shift, writable);
  setHugePteAt(mm, base, hpte, old.isMarker ? fresh.mkuffdWp().wrprotect() : fresh);
  mm.hugetlbUsage += hpte.pages;
}

/** A new page, zeroed and locked: in the file's page cache for a shared mapping, the process's own for a private one. */
function* newPage(
  task: Task,
  vma: Vma,
  base: number,
  hpte: HugetlbPte,
  old: Pte,
  index: number,
): Path<Folio | VmFault> {
  const folio = yield* allocHugePage(task, vma, base, false);
  if (folio === 'ENOSPC') {
    /* Perhaps migration had just taken the entry away, and there is nothing to fail about. */
    return (yield* isStable(task, vma, hpte, old))
      ? refuse(task, 'SIGBUS', 'no page to be had, and none reserved')
      : 'done';
  }
  recordCall(task, 'clear_huge_page', () => `pfn ${hex(folio.pfn)}`);
  folio.contents.clear();
  folio.uptodate = true;
  yield* folio.lock.write(task);
  if (vma.mayShare) vma.inode.pageCache.add(folio, index);
  else vma.anonVma = true;
  return folio;
}

/** `hugetlb_pte_stable`: whether the entry is still what it was, asked under its lock. */
function* isStable(task: Task, vma: Vma, hpte: HugetlbPte, old: Pte): Path<boolean> {
  if (vma.mm.machine.hasBug(LINUX_BUG_FAULT_TRUSTS_NONE)) return true;
  yield* hpte.lockPte(task);
  const stable = vma.mm.machine.tables.read(hpte.ptep).same(old);
  hpte.lock.unlock(task);
  return stable;
}
