/**
 * Turning high-granularity mapping on. mm/hugetlb.c of the HGM series: hugetlb_hgm_eligible; RFC v2: enable_hugetlb_hgm; v2, mm/madvise.c:
 * madvise_split.
 */
import { rangeWords } from '../base/flag-words.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_HUGETLB_HGM } from '../base/vm-flags.ts';
import type { Vma } from '../mm/vma.ts';
import { unshareAllPmds } from './pmd-share.ts';

/** `hugetlb_hgm_eligible`: only what is shared can be mapped in pieces. */
export function hgmEligible(vma: Vma): boolean {
  return vma.mayShare;
}

/** `enable_hugetlb_hgm`, with mmap_lock held for writing: for good. Page tables are not shared with other mappings any more. */
export const enableHgm: typeof enable = kernelFunction('enable_hugetlb_hgm', enable, {
  args: (vma) => rangeWords(vma.start, vma.end),
});

function* enable(task: Task, vma: Vma): Path<void> {
  yield* unshareAllPmds(task, vma);
  vma.flags |= VM_HUGETLB_HGM;
}
