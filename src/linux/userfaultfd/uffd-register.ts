/**
 * userfaultfd: a program handles page faults itself. fs/userfaultfd.c of Linux 6.1: struct userfaultfd_ctx,
 * userfaultfd_api, userfaultfd_register, userfaultfd_unregister, userfaultfd_release.
 *
 *   uffd-fault    a fault waits: handle_userfault, and who wakes it
 *   uffd-event    fork, mremap, madvise and munmap tell, and wait
 *   uffd-read     both become messages
 *   uffd-fill     UFFDIO_COPY, UFFDIO_CONTINUE
 *   uffd-wp       UFFDIO_WRITEPROTECT
 */
import { hex } from '../../core/errors.ts';
import type { Result } from '../base/errno.ts';
import { featureWords, lengthWords, registerModeWords } from '../base/flag-words.ts';
import { kernelFunction, refuse, shownCall } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import {
  UFFD_API_FEATURES,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
} from '../base/uffd-uapi.ts';
import { VM_MAYWRITE, VM_UFFD_FLAGS, VM_UFFD_MINOR, VM_UFFD_MISSING, VM_UFFD_WP } from '../base/vm-flags.ts';
import { Touch, watch } from '../base/watch.ts';
import { wakeUserfault } from '../fault/uffd-fault.ts';
import type { Mm } from '../mm/mm.ts';
import type { Userfaultfd } from '../mm/userfaultfd.ts';
import type { Vma } from '../mm/vma.ts';
import { enableHgm, hgmEligible } from '../page-tables/enable-hgm.ts';
import { unshareAllPmds } from '../page-tables/pmd-share.ts';
import { splitVma } from '../page-tables/split-vma.ts';
import { validateRange } from './uffd-range.ts';
import { uffdWpRange } from './uffd-wp.ts';

/** UFFDIO_API, once: 'EINVAL' for features that Linux 6.1 has not. */
export function uffdApi(task: Task, context: Userfaultfd, features: number): Result {
  return shownCall(task, 'userfaultfd_api', featureWords(features), () => api(task, context, features));
}

function api(task: Task, context: Userfaultfd, features: number): Result {
  const hgm = context.mm.machine.hgm === 'rfc-v2' ? UFFD_FEATURE_MINOR_HUGETLBFS_HGM : 0;
  const unknown = features & ~(UFFD_API_FEATURES | hgm);
  if (unknown) return refuse(task, 'EINVAL', `features ${featureWords(unknown)} are not known`);
  if (context.features !== undefined) return refuse(task, 'EINVAL', 'UFFDIO_API was done already');
  context.features = features;
  return 'OK';
}

const MODES = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR;

/** UFFDIO_REGISTER. */
export const uffdRegister: typeof registerRange = kernelFunction('userfaultfd_register', registerRange, {
  args: (_context, start, length, mode) => `${lengthWords(start, length)}, mode=${registerModeWords(mode)}`,
});

function* registerRange(task: Task, context: Userfaultfd, start: number, length: number, mode: number): Path<Result> {
  if (mode === 0 || mode & ~MODES) return refuse(task, 'EINVAL', `mode ${hex(mode)} is none, or not known`);
  if (validateRange(task, start, length) !== 'OK') return 'EINVAL';
  const flags =
    (mode & UFFDIO_REGISTER_MODE_MISSING ? VM_UFFD_MISSING : 0) |
    (mode & UFFDIO_REGISTER_MODE_WP ? VM_UFFD_WP : 0) |
    (mode & UFFDIO_REGISTER_MODE_MINOR ? VM_UFFD_MINOR : 0);
  const { mm } = context;
  if (mm.exited) return refuse(task, 'ENOMEM', 'the process has ended');
  yield* mm.mmapLock.write(task);
  const result = yield* register(task, context, start, start + length, flags);
  mm.mmapLock.unlock(task);
  return result;
}

function* register(task: Task, context: Userfaultfd, start: number, end: number, flags: number): Path<Result> {
  const vmas = context.mm.intersecting(start, end);
  const [first] = vmas;
  /* ENOMEM, if nothing at all is mapped behind the range, is met by no program: its stack is. */
  if (!first) return refuse(task, 'EINVAL', `nothing is mapped in [${hex(start)}, ${hex(end)})`);
  if (start % first.hstate.size !== 0) {
    return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to the huge page`);
  }
  for (const vma of vmas) {
    if (!(vma.flags & VM_MAYWRITE)) return refuse(task, 'EPERM', 'the mapping may never be written');
    if (end <= vma.end && end % vma.hstate.size !== 0) {
      return refuse(task, 'EINVAL', `the end ${hex(end)} is not aligned to the huge page`);
    }
    if (vma.userfaultfd && vma.userfaultfd !== context)
      return refuse(task, 'EBUSY', 'another userfaultfd has a part of it');
  }
  const hgm = context.has(UFFD_FEATURE_MINOR_HUGETLBFS_HGM);
  for (const vma of vmas) {
    if (vma.userfaultfd === context && (vma.flags & flags) === flags) continue;
    const cut = yield* cutOut(task, vma, Math.max(start, vma.start), Math.min(end, vma.end));
    if (cut !== 'OK') return cut;
    if (hgm) {
      if (!hgmEligible(vma)) return refuse(task, 'EINVAL', 'a private mapping cannot have HGM');
      yield* enableHgm(task, vma);
    }
    vma.flags = (vma.flags & ~VM_UFFD_FLAGS) | flags;
    vma.userfaultfd = context;
    /* A shared table has one protection for all, and a page that another process maps there would never fault here. */
    if (flags & (VM_UFFD_WP | VM_UFFD_MINOR)) yield* unshareAllPmds(task, vma);
  }
  return 'OK';
}

/** UFFDIO_UNREGISTER, of whatever userfaultfd it is that has the range. */
export const uffdUnregister: typeof unregisterRange = kernelFunction('userfaultfd_unregister', unregisterRange, {
  args: (_context, start, length) => lengthWords(start, length),
});

function* unregisterRange(task: Task, context: Userfaultfd, start: number, length: number): Path<Result> {
  if (validateRange(task, start, length) !== 'OK') return 'EINVAL';
  const { mm } = context;
  if (mm.exited) return refuse(task, 'ENOMEM', 'the process has ended');
  yield* mm.mmapLock.write(task);
  const result = yield* unregister(task, mm, start, start + length);
  mm.mmapLock.unlock(task);
  return result;
}

function* unregister(task: Task, mm: Mm, start: number, end: number): Path<Result> {
  const vmas = mm.intersecting(start, end);
  const [first] = vmas;
  if (!first) return refuse(task, 'EINVAL', `nothing is mapped in [${hex(start)}, ${hex(end)})`);
  if (start % first.hstate.size !== 0) {
    return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to the huge page`);
  }
  for (const vma of vmas) {
    if (!vma.userfaultfd) continue;
    const from = Math.max(start, vma.start);
    const to = Math.min(end, vma.end);
    /* Who waits for a missing page finds one now. Who waits for another reason sleeps on, until UFFDIO_WAKE. */
    if (vma.flags & VM_UFFD_MISSING) wakeUserfault(task, vma.userfaultfd, from, to - from);
    if (vma.flags & VM_UFFD_WP) yield* uffdWpRange(task, vma, from, to, false);
    const cut = yield* cutOut(task, vma, from, to);
    if (cut !== 'OK') return cut;
    vma.forgetUserfaultfd();
  }
  return 'OK';
}

/** Cuts a VMA so that it is [start, end). */
function* cutOut(task: Task, vma: Vma, start: number, end: number): Path<Result> {
  if (start !== vma.start && (yield* splitVma(task, vma, start, true)) === 'EINVAL') return 'EINVAL';
  if (end !== vma.end && (yield* splitVma(task, vma, end, false)) === 'EINVAL') return 'EINVAL';
  return 'OK';
}

/** `userfaultfd_release`: the last close. All its ranges are unregistered, and everybody who waits goes on. */
export const uffdRelease: typeof release = kernelFunction('userfaultfd_release', release);

function* release(task: Task, context: Userfaultfd): Path<void> {
  const { mm } = context;
  /* Before mmap_lock: a fault that has it sees that there is nobody to wait for, and lets it go. */
  watch?.touch(Touch.write, context, 0);
  context.close();
  if (!mm.exited) {
    yield* mm.mmapLock.write(task);
    for (const vma of mm.vmas) {
      if (vma.userfaultfd !== context) continue;
      if (vma.flags & VM_UFFD_WP) yield* uffdWpRange(task, vma, vma.start, vma.end, false);
      vma.forgetUserfaultfd();
    }
    mm.mmapLock.unlock(task);
  }
  watch?.touch(Touch.write, context, 0);
  context.unregistered = true;
  wakeUserfault(task, context, 0, Number.POSITIVE_INFINITY);
}

/** UFFDIO_WAKE. */
export function uffdWake(task: Task, context: Userfaultfd, start: number, length: number): 'OK' | 'EINVAL' {
  return shownCall(task, 'userfaultfd_wake', lengthWords(start, length), () => wake(task, context, start, length));
}

function wake(task: Task, context: Userfaultfd, start: number, length: number): 'OK' | 'EINVAL' {
  if (context.features === undefined) return refuse(task, 'EINVAL', 'before UFFDIO_API');
  if (validateRange(task, start, length) !== 'OK') return 'EINVAL';
  wakeUserfault(task, context, start, length);
  return 'OK';
}
