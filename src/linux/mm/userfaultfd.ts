/**
 * A userfaultfd as the kernel keeps it: who waits for it. fs/userfaultfd.c of Linux 6.1: struct userfaultfd_ctx, struct userfaultfd_wait_queue.
 *
 *   pendingFaults   faults that nobody has read yet   ──read()──>   readFaults   ──woken──>  they go on
 *   events          fork, mremap, madvise, munmap     ──read()──>   they go on
 */
import type { Task } from '../base/task.ts';
import {
  type UFFD_EVENT_FORK,
  type UFFD_EVENT_REMAP,
  type UFFD_EVENT_REMOVE,
  type UFFD_EVENT_UNMAP,
  UFFD_USER_MODE_ONLY,
} from '../base/uffd-uapi.ts';
import type { Mm } from './mm.ts';

/** `struct userfaultfd_wait_queue` of a fault: who waits, and what read() will say. */
export interface Userfault {
  readonly task: Task;
  /** As it is reported, and as wakers match it. */
  readonly address: number;
  /** UFFD_PAGEFAULT_FLAG_ bits. */
  readonly flags: number;
  woken: boolean;
}

/** What an event says. */
export type UffdEventBody =
  | { readonly event: typeof UFFD_EVENT_FORK; readonly child: Userfaultfd }
  | { readonly event: typeof UFFD_EVENT_REMAP; readonly from: number; readonly to: number; readonly length: number }
  | {
      readonly event: typeof UFFD_EVENT_REMOVE | typeof UFFD_EVENT_UNMAP;
      readonly start: number;
      readonly end: number;
    };

/** `struct userfaultfd_wait_queue` of an event. */
export interface UffdEvent {
  readonly body: UffdEventBody;
  /** Somebody has read it. */
  done: boolean;
}

/** `struct userfaultfd_ctx`. */
export class Userfaultfd {
  /** Whose faults it is about. */
  readonly mm: Mm;
  /** UFFD_USER_MODE_ONLY, UFFD_NONBLOCK. */
  readonly flags: number;
  /** UFFD_FEATURE_ bits; undefined before UFFDIO_API. */
  features: number | undefined = undefined;
  /** It was closed. */
  released = false;
  /** `mmap_changing`: how many events are on their way. Pages cannot be put where mappings are being changed. */
  mmapChanging = 0;
  /** `fault_pending_wqh`: faults that nobody has read, the oldest first. */
  readonly pendingFaults: Set<Userfault> = new Set<Userfault>();
  /** `fault_wqh`: faults that were read, and still wait. */
  readonly readFaults: Set<Userfault> = new Set<Userfault>();
  /** `event_wqh`: events that nobody has read, the oldest first. */
  readonly events: Set<UffdEvent> = new Set<UffdEvent>();

  constructor(mm: Mm, flags: number) {
    this.mm = mm;
    this.flags = flags;
  }

  /** Whether it has a feature. @param feature UFFD_FEATURE_ bit */
  has(feature: number): boolean {
    return ((this.features ?? 0) & feature) !== 0;
  }

  /** Whether a fault of the kernel's own is not to wait. */
  get userModeOnly(): boolean {
    return (this.flags & UFFD_USER_MODE_ONLY) !== 0;
  }

  /** Whether somebody waits to be read. */
  get hasMessage(): boolean {
    return this.pendingFaults.size > 0 || this.events.size > 0;
  }
}
