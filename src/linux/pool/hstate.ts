/**
 * A pool of huge pages of one size. mm/hugetlb.c of Linux 6.1: struct hstate, enqueue_huge_page, dequeue_huge_page_vma,
 * alloc_surplus_huge_page, gather_surplus_pages, return_unused_surplus_pages, hugetlb_acct_memory, free_huge_page,
 * set_max_huge_pages, dissolve_free_huge_page, __update_and_free_page. One node.
 *
 *   nr_hugepages = persistent + surplus        free_hugepages ⊇ resv_hugepages
 *
 * Reserved pages are free pages that are promised: who has no reservation gets one only while free > reserved.
 * Surplus pages are made beyond the persistent pool, up to the overcommit, and go back as soon as they are free.
 */
import { hex, InvariantError } from '../../core/errors.ts';
import { type Checkpoint, keepArray, type PutBack } from '../base/checkpoint.ts';
import { refuse, shown } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { Folio } from './folio.ts';
import { PoolCounts } from './pool-counts.ts';
import type { PoolMachine } from './pool-machine.ts';
import { subpoolPutPages } from './subpool.ts';

/** Pages of this size and more cannot be made from one block of the page allocator, MAX_ORDER: there is no surplus. */
const GIGANTIC_SHIFT = 22;

/** A pool. All counts are in huge pages. */
export class Hstate extends PoolCounts {
  /** Binary logarithm of the page size. */
  readonly shift: number;
  /** 4 KiB pages of a huge page. */
  readonly pagesPerHugePage: number;

  /** Surplus pages that may be made. */
  nrOvercommitHugePages = 0;

  /** Whether a mount ever had a minimum: then more pages may be promised than are free, after the pool was made smaller. */
  hadMinimum = false;
  /**
   * By how much `resvHugePages` is more than what reserve maps and mounts say, by mistakes of Linux's own: mremap of a part of a private
   * mapping loses the reservations of the rest; a mount with a minimum takes back more than it gave when an allocation
   * fails, which counts down, and gives pages to mappings that cannot consume reservations.
   */
  lostReservations = 0;

  /** The free list: the last to come is the first to go. Under hugetlb_lock. */
  readonly #freeList: number[] = [];

  constructor(machine: PoolMachine, size: number) {
    super(machine, size);
    this.shift = Math.log2(size);
    this.pagesPerHugePage = size / PAGE_SIZE;
  }

  /** @internal */
  override keep(checkpoint: Checkpoint): PutBack {
    const counts = super.keep(checkpoint);
    const freeList = keepArray(this.#freeList);
    const { nrOvercommitHugePages, hadMinimum, lostReservations } = this;
    return () => {
      counts();
      freeList();
      this.nrOvercommitHugePages = nrOvercommitHugePages;
      this.hadMinimum = hadMinimum;
      this.lostReservations = lostReservations;
    };
  }

  /** `hstate_is_gigantic`: 1 GiB pages are; they are never surplus. */
  get gigantic(): boolean {
    return this.shift > GIGANTIC_SHIFT;
  }

  /** `persistent_huge_pages`. */
  get persistent(): number {
    return this.nrHugePages - this.surplusHugePages;
  }

  /** `available_huge_pages`: free and not promised. */
  get available(): number {
    return this.freeHugePages - this.resvHugePages;
  }

  /** A free page, which is then in use, with one reference. The caller holds hugetlb_lock. @internal */
  dequeue(): Folio | undefined {
    const pfn = this.#popHealthy();
    if (pfn === undefined) return undefined;
    const folio = this.#use(pfn);
    this.freeHugePages--;
    return folio;
  }

  /** The next free page; one with bad memory stays where it is, and counts as free. */
  #popHealthy(): number | undefined {
    const { frames } = this.machine;
    let at = this.#freeList.length - 1;
    while (at >= 0 && frames.find(this.#freeList[at]!)?.hwpoison) at--;
    if (at === this.#freeList.length - 1) return this.#freeList.pop();
    return at < 0 ? undefined : this.#freeList.splice(at, 1)[0];
  }

  /** The free page that a frame belongs to. @internal */
  freeFolio(frame: number): Folio | undefined {
    const pfn = frame - (frame % this.pagesPerHugePage);
    if (!this.#freeList.includes(pfn)) return undefined;
    const folio = this.machine.frames.find(pfn) ?? new Folio(this, pfn);
    this.machine.frames.enter(folio);
    folio.freed = true;
    return folio;
  }

  /**
   * `dissolve_free_huge_page`: a free page leaves the pool, and is memory again; the pool does not get another. False where it is in use, or
   * all free pages are promised. The caller holds hugetlb_lock.
   * @internal
   */
  dissolve({ pfn, refcount }: Folio): boolean {
    const at = this.#freeList.indexOf(pfn);
    if (refcount > 0 || at < 0 || this.available <= 0) return false;
    this.#freeList.splice(at, 1);
    this.freeHugePages--;
    this.nrHugePages--;
    this.#updateAndFreePage(pfn);
    return true;
  }

  /** `__update_and_free_page`: what is bad of a page is noted for each 4 KiB, so that the rest can be used. */
  #updateAndFreePage(pfn: number): void {
    const { frames } = this.machine;
    for (const page of frames.find(pfn)?.rawHwpPages ?? []) frames.poison(pfn + page);
    frames.free(pfn, this.pagesPerHugePage);
  }

  /** A free page that is not promised, without a reservation: for a migration. The caller holds hugetlb_lock. @internal */
  dequeueAvailable(): Folio | undefined {
    return this.available > 0 ? this.dequeue() : undefined;
  }

  /** `alloc_migrate_huge_page`: a page beyond the pool, which is not counted as surplus: another one will be freed for it. @internal */
  allocTemporary(task: Task): Path<Folio | undefined> {
    const path = this.#allocTemporary(task);
    return this.machine.trace ? shown(task, 'alloc_migrate_huge_page', '', path) : path;
  }

  *#allocTemporary(task: Task): Path<Folio | undefined> {
    if (this.gigantic) return undefined;
    const { hugetlbLock, frames } = this.machine;
    const pfn = frames.allocate(this.pagesPerHugePage);
    if (pfn === undefined) return undefined;
    yield* hugetlbLock.write(task);
    this.nrHugePages++;
    hugetlbLock.unlock(task);
    const folio = this.#use(pfn);
    folio.temporary = true;
    return folio;
  }

  /** Changes the number of promised pages, which may be less than none for a moment: see `Subpool.release`. The caller holds hugetlb_lock. @internal */
  reserve(delta: number): void {
    this.resvHugePages += delta;
  }

  /** `alloc_surplus_huge_page`: a page beyond the pool, on no list. */
  *#allocSurplus(task: Task): Path<number | undefined> {
    if (this.gigantic) return undefined;
    const { hugetlbLock, frames } = this.machine;
    yield* hugetlbLock.write(task);
    const allowed = this.surplusHugePages < this.nrOvercommitHugePages;
    hugetlbLock.unlock(task);
    if (!allowed) return undefined;

    const pfn = frames.allocate(this.pagesPerHugePage);
    if (pfn === undefined) return undefined;
    yield* hugetlbLock.write(task);
    const stillAllowed = this.surplusHugePages < this.nrOvercommitHugePages;
    if (stillAllowed) {
      this.surplusHugePages++;
      this.nrHugePages++;
    }
    hugetlbLock.unlock(task);
    if (stillAllowed) return pfn;
    frames.free(pfn, this.pagesPerHugePage);
    return undefined;
  }

  /** `alloc_buddy_huge_page_with_mpol`: a surplus page, in use, with one reference. @internal */
  allocSurplusInUse(task: Task): Path<Folio | undefined> {
    const path = this.#allocSurplusInUse(task);
    return this.machine.trace ? shown(task, 'alloc_buddy_huge_page_with_mpol', '', path) : path;
  }

  *#allocSurplusInUse(task: Task): Path<Folio | undefined> {
    const pfn = yield* this.#allocSurplus(task);
    return pfn === undefined ? undefined : this.#use(pfn);
  }

  /** `hugetlb_acct_memory`: promises `delta` more pages, makes surplus pages for them if need be; or takes promises back. @internal */
  acctMemory(task: Task, delta: number): Path<'OK' | 'ENOMEM'> {
    const path = this.#acctMemory(task, delta);
    return this.machine.trace ? shown(task, 'hugetlb_acct_memory', `delta=${delta}`, path) : path;
  }

  *#acctMemory(task: Task, delta: number): Path<'OK' | 'ENOMEM'> {
    if (delta === 0) return 'OK';
    const { hugetlbLock } = this.machine;
    yield* hugetlbLock.write(task);
    let result: 'OK' | 'ENOMEM' = 'OK';
    if (delta > 0) result = yield* this.#gatherSurplusPages(task, delta);
    else this.#returnUnusedSurplusPages(-delta);
    hugetlbLock.unlock(task);
    return result;
  }

  /** `gather_surplus_pages`. Called and left with hugetlb_lock held; dropped while pages are made. */
  *#gatherSurplusPages(task: Task, delta: number): Path<'OK' | 'ENOMEM'> {
    const { hugetlbLock } = this.machine;
    const surplus: number[] = [];
    let needed = this.resvHugePages + delta - this.freeHugePages;
    let enough = true;
    while (needed > 0 && enough) {
      hugetlbLock.unlock(task);
      for (; needed > 0; needed--) {
        const pfn = yield* this.#allocSurplus(task);
        if (pfn === undefined) {
          enough = false;
          break;
        }
        surplus.push(pfn);
      }
      yield* hugetlbLock.write(task);
      /* Others may have freed or reserved pages meanwhile. */
      needed = this.resvHugePages + delta - (this.freeHugePages + surplus.length);
    }
    const granted = needed <= 0;
    if (granted) {
      this.reserve(delta);
      for (let wanted = needed + surplus.length; wanted > 0; wanted--) this.#enqueue(surplus.pop()!);
    }
    for (const pfn of surplus) this.#giveUp(pfn);
    if (granted) return 'OK';
    return refuse(
      task,
      'ENOMEM',
      `${delta} pages beside ${this.resvHugePages} that are reserved, and ${this.freeHugePages} are free`,
    );
  }

  /** `return_unused_surplus_pages`: takes promises back, and frees as many surplus pages. */
  #returnUnusedSurplusPages(unused: number): void {
    this.reserve(-unused);
    for (let left = Math.min(unused, this.surplusHugePages); left > 0; left--) {
      if (!this.#removeFree()) return;
      this.surplusHugePages--;
    }
  }

  /** `free_huge_page`: the last reference is gone. @internal */
  freeHugePage(task: Task, folio: Folio): Path<void> {
    const path = this.#freeHugePage(task, folio);
    return this.machine.trace ? shown(task, 'free_huge_page', `pfn ${hex(folio.pfn)}`, path) : path;
  }

  *#freeHugePage(task: Task, folio: Folio): Path<void> {
    if (folio.leaves !== 0 || folio.refcount !== 0 || folio.pincount !== 0) {
      throw new InvariantError(`Hstate.freeHugePage: pfn 0x${folio.pfn.toString(16)} is in use`);
    }
    const { subpool } = folio;
    folio.subpool = undefined;
    folio.anon = false;
    folio.anonExclusive = false;
    folio.anonVma = undefined;
    folio.pageCache = undefined;
    folio.uptodate = false;
    folio.dirty = false;
    let restore = folio.restoreReserve;
    folio.restoreReserve = false;
    /* A reservation that is restored keeps its charge. Without one, a mount below its minimum takes the page back as reserved. */
    if (!restore && (yield* subpoolPutPages(task, subpool, 1)) === 0) restore = true;

    const { hugetlbLock, trace } = this.machine;
    yield* hugetlbLock.write(task);
    folio.migratable = false;
    if (restore) this.reserve(1);
    trace?.push({ kind: 'page', task: task.name, what: 'freed', pfn: folio.pfn, bytes: this.size });
    folio.contents.clear();
    folio.forgetMapcounts();
    folio.freed = true;
    if (folio.temporary) this.#removeTemporary(folio);
    else this.#giveUp(folio.pfn);
    hugetlbLock.unlock(task);
  }

  #removeTemporary(folio: Folio): void {
    folio.temporary = false;
    this.nrHugePages--;
    this.machine.frames.free(folio.pfn, this.pagesPerHugePage);
  }

  /** A page that nobody uses: one too many goes back to memory, else it is free. */
  #giveUp(pfn: number): void {
    if (this.surplusHugePages === 0) {
      this.#enqueue(pfn);
      return;
    }
    this.surplusHugePages--;
    this.nrHugePages--;
    this.#updateAndFreePage(pfn);
  }

  /** `set_max_huge_pages`: what a write to nr_hugepages does. @internal */
  setMaxHugePages(task: Task, count: number): Path<void> {
    const path = this.#setMaxHugePages(task, count);
    return this.machine.trace ? shown(task, 'set_max_huge_pages', `count=${count}`, path) : path;
  }

  *#setMaxHugePages(task: Task, count: number): Path<void> {
    const { hugetlbLock, frames } = this.machine;
    yield* hugetlbLock.write(task);
    /* Growing: surplus pages become persistent first, then new ones are made, as far as memory goes. */
    while (this.surplusHugePages > 0 && count > this.persistent) this.surplusHugePages--;
    while (count > this.persistent) {
      const pfn = frames.allocate(this.pagesPerHugePage);
      if (pfn === undefined) break;
      this.nrHugePages++;
      this.#enqueue(pfn);
    }
    /* Shrinking: free pages that are not promised go; what is in use becomes surplus, and goes when it is freed. */
    const least = Math.max(count, this.resvHugePages + this.nrHugePages - this.freeHugePages);
    while (least < this.persistent && this.#removeFree());
    while (count < this.persistent) this.surplusHugePages++;
    hugetlbLock.unlock(task);
  }

  #use(pfn: number): Folio {
    const { frames, trace, current: task } = this.machine;
    let folio = frames.find(pfn);
    if (!folio) {
      folio = new Folio(this, pfn);
      frames.enter(folio);
    }
    trace?.push({ kind: 'page', task, what: 'allocated', pfn, bytes: this.size });
    folio.refcount = 1;
    folio.freed = false;
    folio.uses++;
    return folio;
  }

  #enqueue(pfn: number): void {
    this.#freeList.push(pfn);
    this.freeHugePages++;
  }

  /** `remove_pool_huge_page`: a free page leaves the pool for good. The caller corrects the surplus. */
  #removeFree(): boolean {
    const pfn = this.#freeList.pop();
    if (pfn === undefined) return false;
    this.freeHugePages--;
    this.nrHugePages--;
    this.#updateAndFreePage(pfn);
    return true;
  }
}
