/**
 * mprotect. mm/mprotect.c of Linux 6.1: do_mprotect_pkey, mprotect_fixup; mm/hugetlb.c: hugetlb_change_protection.
 */
import type { Result } from './errno.ts';
import { type Mm, splitVma } from './mm.ts';
import { endOfTable, hugePteOffset, hugetlbFullWalkContinue, setHugePteAt } from './page-table.ts';
import { hugePmdUnshare } from './pmd-share.ts';
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
  yield* changeProtection(task, vma, start, end);
  return 'OK';
}

/** `hugetlb_change_protection`: gives every leaf of [start, end) the VMA's protection. */
export function* changeProtection(task: Task, vma: Vma, start: number, end: number): Path<void> {
  const { mm, hstate } = vma;
  const { tables } = mm.machine;
  const { iMmapRwsem } = vma.inode.pageCache;
  const vmaLock = vma.hugetlbLock;
  if (vmaLock) yield* vmaLock.write(task);
  yield* iMmapRwsem.write(task);
  for (let address = start; address < end; ) {
    const top = hugePteOffset(vma, address);
    if (!top) {
      address = endOfTable(address, hstate.shift);
      continue;
    }
    const hpte = hugetlbFullWalkContinue(vma, top, address);
    yield* hpte.lock.write(task);
    if (hugePmdUnshare(task, vma, address, hpte)) {
      /* The others keep their rights; this process faults again, into a table of its own. */
      hpte.lock.unlock(task);
      address = endOfTable(address, hstate.shift);
      continue;
    }
    const pte = tables.read(hpte.ptep);
    const leaf = hpte.isPresentLeaf(pte);
    if (leaf) setHugePteAt(mm, address, hpte, pte.modify(vma.protection).mkhuge(hpte.shift));
    hpte.lock.unlock(task);
    /* A table that was put here since the walk: look again. */
    if (leaf || !pte.present) address += hpte.size;
  }
  iMmapRwsem.unlock(task);
  vmaLock?.unlock(task);
}
