/**
 * mprotect. mm/mprotect.c of Linux 6.1: do_mprotect_pkey, mprotect_fixup.
 */
import { hex } from '../../core/errors.ts';
import type { Result } from '../base/errno.ts';
import { lengthWords, protWords, rangeWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { PROT_EXEC, PROT_READ, PROT_SEM, PROT_WRITE } from '../base/uapi.ts';
import { VM_ACCESS_FLAGS } from '../base/vm-flags.ts';
import { protectionFlags } from '../base/vm-protection.ts';
import { changeProtection } from '../hugetlb/change-protection.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import { splitVma } from '../page-tables/split-vma.ts';

/** mprotect(2). What was changed before an error stays changed. */
export const sysMprotect: typeof changeRights = kernelFunction('do_mprotect_pkey', changeRights, {
  args: (_mm, start, length, prot) => `${lengthWords(start, length)}, prot=${protWords(prot)}`,
});

function* changeRights(task: Task, mm: Mm, start: number, length: number, prot: number): Path<Result> {
  if (start % PAGE_SIZE !== 0) return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to a page`);
  if (length === 0) return 'OK';
  const end = start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)) {
    return refuse(task, 'EINVAL', `prot ${protWords(prot)} has bits that are not known`);
  }
  yield* mm.mmapLock.write(task);
  const result = yield* changeRange(task, mm, start, end, protectionFlags(prot));
  mm.mmapLock.unlock(task);
  return result;
}

function* changeRange(task: Task, mm: Mm, start: number, end: number, access: number): Path<Result> {
  for (let at = start; at < end; ) {
    const vma = mm.vmaLookup(at);
    if (!vma) return refuse(task, 'ENOMEM', `nothing is mapped at ${hex(at)}`);
    const flags = (vma.flags & ~VM_ACCESS_FLAGS) | access;
    /* VM_MAYREAD and its like stand four bits above VM_READ and its like. */
    const forbidden = flags & ~(flags >> 4) & VM_ACCESS_FLAGS;
    if (forbidden) return refuse(task, 'EACCES', `the mapping may never have ${protWords(forbidden)}`);
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
const fixup = kernelFunction('mprotect_fixup', fixOne, {
  args: (_vma, start, end, flags) => `${rangeWords(start, end)}, newflags=${protWords(flags & VM_ACCESS_FLAGS)}`,
});

function* fixOne(task: Task, vma: Vma, start: number, end: number, flags: number): Path<Result> {
  if (start !== vma.start && (yield* splitVma(task, vma, start, true)) === 'EINVAL') return 'EINVAL';
  if (end !== vma.end && (yield* splitVma(task, vma, end, false)) === 'EINVAL') return 'EINVAL';
  vma.flags = flags;
  yield* changeProtection(task, vma, start, end, vma.protection);
  return 'OK';
}
