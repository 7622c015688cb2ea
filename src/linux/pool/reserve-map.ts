/**
 * Who was promised which huge page. mm/hugetlb.c of Linux 6.1: struct resv_map, __vma_reservation_common,
 * vma_needs_reservation, vma_commit_reservation, restore_reserve_on_error.
 *
 * Two kinds, with opposite meanings:
 *
 *            an index in the map          not in the map
 *   shared   a reservation exists         none: the next fault has to find a page itself
 *   private  a reservation was consumed   one is still there, from mmap
 *
 * A file has one shared map, for all its MAP_SHARED mappings. A private mapping has its own, which belongs to whoever
 * called mmap (HPAGE_RESV_OWNER); the pieces of a split VMA share it; a fork's child has none.
 */
import { hex } from '../../core/errors.ts';
import type { Checkpoint, Kept, PutBack } from '../base/checkpoint.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import { Lock, LockRank } from '../base/lock.ts';
import type { Path, Task } from '../base/task.ts';
import type { Hstate } from './hstate.ts';
import type { HugetlbfsInode } from './inode.ts';
import { type Region, Regions } from './regions.ts';

/** A file's or a private mapping's map. Indexes are in huge pages, from the start of the file. */
export class ReserveMap implements Iterable<Region>, Kept {
  /** The spin lock of its list. */
  readonly lock: Lock = new Lock('resv_map lock', LockRank.reservations);
  /** `rw_sema`: a private mapping's VMA lock. */
  readonly vmaLock: Lock = new Lock('private vma_lock', LockRank.vmaLock);
  /** Under {@link lock}. */
  readonly #regions = new Regions();
  /** What it has, in words. */
  readonly #of: string;
  /** VMAs that own it. */
  references = 1;
  /** `adds_in_progress`: changes that were announced and neither made nor taken back. Zero when nothing is under way. Under {@link lock}. */
  addsInProgress = 0;

  /** @param of what it has, for traces: 'reservations of file 0', 'consumed reservations of a private mapping of file 0' */
  constructor(of: string) {
    this.#of = of;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.lock, this.vmaLock);
    checkpoint.add(this.#regions);
    const { references, addsInProgress } = this;
    return () => {
      this.references = references;
      this.addsInProgress = addsInProgress;
    };
  }

  /** `region_chg`: announces an addition; returns how many indexes it would add. @internal */
  *change(task: Task, from: number, to: number): Path<number> {
    yield* this.lock.write(task);
    const missing = to - from - this.#regions.count(from, to);
    this.addsInProgress++;
    this.lock.unlock(task);
    return missing;
  }

  /** `region_add`: makes an announced addition; returns how many indexes were new. @internal */
  *add(task: Task, from: number, to: number): Path<number> {
    yield* this.lock.write(task);
    const added = this.#regions.add(from, to);
    this.addsInProgress--;
    this.#record(task, 'added', from, to, added);
    this.lock.unlock(task);
    return added;
  }

  /** `region_abort`: takes an announcement back. @internal */
  *abort(task: Task): Path<void> {
    yield* this.lock.write(task);
    this.addsInProgress--;
    this.lock.unlock(task);
  }

  /** `region_del`: returns how many indexes were in the map. @internal */
  *delete(task: Task, from: number, to: number): Path<number> {
    yield* this.lock.write(task);
    const deleted = this.#regions.delete(from, to);
    this.#record(task, 'deleted', from, to, deleted);
    this.lock.unlock(task);
    return deleted;
  }

  #record({ machine, name: task }: Task, what: 'added' | 'deleted', from: number, to: number, changed: number): void {
    machine.trace?.push({ kind: 'region', task, what, map: `resv_map, ${this.#of}`, from, to, changed });
  }

  /** `region_count`. @internal */
  count(from: number, to: number): number {
    return this.#regions.count(from, to);
  }

  /** The regions, in ascending order. */
  [Symbol.iterator](): IterableIterator<Region> {
    return this.#regions[Symbol.iterator]();
  }
}

/** Whoever asks for a page: a VMA, or fallocate for the file itself. */
export interface PageClaim {
  readonly inode: HugetlbfsInode;
  readonly hstate: Hstate;
  /** VM_ bits. */
  readonly flags: number;
  /** Whether the reservations are the file's. */
  readonly mayShare: boolean;
  readonly ownsReserves: boolean;
  readonly reserveMap: ReserveMap | undefined;
  /** The index in the file, in huge pages, of the page at an address. */
  hugeIndex(address: number): number;
}

/*
 * The `vma_*_reservation` functions speak of one huge page and hide the opposite meanings: 1 means that the page has no
 * reservation and one must be found, 0 that it has one. A VMA without a map, a fork's child, never has.
 */

/** `vma_needs_reservation`: announces the use of a page. Followed by commit, end, add or delete. */
export const vmaNeedsReservation: typeof needs = kernelFunction('vma_needs_reservation', needs, { args: atAddress });

function* needs(task: Task, claim: PageClaim, address: number): Path<0 | 1> {
  const map = claim.reserveMap;
  if (!map) return 1;
  const index = claim.hugeIndex(address);
  return meaning(claim, yield* map.change(task, index, index + 1));
}

/** `vma_commit_reservation`: the page is used. Returns what `vmaNeedsReservation` would have said just before. */
export const vmaCommitReservation: typeof commit = kernelFunction('vma_commit_reservation', commit, {
  args: atAddress,
});

function* commit(task: Task, claim: PageClaim, address: number): Path<0 | 1> {
  const map = claim.reserveMap;
  if (!map) return 1;
  const index = claim.hugeIndex(address);
  return meaning(claim, yield* map.add(task, index, index + 1));
}

/** `vma_end_reservation`: the page is not used after all. */
export const vmaEndReservation: typeof end = kernelFunction('vma_end_reservation', end);

function* end(task: Task, claim: PageClaim): Path<void> {
  if (claim.reserveMap) yield* claim.reserveMap.abort(task);
}

/**
 * Before a fault copies, and before it takes the entry's lock: what the map needs to note the page, which in Linux may take memory.
 * It is taken back at once, so that no more than the map's lock is seen of it.
 */
export function* examineReservation(task: Task, claim: PageClaim, address: number): Path<void> {
  yield* vmaNeedsReservation(task, claim, address);
  yield* vmaEndReservation(task, claim);
}

/** Whether anybody can tell that {@link examineReservation} was there: who reads the trace, or another task that wants the lock. */
export function isExamineSeen({ preemptible, machine }: Task): boolean {
  return preemptible || machine.trace !== undefined;
}

/** `vma_add_reservation`: on an error path, the page has its reservation again. */
function* vmaAddReservation(task: Task, claim: PageClaim, address: number): Path<void> {
  yield* setEntry(task, claim, address, claim.mayShare);
}

/** `vma_del_reservation`: on an error path, the page has no reservation any more. */
function* vmaDeleteReservation(task: Task, claim: PageClaim, address: number): Path<void> {
  yield* setEntry(task, claim, address, !claim.mayShare);
}

function* setEntry(task: Task, claim: PageClaim, address: number, isEntry: boolean): Path<void> {
  const map = claim.reserveMap;
  if (!map) return;
  const index = claim.hugeIndex(address);
  if (isEntry) yield* map.add(task, index, index + 1);
  else {
    yield* map.abort(task);
    yield* map.delete(task, index, index + 1);
  }
}

/**
 * `restore_reserve_on_error`: a page that was allocated is given back without having been mapped. The map is made to say
 * what it said before, so that it agrees with the count of reservations that freeing the page restores. Four cases:
 *
 *   the page consumed a reservation, the map says so      -> the map says there is one again
 *   the page consumed one, the map still says there is    -> nothing to do
 *   it consumed none, the map says there is one           -> the map says there is none
 *   it consumed none, the map says so                     -> nothing to do
 */
export const restoreReserveOnError: typeof restore = kernelFunction('restore_reserve_on_error', restore, {
  args: atAddress,
});

function* restore(task: Task, claim: PageClaim, address: number, consumedReserve: boolean): Path<void> {
  const needs = yield* vmaNeedsReservation(task, claim, address);
  if (consumedReserve && needs === 1) yield* vmaAddReservation(task, claim, address);
  else if (!consumedReserve && needs === 0) yield* vmaDeleteReservation(task, claim, address);
  else yield* vmaEndReservation(task, claim);
}

function atAddress(_claim: PageClaim, address: number): string {
  return `addr=${hex(address)}`;
}

/** What a number of missing entries means for one page. */
function meaning(claim: PageClaim, missing: number): 0 | 1 {
  return missing > 0 === claim.mayShare ? 1 : 0;
}
