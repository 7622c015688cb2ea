/**
 * A pipe that a program's own pages are put into. fs/splice.c of Linux 6.1: vmsplice_to_pipe, iter_to_pipe; lib/iov_iter.c:
 * iov_iter_get_pages2; fs/pipe.c: pipe_read.
 *
 * Nothing is copied until the pipe is read: what the pages hold then is what the reader gets.
 */
import { wrongKind } from '../../core/errors.ts';
import { type Checkpoint, type Kept, keepArray, type PutBack } from '../base/checkpoint.ts';
import type { Errno, Hang } from '../base/errno.ts';
import { lengthWords } from '../base/flag-words.ts';
import { FOLL_GET } from '../base/gup-flags.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { type Path, run, type Task } from '../base/task.ts';
import { getUserPagesFast } from '../gup/get-user-pages.ts';
import type { Mm } from '../mm/mm.ts';
import type { Frames } from '../pool/frames.ts';
import { gupPutFolio } from '../pool/pin.ts';

/** PIPE_DEF_BUFFERS, and as many pages are got at a time. */
const BUFFERS = 16;

/** Bytes of one page. */
interface PipeBuffer {
  readonly frame: number;
  offset: number;
  length: number;
}

/**
 * A pipe with both ends open; 16 pages fit.
 *
 * @example A program's memory, read when the pipe is
 * ```ts
 * import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
 * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
 * const process = machine.createProcess();
 * const at = process.mmap({
 *   length: 2 << 20,
 *   prot: PROT_READ | PROT_WRITE,
 *   flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
 * }) as number;
 * process.write(at, 1);
 * const pipe = machine.createPipe();
 * process.vmsplice(pipe, at, 10);                     // 10
 * process.write(at, 2);
 * const bytes = new Uint8Array(10);
 * pipe.read(bytes);                                   // 10
 * bytes[0];                                           // 2: it is the page itself
 * ```
 */
export class Pipe implements Kept {
  readonly #task: Task;
  readonly #frames: Frames;
  readonly #buffers: PipeBuffer[] = [];
  #open = true;

  /** @param task who acts on it: the kernel */
  constructor(task: Task, frames: Frames) {
    this.#task = task;
    this.#frames = frames;
    task.machine.open.add(this);
  }

  /** Its task is the machine's. @internal */
  keep(_checkpoint: Checkpoint): PutBack {
    const buffers = keepArray(this.#buffers);
    const parts = this.#buffers.map((buffer) => ({ buffer, offset: buffer.offset, length: buffer.length }));
    const open = this.#open;
    return () => {
      buffers();
      for (const { buffer, offset, length } of parts) {
        buffer.offset = offset;
        buffer.length = length;
      }
      this.#open = open;
    };
  }

  /** Bytes that can be read. */
  get length(): number {
    return this.#buffers.reduce((sum, { length }) => sum + length, 0);
  }

  /** Reads, and lets go of the pages that are read to their end. Returns bytes; 0 from an empty pipe, where a program would wait. */
  read(buffer: Uint8Array): number {
    return run(this.readBy(this.#task, buffer));
  }

  /** {@link read}, by a thread. @internal */
  *readBy(task: Task, buffer: Uint8Array): Path<number> {
    this.check();
    if (!(buffer instanceof Uint8Array)) throw wrongKind('buffer', 'a Uint8Array', buffer);
    const frames = this.#frames;
    let done = 0;
    while (done < buffer.length && this.#buffers.length > 0) {
      const from = this.#buffers[0]!;
      for (; from.length > 0 && done < buffer.length; from.length--) {
        buffer[done++] = frames.readByte(from.frame * PAGE_SIZE + from.offset++);
      }
      if (from.length === 0) yield* this.#release(task, this.#buffers.shift()!);
    }
    return task.machine.kernelExit(task, done);
  }

  /** Closes both ends: all pages are let go. */
  close(): void {
    run(this.closeBy(this.#task));
  }

  /** {@link close}, by a thread. @internal */
  *closeBy(task: Task): Path<void> {
    this.check();
    this.#open = false;
    task.machine.open.delete(this);
    for (const buffer of this.#buffers.splice(0)) yield* this.#release(task, buffer);
    task.machine.kernelExit(task, undefined);
  }

  /** Closes it, unless it is closed: for `using`. */
  [Symbol.dispose](): void {
    if (this.#open) this.close();
  }

  /** `add_to_pipe`: takes over a reference; false where the pipe is full. @internal */
  add(frame: number, offset: number, length: number): boolean {
    if (this.#buffers.length === BUFFERS) return false;
    this.#buffers.push({ frame, offset, length });
    this.#frames.folio(frame).pipeReferences++;
    return true;
  }

  /** @throws TypeError when it is closed @internal */
  check(): void {
    if (!this.#open) throw new TypeError('pipe: expected an open pipe, got a closed one');
  }

  *#release(task: Task, { frame }: PipeBuffer): Path<void> {
    const folio = this.#frames.folio(frame);
    folio.pipeReferences--;
    yield* gupPutFolio(task, folio, 1, FOLL_GET);
  }
}

/** `vmsplice_to_pipe`, which does not wait for room: bytes; 'EAGAIN' where there is none. */
export const vmsplice: typeof spliceToPipe = kernelFunction('vmsplice_to_pipe', spliceToPipe, {
  args: (_mm, _pipe, address, length) => lengthWords(address, length),
});

function* spliceToPipe(task: Task, mm: Mm, pipe: Pipe, address: number, length: number): Path<number | Errno | Hang> {
  let done = 0;
  while (done < length) {
    const offset = (address + done) % PAGE_SIZE;
    const wanted = Math.min(BUFFERS, Math.ceil((offset + length - done) / PAGE_SIZE));
    const pages: number[] = [];
    const got = yield* getUserPagesFast(task, mm, { start: address + done, nrPages: wanted, flags: 0, pages });
    if (got === 'HANG') return got;
    if (typeof got === 'string' || got === 0) return done || got;
    const added = addPages(pipe, pages.slice(0, got), offset, length - done);
    done += added.bytes;
    if (added.pages === got) continue;
    /* What did not fit any more is let go. */
    for (const frame of pages.slice(added.pages, got)) {
      yield* gupPutFolio(task, mm.machine.frames.folio(frame), 1, FOLL_GET);
    }
    return done || refuse(task, 'EAGAIN', 'the pipe is full');
  }
  return done;
}

function addPages(pipe: Pipe, pages: number[], offset: number, length: number): { pages: number; bytes: number } {
  let bytes = 0;
  for (const [index, frame] of pages.entries()) {
    const start = index === 0 ? offset : 0;
    const size = Math.min(length - bytes, PAGE_SIZE - start);
    if (!pipe.add(frame, start, size)) return { pages: index, bytes };
    bytes += size;
  }
  return { pages: pages.length, bytes };
}
