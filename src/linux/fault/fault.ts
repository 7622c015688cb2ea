/**
 * A page fault on huge pages. mm/hugetlb.c of Linux 6.1: hugetlb_fault, hugetlb_no_page.
 *
 *   fault mutex of (file, index)            one fault at a time for a page of a file
 *     VMA lock, for reading                 the page tables stay where they are
 *       page lock                           a truncation waits, or has been
 *         page-table lock                   the entry is written
 */
import { hex } from '../../core/errors.ts';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, type VmFault } from '../base/fault-flags.ts';
import { faultFlagWords } from '../base/flag-words.ts';
import { kernelFunction, recordCall, refuse } from '../base/kernel-function.ts';
import { readMigrationEntry } from '../base/migration-entry.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { resultWords } from '../base/trace-words.ts';
import { VM_SHARED, VM_UFFD_MINOR, VM_UFFD_MISSING, VM_UFFD_WP, VM_WRITE } from '../base/vm-flags.ts';
import { allocHugePage, giveBack, putPage } from '../hugetlb/alloc-page.ts';
import { hugetlbWp, makeHugePte } from '../hugetlb/cow.ts';
import { findLockPage, unlockAndPut } from '../hugetlb/find-lock-page.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalkAlloc } from '../page-tables/hgm-walk.ts';
import { setHugePteAt } from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';
import { examineReservation, isExamineSeen } from '../pool/reserve-map.ts';
import { healthyPiece, poisonedEntryFault } from './hwpoison-fault.ts';
import { handleUserfault, type UffdReason } from './uffd-fault.ts';

/**
 * `hugetlb_fault`: maps a page at `address`, or makes it writable.
 *
 * @param flags FAULT_FLAG_ bits
 * @returns 'RETRY' only of userfaultfd; then mmap_lock was dropped, unless FAULT_FLAG_RETRY_NOWAIT
 */
export const hugetlbFault: typeof handleFault = kernelFunction('hugetlb_fault', handleFault, {
  args: (_vma, address, flags) => `addr=${hex(address)}, flags=${faultFlagWords(flags)}`,
});

function* handleFault(task: Task, vma: Vma, address: number, flags: number): Path<VmFault> {
  const mutex = vma.inode.faultMutex(vma.hugeIndex(address));
  const lock = vma.hugetlbLock;
  yield* mutex.write(task);
  if (lock) yield* lock.read(task);
  const result = yield* faultLocked(task, vma, address, flags);
  lock?.unlock(task);
  mutex.unlock(task);
  if (typeof result === 'string') return result;
  if ('reason' in result) return yield* handleUserfault(task, vma, address, flags, result.reason);
  yield* result.contended.lock.wait(task);
  return 'done';
}

/** The fault is userfaultfd's, which is asked when all locks but mmap_lock are dropped. */
interface Userfault {
  readonly reason: UffdReason;
}

/** Somebody has the page's lock: to be waited for when all other locks are dropped, since that somebody may want them. */
interface Contended {
  readonly contended: Folio;
}

/** What is left to be done when the locks are dropped, in words. */
function faultWords(result: VmFault | Userfault): string {
  return typeof result === 'string' ? resultWords(result) : `hugetlb_handle_userfault, ${result.reason}`;
}

function* faultLocked(task: Task, vma: Vma, address: number, flags: number): Path<VmFault | Contended | Userfault> {
  const { tables, frames } = vma.mm.machine;
  /* A fault never makes finer tables: a hole is filled by a leaf of its own size. */
  const hpte = yield* hugetlbFullWalkAlloc(task, vma, address, 0);
  if (typeof hpte === 'string') return refuse(task, 'OOM', 'no memory for a page table');
  const pte = tables.read(hpte.ptep);
  if (pte.noneMostly) return yield* hugetlbNoPage(task, vma, address, hpte, pte, flags);
  if (pte.isHwpoison) return poisonedEntryFault(task, vma, hpte, pte);
  /* `migration_entry_wait_huge`: whoever moves the page has locked it, until the entry is a leaf again. */
  if (pte.isMigration) return { contended: frames.folio(readMigrationEntry(vma.mm.machine, pte).pfn) };
  if (!hpte.isPresentLeaf(pte)) return 'done';
  return yield* presentFault(task, vma, leafBase(address, hpte), hpte, pte, flags);
}

/** The rest of `hugetlb_fault`: a page is mapped; the access needs more, or another processor was faster. */
function* presentFault(
  task: Task,
  vma: Vma,
  base: number,
  hpte: HugetlbPte,
  pte: Pte,
  flags: number,
): Path<VmFault | Contended | Userfault> {
  const { mm } = vma;
  const { tables, frames } = mm.machine;
  const wantsOwn = (flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE)) !== 0;
  let pagecacheFolio: Folio | undefined;
  if (wantsOwn && !vma.mayShare && !pte.write) {
    if (isExamineSeen(task)) yield* examineReservation(task, vma, base);
    pagecacheFolio = yield* findLockPage(task, vma.inode.pageCache, vma.hugeIndex(base));
  }

  let result: VmFault | Contended | Userfault = 'done';
  yield* hpte.lock.write(task);
  if (tables.read(hpte.ptep).same(pte)) {
    const folio = frames.folio(pte.pfn);
    if (vma.flags & VM_UFFD_WP && pte.uffdWp && flags & FAULT_FLAG_WRITE && !pte.write) result = { reason: 'wp' };
    else if (folio !== pagecacheFolio && !folio.lock.tryWrite(task)) result = { contended: folio };
    else {
      folio.get();
      if (wantsOwn && !pte.write) result = yield* hugetlbWp(task, vma, base, hpte, flags, pagecacheFolio);
      else if (flags & FAULT_FLAG_WRITE) setAccessFlags(mm, base, hpte, pte);
      if (folio !== pagecacheFolio) folio.lock.unlock(task);
      yield* putPage(task, folio);
    }
  }
  hpte.lock.unlock(task);
  if (pagecacheFolio) yield* unlockAndPut(task, pagecacheFolio);
  return result;
}

/** `huge_ptep_set_access_flags` of a write: x86 leaves A and D of reads to the processor. */
function setAccessFlags(mm: Mm, base: number, hpte: HugetlbPte, pte: Pte): void {
  const used = pte.mkdirty().mkyoung();
  if (!used.same(pte)) setHugePteAt(mm, base, hpte, used);
}

/** `hugetlb_no_page`: nothing is mapped; a page comes from the file, or is new and zero. */
const hugetlbNoPage = kernelFunction('hugetlb_no_page', noPage, {
  args: (vma, address, _hole, empty, flags) =>
    `${vma.inode.name}, idx=${vma.hugeIndex(address)}, addr=${hex(address)}, ${empty.isMarker ? 'marker, ' : ''}flags=${faultFlagWords(flags)}`,
  result: faultWords,
});

function* noPage(
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
  yield* hpte.lock.write(task);
  if (!vma.mm.machine.tables.read(hpte.ptep).same(old)) {
    hpte.lock.unlock(task);
    folio.lock.unlock(task);
    if (isOwn) yield* giveBack(task, vma, base, folio);
    else yield* putPage(task, folio);
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

/** Where the leaf begins that an address lies in. */
function leafBase(address: number, { size }: HugetlbPte): number {
  return Math.floor(address / size) * size;
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
  yield* hpte.lock.write(task);
  const stable = vma.mm.machine.tables.read(hpte.ptep).same(old);
  hpte.lock.unlock(task);
  return stable;
}
