/**
 * How many pages a pool has, and of which kind. include/linux/hugetlb.h of Linux 6.1: struct hstate. A trace has every change.
 */

import { sizeName } from '../../reference/words.ts';
import type { Checkpoint, Kept, PutBack } from '../base/checkpoint.ts';
import { recordCount } from '../base/trace.ts';
import type { PoolMachine } from './pool-machine.ts';

/** The counts of a pool, in huge pages. All are under hugetlb_lock. */
export class PoolCounts implements Kept {
  /** Page size in bytes. */
  readonly size: number;
  readonly machine: PoolMachine;
  #nrHugePages = 0;
  #freeHugePages = 0;
  #resvHugePages = 0;
  #surplusHugePages = 0;

  constructor(machine: PoolMachine, size: number) {
    this.machine = machine;
    this.size = size;
  }

  /** @internal */
  keep(_checkpoint: Checkpoint): PutBack {
    const nrHugePages = this.#nrHugePages;
    const freeHugePages = this.#freeHugePages;
    const resvHugePages = this.#resvHugePages;
    const surplusHugePages = this.#surplusHugePages;
    return () => {
      this.#nrHugePages = nrHugePages;
      this.#freeHugePages = freeHugePages;
      this.#resvHugePages = resvHugePages;
      this.#surplusHugePages = surplusHugePages;
    };
  }

  /** All pages of the pool: persistent and surplus, free and in use. */
  get nrHugePages(): number {
    return this.#nrHugePages;
  }

  /** @internal */
  set nrHugePages(pages: number) {
    if (this.machine.trace) this.#record('nr_huge_pages', this.#nrHugePages, pages);
    this.#nrHugePages = pages;
  }

  get freeHugePages(): number {
    return this.#freeHugePages;
  }

  /** @internal */
  set freeHugePages(pages: number) {
    if (this.machine.trace) this.#record('free_huge_pages', this.#freeHugePages, pages);
    this.#freeHugePages = pages;
  }

  /** Free pages that are promised. */
  get resvHugePages(): number {
    return this.#resvHugePages;
  }

  /** @internal */
  set resvHugePages(pages: number) {
    if (this.machine.trace) this.#record('resv_huge_pages', this.#resvHugePages, pages);
    this.#resvHugePages = pages;
  }

  get surplusHugePages(): number {
    return this.#surplusHugePages;
  }

  /** @internal */
  set surplusHugePages(pages: number) {
    if (this.machine.trace) this.#record('surplus_huge_pages', this.#surplusHugePages, pages);
    this.#surplusHugePages = pages;
  }

  #record(count: string, before: number, after: number): void {
    recordCount(this.machine, count, `the ${sizeName(this.size)} pool`, before, after);
  }
}
