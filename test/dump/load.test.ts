/**
 * Which tables a load brings: those that a search by hand finds in reach of the range, in random images that are knotted
 * and full of holes.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ImageRecipe, imageRecipes, Random, randomImage } from '../support/random.ts';
import { buildCore, LONG_MODE } from './elf-builder.ts';
import { openSpace } from './support.ts';

type Image = ReadonlyMap<bigint, BigUint64Array>;
const TOP = 2n ** 64n - 1n;

/** Tables in reach, by physical address: in the image or not. */
function reachable(image: Image, levels: number, from: bigint, to: bigint): Set<bigint> {
  const found = new Set<bigint>();
  const wholly = new Set<string>();
  const width = BigInt(12 + 9 * levels);
  const visit = (table: bigint, level: number, start: bigint): void => {
    const shift = BigInt(12 + 9 * (level - 1));
    const last = start + (1n << (shift + 9n)) - 1n;
    const whole = from <= start && last <= to;
    const key = `${table} ${level}`;
    if (whole && wholly.has(key)) return;
    if (whole) wholly.add(key);
    found.add(table);
    if (level === 1) return;
    for (const [index, entry] of (image.get(table) ?? []).entries()) {
      const va = BigInt.asUintN(64, BigInt.asIntN(Number(width), start + (BigInt(index) << shift)));
      if (va > to || va + (1n << shift) - 1n < from) continue;
      if (entry & 1n && !(entry & 0x80n)) visit(entry & 0xf_ffff_ffff_f000n, level - 1, va);
    }
  };
  visit(0n, levels, 0n);
  return found;
}

/** Some frames of an image, frame 0 among them. */
function thinned(recipe: ImageRecipe, percent: number): Image {
  const random = new Random(recipe.seed ^ 0x5a5a);
  return new Map([...randomImage(recipe)].filter(([at]) => at === 0n || random.chance(percent)));
}

const halves = fc.tuple(fc.boolean(), fc.bigInt(0n, 2n ** 47n - 1n), fc.constantFrom(12n, 21n, 30n, 39n, 47n));
const address = halves.map(([upper, low, aligned]) => {
  const va = (low >> aligned) << aligned;
  return upper ? va | ((TOP << 47n) & TOP) : va;
});
const ranges = fc.oneof(
  fc.constant([0n, TOP] as const),
  fc.tuple(address, address).map(([a, b]) => (a < b ? ([a, b] as const) : ([b, a] as const))),
);

test('a load brings the tables in reach of the range and no other, and counts those that the dump lacks', async () => {
  await fc.assert(
    fc.asyncProperty(
      imageRecipes,
      fc.constantFrom(40, 80, 100),
      fc.constantFrom(4, 5),
      fc.array(ranges, { minLength: 1, maxLength: 3 }),
      async (recipe, percent, levels, parts) => {
        const image = thinned(recipe, percent);
        const segments = [...image].map(([physical, words]) => ({ physical, content: new Uint8Array(words.buffer) }));
        const cr4 = LONG_MODE.cr4 | (levels === 5 ? 0x1000n : 0n);
        const space = await openSpace(buildCore({ cpus: [{ ...LONG_MODE, cr4 }], segments }));
        const expected = new Set([0n]);
        for (const [from, to] of parts) {
          const inReach = reachable(image, levels, from, to);
          const here = [...inReach].filter((table) => image.has(table));
          for (const table of here) expected.add(table);
          const missing = inReach.size - here.length;
          expect(await space.load({ from, to })).toEqual({ tables: expected.size, missing });
        }
        for (const table of image.keys()) expect(space.memory.has(table)).toBe(expected.has(table));
      },
    ),
    { numRuns: 150 },
  );
});
