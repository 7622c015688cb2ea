/**
 * GUP's part of what a thread can ask of the kernel: what drivers and file systems do on a program's behalf. The calls are those
 * of {@link Process}, as paths, for {@link interleave}; arguments are not checked.
 */

import type { Errno, Hang, Result } from '../base/errno.ts';
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
import { putUserPages, unpinUserPageRange, unpinUserPages } from '../gup/user-pages.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import type { PageList } from '../pool/pin.ts';
import { dumpPages } from '../syscalls/coredump.ts';
import { sysMlock, sysMunlock } from '../syscalls/mlock.ts';
import { type Pipe, vmsplice } from '../syscalls/pipe.ts';
import type { Process } from './process.ts';

/** A thread's calls that have to do with GUP. */
export class GupSyscalls {
  readonly task: Task;
  readonly #user: Process;

  constructor(process: Process, task: Task) {
    this.#user = process;
    this.task = task;
  }

  /** `get_user_pages`. */
  *getUserPages(start: number, nrPages: number, flags: number, pages?: PageList, vmas?: Vma[]): Path<GupResult> {
    return this.#end(yield* getUserPages(this.task, this.#mm, { start, nrPages, flags, pages, vmas }));
  }

  /** `pin_user_pages`. */
  *pinUserPages(start: number, nrPages: number, flags: number, pages?: PageList, vmas?: Vma[]): Path<GupResult> {
    return this.#end(yield* pinUserPages(this.task, this.#mm, { start, nrPages, flags, pages, vmas }));
  }

  /** `get_user_pages_remote`. */
  *getUserPagesRemote(
    target: Process,
    start: number,
    nrPages: number,
    flags: number,
    pages?: PageList,
    vmas?: Vma[],
    locked?: Locked,
  ): Path<GupResult> {
    const request = { start, nrPages, flags, pages, vmas };
    return this.#end(yield* getUserPagesRemote(this.task, target.mm, request, locked));
  }

  /** `pin_user_pages_remote`. */
  *pinUserPagesRemote(
    target: Process,
    start: number,
    nrPages: number,
    flags: number,
    pages?: PageList,
    vmas?: Vma[],
    locked?: Locked,
  ): Path<GupResult> {
    const request = { start, nrPages, flags, pages, vmas };
    return this.#end(yield* pinUserPagesRemote(this.task, target.mm, request, locked));
  }

  /** `get_user_pages_fast`. */
  *getUserPagesFast(start: number, nrPages: number, flags: number, pages: PageList): Path<GupResult> {
    return this.#end(yield* getUserPagesFast(this.task, this.#mm, { start, nrPages, flags, pages }));
  }

  /** `get_user_pages_fast_only`. */
  *getUserPagesFastOnly(start: number, nrPages: number, flags: number, pages: PageList): Path<number> {
    return this.#end(yield* getUserPagesFastOnly(this.task, this.#mm, { start, nrPages, flags, pages }));
  }

  /** `pin_user_pages_fast`. */
  *pinUserPagesFast(start: number, nrPages: number, flags: number, pages?: PageList): Path<GupResult> {
    return this.#end(yield* pinUserPagesFast(this.task, this.#mm, { start, nrPages, flags, pages }));
  }

  /** `follow_page`. */
  *followPage(address: number, flags: number): Path<number | undefined> {
    return this.#end(yield* followPage(this.task, this.#mm, address, flags));
  }

  /** `put_page` of each page. */
  putPages(pages: PageList, count: number = pages.length): Path<void> {
    return putUserPages(this.task.machine, this.task, pages, count);
  }

  /** `unpin_user_pages_dirty_lock`. */
  unpinUserPages(pages: PageList, count: number = pages.length, dirty = false): Path<void> {
    return unpinUserPages(this.task.machine, this.task, pages, count, dirty);
  }

  /** `unpin_user_page_range_dirty_lock`. */
  unpinUserPageRange(frame: number, nrPages: number, dirty = false): Path<void> {
    return unpinUserPageRange(this.task.machine, this.task, frame, nrPages, dirty);
  }

  *mlock(address: number, length: number): Path<Result | Hang> {
    return this.#end(yield* sysMlock(this.task, this.#mm, address, length));
  }

  *munlock(address: number, length: number): Path<Result> {
    return this.#end(yield* sysMunlock(this.task, this.#mm, address, length));
  }

  /** `dump_user_range` of a core file. */
  *dumpPages(start: number, nrPages: number): Path<Float64Array | Hang> {
    return this.#end(yield* dumpPages(this.task, this.#mm, start, nrPages));
  }

  *vmsplice(pipe: Pipe, address: number, length: number): Path<number | Errno | Hang> {
    return this.#end(yield* vmsplice(this.task, this.#mm, pipe, address, length));
  }

  get #mm(): Mm {
    return this.#user.mm;
  }

  #end<T>(result: T): T {
    return this.task.machine.kernelExit(this.task, result);
  }
}
