/**
 * Cutting a VMA in two. mm/mmap.c of Linux 6.1: __split_vma, vma_adjust, split_vma; mm/hugetlb.c: hugetlb_vm_op_split.
 */
import { hex } from '../../core/errors.ts';
import { rangeWords } from '../base/flag-words.ts';
import { HGM_POSTED_SPLIT_LOSES_HGM } from '../base/hgm.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_HUGETLB_HGM, VM_MAYSHARE } from '../base/vm-flags.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbSplit } from './pmd-share.ts';

/**
 * `split_vma`: cuts a VMA in two at an address.
 *
 * @param newBelow whether the new VMA is the lower part
 * @returns the new VMA, or 'EINVAL' for an address inside a huge page (hugetlb_vm_op_split)
 */
export const splitVma: typeof splitAt = kernelFunction('split_vma', splitAt, {
  args: (vma, address) => `${rangeWords(vma.start, vma.end)}, addr=${hex(address)}`,
  result: (result) => (result === 'EINVAL' ? '-EINVAL' : '0'),
});

function* splitAt(task: Task, vma: Vma, address: number, newBelow: boolean): Path<Vma | 'EINVAL'> {
  if (address % vma.hstate.size !== 0) {
    return refuse(task, 'EINVAL', `hugetlb_vm_op_split: ${hex(address)} lies within a huge page`);
  }
  const { mm } = vma;
  const { pageCache } = vma.inode;
  const middle = vma.pgoff + (address - vma.start) / PAGE_SIZE;
  const part = vma.duplicate(newBelow ? { end: address } : { start: address, pgoff: middle });
  if (mm.machine.hgmPosted(HGM_POSTED_SPLIT_LOSES_HGM)) part.flags &= ~VM_HUGETLB_HGM;
  part.open();

  yield* pageCache.iMmapRwsem.write(task);
  /* Under the lock that keeps all walks away, since the other VMAs of a shared table find it by this one's range. */
  if (vma.flags & VM_MAYSHARE) yield* hugetlbSplit(task, vma, address);
  pageCache.unlink(vma);
  if (newBelow) {
    vma.start = address;
    vma.pgoff = middle;
  } else vma.end = address;
  pageCache.link(part);
  pageCache.link(vma);
  mm.insert(part);
  pageCache.iMmapRwsem.unlock(task);
  return part;
}
