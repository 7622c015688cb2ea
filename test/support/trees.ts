/**
 * Random trees of tables, as an operating system might build them and then somebody damaged them a little: leaves of all
 * sizes in all states, tables that several entries share, now and then one that contains itself. And addresses that stay
 * near each other, as programs' do. What batches are fast at, and what makes them stumble.
 */
import fc from 'fast-check';
import type { Registers } from '../../src/index.ts';
import type { Frames } from './implementations.ts';
import { Random, registerSets } from './random.ts';
import { A, D, G, P, PS, U, W, XD } from './tables.ts';

/** How to grow a tree. */
export interface TreeRecipe {
  readonly seed: number;
  /** Percent of the entries that were damaged: not present, a bit more, a wrong level, nothing but noise. */
  readonly damaged: number;
  /** Percent of the entries that take no right away. */
  readonly generous: number;
  /** Percent of the leaves that have A and D set. */
  readonly used: number;
  /** Percent of the leaves that are read-only, whatever else takes rights away: shadow-stack pages, if they are dirty. */
  readonly readOnly: number;
}

export const treeRecipes: fc.Arbitrary<TreeRecipe> = fc.record({
  seed: fc.integer({ min: 1, max: 0x7fff_ffff }),
  damaged: fc.constantFrom(0, 1, 10, 40),
  generous: fc.constantFrom(50, 90, 100),
  used: fc.constantFrom(0, 50, 100),
  readOnly: fc.constantFrom(0, 50),
});

/** Registers as `registerSets` has them, but mostly with few keys that deny something, so that some key passes. */
export const keyedRegisterSets: fc.Arbitrary<Registers> = fc
  .record({ registers: registerSets, deny: fc.constantFrom(0, 0b0110, 0xffff, 0xffff_ffff) })
  .map(({ registers, deny }) => ({
    ...registers,
    pkru: (registers.pkru & deny) >>> 0,
    pkrs: (registers.pkrs & deny) >>> 0,
  }));

/** Frames of each level, 1 to 5; 0 is the root, whatever the levels. */
const FRAMES: Record<number, readonly number[]> = { 5: [0], 4: [0, 1], 3: [2, 3], 2: [4, 5, 6], 1: [7, 8, 9] };
/** One frame more than there are tables: flat memory ends behind it. */
const FRAME_COUNT = 10;

/** Grows a tree; its root is frame 0. */
export function randomTree(recipe: TreeRecipe, { cr4, maxPhysicalAddress }: Registers): Map<bigint, BigUint64Array> {
  const random = new Random(recipe.seed);
  const image = new Map<bigint, BigUint64Array>();
  const rootLevel = cr4 & (1n << 12n) ? 5 : 4;
  for (let frame = 0; frame < FRAME_COUNT; frame++) {
    const ownLevel = Number(Object.entries(FRAMES).find(([, frames]) => frames.includes(frame))![0]);
    const level = frame === 0 ? rootLevel : ownLevel;
    const table = new BigUint64Array(512);
    for (let index = 0; index < 512; index++) table[index] = randomEntry(random, level, recipe, maxPhysicalAddress);
    image.set(BigInt(frame) << 12n, table);
  }
  return image;
}

function randomEntry(random: Random, level: number, recipe: TreeRecipe, width: number): bigint {
  const entry = soundEntry(random, level, recipe, width);
  if (!random.chance(recipe.damaged)) return entry;
  const kind = random.below(4);
  if (kind === 0) return entry & ~P;
  if (kind === 1) return entry | (1n << BigInt(random.below(64)));
  if (kind === 2) return (entry & ~(0xffn << 12n)) | (BigInt(random.below(FRAME_COUNT + 1)) << 12n);
  return random.bits();
}

function soundEntry(random: Random, level: number, { generous, used, readOnly }: TreeRecipe, width: number): bigint {
  const bits = random.bits();
  const rights = random.chance(generous) ? W | U : bits & (W | U | XD);
  const isLeaf = level === 1 || (level <= 3 && random.chance(level === 2 ? 50 : 30));
  if (!isLeaf) {
    const below = FRAMES[level - 1]!;
    const table = BigInt(below[random.below(below.length)]!);
    return P | rights | (bits & (A | D | (0x7ffn << 52n))) | (table << 12n);
  }
  const marks = random.chance(used) ? A | D : bits & (A | D);
  /* Few keys, so that whole neighbourhoods have the one that passes. */
  const key = random.chance(60) ? 0n : BigInt(random.below(16)) << 59n;
  const size = 1n << BigInt(12 + 9 * (level - 1));
  const address = bits & ((1n << BigInt(width)) - 1n) & ~(size - 1n);
  const types = bits & ((3n << 3n) | G | (level === 1 ? PS : 1n << 12n));
  const kept = random.chance(readOnly) ? rights & ~W : rights;
  return P | kept | marks | key | address | types | (level === 1 ? 0n : PS) | (bits & (7n << 9n));
}

/** Entries of a tree that could as well be something else: rights, presence, marks, sizes, addresses. */
export function editTree(image: Frames, seed: number, count: number, registers: Registers): [bigint, bigint][] {
  const random = new Random(seed);
  const other = randomTree({ seed: seed ^ 0x2545, damaged: 10, generous: 80, used: 50, readOnly: 10 }, registers);
  const frames = [...image.keys()].filter((at) => other.has(at));
  return Array.from({ length: count }, () => {
    const at = frames[random.below(frames.length)]!;
    const index = random.below(512);
    return [at + BigInt(index) * 8n, other.get(at)![index]!];
  });
}

/**
 * Addresses in stretches: one address over and over, its neighbours in one table, or some of many places at random; in
 * between, any address, canonical or not.
 *
 * @param homes addresses to stay near; those that arrive somewhere make the rest more interesting
 */
export function wandering(
  seed: number,
  count: number,
  homes: readonly bigint[],
  width: number,
): BigUint64Array<ArrayBuffer> {
  const random = new Random(seed);
  const home = () => homes[random.below(homes.length)]!;
  const near = (va: bigint, bits: number) => va ^ (random.bits() & ((1n << BigInt(bits)) - 1n));
  const anywhere = () => (random.chance(50) ? random.bits() : BigInt.asUintN(64, BigInt.asIntN(width, random.bits())));
  const addresses = new BigUint64Array(count);
  for (let at = 0; at < count; ) {
    const stretch = Math.min(count - at, 1 + random.below(random.chance(20) ? 1200 : 60));
    const one = home();
    const kind = random.below(4);
    const bits = [12, 15, 21, 30, 39][random.below(5)]!;
    for (let i = 0; i < stretch; i++) {
      const isStray = random.chance(2);
      addresses[at++] = isStray ? anywhere() : kind === 0 ? one : kind === 1 ? near(one, bits) : near(home(), 12);
    }
  }
  return addresses;
}
