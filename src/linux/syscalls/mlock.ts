/**
 * mlock and munlock. mm/mlock.c of Linux 6.1: do_mlock, apply_vma_lock_flags, mlock_fixup, __mlock_posix_error_return; mm/gup.c:
 * __mm_populate, populate_vma_page_range.
 *
 * Huge pages are never swapped: `mlock_fixup` leaves hugetlb VMAs as they are, without VM_LOCKED, and cuts none. What remains of
 * mlock is that the pages are there afterwards. The limit of locked memory is not the model's: callers are privileged.
 */
import { hex } from '../../core/errors.ts';
import type { Hang, Result } from '../base/errno.ts';
import { lengthWords, rangeWords } from '../base/flag-words.ts';
import { FOLL_FORCE, FOLL_TOUCH, FOLL_WRITE } from '../base/gup-flags.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_ACCESS_FLAGS, VM_SHARED, VM_WRITE } from '../base/vm-flags.ts';
import type { Locked } from '../gup/follow-hugetlb-page.ts';
import { type GupResult, getUserPagesOnce } from '../gup/gup.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';

/** mlock(2): 'ENOMEM' where something is not mapped or cannot be faulted in, 'EAGAIN' without memory. */
export const sysMlock: typeof mlock = kernelFunction('do_mlock', mlock, {
  args: (_mm, address, length) => lengthWords(address, length),
});

function* mlock(task: Task, mm: Mm, address: number, length: number): Path<Result | Hang> {
  const { start, end } = pagesAround(address, length);
  const applied = yield* applyVmaLockFlags(task, mm, start, end);
  if (applied !== 'OK') return applied;
  const populated = yield* mmPopulate(task, mm, start, end);
  if (typeof populated === 'number') return 'OK';
  /* `__mlock_posix_error_return`. */
  if (populated === 'EFAULT') return refuse(task, 'ENOMEM', 'POSIX has no EFAULT here');
  return populated === 'ENOMEM' ? refuse(task, 'EAGAIN', 'POSIX has ENOMEM for what is not mapped') : populated;
}

/** munlock(2): 'ENOMEM' where something is not mapped. Pages stay. */
export function* sysMunlock(task: Task, mm: Mm, address: number, length: number): Path<Result> {
  const { start, end } = pagesAround(address, length);
  return yield* applyVmaLockFlags(task, mm, start, end);
}

function pagesAround(address: number, length: number): { start: number; end: number } {
  const start = address - (address % PAGE_SIZE);
  return { start, end: Math.ceil((address + length) / PAGE_SIZE) * PAGE_SIZE };
}

/** `apply_vma_lock_flags`: there must be no gap; nothing is to be done to a hugetlb VMA. */
const applyVmaLockFlags = kernelFunction('apply_vma_lock_flags', lookForGaps, {
  args: (_mm, start, end) => rangeWords(start, end),
});

function* lookForGaps(task: Task, mm: Mm, start: number, end: number): Path<Result> {
  if (task.killed) return refuse(task, 'EINTR', 'a SIGKILL is pending');
  yield* mm.mmapLock.write(task);
  let at = start;
  while (at < end) {
    const vma = mm.vmaLookup(at);
    if (!vma) break;
    at = vma.end;
  }
  mm.mmapLock.unlock(task);
  return at < end ? refuse(task, 'ENOMEM', `nothing is mapped at ${hex(at)}`) : 'OK';
}

/** `__mm_populate`: 0, or the error that ended it. */
const mmPopulate = kernelFunction('__mm_populate', populateAll, { args: (_mm, start, end) => rangeWords(start, end) });

function* populateAll(task: Task, mm: Mm, start: number, end: number): Path<GupResult> {
  const locked: Locked = { held: false };
  let result: GupResult = 0;
  for (let at = start; at < end; ) {
    if (!locked.held) yield* mm.mmapLock.read(task);
    locked.held = true;
    const vma = mm.findVma(at);
    if (!vma || vma.start >= end) break;
    at = Math.max(at, vma.start);
    result = yield* populateVmaPageRange(task, vma, at, Math.min(end, vma.end), locked);
    if (typeof result !== 'number') break;
    at += result * PAGE_SIZE;
  }
  if (locked.held) mm.mmapLock.unlock(task);
  return typeof result === 'number' ? 0 : result;
}

/** `populate_vma_page_range`: by writes where they would have to copy; whatever the rights, unless there are none. */
const populateVmaPageRange = kernelFunction('populate_vma_page_range', populateVma, {
  args: (_vma, start, end) => rangeWords(start, end),
});

function* populateVma(task: Task, vma: Vma, start: number, end: number, locked: Locked): Path<GupResult> {
  const copies = (vma.flags & (VM_WRITE | VM_SHARED)) === VM_WRITE;
  const accessible = (vma.flags & VM_ACCESS_FLAGS) !== 0;
  const flags = FOLL_TOUCH | (copies ? FOLL_WRITE : 0) | (accessible ? FOLL_FORCE : 0);
  return yield* getUserPagesOnce(task, vma.mm, { start, nrPages: (end - start) / PAGE_SIZE, flags }, locked);
}
