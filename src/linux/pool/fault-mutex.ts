/**
 * The mutexes of faults. mm/hugetlb.c of Linux 6.1: hugetlb_fault_mutex_table, hugetlb_fault_mutex_hash.
 *
 *   (file, index of the huge page) ──> one of so many mutexes; pages that fall to the same one wait for each other
 */
import { Lock, LockRank } from '../base/lock.ts';

/** `hugetlb_fault_mutex_table`. */
export class FaultMutexes {
  readonly #mutexes: readonly Lock[];

  /** @param count how many there are */
  constructor(count: number) {
    this.#mutexes = Array.from(
      { length: count },
      (_, index) => new Lock('hugetlb_fault_mutex', LockRank.faultMutex, index),
    );
  }

  /** All of them. */
  get all(): readonly Lock[] {
    return this.#mutexes;
  }

  /** `hugetlb_fault_mutex_hash`: the mutex of a page of a file. @param index of the page, in huge pages */
  of(file: number, index: number): Lock {
    return this.#mutexes[(file * 31 + index) % this.#mutexes.length]!;
  }
}
