/**
 * A userfaultfd as a program holds it: its ioctls, read, close. include/uapi/linux/userfaultfd.h of Linux 6.1.
 */
import { checkInteger } from '../../core/errors.ts';
import type { Blocked, Errno, Hang, Result } from '../base/errno.ts';
import { run, runAlone } from '../base/task.ts';
import {
  _UFFDIO_API,
  _UFFDIO_CONTINUE,
  _UFFDIO_COPY,
  _UFFDIO_REGISTER,
  _UFFDIO_UNREGISTER,
  _UFFDIO_WAKE,
  _UFFDIO_WRITEPROTECT,
  UFFD_API_FEATURES,
  type UFFD_EVENT_FORK,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
} from '../base/uffd-uapi.ts';
import type { UffdEventBody, Userfaultfd } from '../mm/userfaultfd.ts';
import type { UffdFill } from '../userfaultfd/uffd-fill.ts';
import type { PagefaultMessage } from '../userfaultfd/uffd-read.ts';
import { uffdApi, uffdWake } from '../userfaultfd/uffd-register.ts';
import { checkBuffer, checkUserfaultRange } from './arguments.ts';
import type { Syscalls } from './syscalls.ts';

/** What UFFDIO_API tells. */
export interface ApiResult {
  /** 'EINVAL' for features that Linux 6.1 has not, or the second time. */
  readonly result: Result;
  /** UFFD_FEATURE_ bits that there are. */
  readonly features: number;
  /** The ioctls of the file, as bits _UFFDIO_. */
  readonly ioctls: bigint;
}

/** What UFFDIO_REGISTER tells. */
export interface RegisterResult {
  readonly result: Result;
  /** The ioctls that the range is good for, as bits _UFFDIO_. */
  readonly ioctls: bigint;
}

/** What UFFDIO_COPY, UFFDIO_CONTINUE and UFFDIO_ZEROPAGE tell. */
export interface FillResult {
  /** 'EAGAIN' where a part was done, or mappings are being changed: an event is on its way. */
  readonly result: Result;
  /** Bytes done, or the errno of the first page. */
  readonly done: number | Errno;
}

/** A fork's child's userfaultfd. */
export interface ForkMessage {
  readonly event: typeof UFFD_EVENT_FORK;
  /** For the child's memory. */
  readonly ufd: UserfaultFile;
}

/** What a read gives: a fault, or an event. Its `event` is one of UFFD_EVENT_. */
export type UffdMessage = PagefaultMessage | ForkMessage | Exclude<UffdEventBody, { event: typeof UFFD_EVENT_FORK }>;

const bits = (...numbers: number[]): bigint => numbers.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
const FILE_IOCTLS = bits(_UFFDIO_API, _UFFDIO_REGISTER, _UFFDIO_UNREGISTER);

/** `UFFD_API_RANGE_IOCTLS_BASIC`, less what the mode does not need. */
export function registerResult(result: Result, mode: number): RegisterResult {
  if (result !== 'OK') return { result, ioctls: 0n };
  const wp = mode & UFFDIO_REGISTER_MODE_WP ? bits(_UFFDIO_WRITEPROTECT) : 0n;
  const minor = mode & UFFDIO_REGISTER_MODE_MINOR ? bits(_UFFDIO_CONTINUE) : 0n;
  return { result, ioctls: bits(_UFFDIO_WAKE, _UFFDIO_COPY) | wp | minor };
}

/** Of bytes done, or an error. */
export function fillResult(done: number | Errno, length: number): FillResult {
  return { result: typeof done === 'string' ? done : done === length ? 'OK' : 'EAGAIN', done };
}

/**
 * An open userfaultfd. Addresses and lengths are bytes. Its methods run at once, on the process's main thread; with
 * `thread.uffdRead(file)` and its like, another thread of {@link Syscalls} does the same under `interleave`, and really
 * waits.
 *
 * @example A thread faults, another one handles it
 * ```ts
 * import {
 *   interleave, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, type Path, PROT_READ, PROT_WRITE,
 *   UFFD_EVENT_PAGEFAULT, UFFDIO_REGISTER_MODE_MISSING,
 * } from 'hugewalk/linux';
 * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
 * const process = machine.createProcess();
 * const at = process.mmap({
 *   length: 2 << 20,
 *   prot: PROT_READ | PROT_WRITE,
 *   flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
 * }) as number;
 * const uffd = process.userfaultfd();
 * uffd.api();
 * uffd.register(at, 2 << 20, UFFDIO_REGISTER_MODE_MISSING);
 * process.read(at);                                   // 'BLOCKED': nobody is there to handle the fault
 *
 * const [reader, handler] = [process.thread(), process.thread()];
 * function* handle(): Path<string> {
 *   const message = yield* handler.uffdRead(uffd);
 *   if (typeof message === 'string' || message.event !== UFFD_EVENT_PAGEFAULT) return 'no fault';
 *   const bytes = new Uint8Array(2 << 20).fill(7);
 *   const copied = yield* handler.uffdFill(uffd, message.address, 2 << 20, { kind: 'copy', mode: 0, bytes });
 *   return copied.result;
 * }
 * const works = [
 *   { task: reader.task, path: reader.read(at + 5) as Path<unknown> },
 *   { task: handler.task, path: handle() },
 * ];
 * interleave(works, () => 0);                         // [7, 'OK']
 * ```
 */
export class UserfaultFile {
  readonly context: Userfaultfd;
  readonly #calls: Syscalls;

  constructor(context: Userfaultfd, calls: Syscalls) {
    this.context = context;
    this.#calls = calls;
  }

  /**
   * UFFDIO_API: before everything else, which is 'EINVAL' until then, and only once.
   *
   * @param features UFFD_FEATURE_ bits
   */
  api(features = 0): ApiResult {
    this.#checkOpen();
    checkInteger('features', features, 0, 2 ** 32 - 1);
    const result = uffdApi(this.#calls.task, this.context, features);
    if (result !== 'OK') return { result, features: 0, ioctls: 0n };
    return { result, features: UFFD_API_FEATURES, ioctls: FILE_IOCTLS };
  }

  /**
   * UFFDIO_REGISTER: faults in a range become messages.
   *
   * @param mode UFFDIO_REGISTER_MODE_ bits
   * @returns 'EINVAL' where nothing is mapped, or between huge pages; 'EBUSY' where another userfaultfd has a part;
   *   'EPERM' for what may not be written; 'ENOMEM' when the process has ended
   */
  register(start: number, length: number, mode: number): RegisterResult {
    this.#checkRange(start, length, mode);
    return run(this.#calls.uffdRegister(this, start, length, mode));
  }

  /** UFFDIO_UNREGISTER: the range's faults are ordinary ones again; who waits for a missing page goes on. */
  unregister(start: number, length: number): Result | Hang | Blocked {
    this.#checkRange(start, length, 0);
    return runAlone(this.#calls.uffdUnregister(this, start, length));
  }

  /**
   * UFFDIO_COPY: new pages with the bytes of `source`, and wakes who waits for them.
   *
   * @param mode UFFDIO_COPY_MODE_ bits
   * @param length bytes; more than `source` has, where the rest of the source is not mapped: 'EFAULT' there
   * @returns 'ENOENT' where not all of it is one registered mapping; 'EEXIST' for a page that is there; 'ENOMEM' without
   *   a free page; 'EAGAIN' after a part, or while an event is on its way; 'EFAULT' behind the end of the file; 'ESRCH'
   *   when the process has ended; 'EINVAL' between huge pages, or UFFDIO_COPY_MODE_WP without UFFDIO_REGISTER_MODE_WP
   */
  copy(start: number, source: Uint8Array, mode = 0, length?: number): FillResult {
    checkBuffer('source', source);
    return this.#fill(start, length === undefined ? source.length : length, { kind: 'copy', mode, bytes: source });
  }

  /**
   * UFFDIO_CONTINUE: maps the pages that the file has; 'EFAULT' where it has none.
   *
   * @param mode UFFDIO_CONTINUE_MODE_ bits
   */
  continue(start: number, length: number, mode = 0): FillResult {
    return this.#fill(start, length, { kind: 'continue', mode });
  }

  /** UFFDIO_ZEROPAGE: there is none of huge pages, 'EINVAL'. */
  zeropage(start: number, length: number, mode = 0): FillResult {
    return this.#fill(start, length, { kind: 'zeropage', mode });
  }

  /**
   * UFFDIO_WRITEPROTECT: pages that are there, and those that will be, are write-protected; or not any more, which wakes
   * who waits to write.
   *
   * @param mode UFFDIO_WRITEPROTECT_MODE_ bits
   */
  writeprotect(start: number, length: number, mode: number): Result | Hang | Blocked {
    this.#checkRange(start, length, mode);
    return runAlone(this.#calls.uffdWriteprotect(this, start, length, mode));
  }

  /** UFFDIO_WAKE: who waits for an address of the range tries again. */
  wake(start: number, length: number): Result {
    this.#checkRange(start, length, 0);
    return uffdWake(this.#calls.task, this.context, start, length);
  }

  /**
   * Reads one message: faults first, then events; the oldest first.
   *
   * @returns 'EAGAIN' where there is none; 'BLOCKED' for that without UFFD_NONBLOCK, as nobody is there to send one
   */
  read(): UffdMessage | 'EINVAL' | 'EAGAIN' | 'EINTR' | Hang | Blocked {
    this.#checkOpen();
    return runAlone(this.#calls.uffdRead(this));
  }

  /** What poll tells as POLLIN, for any file: whether a read finds a message. */
  get pending(): boolean {
    return this.context.hasMessage;
  }

  /** Closes it: all its ranges are unregistered, and all that wait go on. */
  close(): void {
    this.#checkOpen();
    run(this.#calls.uffdClose(this));
  }

  /** Closes it, unless it is closed: for `using`. */
  [Symbol.dispose](): void {
    if (!this.context.released) this.close();
  }

  #fill(start: number, length: number, fill: UffdFill): FillResult {
    this.#checkRange(start, length, fill.mode);
    return run(this.#calls.uffdFill(this, start, length, fill));
  }

  #checkOpen(): void {
    if (this.context.released) throw new TypeError('userfaultfd: expected an open one, got a closed one');
  }

  /** @param mode 0 where the ioctl has none */
  #checkRange(start: number, length: number, mode: number): void {
    this.#checkOpen();
    checkUserfaultRange(start, length, mode);
  }
}
