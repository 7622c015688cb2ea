/**
 * A huge page. include/linux/mm_types.h (struct folio), include/linux/hugetlb.h (hugetlb_page_flags), mm/rmap.c of 6.1.
 */
import { checkInteger, hex, InvariantError } from '../../core/errors.ts';
import { type Checkpoint, type Kept, keepSet, type PutBack } from '../base/checkpoint.ts';
import { Lock, LockRank } from '../base/lock.ts';
import { recordCount } from '../base/trace.ts';
import { Touch, watch } from '../base/watch.ts';
import { PageContents } from './contents.ts';
import type { Hstate } from './hstate.ts';
import type { PageCache } from './page-cache.ts';
import { PieceCounts } from './piece-counts.ts';
import type { Subpool } from './subpool.ts';

/** What a search of interleavings tells apart: see Watch. */
const [REFERENCES, MAPPINGS, PINS, EXCLUSIVE, OWNER, DATA, POISON] = [0, 1, 2, 3, 4, 5, 6] as const;

/**
 * A huge page of the pool: free, or with its counts.
 *
 * References and map counts are atomic in Linux: they change under whatever lock guards the entry, the cache or the pin. Whose page it is
 * (page cache, index, private or not, exclusive) changes under the page's lock, and for a leaf under its page-table lock, too; what the pool
 * knows of it (freed, migratable, temporary, bad memory) under hugetlb_lock.
 */
export class Folio implements Kept {
  readonly hstate: Hstate;
  /** Number of its first 4 KiB frame. */
  readonly pfn: number;
  readonly contents: PageContents;
  /** The page lock. */
  readonly lock: Lock;

  #refcount = 0;
  #leaves = 0;
  #mapcount = 0;
  /** `_mapcount` of each 4 KiB page, THP-like: entries smaller than the huge page that map it. Undefined as long as there was none. */
  #subpages: PieceCounts | undefined;
  #pincount = 0;
  /** References that GUP gave out without pinning: FOLL_GET. */
  getcount = 0;
  /** Of the pins, those of registered buffers; of the references, those of pipes. Neither is a caller's to give back. */
  devicePins = 0;
  pipeReferences = 0;

  #pageCache: PageCache | undefined = undefined;
  #anonVma: PageCache | undefined = undefined;
  #index = 0;
  #anon = false;
  #anonExclusive = false;

  #uptodate = false;
  #dirty = false;
  #restoreReserve = false;
  #migratable = false;
  /** `HPageTemporary`: made for a migration, beyond the pool; it leaves the pool as soon as it is free. */
  temporary = false;
  /** `HPageFreed`: on the pool's free list. */
  freed = false;
  #hwpoisonReferences = 0;
  /** `raw_hwp_list`: its 4 KiB pages with bad memory, counted from 0. Undefined as long as there is none. */
  #rawHwp: Set<number> | undefined;

  /** How often it was taken out of the pool: who finds the same frame again may have found another page. */
  uses = 0;

  /** The subpool that it was charged to. */
  subpool: Subpool | undefined = undefined;

  constructor(hstate: Hstate, pfn: number) {
    this.hstate = hstate;
    this.pfn = pfn;
    this.contents = new PageContents(hstate.machine.blocks, pfn);
    this.lock = new Lock('page lock of pfn', LockRank.page, pfn);
  }

  get name(): string {
    return `pfn ${hex(this.pfn)}`;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.lock);
    checkpoint.add(this.contents);
    checkpoint.add(this.#subpages);
    checkpoint.add(this.pageCache);
    checkpoint.add(this.anonVma);
    checkpoint.add(this.subpool);
    const counts = this.#keepCounts();
    const { pageCache, anonVma, index, anon, uptodate, dirty, restoreReserve, migratable, temporary, freed } = this;
    const { subpool } = this;
    const anonExclusive = this.#anonExclusive;
    const rawHwp = this.#rawHwp;
    const rawHwpPages = rawHwp && keepSet(rawHwp);
    return () => {
      counts();
      this.#pageCache = pageCache;
      this.#anonVma = anonVma;
      this.#index = index;
      this.#anon = anon;
      this.#anonExclusive = anonExclusive;
      this.#uptodate = uptodate;
      this.#dirty = dirty;
      this.#restoreReserve = restoreReserve;
      this.#migratable = migratable;
      this.temporary = temporary;
      this.freed = freed;
      this.#rawHwp = rawHwp;
      rawHwpPages?.();
      this.subpool = subpool;
    };
  }

  #keepCounts(): PutBack {
    const { uses, leaves, getcount, devicePins, pipeReferences, hwpoisonReferences } = this;
    const refcount = this.#refcount;
    const mapcount = this.#mapcount;
    const subpages = this.#subpages;
    const pincount = this.#pincount;
    return () => {
      this.uses = uses;
      this.#refcount = refcount;
      this.#leaves = leaves;
      this.#mapcount = mapcount;
      this.#subpages = subpages;
      this.#pincount = pincount;
      this.getcount = getcount;
      this.devicePins = devicePins;
      this.pipeReferences = pipeReferences;
      this.#hwpoisonReferences = hwpoisonReferences;
    };
  }

  /** Page-table entries that map it or a part of it, in all processes. */
  get leaves(): number {
    watch?.touch(Touch.read, this, MAPPINGS);
    return this.#leaves;
  }

  /** @internal */
  set leaves(value: number) {
    watch?.touch(Touch.write, this, MAPPINGS);
    this.#leaves = value;
  }

  /** Whose page cache it is in: a file's, or none. */
  get pageCache(): PageCache | undefined {
    watch?.touch(Touch.read, this, OWNER);
    return this.#pageCache;
  }

  /** @internal */
  set pageCache(value: PageCache | undefined) {
    watch?.touch(Touch.write, this, OWNER);
    this.#pageCache = value;
  }

  /** Of a private page: the page cache of the file behind the mapping, whose list has the VMAs that may map it. */
  get anonVma(): PageCache | undefined {
    watch?.touch(Touch.read, this, OWNER);
    return this.#anonVma;
  }

  /** @internal */
  set anonVma(value: PageCache | undefined) {
    watch?.touch(Touch.write, this, OWNER);
    this.#anonVma = value;
  }

  /** Its place in the page cache, or of a private page its place in the file behind the mapping, in huge pages. */
  get index(): number {
    watch?.touch(Touch.read, this, OWNER);
    return this.#index;
  }

  /** @internal */
  set index(value: number) {
    watch?.touch(Touch.write, this, OWNER);
    this.#index = value;
  }

  /** `PageAnon`: a private mapping's own. */
  get anon(): boolean {
    watch?.touch(Touch.read, this, OWNER);
    return this.#anon;
  }

  /** @internal */
  set anon(value: boolean) {
    watch?.touch(Touch.write, this, OWNER);
    this.#anon = value;
  }

  /** Holds what the file or the zeroing put there. */
  get uptodate(): boolean {
    watch?.touch(Touch.read, this, DATA);
    return this.#uptodate;
  }

  /** @internal */
  set uptodate(value: boolean) {
    watch?.touch(Touch.write, this, DATA);
    this.#uptodate = value;
  }

  /** Whether it was written since it was read, or made. */
  get dirty(): boolean {
    watch?.touch(Touch.read, this, DATA);
    return this.#dirty;
  }

  /** @internal */
  set dirty(value: boolean) {
    watch?.touch(Touch.write, this, DATA);
    this.#dirty = value;
  }

  /** Of the references, those that memory failure keeps: a page of a file with bad memory never becomes free. */
  get hwpoisonReferences(): number {
    watch?.touch(Touch.read, this, POISON);
    return this.#hwpoisonReferences;
  }

  /** @internal */
  set hwpoisonReferences(value: number) {
    watch?.touch(Touch.write, this, POISON);
    this.#hwpoisonReferences = value;
  }

  /** References: one a page-table entry, one for the page cache, one a pin, and those of paths that are under way. */
  get refcount(): number {
    watch?.touch(Touch.read, this, REFERENCES);
    return this.#refcount;
  }

  /** @internal */
  set refcount(references: number) {
    watch?.touch(Touch.write, this, REFERENCES);
    this.#setRefcount(references);
  }

  #setRefcount(references: number): void {
    if (this.hstate.machine.trace) this.#record('_refcount', this.#refcount, references);
    this.#refcount = references;
  }

  /**
   * What the kernel counts for the huge page as a whole. THP-like: entries of its own size; smaller ones are counted in the 4 KiB pages
   * that they map. Per head: all entries. Without HGM both are the same.
   */
  get mapcount(): number {
    watch?.touch(Touch.read, this, MAPPINGS);
    return this.#mapcount;
  }

  /** @internal */
  set mapcount(entries: number) {
    watch?.touch(Touch.write, this, MAPPINGS);
    if (this.hstate.machine.trace) this.#record('mapcount', this.#mapcount, entries);
    this.#mapcount = entries;
  }

  /** Long-term and DMA pins, each with a reference besides. */
  get pincount(): number {
    watch?.touch(Touch.read, this, PINS);
    return this.#pincount;
  }

  /** @internal */
  set pincount(pins: number) {
    watch?.touch(Touch.write, this, PINS);
    if (this.hstate.machine.trace) this.#record('pincount', this.#pincount, pins);
    this.#pincount = pins;
  }

  /** `PageAnonExclusive`: one process's own, which may write without a copy. Linux keeps it in the head page only. */
  get anonExclusive(): boolean {
    watch?.touch(Touch.read, this, EXCLUSIVE);
    return this.#anonExclusive;
  }

  /** @internal */
  set anonExclusive(exclusive: boolean) {
    watch?.touch(Touch.write, this, EXCLUSIVE);
    if (this.hstate.machine.trace) this.#record('PageAnonExclusive', this.#anonExclusive, exclusive);
    this.#anonExclusive = exclusive;
  }

  /** `HPageRestoreReserve`: taking it consumed a reservation, which comes back if it is freed before it is mapped. */
  get restoreReserve(): boolean {
    return this.#restoreReserve;
  }

  /** @internal */
  set restoreReserve(restore: boolean) {
    if (this.hstate.machine.trace) this.#record('HPageRestoreReserve', this.#restoreReserve, restore);
    this.#restoreReserve = restore;
  }

  /** `HPageMigratable`: in use, and not isolated. */
  get migratable(): boolean {
    return this.#migratable;
  }

  /** @internal */
  set migratable(migratable: boolean) {
    if (this.hstate.machine.trace) this.#record('HPageMigratable', this.#migratable, migratable);
    this.#migratable = migratable;
  }

  #record(count: string, before: number | boolean, after: number | boolean): void {
    recordCount(this.hstate.machine, count, this.name, Number(before), Number(after));
  }

  /** Its 4 KiB pages. */
  get pages(): number {
    return this.hstate.pagesPerHugePage;
  }

  /** `page_mapcount` of its 4 KiB page `page`, counted from 0: entries that map it; per head, entries that map any. */
  pageMapcount(page: number): number {
    checkInteger('page', page, 0, this.pages - 1);
    return this.mapcount + (this.#subpages?.of(page) ?? 0);
  }

  /** Whether 4 KiB pages have map counts of their own: as soon as one was mapped by a smaller entry, unless all are counted in the head. */
  get countsPieces(): boolean {
    return this.#subpages !== undefined;
  }

  /** `PageHWPoison`: some of its memory is bad. */
  get hwpoison(): boolean {
    watch?.touch(Touch.read, this, POISON);
    return this.#rawHwp !== undefined;
  }

  /** Its 4 KiB pages with bad memory, counted from 0. */
  get rawHwpPages(): readonly number[] {
    return this.#rawHwp ? [...this.#rawHwp] : [];
  }

  /** Whether any of `pages` 4 KiB pages from `page` on has bad memory. @internal */
  hasRawHwp(page: number, pages = 1): boolean {
    watch?.touch(Touch.read, this, POISON);
    if (!this.#rawHwp) return false;
    for (const bad of this.#rawHwp) if (bad >= page && bad < page + pages) return true;
    return false;
  }

  /** Notes that a 4 KiB page has bad memory. @internal */
  addRawHwp(page: number): void {
    watch?.touch(Touch.write, this, POISON);
    this.#rawHwp ??= new Set();
    this.#rawHwp.add(page);
  }

  /** `get_page`. @internal */
  get(references = 1): void {
    if (!this.tryGet(references)) throw new InvariantError(`Folio.get: pfn ${hex(this.pfn)} is free`);
  }

  /** `folio_try_get`: false of a page that is free, or about to be. @internal */
  tryGet(references: number): boolean {
    /* Others may add and take references: only who takes the last one changes anything for whoever asks here. */
    watch?.touch(Touch.add, this, REFERENCES);
    if (this.#refcount <= 0) return false;
    this.#setRefcount(this.#refcount + references);
    return true;
  }

  /**
   * Whether it has more references than the kernel's `int` can count, as `folio_ref_count() <= 0` says of a page in use: 8,192 mappings of one
   * huge page of 1 GiB in 4 KiB pieces are enough.
   */
  get overflown(): boolean {
    return this.overflownBy(0);
  }

  /** Whether it would be {@link overflown}, had it some references more. @internal */
  overflownBy(references: number): boolean {
    return this.#refcount + references >= 2 ** 31;
  }

  /** `put_page`. The last reference frees it: the caller then hands it to the pool, `freeHugePage`. @internal */
  putTestZero(references = 1): boolean {
    if (this.#refcount < references) throw new InvariantError(`Folio.put: pfn ${hex(this.pfn)} is free already`);
    const isLast = this.#refcount === references;
    watch?.touch(isLast ? Touch.write : Touch.add, this, REFERENCES);
    this.#setRefcount(this.#refcount - references);
    return isLast;
  }

  /** Whose list has the VMAs that may map it. */
  get rmapping(): PageCache | undefined {
    return this.anon ? this.anonVma : this.pageCache;
  }

  /**
   * `hugepage_add_new_anon_rmap`: first mapping of a new private page.
   *
   * @param behind the file behind the mapping
   * @param index where in it, in huge pages
   * @internal
   */
  addNewAnonRmap(behind: PageCache, index: number): void {
    this.anonVma = behind;
    this.index = index;
    this.leaves = 1;
    this.mapcount = 1;
    this.pincount = 0;
    this.anon = true;
    this.anonExclusive = true;
  }

  /** `hugepage_add_anon_rmap`: an entry maps a private page again that was taken out of page tables. @internal */
  addAnonRmap(exclusive: boolean): void {
    this.leaves++;
    this.mapcount++;
    if (this.leaves === 1) this.anonExclusive = exclusive;
  }

  /**
   * `hugetlb_add_file_rmap`: entries that map a file's page. The caller has a reference for each.
   *
   * @param page the first 4 KiB page that they map
   * @param pages how many each of them maps
   * @param entries of one size, one behind the other
   * @internal
   */
  addFileRmap(page: number, pages: number, entries = 1): void {
    this.#count(page, pages, entries, 1);
  }

  /**
   * `page_try_dup_anon_rmap`: the child maps the page, too, and neither owns it any more.
   *
   * @returns false where it may be pinned: then the child needs a copy of its own
   * @internal
   */
  tryDupAnonRmap(mayBePinned: boolean): boolean {
    if (this.anonExclusive) {
      if (mayBePinned) return false;
      this.anonExclusive = false;
    }
    this.leaves++;
    this.mapcount++;
    return true;
  }

  /** `hugetlb_remove_rmap`: the entries are gone. @internal */
  removeRmap(page: number, pages: number, entries = 1): void {
    if (this.leaves < entries) throw new InvariantError(`Folio.removeRmap: pfn ${hex(this.pfn)} is not mapped`);
    this.#count(page, pages, entries, -1);
  }

  #count(page: number, pages: number, entries: number, by: 1 | -1): void {
    this.leaves += by * entries;
    if (pages === this.pages || this.hstate.machine.mapcounts === 'head') {
      this.mapcount += by * entries;
      return;
    }
    const { trace, current: task } = this.hstate.machine;
    trace?.push({ kind: 'mapcounts', task, pfn: this.pfn, first: page, pages: pages * entries, by });
    this.#subpages ??= new PieceCounts(this.pages);
    this.#subpages.add(page, page + pages * entries, by);
  }

  /** Called when it is free again: nobody maps it. @internal */
  forgetMapcounts(): void {
    this.#subpages = undefined;
  }
}
