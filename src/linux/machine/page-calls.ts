/**
 * What is done with the pages that GUP gives, and what else is made of it: pages are given back, faulted in by mlock, dumped, put into
 * pipes. Each call's signature, checks and documentation.
 */
import { checkBoolean, checkInteger } from '../../core/errors.ts';
import type { Errno, Hang, Result } from '../base/errno.ts';
import { checkedLength, putUserPages, unpinUserPageRange, unpinUserPages } from '../gup/user-pages.ts';
import type { PageList } from '../pool/pin.ts';
import { dumpPages } from '../syscalls/coredump.ts';
import { sysMlock, sysMunlock } from '../syscalls/mlock.ts';
import { type Pipe, vmsplice } from '../syscalls/pipe.ts';
import { checkPipe, checkRange } from './arguments.ts';
import { Calls, type Mode, type Ran, type RanThrough, systemCall } from './calls.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;
/** A dump's list has one number a page. */
const MOST_DUMPED = 2 ** 24;

/** Calls that give pages back, and those that use GUP themselves. */
export abstract class PageCalls<M extends Mode> extends Calls<M> {
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
    const { task, mm } = this.caller();
    checkRange(address, length);
    return this.ran(systemCall(task, sysMlock(task, mm, address, length)));
  }

  /** munlock(2): 'ENOMEM' where something is not mapped. Pages stay where they are. */
  munlock(address: number, length: number): RanThrough<M, Result> {
    const { task, mm } = this.caller();
    checkRange(address, length);
    return this.ranThrough(systemCall(task, sysMunlock(task, mm, address, length)));
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
    return this.ranThrough(systemCall(task, dumpPages(task, mm, start, nrPages)));
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
    const { task, mm } = this.caller();
    checkRange(address, length);
    checkPipe(pipe);
    return this.ran(systemCall(task, vmsplice(task, mm, pipe, address, length)));
  }
}
