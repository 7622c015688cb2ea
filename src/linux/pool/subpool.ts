/**
 * A mount's own limits. mm/hugetlb.c of Linux 6.1: hugepage_new_subpool, hugepage_subpool_get_pages,
 * hugepage_subpool_put_pages.
 *
 * A maximum bounds what the mount's files use or reserve. A minimum is reserved in the pool when the mount is made:
 * of what the files then reserve, only what exceeds it is asked of the pool.
 */
import type { Checkpoint, Kept, PutBack } from '../base/checkpoint.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { Lock, LockRank } from '../base/lock.ts';
import type { Path, Task } from '../base/task.ts';
import { recordCount } from '../base/trace.ts';
import type { Hstate } from './hstate.ts';

/** A mount's share of a pool, in huge pages; -1 is no limit. Its counts are under its own lock. */
export class Subpool implements Kept {
  readonly hstate: Hstate;
  readonly maxPages: number;
  readonly minPages: number;
  readonly lock: Lock = new Lock('subpool lock', LockRank.reservations);
  #usedPages = 0;
  #reservedPages: number;
  /** False after the unmount: it goes when its last page comes back. */
  mounted = true;
  #released = false;

  constructor(hstate: Hstate, maxPages: number, minPages: number) {
    this.hstate = hstate;
    this.maxPages = maxPages;
    this.minPages = minPages;
    this.#reservedPages = minPages;
    if (minPages !== -1) hstate.hadMinimum = true;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.lock);
    const { mounted } = this;
    const usedPages = this.#usedPages;
    const reservedPages = this.#reservedPages;
    const released = this.#released;
    return () => {
      this.#usedPages = usedPages;
      this.#reservedPages = reservedPages;
      this.mounted = mounted;
      this.#released = released;
    };
  }

  /** Charged against the maximum. */
  get usedPages(): number {
    return this.#usedPages;
  }

  /** @internal */
  set usedPages(pages: number) {
    recordCount(this.hstate.machine, 'used_hpages', 'the mount', this.#usedPages, pages);
    this.#usedPages = pages;
  }

  /** What is left of the minimum's reservation. */
  get reservedPages(): number {
    return this.#reservedPages;
  }

  /** @internal */
  set reservedPages(pages: number) {
    recordCount(this.hstate.machine, 'rsv_hpages', 'the mount', this.#reservedPages, pages);
    this.#reservedPages = pages;
  }

  /** `subpool_is_free`: unmounted, and nothing of it in use. */
  get isFree(): boolean {
    if (this.mounted) return false;
    if (this.maxPages !== -1) return this.usedPages === 0;
    if (this.minPages !== -1) return this.reservedPages === this.minPages;
    return true;
  }

  /** Gives the minimum's reservation back, once. @internal */
  *release(task: Task): Path<void> {
    if (this.#released) return;
    this.#released = true;
    this.hstate.machine.subpools.delete(this);
    if (this.minPages !== -1) yield* this.hstate.acctMemory(task, -this.minPages);
  }
}

/**
 * `hugepage_subpool_get_pages`: charges `delta` pages.
 *
 * @returns how many the pool must reserve for them, or 'ENOMEM' over the maximum
 */
export const subpoolGetPages: typeof getPages = kernelFunction('hugepage_subpool_get_pages', getPages, {
  args: (_subpool, delta) => `delta=${delta}`,
});

function* getPages(task: Task, subpool: Subpool | undefined, delta: number): Path<number | 'ENOMEM'> {
  if (!subpool) return delta;
  yield* subpool.lock.write(task);
  const needed = charge(task, subpool, delta);
  subpool.lock.unlock(task);
  return needed;
}

function charge(task: Task, subpool: Subpool, delta: number): number | 'ENOMEM' {
  if (subpool.maxPages !== -1) {
    if (subpool.usedPages + delta > subpool.maxPages) {
      return refuse(
        task,
        'ENOMEM',
        `${subpool.usedPages} pages are used, and the mount's maximum is ${subpool.maxPages}`,
      );
    }
    subpool.usedPages += delta;
  }
  if (subpool.minPages === -1) return delta;
  const covered = Math.min(delta, subpool.reservedPages);
  subpool.reservedPages -= covered;
  return delta - covered;
}

/** `hugepage_subpool_put_pages`: takes `delta` pages back. Returns how many reservations the pool drops for them. */
export const subpoolPutPages: typeof putPages = kernelFunction('hugepage_subpool_put_pages', putPages, {
  args: (_subpool, delta) => `delta=${delta}`,
});

function* putPages(task: Task, subpool: Subpool | undefined, delta: number): Path<number> {
  if (!subpool) return delta;
  yield* subpool.lock.write(task);
  let dropped = delta;
  if (subpool.maxPages !== -1) subpool.usedPages -= delta;
  if (subpool.minPages !== -1 && subpool.usedPages < subpool.minPages) {
    const kept = subpool.reservedPages + delta;
    dropped = Math.max(kept - subpool.minPages, 0);
    subpool.reservedPages = Math.min(kept, subpool.minPages);
  }
  subpool.lock.unlock(task);
  if (subpool.isFree) yield* subpool.release(task);
  return dropped;
}
