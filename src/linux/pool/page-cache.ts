/**
 * A file's pages in memory, and the VMAs that show it. struct address_space, mm/interval_tree.c of Linux 6.1.
 */
import { checkInteger, InvariantError } from '../../core/errors.ts';
import { type Checkpoint, type Kept, keepArray, keepMap, type PutBack } from '../base/checkpoint.ts';
import { Lock, LockRank } from '../base/lock.ts';
import { Touch, watch } from '../base/watch.ts';
import type { Folio } from './folio.ts';

/** What the list of those who show a file knows of each; a VMA is one, and mm/i-mmap.ts finds it again. */
export interface ShownPart {
  /** First byte. */
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;
  /** Where in the file `start` lies, in 4 KiB pages. */
  readonly pgoff: number;
}

/** `struct address_space` of a hugetlbfs file. Indexes are in huge pages. */
export class PageCache implements Kept {
  /** What messages call the file. */
  readonly file: string;
  /** `i_mmap_rwsem`. */
  readonly iMmapRwsem: Lock;
  /** Changed with the page's lock held; a fault looks a page up under its fault mutex, and locks it. */
  readonly #folios = new Map<number, Folio>();
  /** Under i_mmap_rwsem. */
  readonly #iMmap: ShownPart[] = [];

  /** @param file what messages call the file */
  constructor(file: string) {
    this.file = file;
    this.iMmapRwsem = new Lock(`i_mmap_rwsem of ${file}`, LockRank.iMmap);
  }

  get name(): string {
    return `pages of ${this.file}`;
  }

  /** What it lists are pages, which their frames keep, and VMAs, which their processes do. @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.iMmapRwsem);
    const folios = keepMap(this.#folios);
    const iMmap = keepArray(this.#iMmap);
    return () => {
      folios();
      iMmap();
    };
  }

  /** Pages in the cache. */
  get size(): number {
    return this.#folios.size;
  }

  /** The page at an index, if there is one: `find_get_page` without the reference. */
  find(index: number): Folio | undefined {
    watch?.touch(Touch.read, this, 0);
    const folio = this.#folios.get(index);
    /* What is no index is no key either: finding a page costs no check. */
    if (!folio) checkInteger('index', index, 0, Number.MAX_SAFE_INTEGER);
    return folio;
  }

  /** `hugetlb_add_to_page_cache`, of a page whose lock the caller holds: the cache has a reference of its own. @internal */
  add(folio: Folio, index: number): void {
    watch?.touch(Touch.write, this, 0);
    const before = this.#folios.size;
    this.#folios.set(index, folio);
    if (this.#folios.size === before) throw new InvariantError(`PageCache.add: index ${index} is taken`);
    folio.pageCache = this;
    folio.index = index;
    folio.restoreReserve = false;
    folio.dirty = true;
    folio.get();
  }

  /** `hugetlb_delete_from_page_cache`; the cache's reference is the caller's now. @internal */
  delete(folio: Folio): void {
    watch?.touch(Touch.write, this, 0);
    this.#folios.delete(folio.index);
    folio.pageCache = undefined;
    folio.dirty = false;
    folio.uptodate = false;
  }

  /** `migrate_huge_page_move_mapping`, of pages that are both locked: the cache's reference goes from one to the other. @internal */
  replace(old: Folio, fresh: Folio): void {
    watch?.touch(Touch.write, this, 0);
    fresh.pageCache = this;
    fresh.index = old.index;
    fresh.get();
    this.#folios.set(old.index, fresh);
    old.pageCache = undefined;
    old.refcount--;
  }

  /** The pages with an index from `from` up to, not including, `to`, in ascending order. @internal */
  range(from: number, to: number): Folio[] {
    watch?.touch(Touch.read, this, 0);
    const folios: Folio[] = [];
    if (to - from <= this.#folios.size) {
      for (let index = from; index < to; index++) {
        const folio = this.#folios.get(index);
        if (folio) folios.push(folio);
      }
      return folios;
    }
    for (const [index, folio] of this.#folios) if (index >= from && index < to) folios.push(folio);
    return folios.sort((a, b) => a.index - b.index);
  }

  /** All pages. */
  folios(): IterableIterator<Folio> {
    return this.#folios.values();
  }

  /**
   * `i_mmap`: the VMAs that show a part of the file, in the order of the kernel's interval tree: by the first page; of
   * those with the same, the one that came last is last, but a fork's copy follows its original.
   */
  get iMmap(): readonly ShownPart[] {
    return this.#iMmap;
  }

  /** `vma_interval_tree_insert`. @internal */
  link(vma: ShownPart): void {
    let at = this.#iMmap.length;
    while (at > 0 && this.#iMmap[at - 1]!.pgoff > vma.pgoff) at--;
    this.#iMmap.splice(at, 0, vma);
  }

  /** `vma_interval_tree_insert_after`: of a fork. @internal */
  linkAfter(vma: ShownPart, original: ShownPart): void {
    this.#iMmap.splice(this.#iMmap.indexOf(original) + 1, 0, vma);
  }

  /** `vma_interval_tree_remove`. @internal */
  unlink(vma: ShownPart): void {
    const at = this.#iMmap.indexOf(vma);
    if (at < 0) throw new InvariantError('PageCache.unlink: the VMA is not linked');
    this.#iMmap.splice(at, 1);
  }
}
