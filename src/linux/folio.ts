/**
 * A huge page. include/linux/mm_types.h (struct folio), include/linux/hugetlb.h (hugetlb_page_flags), mm/rmap.c of 6.1.
 */
import { InvariantError } from '../core/errors.ts';
import { PageContents } from './contents.ts';
import type { Hstate } from './hstate.ts';
import { Lock, LockRank } from './lock.ts';
import type { PageCache } from './page-cache.ts';
import type { Subpool } from './subpool.ts';

/** A huge page of the pool: free, or with its counts. */
export class Folio {
  readonly hstate: Hstate;
  /** Number of its first 4 KiB frame. */
  readonly pfn: number;
  readonly contents: PageContents;
  /** The page lock. */
  readonly lock: Lock;

  /** References: one a page-table entry, one for the page cache, one a pin, and those of paths that are under way. */
  refcount = 0;
  /** Page-table entries that map it, in all processes. */
  mapcount = 0;
  /** Long-term and DMA pins, each with a reference besides. */
  pincount = 0;
  /** References that GUP gave out without pinning: FOLL_GET. */
  getcount = 0;
  /** Of the pins, those of registered buffers; of the references, those of pipes. Neither is a caller's to give back. */
  devicePins = 0;
  pipeReferences = 0;

  /** Whose page cache it is in: a file's, or none. */
  pageCache: PageCache | undefined = undefined;
  /** Its place in the page cache, in huge pages. */
  index = 0;
  /** `PageAnon`: a private mapping's own. */
  anon = false;
  /** `PageAnonExclusive`: one process's own, which may write without a copy. Linux keeps it in the head page only. */
  anonExclusive = false;

  /** Holds what the file or the zeroing put there. */
  uptodate = false;
  dirty = false;
  /** `HPageRestoreReserve`: taking it consumed a reservation, which comes back if it is freed before it is mapped. */
  restoreReserve = false;
  /** `HPageMigratable`: in use, and not isolated. */
  migratable = false;
  /** `HPageFreed`: on the pool's free list. */
  freed = false;
  /** The subpool that it was charged to. */
  subpool: Subpool | undefined = undefined;

  constructor(hstate: Hstate, pfn: number) {
    this.hstate = hstate;
    this.pfn = pfn;
    this.contents = new PageContents(hstate.machine.blocks);
    this.lock = new Lock('page lock of pfn', LockRank.page, pfn);
  }

  /** Its 4 KiB pages. */
  get pages(): number {
    return this.hstate.pagesPerHugePage;
  }

  /** `get_page`. */
  get(): void {
    if (this.refcount <= 0) throw new InvariantError(`Folio.get: pfn 0x${this.pfn.toString(16)} is free`);
    this.refcount++;
  }

  /** `put_page`. The last reference frees it: the caller then hands it to the pool, `freeHugePage`. */
  putTestZero(): boolean {
    if (this.refcount <= 0) throw new InvariantError(`Folio.put: pfn 0x${this.pfn.toString(16)} is free already`);
    return --this.refcount === 0;
  }

  /** `hugepage_add_new_anon_rmap`: first mapping of a new private page. */
  addNewAnonRmap(): void {
    this.mapcount = 1;
    this.pincount = 0;
    this.anon = true;
    this.anonExclusive = true;
  }

  /** `page_dup_file_rmap`: one more mapping of a file's page. */
  dupFileRmap(): void {
    this.mapcount++;
  }

  /**
   * `page_try_dup_anon_rmap`: the child maps the page, too, and neither owns it any more.
   *
   * @returns false where it may be pinned: then the child needs a copy of its own
   */
  tryDupAnonRmap(mayBePinned: boolean): boolean {
    if (this.anonExclusive) {
      if (mayBePinned) return false;
      this.anonExclusive = false;
    }
    this.mapcount++;
    return true;
  }

  /** `page_remove_rmap`. */
  removeRmap(): void {
    if (this.mapcount <= 0) throw new InvariantError(`Folio.removeRmap: pfn 0x${this.pfn.toString(16)} is not mapped`);
    this.mapcount--;
  }
}
