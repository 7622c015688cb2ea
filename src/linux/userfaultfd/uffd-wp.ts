/**
 * UFFDIO_WRITEPROTECT. mm/userfaultfd.c of Linux 6.1: mwriteprotect_range, uffd_wp_range; fs/userfaultfd.c:
 * userfaultfd_writeprotect.
 */
import type { Result } from '../base/errno.ts';
import type { Path, Task } from '../base/task.ts';
import { UFFDIO_WRITEPROTECT_MODE_DONTWAKE, UFFDIO_WRITEPROTECT_MODE_WP } from '../base/uffd-uapi.ts';
import { pageProtection, VM_UFFD_WP, VM_WRITE } from '../base/vm-flags.ts';
import { wakeUserfault } from '../fault/uffd-fault.ts';
import { changeProtection } from '../hugetlb/change-protection.ts';
import type { Userfaultfd } from '../mm/userfaultfd.ts';
import type { Vma } from '../mm/vma.ts';
import { findDestination, validRange } from './uffd-range.ts';

const MODES = UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE;

/** UFFDIO_WRITEPROTECT, on or off; off wakes who waits. @param mode UFFDIO_WRITEPROTECT_MODE_ bits */
export function* uffdWriteprotect(
  task: Task,
  context: Userfaultfd,
  start: number,
  length: number,
  mode: number,
): Path<Result> {
  const { mm } = context;
  if (context.mmapChanging > 0) return 'EAGAIN';
  if (!validRange(start, length) || mode & ~MODES || mode === MODES) return 'EINVAL';
  if (mm.exited) return 'ESRCH';
  const protect = (mode & UFFDIO_WRITEPROTECT_MODE_WP) !== 0;
  yield* mm.mmapLock.read(task);
  const result = yield* writeprotectRange(task, context, start, length, protect);
  mm.mmapLock.unlock(task);
  if (result === 'OK' && mode === 0) wakeUserfault(context, start, length);
  return result;
}

/** `mwriteprotect_range`, with mmap_lock held for reading. */
function* writeprotectRange(
  task: Task,
  context: Userfaultfd,
  start: number,
  length: number,
  protect: boolean,
): Path<Result> {
  if (context.mmapChanging > 0) return 'EAGAIN';
  const vma = findDestination(context.mm, start, length);
  if (!vma || !(vma.flags & VM_UFFD_WP)) return 'ENOENT';
  const { size } = vma.hstate;
  if (start % size !== 0 || length % size !== 0) return 'EINVAL';
  return yield* uffdWpRange(task, vma, start, start + length, protect);
}

/** `uffd_wp_range`: protects [start, end), with markers where nothing is mapped, or ends that. */
export function* uffdWpRange(
  task: Task,
  vma: Vma,
  start: number,
  end: number,
  protect: boolean,
): Path<'OK' | 'ENOMEM'> {
  const protection = pageProtection(protect ? vma.flags & ~VM_WRITE : vma.flags);
  return yield* changeProtection(task, vma, start, end, protection, protect ? 'protect' : 'resolve');
}
