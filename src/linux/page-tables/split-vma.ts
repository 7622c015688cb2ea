/**
 * Cutting a VMA in two. mm/mmap.c of Linux 6.1: __split_vma, vma_adjust, split_vma; mm/hugetlb.c: hugetlb_vm_op_split.
 */
import { hex } from '../../core/errors.ts';
import { rangeWords } from '../base/flag-words.ts';
import { HGM_POSTED_SPLIT_LOSES_HGM } from '../base/hgm.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { LINUX_BUG_SPLIT_UNSHARES_EARLY, LINUX_FIX_SPLIT_UNDER_LOCK } from '../base/linux-bugs.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_HUGETLB_HGM, VM_MAYSHARE } from '../base/vm-flags.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbSplit, hugetlbSplitEarly } from './pmd-share.ts';

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

  const when = vma.flags & VM_MAYSHARE ? whenToUnshare(mm) : 'never';
  if (when === 'early') yield* hugetlbSplitEarly(task, vma, address);
  else if (when === 'before the lock') yield* hugetlbSplit(task, vma, address);
  yield* pageCache.iMmapRwsem.write(task);
  if (when === 'under the lock') yield* hugetlbSplit(task, vma, address);
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

/**
 * When a split gives up a shared table. 6.1.192 does before it has i_mmap_rwsem, under which others look for tables to share, and while this VMA is as long as it
 * was: they may share it again, CVE-2025-38084. Later kernels do it under the lock. The HGM series came before both.
 */
function whenToUnshare({ machine }: Mm): 'early' | 'before the lock' | 'under the lock' {
  if (machine.hasBug(LINUX_BUG_SPLIT_UNSHARES_EARLY)) return 'early';
  return machine.hgm !== 'none' || machine.hasFix(LINUX_FIX_SPLIT_UNDER_LOCK) ? 'under the lock' : 'before the lock';
}
