/**
 * What the ioctls of a userfaultfd ask of a range. fs/userfaultfd.c of Linux 6.1: validate_range; mm/userfaultfd.c:
 * find_dst_vma.
 */
import { PAGE_SIZE } from '../base/page.ts';
import { type Mm, TASK_SIZE } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';

/** `validate_range`: whole pages of 4 KiB, not none, where programs may have any. */
export function validRange(start: number, length: number): boolean {
  return (
    start % PAGE_SIZE === 0 &&
    length % PAGE_SIZE === 0 &&
    length > 0 &&
    start < TASK_SIZE &&
    length <= TASK_SIZE - start
  );
}

/** `find_dst_vma`: the VMA that all of a range lies in, if some userfaultfd has it, not only the one that is asked. */
export function findDestination(mm: Mm, start: number, length: number): Vma | undefined {
  const vma = mm.vmaLookup(start);
  return vma && start + length <= vma.end && vma.userfaultfd ? vma : undefined;
}
