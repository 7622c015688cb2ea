/** Random numbers that a seed determines (Marsaglia's xorshift32): the same seed, the same run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e37_79b1) || 1;
    /* Seeds that are neighbours begin alike. */
    for (let i = 0; i < 8; i++) this.bits();
  }

  /** 32 random bits, never all zero. */
  bits(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  /** An integer from 0 to below - 1; below is at most 2^32. */
  below(below: number): number {
    return Math.floor((this.bits() / 2 ** 32) * below);
  }

  /** How long until something happens that happens at any time, once in `mean` on average. */
  until(mean: number): number {
    return -mean * Math.log(this.bits() / 2 ** 32);
  }
}
