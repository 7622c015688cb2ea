/**
 * A fault that a userfaultfd handles. fs/userfaultfd.c of Linux 6.1: handle_userfault, userfault_msg,
 * userfaultfd_huge_must_wait, userfaultfd_wake_function, wake_userfault.
 *
 *   fault ──> queued ──> still to be waited for? ──> mmap_lock dropped, sleeps ──> woken ──> RETRY: faults again
 *                 └── read() sees it                                        UFFDIO_COPY, _CONTINUE, _WAKE, close...
 */
import { hex } from '../../core/errors.ts';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_USER,
  FAULT_FLAG_WRITE,
  type VmFault,
} from '../base/fault-flags.ts';
import { faultFlagWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { type Path, preemptionPoint, sleepUntil, type Task } from '../base/task.ts';
import {
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFD_FEATURE_SIGBUS,
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFD_PAGEFAULT_FLAG_WRITE,
} from '../base/uffd-uapi.ts';
import { Touch, watch } from '../base/watch.ts';
import { hgmEnabled } from '../mm/hgm-enabled.ts';
import type { Mm } from '../mm/mm.ts';
import { faultWords, recordMessage, type Userfault, type Userfaultfd } from '../mm/userfaultfd.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalk } from '../page-tables/page-table.ts';

/** Why a fault is userfaultfd's. */
export type UffdReason = 'missing' | 'wp' | 'minor';

/**
 * `handle_userfault`. The caller has dropped all locks but mmap_lock.
 *
 * @param address that was accessed
 * @param flags FAULT_FLAG_ bits
 * @returns 'RETRY': after a sleep, and mmap_lock was dropped, unless FAULT_FLAG_RETRY_NOWAIT
 */
export const handleUserfault: typeof waitForUserfault = kernelFunction('handle_userfault', waitForUserfault, {
  args: (_vma, address, flags, reason) => `addr=${hex(address)}, flags=${faultFlagWords(flags)}, reason=${reason}`,
});

function* waitForUserfault(task: Task, vma: Vma, address: number, flags: number, reason: UffdReason): Path<VmFault> {
  const { mm, userfaultfd: context } = vma;
  /* The locks that kept the entry as it was are dropped: somebody may bring the page before the message is there. */
  if (context) yield* preemptionPoint(task, context);
  if (task.exiting) return refuse(task, 'SIGBUS', 'the task ends, or writes its core file, and waits for nobody');
  if (!context) return refuse(task, 'SIGBUS', 'the mapping has no userfaultfd any more');
  if (context.has(UFFD_FEATURE_SIGBUS)) return refuse(task, 'SIGBUS', 'UFFD_FEATURE_SIGBUS');
  if (context.userModeOnly && !(flags & FAULT_FLAG_USER)) {
    return refuse(task, 'SIGBUS', "UFFD_USER_MODE_ONLY, and the access is the kernel's own");
  }
  /* Its close waits for mmap_lock, to unregister the range: the fault comes again, and is an ordinary one. */
  if (context.released) return yield* waitForRelease(task, mm, context, flags);
  if (!(flags & FAULT_FLAG_ALLOW_RETRY))
    return refuse(task, 'SIGBUS', 'the fault may not be retried: no FAULT_FLAG_ALLOW_RETRY');
  if (flags & FAULT_FLAG_RETRY_NOWAIT) return refuse(task, 'RETRY', 'FAULT_FLAG_RETRY_NOWAIT: does not wait');

  const fault: Userfault = {
    task,
    address: context.has(UFFD_FEATURE_EXACT_ADDRESS) ? address : roundedAddress(vma, address, reason),
    flags: messageFlags(flags, reason),
    woken: false,
  };
  context.pendingFaults.add(fault);
  recordMessage(task, 'queued', context, faultWords(fault));
  /* From here on it can be read and woken. Who has brought the page already found nobody to wake: so look again. */
  yield* preemptionPoint(task, context);
  const mustWait = hugeMustWait(vma, address, reason);
  mm.mmapLock.unlock(task);
  watch?.touch(Touch.write, context, 0);
  if (mustWait && !context.released) {
    const isOver = (): boolean => mm.vmas.includes(vma) && !hugeMustWait(vma, address, reason);
    yield* sleepUntil(task, `a userfaultfd at ${hex(fault.address)}`, context, () => fault.woken, isOver);
  }
  context.pendingFaults.delete(fault);
  context.readFaults.delete(fault);
  return 'RETRY';
}

/**
 * VM_FAULT_NOPAGE of a userfaultfd that is being closed: the fault is tried again and again, until its range is not registered any more. Who lets
 * go of mmap_lock in between meets that moment sooner or later, and sleeps here until then: where tasks take turns, going round would only hold
 * up the others. Who keeps mmap_lock goes round for ever.
 */
function* waitForRelease(task: Task, mm: Mm, context: Userfaultfd, flags: number): Path<VmFault> {
  if (!task.preemptible || !(flags & FAULT_FLAG_USER)) return 'done';
  mm.mmapLock.unlock(task);
  yield* sleepUntil(task, 'the close of a userfaultfd', context, () => context.unregistered);
  return 'RETRY';
}

/** Without UFFD_FEATURE_EXACT_ADDRESS: the huge page's address; v2 of HGM: of a minor fault, which can be met by 4 KiB, the page's. */
function roundedAddress(vma: Vma, address: number, reason: UffdReason): number {
  const finely = vma.mm.machine.hgm === 'v2' && hgmEnabled(vma) && reason === 'minor';
  return address - (address % (finely ? PAGE_SIZE : vma.hstate.size));
}

function messageFlags(flags: number, reason: UffdReason): number {
  const write = flags & FAULT_FLAG_WRITE ? UFFD_PAGEFAULT_FLAG_WRITE : 0;
  if (reason === 'missing') return write;
  return write | (reason === 'wp' ? UFFD_PAGEFAULT_FLAG_WP : UFFD_PAGEFAULT_FLAG_MINOR);
}

/** `userfaultfd_huge_must_wait`: whether the entry is still one to wait for. Looked at without its lock. */
function hugeMustWait(vma: Vma, address: number, reason: UffdReason): boolean {
  const hpte = hugetlbFullWalk(vma, address);
  if (!hpte) return true;
  const pte = vma.mm.machine.tables.read(hpte.ptep);
  return pte.noneMostly || (reason === 'wp' && pte.present && !pte.write);
}

/** `wake_userfault`: wakes all whose reported address lies in a range; whether they were read or not. */
export function wakeUserfault(task: Task, context: Userfaultfd, start: number, length: number): void {
  watch?.touch(Touch.read, context, 0);
  for (const faults of [context.pendingFaults, context.readFaults]) {
    for (const fault of faults) {
      if (fault.address < start || fault.address >= start + length) continue;
      fault.woken = true;
      recordMessage(task, 'woken', context, faultWords(fault));
      faults.delete(fault);
    }
  }
}
