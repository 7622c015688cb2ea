/**
 * A set of pairs of numbers, for what is asked at every access: a hash table with open addressing, without an object for a pair.
 */

/** Slots at first: a power of two. */
const SLOTS = 1024;
/** Knuth's multiplier, 2^32 over the golden ratio: neighbours come far apart. */
const GOLDEN = 0x9e3779b1 | 0;
const NONE = -1;

/** Pairs of integers from 0 to 2^31 - 1. */
export class PairSet {
  #ones: Int32Array = new Int32Array(SLOTS).fill(NONE);
  #others: Int32Array = new Int32Array(SLOTS);
  #size = 0;

  /** Adds a pair. Returns whether it was not there. */
  add(one: number, other: number): boolean {
    const slot = this.#slotOf(one, other);
    if (this.#ones[slot] !== NONE) return false;
    this.#ones[slot] = one;
    this.#others[slot] = other;
    if (++this.#size > this.#ones.length / 2) this.#grow();
    return true;
  }

  clear(): void {
    this.#ones.fill(NONE);
    this.#size = 0;
  }

  /** Where a pair is, or would be. */
  #slotOf(one: number, other: number): number {
    const ones = this.#ones;
    const others = this.#others;
    const mask = ones.length - 1;
    const hash = Math.imul(Math.imul(one, GOLDEN) + other, GOLDEN);
    let slot = (hash ^ (hash >>> 15)) & mask;
    while (ones[slot] !== NONE && !(ones[slot] === one && others[slot] === other)) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const ones = this.#ones;
    const others = this.#others;
    this.#ones = new Int32Array(ones.length * 2).fill(NONE);
    this.#others = new Int32Array(ones.length * 2);
    for (const [at, one] of ones.entries()) {
      if (one === NONE) continue;
      const slot = this.#slotOf(one, others[at]!);
      this.#ones[slot] = one;
      this.#others[slot] = others[at]!;
    }
  }
}
