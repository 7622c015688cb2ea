/**
 * Classes of locks, as lockdep has them: locks that are taken in one order with others, whatever they belong to. What a lock is called makes its class
 * (src/linux/base/lock.ts); page locks, which lockdep does not follow, are of three classes, since only those of a file's pages are waited for by faults:
 *
 *   page lock of a file's page        in a page cache: faults wait for it, with the fault mutex held
 *   page lock of a private page       mapped by processes alone: faults only try it, so that they may hold it while they copy
 *   (a new page's)                    nobody else knows the page: it is no class, as nobody ever waits for it
 */
import { type Lock, LockRank } from '../../linux/base/lock.ts';
import { unwatched } from '../../linux/base/watch.ts';
import type { Folio } from '../../linux/pool/folio.ts';

/** Finds a huge page by a frame of it: `Frames`. */
export interface FindsFolio {
  find(pfn: number): Folio | undefined;
}

/** The class of a page that is in no page cache and was never mapped. */
export const NO_CLASS = -1;

const FILE_PAGE = "page lock of a file's page";
const PRIVATE_PAGE = 'page lock of a private page';

/**
 * Which lock of a class is meant, once another lock is known: a page in a page cache has one file, and one mutex for its faults; a VMA lies in one process. So who
 * waits for such a lock, and who holds it, have the same one of these.
 */
const DETERMINES: Readonly<Record<string, readonly string[]>> = {
  [FILE_PAGE]: ['hugetlb_fault_mutex', 'i_rwsem', 'i_mmap_rwsem'],
  i_mmap_rwsem: ['i_rwsem'],
  i_rwsem: ['i_mmap_rwsem'],
  vma_lock: ['mmap_lock'],
  'private vma_lock': ['mmap_lock'],
};

/** Classes with one lock in the whole machine. */
const ONLY_ONE = ['hugetlb_lock', 'mf_mutex'];

/** Whether two tasks that meet at a lock of one class have the same lock of another. */
export function isTheSame(kind: string, at: string): boolean {
  return ONLY_ONE.includes(kind) || (DETERMINES[at]?.includes(kind) ?? false);
}

/** Numbers for classes, from 0. */
export class LockClasses {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** The lock that was asked for last, which is often asked for again: a table's, for each entry. */
  #last: Lock | undefined;
  #lastNumber = NO_CLASS;
  readonly #filePage: number;
  readonly #privatePage: number;

  constructor() {
    this.#filePage = this.#numbered(FILE_PAGE);
    this.#privatePage = this.#numbered(PRIVATE_PAGE);
  }

  /** The class of a lock at this moment; {@link NO_CLASS} of a page that nobody else knows. */
  of(lock: Lock, pages: FindsFolio): number {
    if (lock === this.#last) return this.#lastNumber;
    if (lock.rank === LockRank.page) return this.#ofPage(lock, pages);
    this.#last = lock;
    this.#lastNumber = this.#numbered(lock.kind);
    return this.#lastNumber;
  }

  name(number: number): string {
    return this.#names[number]!;
  }

  #ofPage(lock: Lock, pages: FindsFolio): number {
    return unwatched(() => {
      const folio = pages.find(lock.of ?? -1);
      if (folio?.pageCache) return this.#filePage;
      return folio?.anon ? this.#privatePage : NO_CLASS;
    });
  }

  #numbered(name: string): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#names.length;
      this.#names.push(name);
      this.#numbers.set(name, number);
    }
    return number;
  }
}
