/**
 * mprotect. mm/mprotect.c of Linux 6.1: do_mprotect_pkey, mprotect_fixup; mm/hugetlb.c: hugetlb_change_protection.
 */
import type { Result } from './errno.ts';
import type { HugetlbPte } from './hugetlb-pte.ts';
import { type Mm, splitVma } from './mm.ts';
import { endOfTable, hugePteOffset, hugetlbFullWalkContinue, setHugePteAt } from './page-table.ts';
import { hugePmdUnshare, hugePteAlloc } from './pmd-share.ts';
import { type PageProtection, PTE_NONE, PTE_UFFD_WP_MARKER } from './pte.ts';
import type { Path, Task } from './task.ts';
import { PROT_EXEC, PROT_READ, PROT_SEM, PROT_WRITE } from './uapi.ts';
import { protectionFlags, VM_ACCESS_FLAGS } from './vm-flags.ts';
import type { Vma } from './vma.ts';

const PAGE = 4096;

/** mprotect(2). What was changed before an error stays changed. */
export function* sysMprotect(task: Task, mm: Mm, start: number, length: number, prot: number): Path<Result> {
  if (start % PAGE !== 0) return 'EINVAL';
  if (length === 0) return 'OK';
  const end = start + Math.ceil(length / PAGE) * PAGE;
  if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)) return 'EINVAL';
  yield* mm.mmapLock.write(task);
  const result = yield* changeRange(task, mm, start, end, protectionFlags(prot));
  mm.mmapLock.unlock(task);
  return result;
}

function* changeRange(task: Task, mm: Mm, start: number, end: number, access: number): Path<Result> {
  for (let at = start; at < end; ) {
    const vma = mm.vmaLookup(at);
    if (!vma) return 'ENOMEM';
    const flags = (vma.flags & ~VM_ACCESS_FLAGS) | access;
    /* VM_MAYREAD and its like stand four bits above VM_READ and its like. */
    if (flags & ~(flags >> 4) & VM_ACCESS_FLAGS) return 'EACCES';
    const until = Math.min(vma.end, end);
    if (flags !== vma.flags) {
      const fixed = yield* fixup(task, vma, at, until, flags);
      if (fixed !== 'OK') return fixed;
    }
    at = until;
  }
  return 'OK';
}

/** `mprotect_fixup`: cuts the VMA where the range begins and ends, and changes the piece. */
function* fixup(task: Task, vma: Vma, start: number, end: number, flags: number): Path<Result> {
  if (start !== vma.start && (yield* splitVma(task, vma, start, true)) === 'EINVAL') return 'EINVAL';
  if (end !== vma.end && (yield* splitVma(task, vma, end, false)) === 'EINVAL') return 'EINVAL';
  vma.flags = flags;
  yield* changeProtection(task, vma, start, end, vma.protection);
  return 'OK';
}

/** What userfaultfd wants of `changeProtection`: MM_CP_UFFD_WP, MM_CP_UFFD_WP_RESOLVE. */
export type UffdWp = 'protect' | 'resolve' | 'leave';

/** `hugetlb_change_protection`: gives every leaf of [start, end) a protection. */
export function* changeProtection(
  task: Task,
  vma: Vma,
  start: number,
  end: number,
  protection: PageProtection,
  uffdWp: UffdWp = 'leave',
): Path<void> {
  const { hstate } = vma;
  const { iMmapRwsem } = vma.inode.pageCache;
  const vmaLock = vma.hugetlbLock;
  if (vmaLock) yield* vmaLock.write(task);
  yield* iMmapRwsem.write(task);
  for (let address = start; address < end; ) {
    let top = hugePteOffset(vma, address);
    if (!top) {
      /* A marker needs a place to stand, also where no page table is yet. */
      if (uffdWp === 'protect') top = yield* hugePteAlloc(task, vma, address);
      if (!top) {
        if (uffdWp === 'protect') break;
        address = endOfTable(address, hstate.shift);
        continue;
      }
    }
    const hpte = hugetlbFullWalkContinue(vma, top, address);
    yield* hpte.lock.write(task);
    if (hugePmdUnshare(task, vma, address, hpte)) {
      /* The others keep their rights; this process faults again, into a table of its own. */
      hpte.lock.unlock(task);
      address = endOfTable(address, hstate.shift);
      continue;
    }
    const advanced = changeLeaf(vma, address, hpte, protection, uffdWp);
    hpte.lock.unlock(task);
    if (advanced) address += hpte.size;
  }
  iMmapRwsem.unlock(task);
  vmaLock?.unlock(task);
}

/** Changes one entry. Returns false where a table was put there since the walk: then it is to be looked at again. */
function changeLeaf(vma: Vma, address: number, hpte: HugetlbPte, protection: PageProtection, uffdWp: UffdWp): boolean {
  const { mm } = vma;
  const pte = mm.machine.tables.read(hpte.ptep);
  if (hpte.isPresentLeaf(pte)) {
    const changed = pte.modify(protection).mkhuge(hpte.shift);
    const marked =
      uffdWp === 'protect' ? changed.wrprotect().mkuffdWp() : uffdWp === 'resolve' ? changed.clearUffdWp() : changed;
    setHugePteAt(mm, address, hpte, marked);
    return true;
  }
  if (pte.isMarker && uffdWp === 'resolve') setHugePteAt(mm, address, hpte, PTE_NONE);
  if (pte.none && uffdWp === 'protect') setHugePteAt(mm, address, hpte, PTE_UFFD_WP_MARKER);
  return !pte.present;
}
