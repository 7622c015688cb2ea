/**
 * The lock under which tables are walked that other processes may share. mm/hugetlb.c of Linux 6.1: follow_hugetlb_page, hugetlb_follow_page_mask;
 * mm/pagewalk.c: walk_hugetlb_range.
 *
 * 6.1.192 takes none there: a table that is unshared under the walk, by a migration, may be freed and used again by the process that kept it. Later kernels and
 * the HGM series take the VMA lock.
 */
import { LINUX_FIX_WALKS_TAKE_VMA_LOCK } from '../base/linux-bugs.ts';
import type { Lock } from '../base/lock.ts';
import type { Vma } from '../mm/vma.ts';

/** The lock that GUP, follow_page and smaps take for reading, if they take one. */
export function walkLock(vma: Vma): Lock | undefined {
  const { machine } = vma.mm;
  return machine.hgm !== 'none' || machine.hasFix(LINUX_FIX_WALKS_TAKE_VMA_LOCK) ? vma.hugetlbLock : undefined;
}
