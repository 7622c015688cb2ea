/**
 * GUP: each call's signature, checks and documentation, for a process, which makes it at once, and for a thread, whose calls are paths.
 */
import { checkInteger, wrongKind } from '../../core/errors.ts';
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
import { checkPageList } from '../gup/user-pages.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import type { PageList } from '../pool/pin.ts';
import { usingMm } from '../syscalls/munmap.ts';
import { checkProcess } from './arguments.ts';
import { type Caller, type Mode, type Ran, type RanThrough, systemCall } from './calls.ts';
import { PageCalls } from './page-calls.ts';

export type { Caller } from './calls.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;
const FLAGS = 2 ** 31 - 1;

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
export abstract class GupCalls<M extends Mode> extends PageCalls<M> {
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
    return this.ran(systemCall(task, getUserPages(task, mm, { start, nrPages, flags, pages, vmas })));
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
    return this.ran(systemCall(task, pinUserPages(task, mm, { start, nrPages, flags, pages, vmas })));
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
    return this.ran(
      systemCall(
        task,
        usingMm(task, target.mm, getUserPagesRemote(task, target.mm, { start, nrPages, flags, pages, vmas }, locked)),
      ),
    );
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
    return this.ran(
      systemCall(
        task,
        usingMm(task, target.mm, pinUserPagesRemote(task, target.mm, { start, nrPages, flags, pages, vmas }, locked)),
      ),
    );
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
    return this.ran(systemCall(task, getUserPagesFast(task, mm, { start, nrPages, flags, pages })));
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
    return this.ranThrough(systemCall(task, getUserPagesFastOnly(task, mm, { start, nrPages, flags, pages })));
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
    return this.ran(systemCall(task, pinUserPagesFast(task, mm, { start, nrPages, flags, pages })));
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
    return this.ranThrough(systemCall(task, followPage(task, mm, address, flags)));
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
