/**
 * GUP, and what is done with the pages that it gives: each call's signature, checks and documentation, for a process, which makes it at
 * once, and for a thread, whose calls are paths.
 */
import { checkBoolean, checkInteger, wrongKind } from '../../core/errors.ts';
import type { Blocked, Errno, Hang, Result } from '../base/errno.ts';
import type { Path, Task } from '../base/task.ts';
import type { Locked } from '../gup/follow-hugetlb-page.ts';
import { followPage } from '../gup/follow-page.ts';
import {
  getUserPages,
  getUserPagesFast,
  getUserPagesFastOnly,
  getUserPagesRemote,
  pinUserPages,
  pinUserPagesFast,
  pinUserPagesRemote,
} from '../gup/get-user-pages.ts';
import type { GupResult } from '../gup/gup.ts';
import { checkedLength, checkPageList, putUserPages, unpinUserPageRange, unpinUserPages } from '../gup/user-pages.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import type { Frames } from '../pool/frames.ts';
import type { PageList } from '../pool/pin.ts';
import { dumpPages } from '../syscalls/coredump.ts';
import { sysMlock, sysMunlock } from '../syscalls/mlock.ts';
import { type Pipe, vmsplice } from '../syscalls/pipe.ts';
import { checkProcess, checkRange } from './arguments.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;
const FLAGS = 2 ** 31 - 1;
/** A dump's list has one number a page. */
const MOST_DUMPED = 2 ** 24;

/** How calls are made: now, alone; or as paths, for {@link interleave}. */
export type Mode = 'now' | 'path';
/** What a call gives that may have to wait for another task. */
export type Ran<M extends Mode, T> = M extends 'path' ? Path<T> : T | Hang | Blocked;
/** What a call gives that goes through without waiting. */
export type RanThrough<M extends Mode, T> = M extends 'path' ? Path<T> : T;

/** Who makes a call. */
export interface Caller {
  readonly task: Task;
  /** The address space that it is about. */
  readonly mm: Mm;
  /** All frames of the machine: pages are given back by whoever has them. */
  readonly frames: Frames;
}

/** Another process, whose pages are asked for. */
export interface OtherProcess {
  readonly name: string;
  readonly alive: boolean;
  readonly mm: Mm;
}

/**
 * Calls of GUP, `get_user_pages` and its like: for each 4 KiB page of a range the number of the frame behind it, with a reference or
 * a pin to its huge page. Pages that are not there are faulted in.
 *
 * What they have in common. `start`: an address in bytes, aligned or not. `nrPages`: 4 KiB pages. `flags`: FOLL_ bits; FOLL_WRITE
 * where the pages will be written. `pages`: gets the frame numbers; a Float64Array of `nrPages` at least, or an array, which grows.
 * They return how many pages there were, which may be fewer than asked for: what was done hides what then went wrong. An errno only
 * if there was none: 'EFAULT' where nothing is mapped, the mapping does not permit it, or its fault would be a signal; 'ENOMEM';
 * 'EINVAL' for flags that the kernel refuses. 'BLOCKED' where a userfaultfd would have to be read first, 'HANG' where the kernel
 * would never come back; what such a call took, it keeps.
 *
 * @throws TypeError or RangeError for arguments that are none, a list that is too short, a process that has ended
 */
export abstract class GupCalls<M extends Mode> {
  /** Who calls. @throws TypeError when the process has ended */
  protected abstract caller(): Caller;
  /** Runs a call that may have to wait. */
  protected abstract ran<T>(path: Path<T>): Ran<M, T>;
  /** Runs a call that never waits for anybody. */
  protected abstract ranThrough<T>(path: Path<T>): RanThrough<M, T>;

  /**
   * `get_user_pages`: takes a reference to each page; without `pages`, only has them faulted in.
   *
   * @param vmas gets the mapping of each page
   * @returns also 'EINVAL': FOLL_PIN is for {@link pinUserPages}, and FOLL_LONGTERM for pins
   *
   * @example
   * ```ts
   * import { FOLL_WRITE, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 2 }] });
   * const process = machine.createProcess();
   * const at = process.mmap({
   *   length: 4 << 20,
   *   prot: PROT_READ | PROT_WRITE,
   *   flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
   * }) as number;
   * const pages = new Float64Array(1024);
   * process.getUserPages(at, 1024, FOLL_WRITE, pages);  // 1024: both huge pages were faulted in
   * process.getUserPages(at + (2 << 20), 1024, 0);      // 512: there the mapping ends
   * process.putPages(pages);
   * ```
   */
  getUserPages(start: number, nrPages: number, flags: number, pages?: PageList, vmas?: Vma[]): Ran<M, GupResult> {
    const { task, mm } = this.#checked(start, nrPages, flags, pages, vmas);
    return this.#run(getUserPages(task, mm, { start, nrPages, flags, pages, vmas }));
  }

  /**
   * `pin_user_pages`: pins each page, as whoever reads or writes it must. A private page becomes the process's own, also for a
   * reader, and a fork copies it for the child.
   *
   * @param flags FOLL_LONGTERM where the pin lasts
   * @returns also 'EINVAL': without `pages`, or with FOLL_GET
   *
   * @example A device has the page; fork leaves it to the parent
   * ```ts
   * import { FOLL_WRITE, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 2 }] });
   * const process = machine.createProcess();
   * const at = process.mmap({
   *   length: 2 << 20,
   *   prot: PROT_READ | PROT_WRITE,
   *   flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
   * }) as number;
   * const pages: number[] = [];
   * process.pinUserPages(at, 1, FOLL_WRITE, pages);     // 1
   * const child = process.fork();                       // copies the page: the pool is empty now
   * process.write(at, 7);                               // 'OK', to the page that the device has
   * process.unpinUserPages(pages);
   * ```
   */
  pinUserPages(start: number, nrPages: number, flags: number, pages?: PageList, vmas?: Vma[]): Ran<M, GupResult> {
    const { task, mm } = this.#checked(start, nrPages, flags, pages, vmas);
    return this.#run(pinUserPages(task, mm, { start, nrPages, flags, pages, vmas }));
  }

  /**
   * `get_user_pages_remote`: like {@link getUserPages}, of another process.
   *
   * @param locked `{ held: true }` where mmap_lock may be dropped while a fault waits; `held` is false afterwards if it was. Not
   *   together with `vmas`, which would be of no use then
   *
   * @example What a debugger reads
   * ```ts
   * import { FOLL_FORCE, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_NONE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const [debugger_, process] = [machine.createProcess(), machine.createProcess()];
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_NONE, flags }) as number;
   * const pages: number[] = [];
   * debugger_.getUserPagesRemote(process, at, 1, 0, pages);           // 'EFAULT'
   * debugger_.getUserPagesRemote(process, at, 1, FOLL_FORCE, pages);  // 1
   * debugger_.putPages(pages);
   * ```
   */
  getUserPagesRemote(
    target: OtherProcess,
    start: number,
    nrPages: number,
    flags: number,
    pages?: PageList,
    vmas?: Vma[],
    locked?: Locked,
  ): Ran<M, GupResult> {
    const { task } = this.#checked(start, nrPages, flags, pages, vmas);
    checkRemote(target, vmas, locked);
    return this.#run(getUserPagesRemote(task, target.mm, { start, nrPages, flags, pages, vmas }, locked));
  }

  /**
   * `pin_user_pages_remote`: like {@link pinUserPages}, of another process.
   *
   * @param locked see {@link getUserPagesRemote}
   * @returns also 'EINVAL' for FOLL_LONGTERM with `locked`
   *
   * @example
   * ```ts
   * import { FOLL_WRITE, MAP_ANONYMOUS, MAP_HUGETLB, MAP_SHARED, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const [driver, process] = [machine.createProcess(), machine.createProcess()];
   * const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_READ | PROT_WRITE, flags }) as number;
   * const pages = new Float64Array(512);
   * driver.pinUserPagesRemote(process, at, 512, FOLL_WRITE, pages);   // 512
   * process.exit();
   * machine.hstate(2 << 20).freeHugePages;                            // 0: the pins outlive the process
   * driver.unpinUserPages(pages);
   * machine.hstate(2 << 20).freeHugePages;                            // 1
   * ```
   */
  pinUserPagesRemote(
    target: OtherProcess,
    start: number,
    nrPages: number,
    flags: number,
    pages?: PageList,
    vmas?: Vma[],
    locked?: Locked,
  ): Ran<M, GupResult> {
    const { task } = this.#checked(start, nrPages, flags, pages, vmas);
    checkRemote(target, vmas, locked);
    return this.#run(pinUserPagesRemote(task, target.mm, { start, nrPages, flags, pages, vmas }, locked));
  }

  /**
   * `get_user_pages_fast`: like {@link getUserPages}, without a lock as far as pages are present, and from the start of a 4 KiB page
   * on. The rest is faulted in.
   *
   * @param flags FOLL_WRITE, FOLL_FORCE, FOLL_NOFAULT, FOLL_GET; 'EINVAL' for others
   * @returns 0 for a range that goes beyond 64 bits; 'EFAULT' for one beyond a program's addresses
   *
   * @example
   * ```ts
   * import { FOLL_WRITE, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_READ | PROT_WRITE, flags }) as number;
   * const pages: number[] = [];
   * process.getUserPagesFast(at, 8, FOLL_WRITE, pages); // 8
   * process.putPages(pages);
   * ```
   */
  getUserPagesFast(start: number, nrPages: number, flags: number, pages: PageList): Ran<M, GupResult> {
    const { task, mm } = this.#checked(start, nrPages, flags, pages);
    checkPageList(pages, nrPages, false);
    return this.#run(getUserPagesFast(task, mm, { start, nrPages, flags, pages }));
  }

  /**
   * `get_user_pages_fast_only`: what can be had without a lock, and no more. Never an errno.
   *
   * @example
   * ```ts
   * import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_READ | PROT_WRITE, flags }) as number;
   * process.getUserPagesFastOnly(at, 1, 0, []);         // 0: nothing is there yet
   * ```
   */
  getUserPagesFastOnly(start: number, nrPages: number, flags: number, pages: PageList): RanThrough<M, number> {
    const { task, mm } = this.#checked(start, nrPages, flags, pages);
    checkPageList(pages, nrPages, false);
    return this.#runThrough(getUserPagesFastOnly(task, mm, { start, nrPages, flags, pages }));
  }

  /**
   * `pin_user_pages_fast`: like {@link pinUserPages}, without a lock as far as pages are present and no fork is under way.
   *
   * @param flags as for {@link getUserPagesFast}, but FOLL_GET; FOLL_LONGTERM
   * @returns 'EINVAL' without `pages`, or with FOLL_GET
   *
   * @example
   * ```ts
   * import { FOLL_LONGTERM, FOLL_WRITE, MAP_HUGETLB, MAP_ANONYMOUS, MAP_PRIVATE, Machine, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_WRITE, flags }) as number;
   * const pages: number[] = [];
   * process.pinUserPagesFast(at, 2, FOLL_WRITE | FOLL_LONGTERM, pages);   // 2
   * process.unpinUserPages(pages, 2, true);                               // dirty: they were written
   * ```
   */
  pinUserPagesFast(start: number, nrPages: number, flags: number, pages?: PageList): Ran<M, GupResult> {
    const { task, mm } = this.#checked(start, nrPages, flags, pages);
    return this.#run(pinUserPagesFast(task, mm, { start, nrPages, flags, pages }));
  }

  /**
   * `follow_page`: the frame behind an address, if one is mapped now, whatever the rights. Nothing is faulted in.
   *
   * @param flags FOLL_GET takes a reference, for {@link putPages} to give back; nothing is found with FOLL_PIN
   * @returns the frame's number
   *
   * @example
   * ```ts
   * import { FOLL_GET, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_READ | PROT_WRITE, flags }) as number;
   * process.followPage(at, 0);                          // undefined
   * process.write(at, 1);
   * const frame = process.followPage(at + 4096, FOLL_GET)!;
   * process.putPages([frame]);
   * ```
   */
  followPage(address: number, flags: number): RanThrough<M, number | undefined> {
    const { task, mm } = this.#checked(address, 0, flags);
    return this.#runThrough(followPage(task, mm, address, flags));
  }

  /**
   * `put_page`: gives back references, of whatever process's pages. A huge page that nobody has any more is free then.
   *
   * @param count how many of the list. Default: all
   * @throws RangeError, and changes nothing, where more is given back than was taken
   *
   * @example
   * ```ts
   * import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_READ, flags }) as number;
   * const pages = new Float64Array(4);
   * const got = process.getUserPages(at, 4, 0, pages);
   * if (typeof got === 'number') process.putPages(pages, got);
   * ```
   */
  putPages(pages: PageList, count: number = checkedLength(pages)): RanThrough<M, void> {
    const { task, frames } = this.caller();
    return this.ranThrough(putUserPages(task, frames, pages, count));
  }

  /**
   * `unpin_user_pages_dirty_lock`: gives back pins, of whatever process's pages.
   *
   * @param count how many of the list. Default: all
   * @param dirty whether the pages were written: marks the huge pages dirty
   * @throws RangeError, and changes nothing, where more is given back than was pinned
   *
   * @example
   * ```ts
   * import { FOLL_WRITE, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_WRITE, flags }) as number;
   * const pages = new Float64Array(512);
   * process.pinUserPages(at, 512, FOLL_WRITE, pages);
   * process.unpinUserPages(pages, 512, true);
   * ```
   */
  unpinUserPages(pages: PageList, count: number = checkedLength(pages), dirty = false): RanThrough<M, void> {
    checkBoolean('dirty', dirty);
    const { task, frames } = this.caller();
    return this.ranThrough(unpinUserPages(task, frames, pages, count, dirty));
  }

  /**
   * `unpin_user_page_range_dirty_lock`: gives back the pins of `nrPages` frames that follow each other, one each.
   *
   * @example
   * ```ts
   * import { FOLL_WRITE, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_WRITE, flags }) as number;
   * const pages = new Float64Array(512);
   * process.pinUserPages(at, 512, FOLL_WRITE, pages);
   * process.unpinUserPageRange(pages[0]!, 512);
   * ```
   */
  unpinUserPageRange(frame: number, nrPages: number, dirty = false): RanThrough<M, void> {
    checkBoolean('dirty', dirty);
    const { task, frames } = this.caller();
    return this.ranThrough(unpinUserPageRange(task, frames, frame, nrPages, dirty));
  }

  /**
   * mlock(2): faults the pages of a range in, private ones by writing. That is all: huge pages are never swapped, and their mappings
   * do not become VM_LOCKED.
   *
   * @param length bytes; whole 4 KiB pages around the range are meant
   * @returns 'ENOMEM' where something is not mapped, may not be touched, or its fault would be a signal; 'EAGAIN' without memory
   *   for page tables
   *
   * @example
   * ```ts
   * import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 2 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 4 << 20, prot: PROT_READ | PROT_WRITE, flags }) as number;
   * process.mlock(at, 4 << 20);                         // 'OK'
   * machine.hstate(2 << 20).freeHugePages;              // 0
   * process.munlock(at, 4 << 20);                       // 'OK'
   * ```
   */
  mlock(address: number, length: number): Ran<M, Result | Hang> {
    const { task, mm } = this.#checkedRange(address, length);
    return this.#run(sysMlock(task, mm, address, length));
  }

  /** munlock(2): 'ENOMEM' where something is not mapped. Pages stay where they are. */
  munlock(address: number, length: number): RanThrough<M, Result> {
    const { task, mm } = this.#checkedRange(address, length);
    return this.#runThrough(sysMunlock(task, mm, address, length));
  }

  /**
   * What a core file would hold of a range: frame numbers, and -1 for a page that is left out. Only what is mapped or in the file is
   * there, PROT_NONE or not; holes stay holes.
   *
   * @param nrPages 4 KiB pages
   *
   * @example
   * ```ts
   * import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 2 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 4 << 20, prot: PROT_READ | PROT_WRITE, flags }) as number;
   * process.write(at, 1);
   * const dumped = process.dumpPages(at, 1024);
   * if (typeof dumped !== 'string') dumped.indexOf(-1); // 512: the second page was never touched
   * ```
   */
  dumpPages(start: number, nrPages: number): RanThrough<M, Float64Array | Hang> {
    const { task, mm } = this.caller();
    checkInteger('start', start, 0, LARGEST);
    checkInteger('nrPages', nrPages, 0, MOST_DUMPED);
    return this.#runThrough(dumpPages(task, mm, start, nrPages));
  }

  /**
   * vmsplice(2): puts the pages of a buffer into a pipe; see {@link Pipe}. Does not wait for room.
   *
   * @returns bytes, fewer than asked for when the pipe is full; 'EAGAIN' if it was, 'EFAULT' where nothing is mapped
   *
   * @example
   * ```ts
   * import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
   * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
   * const process = machine.createProcess();
   * const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
   * const at = process.mmap({ length: 2 << 20, prot: PROT_READ | PROT_WRITE, flags }) as number;
   * const pipe = machine.createPipe();
   * process.vmsplice(pipe, at, 1 << 20);                // 65536: 16 pages fit
   * pipe.close();
   * ```
   */
  vmsplice(pipe: Pipe, address: number, length: number): Ran<M, number | Errno | Hang> {
    const { task, mm } = this.#checkedRange(address, length);
    checkPipe(pipe);
    return this.#run(vmsplice(task, mm, pipe, address, length));
  }

  #checked(start: number, nrPages: number, flags: number, pages?: PageList, vmas?: Vma[]): Caller {
    const caller = this.caller();
    checkInteger('start', start, 0, LARGEST);
    checkInteger('nrPages', nrPages, 0, LARGEST);
    checkInteger('flags', flags, 0, FLAGS);
    if (pages !== undefined) checkPageList(pages, nrPages, false);
    if (vmas !== undefined && !Array.isArray(vmas)) throw wrongKind('vmas', 'an array', vmas);
    return caller;
  }

  #checkedRange(address: number, length: number): Caller {
    const caller = this.caller();
    checkRange(address, length);
    return caller;
  }

  #run<T>(path: Path<T>): Ran<M, T> {
    return this.ran(leaving(this.caller().task, path));
  }

  #runThrough<T>(path: Path<T>): RanThrough<M, T> {
    return this.ranThrough(leaving(this.caller().task, path));
  }
}

/** A call to its end, where nothing may be held. */
function* leaving<T>(task: Task, path: Path<T>): Path<T> {
  return task.machine.kernelExit(task, yield* path);
}

function checkPipe(pipe: Pipe): void {
  const given: Partial<Pipe> | null | undefined = pipe;
  if (typeof given?.check !== 'function') throw wrongKind('pipe', 'a Pipe', pipe);
  pipe.check();
}

/** The kernel's BUG_ONs. */
function checkRemote(target: OtherProcess, vmas: Vma[] | undefined, locked: Locked | undefined): void {
  checkProcess('target', target);
  if (!target.alive) throw new TypeError(`target: expected a live process, got ${target.name}, which has ended`);
  if (locked === undefined) return;
  if (typeof locked !== 'object' || locked === null) throw wrongKind('locked', '{ held: true }', locked);
  if (vmas) throw new TypeError('vmas: expected none together with locked, got an array');
  if (locked.held !== true)
    throw new TypeError(`locked: expected { held: true }, got { held: ${String(locked.held)} }`);
}
