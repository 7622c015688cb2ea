/**
 * A page fault on huge pages. mm/hugetlb.c of Linux 6.1: hugetlb_fault; what fills a hole is in no-page.ts.
 *
 *   fault mutex of (file, index)            one fault at a time for a page of a file
 *     VMA lock, for reading                 the page tables stay where they are
 *       page lock                           a truncation waits, or has been
 *         page-table lock                   the entry is written
 */
import { hex } from '../../core/errors.ts';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, type VmFault } from '../base/fault-flags.ts';
import { faultFlagWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { LINUX_FIX_WP_DEADLOCK } from '../base/linux-bugs.ts';
import { readMigrationEntry } from '../base/migration-entry.ts';
import type { Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_UFFD_WP } from '../base/vm-flags.ts';
import { putPage } from '../hugetlb/alloc-page.ts';
import { hugetlbWp } from '../hugetlb/cow.ts';
import { findLockPage, unlockAndPut } from '../hugetlb/find-lock-page.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalkAlloc } from '../page-tables/hgm-walk.ts';
import { setHugePteAt } from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';
import { examineReservation, isExamineSeen } from '../pool/reserve-map.ts';
import { poisonedEntryFault } from './hwpoison-fault.ts';
import { faultLock, hugetlbNoPage, leafBase, type Userfault, unlockFault } from './no-page.ts';
import { swapEntryFault } from './swap-entry-fault.ts';
import { handleUserfault } from './uffd-fault.ts';

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
  const { tables, hgm } = vma.mm.machine;
  /* The series looks only once, under the locks. */
  const swapped = hgm === 'none' ? yield* swapEntryFault(task, vma, address) : undefined;
  if (swapped) return swapped;
  const lock = faultLock(vma);
  yield* vma.inode.faultMutex(vma.hugeIndex(address)).write(task);
  if (lock) yield* lock.read(task);
  /* A fault never makes finer tables: a hole is filled by a leaf of its own size. */
  const hpte = yield* hugetlbFullWalkAlloc(task, vma, address, 0);
  if (typeof hpte === 'string') {
    unlockFault(task, vma, address);
    return refuse(task, 'OOM', 'no memory for a page table');
  }
  const pte = tables.read(hpte.ptep);
  /* It drops the locks itself. */
  if (pte.noneMostly) return yield* hugetlbNoPage(task, vma, address, hpte, pte, flags);
  const result = yield* entryFault(task, vma, address, hpte, pte, flags);
  unlockFault(task, vma, address);
  if (typeof result === 'string') return result;
  if ('reason' in result) return yield* handleUserfault(task, vma, address, flags, result.reason);
  yield* result.contended.lock.wait(task);
  return 'done';
}

/** Somebody has the page's lock: to be waited for when all other locks are dropped, since that somebody may want them. */
interface Contended {
  readonly contended: Folio;
}

/** The rest of `hugetlb_fault`: there is an entry. */
function* entryFault(
  task: Task,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  pte: Pte,
  flags: number,
): Path<VmFault | Contended | Userfault> {
  const { machine } = vma.mm;
  if (machine.hgm !== 'none') {
    if (pte.isHwpoison) return poisonedEntryFault(task, vma, hpte, pte);
    /* Whoever moves the page has locked it, until the entry is a leaf again. */
    if (pte.isMigration) return { contended: machine.frames.folio(readMigrationEntry(machine, pte).pfn) };
  }
  /* Of 6.1, also what has become an entry without a page since the first look: the next fault will see it at once. */
  if (!hpte.isPresentLeaf(pte)) return 'done';
  return yield* presentFault(task, vma, leafBase(address, hpte), hpte, pte, flags);
}

/** A page is mapped; the access needs more, or another processor was faster. */
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
    if (!mm.machine.hasFix(LINUX_FIX_WP_DEADLOCK))
      pagecacheFolio = yield* findLockPage(task, vma.inode.pageCache, vma.hugeIndex(base));
  }

  let result: VmFault | Contended | Userfault = 'done';
  yield* hpte.lockPte(task);
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
