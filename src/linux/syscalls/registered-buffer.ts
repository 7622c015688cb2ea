/**
 * A buffer that a device works on for as long as the program wants. io_uring/rsrc.c of Linux 6.1: io_pin_pages,
 * io_sqe_buffers_register; the long-term pin of GUP.
 */
import type { Checkpoint, Kept, PutBack } from '../base/checkpoint.ts';
import type { Errno, Hang, Result } from '../base/errno.ts';
import { lengthWords } from '../base/flag-words.ts';
import { FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE } from '../base/gup-flags.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { Lock, LockRank } from '../base/lock.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { gupLongtermLocked } from '../gup/gup.ts';
import type { Mm } from '../mm/mm.ts';
import type { Frames } from '../pool/frames.ts';
import { folioRuns, type PageList, releasePages } from '../pool/pin.ts';
import type { PoolMachine } from '../pool/pool-machine.ts';

/** `struct io_ring_ctx` of a process, as far as its registered buffer goes: one at a time. */
export class Ring implements Kept {
  /** `uring_lock`. */
  readonly lock: Lock;
  /** What is pinned. Under {@link lock}. */
  buffer: PageList | undefined = undefined;

  /** @param process whose it is */
  constructor(process: string) {
    this.lock = new Lock(`uring_lock of ${process}`, LockRank.uringLock);
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.lock);
    const { buffer } = this;
    return () => {
      this.buffer = buffer;
    };
  }
}

/** IORING_REGISTER_BUFFERS of one buffer. */
export function* registerBuffer(task: Task, mm: Mm, ring: Ring, address: number, length: number): Path<Result | Hang> {
  yield* ring.lock.write(task);
  let result: Result | Hang;
  if (ring.buffer) result = refuse(task, 'EBUSY', 'a buffer is registered already');
  else {
    const pages = yield* pinBuffer(task, mm, address, length);
    if (typeof pages !== 'string') ring.buffer = pages;
    result = typeof pages === 'string' ? pages : 'OK';
  }
  ring.lock.unlock(task);
  return result;
}

/** IORING_UNREGISTER_BUFFERS. */
export function* unregisterBuffer(task: Task, { frames }: PoolMachine, ring: Ring): Path<Result> {
  yield* ring.lock.write(task);
  const { buffer } = ring;
  ring.buffer = undefined;
  if (buffer) yield* unpinBuffer(task, frames, buffer);
  ring.lock.unlock(task);
  return buffer ? 'OK' : refuse(task, 'ENXIO', 'no buffer is registered');
}

const FLAGS = FOLL_PIN | FOLL_WRITE | FOLL_LONGTERM;

/** `io_pin_pages`: pins all of [address, address + length), or nothing. */
const pinBuffer = kernelFunction('io_pin_pages', pinPages, {
  args: (_mm, address, length) => lengthWords(address, length),
});

function* pinPages(task: Task, mm: Mm, address: number, length: number): Path<PageList | Errno | Hang> {
  const end = Math.ceil((address + length) / PAGE_SIZE);
  const first = Math.floor(address / PAGE_SIZE);
  const nrPages = end - first;
  const pages = new Float64Array(nrPages);
  const { frames } = mm.machine;
  yield* mm.mmapLock.read(task);
  const pinned = yield* gupLongtermLocked(task, mm, { start: address, nrPages, flags: FLAGS, pages, vmas: [] });
  mm.mmapLock.unlock(task);
  if (pinned === nrPages) {
    countDevicePins(frames, pages, 1);
    return pages;
  }
  if (typeof pinned === 'string') return pinned;
  yield* releasePages(task, frames, pages, pinned, FLAGS, false);
  return refuse(task, 'EFAULT', `${pinned} of ${nrPages} pages could be pinned`);
}

/** Lets a buffer go; its pages may belong to nobody else by now. */
export const unpinBuffer: typeof unmapBuffer = kernelFunction('io_buffer_unmap', unmapBuffer);

function* unmapBuffer(task: Task, frames: Frames, pages: PageList): Path<void> {
  countDevicePins(frames, pages, -1);
  yield* releasePages(task, frames, pages, pages.length, FLAGS, true);
}

/** Notes whose the pins are: nobody else can give them back. */
function countDevicePins(frames: Frames, pages: PageList, sign: 1 | -1): void {
  for (const { folio, refs } of folioRuns(pages, pages.length, (at) => frames.folio(pages[at]!))) {
    folio.devicePins += sign * refs;
  }
}
