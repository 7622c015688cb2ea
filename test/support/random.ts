/**
 * Random page-table images from a seed, friendly and hostile. A seed makes a failure repeatable; the images are too
 * large to be drawn entry by entry.
 */
import fc from 'fast-check';
import type { Registers } from '../../src/index.ts';
import { DEFAULT_REGISTERS } from '../../src/mmu/registers.ts';

/** Random numbers that a seed determines (xorshift32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** An integer from 0 to below - 1; below is at most 2^32. */
  below(below: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % below;
  }

  /** 64 random bits. */
  bits(): bigint {
    return (BigInt(this.below(2 ** 32)) << 32n) | BigInt(this.below(2 ** 32));
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

/** How to make an image. */
export interface ImageRecipe {
  readonly seed: number;
  /** Frames of memory, from physical address 0 on; the root is one of them. */
  readonly frames: number;
  /** Percent of entries that point into the frames and are well-formed; the others have random bits, all of them. */
  readonly sane: number;
  /** Percent of the entries that are present, of those that are well-formed. */
  readonly present: number;
}

/** Recipes, from orderly trees with loops in them to pure noise. */
export const imageRecipes: fc.Arbitrary<ImageRecipe> = fc.record({
  seed: fc.integer({ min: 1, max: 0x7fff_ffff }),
  frames: fc.integer({ min: 1, max: 12 }),
  sane: fc.constantFrom(0, 50, 90, 99, 100),
  present: fc.constantFrom(2, 50, 95, 100),
});

/** Registers that paging reacts to, all of them. */
export const registerSets: fc.Arbitrary<Registers> = fc
  .record({
    wp: fc.boolean(),
    smep: fc.boolean(),
    smap: fc.boolean(),
    ac: fc.boolean(),
    nxe: fc.boolean(),
    la57: fc.boolean(),
    page1G: fc.boolean(),
    pke: fc.boolean(),
    pks: fc.boolean(),
    cet: fc.boolean(),
    lass: fc.boolean(),
    pkru: fc.integer({ min: 0, max: 0xffff_ffff }),
    pkrs: fc.integer({ min: 0, max: 0xffff_ffff }),
    vendor: fc.constantFrom('intel' as const, 'amd' as const),
    maxPhysicalAddress: fc.constantFrom(36, 40, 46, 51, 52),
  })
  .map(({ wp, smep, smap, ac, nxe, la57, pke, pks, cet, lass, ...others }) => ({
    ...DEFAULT_REGISTERS,
    ...others,
    cr0: (1n << 31n) | 1n | (wp || cet ? 1n << 16n : 0n),
    cr4: [
      [5n, true],
      [12n, la57],
      [20n, smep],
      [21n, smap],
      [22n, pke],
      [23n, cet],
      [24n, pks],
      [27n, lass],
    ]
      .map(([bit, on]) => (on ? 1n << (bit as bigint) : 0n))
      .reduce((sum, bit) => sum | bit),
    efer: (1n << 8n) | (1n << 10n) | (nxe ? 1n << 11n : 0n),
    rflags: ac ? 1n << 18n : 0n,
  }));

/** Makes the image; frame 0 is the root. */
export function randomImage({ seed, frames, sane, present }: ImageRecipe): Map<bigint, BigUint64Array> {
  const random = new Random(seed);
  const image = new Map<bigint, BigUint64Array>();
  for (let frame = 0; frame < frames; frame++) {
    const table = new BigUint64Array(512);
    for (let index = 0; index < 512; index++) table[index] = randomEntry(random, frames, sane, present);
    image.set(BigInt(frame) << 12n, table);
  }
  return image;
}

function randomEntry(random: Random, frames: number, sane: number, present: number): bigint {
  if (!random.chance(sane)) return random.bits();
  if (!random.chance(present)) return random.bits() & ~1n;
  const flags = random.bits() & ((1n << 63n) | (15n << 59n) | 0x6an);
  const rights = random.chance(80) ? 6n : 0n;
  const leaf = random.chance(20) ? 1n << 7n : 0n;
  return 1n | flags | rights | leaf | (BigInt(random.below(frames)) << 12n);
}

/** Linear addresses: most canonical, some not, some at the borders. */
export function randomAddresses(seed: number, count: number, width: number): BigUint64Array<ArrayBuffer> {
  const random = new Random(seed);
  return BigUint64Array.from({ length: count }, () => {
    const va = random.bits();
    const kind = random.below(10);
    if (kind === 0) return va;
    if (kind === 1)
      return BigInt.asUintN(64, BigInt.asIntN(width, va)) ^ (1n << BigInt(width - 1 + random.below(64 - width)));
    if (kind === 2)
      return BigInt.asUintN(64, BigInt.asIntN(width, (va & 1n ? -1n : 0n) << BigInt(12 + random.below(40))));
    return BigInt.asUintN(64, BigInt.asIntN(width, va));
  });
}
