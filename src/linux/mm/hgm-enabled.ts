/**
 * Whether a mapping is one of high granularity, and what its leaves may be. mm/hugetlb.c of the HGM series: hugetlb_hgm_enabled,
 * for_each_hgm_shift.
 */
import { PAGE_SIZE } from '../base/page.ts';
import { VM_HUGETLB_HGM } from '../base/vm-flags.ts';
import type { Vma } from './vma.ts';

/** `hugetlb_hgm_enabled`: leaves may be smaller than the huge page. */
export function hgmEnabled({ flags }: Vma): boolean {
  return (flags & VM_HUGETLB_HGM) !== 0;
}

/**
 * `for_each_hgm_shift`: the sizes that leaves of a VMA can have, in bytes, the largest first: its huge pages', those of smaller pools, and
 * 4 KiB.
 */
export function hgmSizes({ hstate }: Vma): number[] {
  const smaller = hstate.machine.hstates.filter(({ size }) => size <= hstate.size).map(({ size }) => size);
  return [...smaller, PAGE_SIZE];
}
