/**
 * The rejected designs answer what the library answers, word for word, whatever they are asked: a design that is fast
 * because it is wrong would prove nothing.
 */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { DESIGNS, Design, type DesignName, difference, SharedArrays } from '../../bench/designs/designs.ts';
import { buildImage, flatMemoryOf } from '../../bench/images.ts';
import { projectRoot } from '../../bench/native.ts';
import { addressesOf } from '../../bench/patterns.ts';
import { ACCESS_MARK, CR4_LA57 } from '../../src/core/generated/layout.ts';
import { Access, FlatMemory, isTranslated, Mmu, type Registers } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { imageRecipes, randomAddresses, randomImage, registerSets } from '../support/random.ts';
import { THOROUGH } from '../support/thorough.ts';

type SomeRegisters = Partial<Registers> & Pick<Registers, 'cr3'>;

beforeAll(() => {
  const { status, stderr } = spawnSync(process.execPath, ['bench/designs/build.mjs'], { cwd: projectRoot() });
  if (status !== 0) throw new Error(`bench/designs/build.mjs: ${stderr}`);
});

/** Memory with the same content. */
function copyOf(bytes: Uint8Array): FlatMemory {
  const memory = new FlatMemory({ bytes: bytes.length });
  memory.view().set(bytes);
  return memory;
}

/** What is different, in words: outcomes of a design and of the library, and the memory after them. */
function wrongIn(
  name: DesignName,
  bytes: Uint8Array,
  registers: SomeRegisters,
  addresses: BigUint64Array,
  access: number,
): string | undefined {
  const memory = copyOf(bytes);
  const arrays = new SharedArrays(memory, addresses);
  const design = new Design(name, memory, registers, addresses.length);
  const mmu = new Mmu(copyOf(bytes), registers);
  for (const what of [access, access | ACCESS_MARK]) {
    const expected = what === access ? mmu.translateMany(addresses, access) : mmu.accessMany(addresses, access);
    design.translate(arrays.from, addresses.length, what, arrays.to);
    const wrong = difference(arrays.outcomes, expected);
    if (wrong) return wrong;
  }
  const mine = Buffer.from(memory.view());
  return mine.equals((mmu.memory as FlatMemory).view()) ? undefined : 'expected the same A and D';
}

describe.each(DESIGNS)('%s', THOROUGH, (name) => {
  test.each(['4k', '2m', '1g', 'mixed'] as const)('%s images, a fault here and there', (shape) => {
    const image = buildImage({ shape, tableBytes: 2 ** 17 });
    const addresses = addressesOf(image, 'random', 4099);
    for (let i = 0; i < addresses.length; i += 97) addresses[i] = (addresses[i]! ^ (1n << BigInt(i % 64))) & -1n;
    const bytes = flatMemoryOf(image).view();
    for (let at = 40; at < bytes.length; at += 8 * 211) bytes[at]! ^= 1 << (at % 7);
    const outcomes = new Mmu(copyOf(bytes), image.registers).translateMany(addresses, Access.user);
    const arrived = outcomes.filter(isTranslated).length;
    expect(arrived).toBeGreaterThan(addresses.length / 2);
    expect(arrived).toBeLessThan(addresses.length);
    for (const access of ACCESSES) expect(wrongIn(name, bytes, image.registers, addresses, access)).toBe(undefined);
  });

  test('any image, any registers, any access', () => {
    const any = fc.record({ recipe: imageRecipes, registers: registerSets, access: fc.constantFrom(...ACCESSES) });
    fc.assert(
      fc.property(any, ({ recipe, registers, access }) => {
        const bytes = new Uint8Array(recipe.frames * 4096);
        for (const [at, table] of randomImage(recipe)) bytes.set(new Uint8Array(table.buffer), Number(at));
        const addresses = randomAddresses(recipe.seed, 301, registers.cr4 & CR4_LA57 ? 57 : 48);
        /* Every address is asked for again: what was cached by then is used. */
        const twice = BigUint64Array.of(...addresses, ...addresses);
        expect(wrongIn(name, bytes, registers, twice, access)).toBe(undefined);
      }),
      { numRuns: 60 },
    );
  });

  test('no address, one, a few; outcomes take the place of the addresses', () => {
    const image = buildImage({ shape: 'mixed', tableBytes: 2 ** 16 });
    const all = addressesOf(image, 'random', 9);
    for (let count = 0; count <= all.length; count++) {
      const addresses = all.subarray(0, count);
      const memory = flatMemoryOf(image);
      const arrays = new SharedArrays(memory, all);
      new Design(name, memory, image.registers, all.length).translate(arrays.from, count, 0, arrays.from);
      const found = new BigUint64Array(memory.wasm.buffer, arrays.from, all.length);
      expect(found.slice(count)).toEqual(all.slice(count));
      const expected = new Mmu(flatMemoryOf(image), image.registers).translateMany(addresses);
      expect(difference(found, expected)).toBe(undefined);
    }
  });
});
