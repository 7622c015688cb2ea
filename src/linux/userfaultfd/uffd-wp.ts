/**
 * UFFDIO_WRITEPROTECT. mm/userfaultfd.c of Linux 6.1: mwriteprotect_range, uffd_wp_range; fs/userfaultfd.c:
 * userfaultfd_writeprotect.
 */
import { hex } from '../../core/errors.ts';
import type { Result } from '../base/errno.ts';
import { lengthWords, rangeWords, writeprotectModeWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import { UFFDIO_WRITEPROTECT_MODE_DONTWAKE, UFFDIO_WRITEPROTECT_MODE_WP } from '../base/uffd-uapi.ts';
import { VM_UFFD_WP, VM_WRITE } from '../base/vm-flags.ts';
import { pageProtection } from '../base/vm-protection.ts';
import { wakeUserfault } from '../fault/uffd-fault.ts';
import { changeProtection } from '../hugetlb/change-protection.ts';
import type { Userfaultfd } from '../mm/userfaultfd.ts';
import type { Vma } from '../mm/vma.ts';
import { findDestination, validateRange } from './uffd-range.ts';

const MODES = UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE;

/** UFFDIO_WRITEPROTECT, on or off; off wakes who waits. @param mode UFFDIO_WRITEPROTECT_MODE_ bits */
export const uffdWriteprotect: typeof writeprotect = kernelFunction('userfaultfd_writeprotect', writeprotect, {
  args: (_context, start, length, mode) => `${lengthWords(start, length)}, mode=${writeprotectModeWords(mode)}`,
});

function* writeprotect(task: Task, context: Userfaultfd, start: number, length: number, mode: number): Path<Result> {
  const { mm } = context;
  if (context.mmapChanging > 0) return refuse(task, 'EAGAIN', 'mmap_changing: an event is on its way');
  if (validateRange(task, start, length) !== 'OK') return 'EINVAL';
  if (mode & ~MODES) return refuse(task, 'EINVAL', `mode ${writeprotectModeWords(mode)} has bits that are not known`);
  if (mode === MODES) return refuse(task, 'EINVAL', 'WP with DONTWAKE: protecting wakes nobody anyhow');
  if (mm.exited) return refuse(task, 'ESRCH', 'the process has ended');
  const protect = (mode & UFFDIO_WRITEPROTECT_MODE_WP) !== 0;
  yield* mm.mmapLock.read(task);
  const result = yield* writeprotectRange(task, context, start, length, protect);
  mm.mmapLock.unlock(task);
  if (result === 'OK' && mode === 0) wakeUserfault(task, context, start, length);
  return result;
}

/** `mwriteprotect_range`, with mmap_lock held for reading. */
const writeprotectRange = kernelFunction('mwriteprotect_range', protectRange, {
  args: (_context, start, length) => lengthWords(start, length),
});

function* protectRange(
  task: Task,
  context: Userfaultfd,
  start: number,
  length: number,
  protect: boolean,
): Path<Result> {
  if (context.mmapChanging > 0) return refuse(task, 'EAGAIN', 'mmap_changing: an event is on its way');
  const vma = findDestination(task, context.mm, start, length);
  if (vma === 'ENOENT') return vma;
  if (!(vma.flags & VM_UFFD_WP)) return refuse(task, 'ENOENT', 'not registered with UFFDIO_REGISTER_MODE_WP');
  const { size } = vma.hstate;
  if (start % size !== 0) return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to the huge page`);
  if (length % size !== 0) return refuse(task, 'EINVAL', `len ${hex(length)} is not a multiple of the huge page`);
  return yield* uffdWpRange(task, vma, start, start + length, protect);
}

/** `uffd_wp_range`: protects [start, end), with markers where nothing is mapped, or ends that. */
export const uffdWpRange: typeof wpRange = kernelFunction('uffd_wp_range', wpRange, {
  args: (_vma, start, end, protect) => `${rangeWords(start, end)}, enable_wp=${protect}`,
});

function* wpRange(task: Task, vma: Vma, start: number, end: number, protect: boolean): Path<'OK' | 'ENOMEM'> {
  const protection = pageProtection(protect ? vma.flags & ~VM_WRITE : vma.flags);
  return yield* changeProtection(task, vma, start, end, protection, protect ? 'protect' : 'resolve');
}
