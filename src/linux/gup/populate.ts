/**
 * Faulting pages in ahead. mm/madvise.c of Linux 6.1: madvise_populate; mm/gup.c: faultin_vma_page_range.
 */
import { hex } from '../../core/errors.ts';
import type { Hang, Result } from '../base/errno.ts';
import { rangeWords } from '../base/flag-words.ts';
import { FOLL_HWPOISON, FOLL_TOUCH, FOLL_WRITE } from '../base/gup-flags.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import type { Vma } from '../mm/vma.ts';
import type { Locked } from './follow-hugetlb-page.ts';
import { checkVmaFlags, getUserPagesOnce } from './gup.ts';

/** MADV_POPULATE_READ and MADV_POPULATE_WRITE over a piece of one VMA: 'EINVAL' where the VMA does not permit it. */
export const populate: typeof populatePiece = kernelFunction('madvise_populate', populatePiece, {
  args: (_vma, start, end, write) => `${rangeWords(start, end)}, ${write ? 'write' : 'read'}`,
});

function* populatePiece(task: Task, vma: Vma, start: number, end: number, write: boolean): Path<Result | Hang> {
  const { mm } = vma;
  const flags = FOLL_TOUCH | FOLL_HWPOISON | (write ? FOLL_WRITE : 0);
  for (let at = start; at < end; ) {
    const here = mm.vmaLookup(at);
    if (!here) return refuse(task, 'ENOMEM', `nothing is mapped at ${hex(at)} any more`);
    if (checkVmaFlags(task, here, flags) !== 'OK') return refuse(task, 'EINVAL', 'madvise has no EFAULT for that');
    const locked: Locked = { held: true };
    const nrPages = (Math.min(end, here.end) - at) / PAGE_SIZE;
    const done = yield* getUserPagesOnce(task, mm, { start: at, nrPages, flags }, locked);
    if (!locked.held) yield* mm.mmapLock.read(task);
    if (typeof done === 'string') return done;
    at += done * PAGE_SIZE;
  }
  return 'OK';
}
