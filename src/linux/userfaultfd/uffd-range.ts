/**
 * What the ioctls of a userfaultfd ask of a range. fs/userfaultfd.c of Linux 6.1: validate_range; mm/userfaultfd.c:
 * find_dst_vma.
 */
import { hex } from '../../core/errors.ts';
import { refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Task } from '../base/task.ts';
import { type Mm, TASK_SIZE } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';

/** `validate_range`: whole pages of 4 KiB, not none, where programs may have any. */
export function validateRange(task: Task, start: number, length: number): 'OK' | 'EINVAL' {
  if (start % PAGE_SIZE !== 0) return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to a page`);
  if (length % PAGE_SIZE !== 0) return refuse(task, 'EINVAL', `len ${hex(length)} is not a multiple of a page`);
  if (length === 0) return refuse(task, 'EINVAL', 'len is 0');
  if (start < TASK_SIZE && length <= TASK_SIZE - start) return 'OK';
  return refuse(task, 'EINVAL', `the end ${hex(start + length)} is no program's address`);
}

/** `find_dst_vma`: the VMA that all of a range lies in, if some userfaultfd has it, not only the one that is asked. */
export function findDestination(task: Task, mm: Mm, start: number, length: number): Vma | 'ENOENT' {
  const vma = mm.vmaLookup(start);
  if (!vma) return refuse(task, 'ENOENT', `nothing is mapped at ${hex(start)}`);
  if (start + length > vma.end) return refuse(task, 'ENOENT', `the mapping ends at ${hex(vma.end)}, within the range`);
  return vma.userfaultfd ? vma : refuse(task, 'ENOENT', 'the mapping is not registered with a userfaultfd');
}
