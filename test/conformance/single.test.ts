/**
 * The physical address alone, for an address in two numbers.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Access, Mmu } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { memoryWith } from '../support/implementations.ts';
import { randomAddresses } from '../support/random.ts';
import { A, Tables } from '../support/tables.ts';
import { keyedRegisterSets, randomTree, treeRecipes } from '../support/trees.ts';

describe.each(['flat', 'sparse', 'threads'] as const)('physicalAddress over %s memory', (kind) => {
  test('is that of translate, or -1 where the access does not reach a page', () => {
    const seen = { pages: 0, failed: 0 };
    fc.assert(
      fc.property(treeRecipes, keyedRegisterSets, (recipe, registers) => {
        const mmu = new Mmu(memoryWith(randomTree(recipe, registers), kind), registers);
        for (const [i, va] of randomAddresses(recipe.seed, 200, mmu.levels === 5 ? 57 : 48).entries()) {
          const access = ACCESSES[i % ACCESSES.length]!;
          const outcome = mmu.translate(va, access);
          const wanted = outcome.kind === 'page' ? Number(outcome.physicalAddress) : -1;
          const [high, low] = [Number(va >> 32n), Number(va & 0xffff_ffffn)];
          const found = mmu.physicalAddress(high, low, access);
          if (found !== wanted) expect(found).toBe(wanted);
          expect(mmu.physicalAddress(high | 0, low | 0, access)).toBe(wanted);
          if (outcome.kind === 'page') seen.pages++;
          else seen.failed++;
        }
      }),
      { numRuns: 150 },
    );
    expect(Math.min(seen.pages, seen.failed)).toBeGreaterThan(2000);
  });

  test('changes nothing', () => {
    const tables = new Tables().map(0x1000n, 0x5000n);
    const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root });
    expect(mmu.physicalAddress(0, 0x1234, Access.write)).toBe(0x5234);
    expect(mmu.memory.readEntry(tables.entry(1, 0x1000n))! & A).toBe(0n);
  });

  test('follows the registers', () => {
    const tables = new Tables().map(0x1000n, 0x5000n, { bits: 4n });
    const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root, cr0: (1n << 31n) | 1n });
    expect(mmu.physicalAddress(0, 0x1000, Access.write)).toBe(0x5000);
    mmu.setRegisters({ cr0: (1n << 31n) | (1n << 16n) | 1n });
    expect(mmu.physicalAddress(0, 0x1000, Access.write)).toBe(-1);
    expect(mmu.physicalAddress(0, 0x1000)).toBe(0x5000);
  });

  test('refuses halves that are none', () => {
    const tables = new Tables();
    const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root });
    const integer = 'expected an integer from -0x80000000 to 0xffffffff';
    expect(() => mmu.physicalAddress(2 ** 32, 0)).toThrow(new RangeError(`high: ${integer}, got 0x100000000`));
    expect(() => mmu.physicalAddress(0, 0.5)).toThrow(new RangeError(`low: ${integer}, got 0.5`));
    expect(() => mmu.physicalAddress(0, 5n as unknown as number)).toThrow(TypeError);
    expect(() => mmu.physicalAddress(0, 0, 1)).toThrow(/^access: expected read/);
  });
});
