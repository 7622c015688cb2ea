/**
 * A write to a page that is mapped read-only. mm/hugetlb.c of Linux 6.1: hugetlb_wp, set_huge_ptep_writable,
 * make_huge_pte.
 */
import { hex, InvariantError } from '../../core/errors.ts';
import { FAULT_FLAG_UNSHARE, type VmFault } from '../base/fault-flags.ts';
import { faultFlagWords } from '../base/flag-words.ts';
import { HGM_POSTED_WP_BUG } from '../base/hgm.ts';
import { kernelFunction, recordCall, refuse } from '../base/kernel-function.ts';
import { LINUX_FIX_WP_DEADLOCK } from '../base/linux-bugs.ts';
import { Pte } from '../base/pte.ts';
import { DeadEnd, type Path, type Task } from '../base/task.ts';
import { VM_WRITE } from '../base/vm-flags.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Vma } from '../mm/vma.ts';
import { hugePteOffset, hugePtepClearFlush, hugetlbFullWalkContinue, setHugePteAt } from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';
import { allocHugePage, giveBack, putPage } from './alloc-page.ts';
import { unmapRefPrivate } from './unmap.ts';

/** `make_huge_pte`: the entry of a fresh mapping: young, and dirty if it may be written. */
export function makeHugePte(vma: Vma, pfn: number, shift: number, writable: boolean): Pte {
  const pte = Pte.of(pfn, vma.protection);
  return (writable ? pte.mkdirty().mkwrite() : pte.wrprotect()).mkyoung().mkhuge(shift);
}

/** `set_huge_ptep_writable`. */
function setWritable(vma: Vma, address: number, hpte: HugetlbPte): void {
  const { tables } = vma.mm.machine;
  setHugePteAt(vma.mm, address, hpte, tables.read(hpte.ptep).mkdirty().mkwrite());
}

/**
 * `hugetlb_wp`: makes the page writable if it is this process's alone, or the file's for everybody; else copies it.
 * With FAULT_FLAG_UNSHARE, copies for a reader who pins, and leaves the entry read-only.
 *
 * Called, and left, with the entry's lock held; the page that it maps is locked, and has a reference, and so has
 * `pagecacheFolio`.
 *
 * @param address of the leaf
 * @param pagecacheFolio the file's page at this place, if there is one
 */
export const hugetlbWp: typeof writeProtected = kernelFunction('hugetlb_wp', writeProtected, {
  args: (_vma, address, _hpte, flags, pagecacheFolio) =>
    `addr=${hex(address)}, flags=${faultFlagWords(flags)}, pagecache_page=${pagecacheFolio ? `pfn ${hex(pagecacheFolio.pfn)}` : 'NULL'}`,
});

function* writeProtected(
  task: Task,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  flags: number,
  pagecacheFolio: Folio | undefined,
): Path<VmFault> {
  const { mm } = vma;
  const { tables, frames } = mm.machine;
  const unshare = (flags & FAULT_FLAG_UNSHARE) !== 0;
  if (hpte.size < vma.hstate.size && mm.machine.hgmPosted(HGM_POSTED_WP_BUG)) {
    throw new DeadEnd(task, 'BUG', 'hugetlb_wp: the leaf is smaller than the huge page');
  }
  const pte = tables.read(hpte.ptep);
  if (!unshare && pte.uffdWp) return 'done';
  if (!unshare && (vma.flags & VM_WRITE) === 0) return refuse(task, 'SIGSEGV', 'the mapping may not be written');
  if (vma.mayShare) {
    if (!unshare) setWritable(vma, address, hpte);
    return 'done';
  }

  const old = frames.folio(pte.pfn);
  for (;;) {
    if (madeExclusive(task, vma, old)) {
      if (!unshare) setWritable(vma, address, hpte);
      return 'done';
    }

    /* An owner whose page is shared with a child has consumed the reservation already, by the original; it asks for a
       page without one. A page of the file's was never this mapping's, so its reservation is still there to be used. */
    const isOwn = mm.machine.hasFix(LINUX_FIX_WP_DEADLOCK) ? old.anon : old !== pagecacheFolio;
    const outsideReserve = vma.ownsReserves && isOwn;
    old.get();
    hpte.lock.unlock(task);
    const fresh = yield* allocHugePage(task, vma, address, outsideReserve);
    if (fresh !== 'ENOSPC') return yield* install(task, vma, address, hpte, pte, old, fresh, !unshare);

    if (!outsideReserve) {
      yield* putPage(task, old);
      yield* hpte.lockPte(task);
      return refuse(task, 'SIGBUS', 'no page for a copy');
    }
    yield* putPage(task, old);
    const { changes } = tables;
    yield* takeFromChildren(task, vma, address, old);
    yield* hpte.lockPte(task);
    const again = hugePteOffset(vma, address);
    if (!again || !tables.read(hugetlbFullWalkContinue(vma, again, address).ptep).same(pte)) return 'done';
    /* Nothing could be taken away: after mremap the child has the page elsewhere. Linux tries again, for ever. */
    if (tables.changes === changes && !task.preemptible) {
      return refuse(
        task,
        'HANG',
        `nobody has pfn ${hex(old.pfn)} at ${hex(address)} to be taken from: tries again for ever`,
      );
    }
  }
}

/** Whether a page is this process's alone, and marked so from now on: nobody else has it, a fork's child has gone, or has copied. */
function madeExclusive(task: Task, { mm }: Vma, folio: Folio): boolean {
  const { mapcount } = folio;
  recordCall(task, 'page_mapcount', () => `pfn ${hex(folio.pfn)}${folio.anon ? ', PageAnon' : ''}`, mapcount);
  if (!folio.anon) return false;
  if (mapcount === 1) {
    if (!folio.anonExclusive) mm.machine.tables.changes++;
    folio.anonExclusive = true;
    return true;
  }
  if (folio.anonExclusive) throw new InvariantError('hugetlbWp: a page that is mapped twice is exclusive');
  return false;
}

/**
 * Drops what a fault holds, takes the page from those who have no reservations, and takes the locks again.
 *
 * The page locks stay held while the fault mutex is waited for: a fault of another task that has the mutex and waits
 * for one of those pages never ends. That is Linux's order here, too, and a deadlock that was found in 2025.
 */
function* takeFromChildren(task: Task, vma: Vma, address: number, old: Folio): Path<void> {
  const mutex = vma.inode.faultMutex(vma.hugeIndex(address));
  const lock = vma.hugetlbLock;
  lock?.unlock(task);
  mutex.unlock(task);
  yield* unmapRefPrivate(task, vma, old, address);
  yield* mutex.writeOutOfOrder(task);
  if (lock) yield* lock.readOutOfOrder(task);
}

/** Copies the old page and puts the new one in its place, if that is still there. Returns with the entry's lock held. */
function* install(
  task: Task,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  expected: Pte,
  old: Folio,
  fresh: Folio,
  writable: boolean,
): Path<VmFault> {
  const { mm } = vma;
  const { tables } = mm.machine;
  vma.anonVma = true;
  fresh.contents.copyFrom(old.contents);
  recordCall(task, 'copy_user_huge_page', () => `pfn ${hex(fresh.pfn)} from pfn ${hex(old.pfn)}`);
  fresh.uptodate = true;

  yield* hpte.lockPte(task);
  const installed = tables.read(hpte.ptep).same(expected);
  if (installed) {
    fresh.restoreReserve = false;
    recordCall(task, 'huge_ptep_clear_flush', () => `addr=${hex(address)}`);
    yield* hugePtepClearFlush(task, mm, address, hpte);
    old.removeRmap(0, old.pages);
    fresh.addNewAnonRmap(vma.inode.pageCache, vma.hugeIndex(address));
    setHugePteAt(mm, address, hpte, makeHugePte(vma, fresh.pfn, hpte.shift, writable));
    fresh.migratable = true;
  }
  hpte.lock.unlock(task);
  /* The entry's reference to the old page, or the fresh page that nobody wants. */
  if (installed) yield* putPage(task, old);
  else yield* giveBack(task, vma, address, fresh);
  yield* putPage(task, old);
  yield* hpte.lockPte(task);
  return 'done';
}
