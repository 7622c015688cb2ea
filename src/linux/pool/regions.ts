/**
 * A set of huge-page indexes as a sorted list of regions. mm/hugetlb.c of Linux 6.1: struct file_region, region_add,
 * region_del, region_count; the kernel's list is linear, this one is searched by halves.
 */
import { type Kept, keepArray, type PutBack } from '../base/checkpoint.ts';

/** From `from` up to, not including, `to`. */
export interface Region {
  readonly from: number;
  readonly to: number;
}

/** Regions that neither overlap nor touch, in ascending order. */
export class Regions implements Kept {
  readonly #regions: Region[] = [];

  /** @internal */
  keep(): PutBack {
    return keepArray(this.#regions);
  }

  /** How many indexes of [from, to) are in the set. */
  count(from: number, to: number): number {
    let count = 0;
    for (let at = this.#firstEndingAfter(from); at < this.#regions.length; at++) {
      const region = this.#regions[at]!;
      if (region.from >= to) break;
      count += Math.min(region.to, to) - Math.max(region.from, from);
    }
    return count;
  }

  /** Puts [from, to) into the set; returns how many indexes are new. */
  add(from: number, to: number): number {
    /* Those that touch join, too. */
    const first = this.#firstEndingAfter(from - 1);
    let end = first;
    let covered = 0;
    let low = from;
    let high = to;
    for (; end < this.#regions.length; end++) {
      const region = this.#regions[end]!;
      if (region.from > to) break;
      covered += Math.max(Math.min(region.to, to) - Math.max(region.from, from), 0);
      low = Math.min(low, region.from);
      high = Math.max(high, region.to);
    }
    this.#regions.splice(first, end - first, { from: low, to: high });
    return to - from - covered;
  }

  /** Takes [from, to) out of the set; returns how many indexes were in it. `to` may be Infinity. */
  delete(from: number, to: number): number {
    const first = this.#firstEndingAfter(from);
    const rest: Region[] = [];
    let end = first;
    let deleted = 0;
    for (; end < this.#regions.length; end++) {
      const region = this.#regions[end]!;
      if (region.from >= to) break;
      deleted += Math.min(region.to, to) - Math.max(region.from, from);
      if (region.from < from) rest.push({ from: region.from, to: from });
      if (region.to > to) rest.push({ from: to, to: region.to });
    }
    if (end > first) this.#regions.splice(first, end - first, ...rest);
    return deleted;
  }

  /** The regions, in ascending order. */
  [Symbol.iterator](): IterableIterator<Region> {
    return this.#regions.values();
  }

  /** Indexes in the set. */
  get size(): number {
    return this.#regions.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  #firstEndingAfter(index: number): number {
    let low = 0;
    let high = this.#regions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#regions[middle]!.to > index) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
