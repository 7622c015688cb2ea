/**
 * A userfaultfd as the kernel keeps it: who waits for it. fs/userfaultfd.c of Linux 6.1: struct userfaultfd_ctx, struct userfaultfd_wait_queue.
 *
 *   pendingFaults   faults that nobody has read yet   ──read()──>   readFaults   ──woken──>  they go on
 *   events          fork, mremap, madvise, munmap     ──read()──>   they go on
 */
import { hex } from '../../core/errors.ts';
import { busy, type Checkpoint, empty, type Kept, type PutBack } from '../base/checkpoint.ts';
import { pagefaultWords } from '../base/flag-words.ts';
import type { Task } from '../base/task.ts';
import { recordCount } from '../base/trace.ts';
import {
  UFFD_EVENT_FORK,
  UFFD_EVENT_REMAP,
  type UFFD_EVENT_REMOVE,
  UFFD_EVENT_UNMAP,
  UFFD_USER_MODE_ONLY,
} from '../base/uffd-uapi.ts';
import { Touch, watch } from '../base/watch.ts';
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

/** What a fault's message says. */
export function faultWords({ task, address, flags }: Userfault): string {
  return `fault of ${task.name} at ${hex(address)}, flags ${pagefaultWords(flags)},`;
}

/** What an event says. */
export function eventWords(body: UffdEventBody): string {
  switch (body.event) {
    case UFFD_EVENT_FORK:
      return `event of a fork to ${body.child.mm.process}`;
    case UFFD_EVENT_REMAP:
      return `event of an mremap from ${hex(body.from)} to ${hex(body.to)}, ${hex(body.length)} bytes,`;
    default:
      return `event of ${body.event === UFFD_EVENT_UNMAP ? 'an munmap' : 'pages being removed'}, [${hex(body.start)}, ${hex(body.end)}),`;
  }
}

/** Notes what becomes of a message. */
export function recordMessage(
  { machine, name: task }: Task,
  what: 'queued' | 'read' | 'woken',
  context: Userfaultfd,
  message: string,
): void {
  watch?.touch(Touch.write, context, 0);
  machine.trace?.push({ kind: 'message', task, what, message, process: context.mm.process });
}

/** `struct userfaultfd_ctx`. Its queues have a spin lock in Linux; here nothing yields while they are changed. */
export class Userfaultfd implements Kept {
  /** Whose faults it is about. */
  readonly mm: Mm;
  /** UFFD_USER_MODE_ONLY, UFFD_NONBLOCK. */
  readonly flags: number;
  /** UFFD_FEATURE_ bits; undefined before UFFDIO_API. */
  features: number | undefined = undefined;
  /** It was closed. */
  released = false;
  /** It was closed, and has no range any more. */
  unregistered = false;
  #references = 1;
  #mmapChanging = 0;
  /** `fault_pending_wqh`: faults that nobody has read, the oldest first. */
  readonly pendingFaults: Set<Userfault> = new Set<Userfault>();
  /** `fault_wqh`: faults that were read, and still wait. */
  readonly readFaults: Set<Userfault> = new Set<Userfault>();
  /** `event_wqh`: events that nobody has read, the oldest first. */
  readonly events: Set<UffdEvent> = new Set<UffdEvent>();

  constructor(mm: Mm, flags: number) {
    this.mm = mm;
    this.flags = flags;
    mm.machine.open.add(this);
  }

  /** Nobody waits: whoever sleeps is in the midst of a path, which cannot be put back. @internal */
  keep(checkpoint: Checkpoint): PutBack {
    for (const fault of [...this.pendingFaults, ...this.readFaults]) throw busy(`a ${faultWords(fault)} which waits`);
    for (const { body } of this.events) throw busy(`an ${eventWords(body)} which waits to be read`);
    checkpoint.add(this.mm);
    const { features, released, unregistered } = this;
    const references = this.#references;
    const mmapChanging = this.#mmapChanging;
    return () => {
      this.features = features;
      this.released = released;
      this.unregistered = unregistered;
      this.#references = references;
      this.#mmapChanging = mmapChanging;
      empty(this.pendingFaults);
      empty(this.readFaults);
      empty(this.events);
    };
  }

  /** Nobody can reach it any more. @internal */
  close(): void {
    this.released = true;
    this.mm.machine.open.delete(this);
  }

  get name(): string {
    return `userfaultfd of ${this.mm.process}`;
  }

  /** `mmap_changing`: how many events are on their way. Pages cannot be put where mappings are being changed. */
  get mmapChanging(): number {
    watch?.touch(Touch.read, this, 1);
    return this.#mmapChanging;
  }

  /** @internal */
  set mmapChanging(events: number) {
    watch?.touch(Touch.write, this, 1);
    const { machine, process } = this.mm;
    recordCount(machine, 'mmap_changing', `the userfaultfd of ${process}`, this.#mmapChanging, events);
    this.#mmapChanging = events;
  }

  /** `f_count` of its file: whoever has it open, and the ioctls and reads that are under way. */
  get references(): number {
    return this.#references;
  }

  /** @internal */
  set references(references: number) {
    watch?.touch(Touch.write, this, 2);
    this.#references = references;
  }

  /** Whether it has a feature. @param feature UFFD_FEATURE_ bit @internal */
  has(feature: number): boolean {
    return ((this.features ?? 0) & feature) !== 0;
  }

  /** Whether a fault of the kernel's own is not to wait. */
  get userModeOnly(): boolean {
    return (this.flags & UFFD_USER_MODE_ONLY) !== 0;
  }

  /** Whether somebody waits to be read. */
  get hasMessage(): boolean {
    watch?.touch(Touch.read, this, 0);
    return this.pendingFaults.size > 0 || this.events.size > 0;
  }
}
