/**
 * Reading a userfaultfd. fs/userfaultfd.c of Linux 6.1: userfaultfd_ctx_read, resolve_userfault_fork,
 * userfaultfd_event_complete.
 */
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { type Path, preemptionPoint, sleepUntil, type Task } from '../base/task.ts';
import { UFFD_EVENT_PAGEFAULT, UFFD_FEATURE_THREAD_ID, UFFD_NONBLOCK } from '../base/uffd-uapi.ts';
import { Touch, watch } from '../base/watch.ts';
import { eventWords, faultWords, recordMessage, type UffdEventBody, type Userfaultfd } from '../mm/userfaultfd.ts';

/** Somebody faults, and waits. */
export interface PagefaultMessage {
  readonly event: typeof UFFD_EVENT_PAGEFAULT;
  /** Of the huge page; with UFFD_FEATURE_EXACT_ADDRESS, what was accessed. */
  readonly address: number;
  /** UFFD_PAGEFAULT_FLAG_ bits. */
  readonly flags: number;
  /** Who: `task.tid`; 0 without UFFD_FEATURE_THREAD_ID. */
  readonly ptid: number;
}

/**
 * One message: the oldest fault; if there is none, the oldest event, whose sender goes on. A fault goes on waiting.
 *
 * @returns 'EINVAL' before UFFDIO_API; 'EAGAIN' where there is none, and UFFD_NONBLOCK; 'EINTR' after a SIGKILL
 */
export const uffdRead: typeof readMessage = kernelFunction('userfaultfd_ctx_read', readMessage, {
  result: (result) => (typeof result === 'string' ? `-${result}` : '0'),
});

function* readMessage(
  task: Task,
  context: Userfaultfd,
): Path<PagefaultMessage | UffdEventBody | 'EINVAL' | 'EAGAIN' | 'EINTR'> {
  if (context.features === undefined) return refuse(task, 'EINVAL', 'before UFFDIO_API');
  for (;;) {
    yield* preemptionPoint(task, context);
    watch?.touch(Touch.read, context, 0);
    const [fault] = context.pendingFaults;
    if (fault) {
      context.pendingFaults.delete(fault);
      context.readFaults.add(fault);
      recordMessage(task, 'read', context, faultWords(fault));
      const { address, flags } = fault;
      const ptid = context.has(UFFD_FEATURE_THREAD_ID) ? fault.task.tid : 0;
      return { event: UFFD_EVENT_PAGEFAULT, address, flags, ptid };
    }
    const [event] = context.events;
    if (event) {
      context.events.delete(event);
      event.done = true;
      recordMessage(task, 'read', context, eventWords(event.body));
      return event.body;
    }
    if (task.killed) return refuse(task, 'EINTR', 'a SIGKILL is pending');
    if (context.flags & UFFD_NONBLOCK) return refuse(task, 'EAGAIN', 'no message, and UFFD_NONBLOCK');
    yield* sleepUntil(task, 'a message of a userfaultfd', context, () => context.hasMessage);
  }
}
