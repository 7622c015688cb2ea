/**
 * The table cache of the core, as an embedder hands it over who keeps addresses and outcomes in linear memory: of any
 * size, in any epoch.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTranslated, Mmu, type PhysicalMemory } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { randomAddresses } from '../support/random.ts';
import { Tables } from '../support/tables.ts';
import { editTree, keyedRegisterSets, randomTree, treeRecipes, wandering } from '../support/trees.ts';

const KINDS = ['flat', 'sparse', 'threads'] as const;
const LAST_EPOCH = 2 ** 21 - 1;

/** A cache of 2^log2Slots slots a level, and a list of addresses, in the linear memory of an MMU. */
function withCache(mmu: Mmu, log2Slots: number, addresses: readonly bigint[]) {
  const { arena, wasm } = mmu.memory;
  const cache = arena.allocate(48 << log2Slots);
  const from = arena.allocate(addresses.length * 8);
  const to = arena.allocate(addresses.length * 8);
  const clear = () => new Uint8Array(wasm.buffer, cache, 48 << log2Slots).fill(0);
  clear();
  return {
    clear,
    /** Translates all of them, or those from `first` to before `last`, in an epoch. */
    run(epoch: number, first = 0, last = addresses.length): BigUint64Array {
      new BigUint64Array(wasm.buffer, from, addresses.length).set(addresses);
      mmu.core.translateMany(from + first * 8, last - first, 0, to + first * 8, cache, log2Slots, epoch);
      return new BigUint64Array(wasm.buffer, to, addresses.length).slice();
    },
  };
}

describe.each(KINDS)('a table cache over %s memory', (kind) => {
  test('of any size, also of one slot for which all tables fight, changes no answer', () => {
    fc.assert(
      fc.property(treeRecipes, keyedRegisterSets, fc.integer({ min: 0, max: 6 }), (recipe, registers, log2Slots) => {
        const mmu = new Mmu(memoryWith(randomTree(recipe, registers), kind), registers);
        const width = mmu.levels === 5 ? 57 : 48;
        const any = [...randomAddresses(recipe.seed, 300, width)];
        const reached = any.filter((va) => isTranslated(mmu.translateWord(va)));
        const homes = [...reached.slice(0, 6), ...any.slice(0, 2)];
        const addresses = wandering(recipe.seed, 1500, homes, width);
        const { run } = withCache(mmu, log2Slots, [...addresses]);
        const wanted = addresses.map((va) => mmu.translateWord(va));
        expect(run(1).findIndex((word, i) => word !== wanted[i])).toBe(-1);
        for (const [at, entry] of editTree(randomTree(recipe, registers), recipe.seed, 400, registers)) {
          mmu.memory.writeEntry(at, entry);
        }
        const now = addresses.map((va) => mmu.translateWord(va));
        expect(run(2).findIndex((word, i) => word !== now[i])).toBe(-1);
      }),
      { numRuns: 60 },
    );
  });

  describe('over 64 pages of 4 KiB, then one of 2 MiB in their place', () => {
    const tables = new Tables();
    for (let i = 0n; i < 64n; i++) tables.map(i << 12n, 0x10_0000n + (i << 12n));
    tables.map(0x4060_0000n, 0x7000n);
    const setUp = () => {
      const memory: PhysicalMemory = memoryWith(tables.frames, kind);
      const mmu = new Mmu(memory, { cr3: tables.root });
      const addresses = Array.from({ length: 64 }, (_, i) => BigInt(i) << 12n);
      const wanted = () => BigUint64Array.from(addresses, (va) => mmu.translateWord(va));
      const pointer = memory.readEntry(tables.entry(2, 0n))!;
      const make = { small: pointer, large: 0x4000_0087n };
      const change = (to: keyof typeof make) => memory.writeEntry(tables.entry(2, 0n), make[to]);
      return { mmu, addresses, wanted, change, ...withCache(mmu, 4, addresses) };
    };

    test('tells each epoch from every other that differs in one bit', () => {
      const { run, wanted, change } = setUp();
      for (let bit = 1; bit <= LAST_EPOCH; bit *= 2) {
        for (const base of [bit === 1 ? 2 : 1, LAST_EPOCH]) {
          for (const [size, epoch] of [
            ['small', base],
            ['large', base ^ bit],
          ] as const) {
            if (epoch === 0) continue;
            change(size);
            expect(run(epoch)).toEqual(wanted());
          }
        }
      }
    });

    test('that was cleared starts over with epoch 1', () => {
      const { run, wanted, change, clear } = setUp();
      for (const size of ['small', 'large', 'small'] as const) {
        change(size);
        clear();
        expect(run(1)).toEqual(wanted());
      }
    });

    test('serves the pieces of one list', () => {
      const { run, wanted } = setUp();
      run(5, 0, 40);
      run(5, 40, 43);
      expect(run(5, 43, 64)).toEqual(wanted());
    });

    test('is used: what it holds stays good within an epoch, as in hardware, until the next one', () => {
      const { run, wanted, change } = setUp();
      const before = wanted();
      expect(run(7)).toEqual(before);
      change('large');
      /* As few as a case of the permission matrix has, which would otherwise not reach what it is meant for. */
      expect(run(7, 0, 16)[15]).toBe(before[15]);
      expect(run(8)).toEqual(wanted());
    });

    test('is used for leaves of mixed sizes, too', () => {
      const { mmu } = setUp();
      const { memory } = mmu;
      for (const va of [0x20_0000n, 0x4020_0000n]) memory.writeEntry(tables.entry(2, va), (va << 8n) | 0x87n);
      const addresses = Array.from({ length: 56 }, (_, i) => {
        if (i < 40) return i % 2 ? 0x4020_0000n : 0x4060_0000n;
        return i % 2 ? 0x20_0000n : BigInt(i) << 12n;
      });
      const { run } = withCache(mmu, 4, addresses);
      const now = () => BigUint64Array.from(addresses, (va) => mmu.translateWord(va));
      const before = now();
      expect(run(7)).toEqual(before);
      /* A page of 1 GiB in place of the directory that the last sixteen have in common. */
      memory.writeEntry(tables.entry(3, 0n), 0x40_0000_0087n);
      expect(run(7).subarray(42)).toEqual(before.subarray(42));
      expect(run(8)).toEqual(now());
    });

    test('is not kept for the next list, as often as a Walker begins one', { timeout: 120_000 }, () => {
      const { mmu, change } = setUp();
      const batch = mmu.batch(8);
      const at = (word: bigint) => mmu.translateWord(0x1000n) === word;
      change('small');
      batch.addresses.fill(0x1000n);
      batch.run();
      const first = batch.outcomes.slice();
      expect(first.every(at)).toBe(true);
      change('large');
      /* As many lists as there are epochs: the one after them has the same again as the first had, but for clearing. */
      for (let i = 1; i < LAST_EPOCH; i++) batch.run(0);
      batch.run();
      expect(batch.outcomes.every(at)).toBe(true);
      expect(batch.outcomes).not.toEqual(first);
    });
  });
});
