/**
 * Every core agrees with the reference walk on any image, also a hostile one: tables outside memory, tables that contain
 * each other, random bits.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Mmu, type Outcome } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { decodeOutcome } from '../../src/mmu/outcome.ts';
import type { ReferenceLeaf } from '../../src/reference/index.ts';
import { ACCESSORS, IMPLEMENTATIONS, memoryWith } from '../support/implementations.ts';
import { imageRecipes, randomAddresses, randomImage, registerSets } from '../support/random.ts';
import { AGAIN_IN_BROWSER, longSuites } from '../support/thorough.ts';

const [reference, ...cores] = IMPLEMENTATIONS;

/** Every way a walk can end, counted, to show that the images reach all of them. */
const seen = new Map<string, number>();
const note = (outcome: Outcome): void => {
  const key = outcome.kind === 'page-fault' ? `fault ${outcome.errorCode & 0x29}` : outcome.kind;
  seen.set(key, (seen.get(key) ?? 0) + 1);
};

/** Whether two leaves are the same: much faster than `toEqual`, which is left to say what is not. */
function equal(one: ReferenceLeaf, other: ReferenceLeaf): boolean {
  const [rights, others] = [one.rights, other.rights];
  return (
    one.va === other.va &&
    one.level === other.level &&
    one.entry === other.entry &&
    rights.writable === others.writable &&
    rights.user === others.user &&
    rights.executable === others.executable &&
    rights.shadowStack === others.shadowStack
  );
}

longSuites(ACCESSORS.slice(1), (core) => {
  test('makes every access as the reference does, A and D bits included, on any image', () => {
    fc.assert(
      fc.property(imageRecipes, registerSets, (recipe, registers) => {
        const image = randomImage(recipe);
        const expected = reference!.make(image, registers);
        const actual = core.make(image, registers);
        const width = registers.cr4 & (1n << 12n) ? 57 : 48;
        const addresses = randomAddresses(recipe.seed ^ 0xaaaa, 60, width);
        for (const [i, va] of addresses.entries()) {
          const access = ACCESSES[(i + recipe.seed) % ACCESSES.length]!;
          expect(actual.access(va, access)).toEqual(expected.access(va, access));
        }
        for (const at of image.keys()) {
          for (let i = 0n; i < 512n; i++) {
            const [after, wanted] = [actual.entry(at + i * 8n), expected.entry(at + i * 8n)];
            if (after !== wanted) expect([at, i, after]).toEqual([at, i, wanted]);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

longSuites(cores, (core) => {
  test('equals the reference for every address and access, on any image', () => {
    fc.assert(
      fc.property(imageRecipes, registerSets, (recipe, registers) => {
        const image = randomImage(recipe);
        const expected = reference!.make(image, registers);
        const actual = core.make(image, registers);
        const width = registers.cr4 & (1n << 12n) ? 57 : 48;
        for (const va of randomAddresses(recipe.seed ^ 0x5555, 40, width)) {
          for (const access of ACCESSES) {
            const outcome = expected.translate(va, access);
            note(outcome);
            expect(actual.translate(va, access)).toEqual(outcome);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test('lists the same leaves as the reference, as far as anyone can list them', () => {
    fc.assert(
      fc.property(imageRecipes, registerSets, (recipe, registers) => {
        const image = randomImage({ ...recipe, present: Math.min(recipe.present, 50) });
        const expected = reference!.make(image, registers).leaves()[Symbol.iterator]();
        const actual = core.make(image, registers).leaves()[Symbol.iterator]();
        for (let i = 0; i < 3000; i++) {
          const [leaf, found] = [expected.next(), actual.next()];
          if (leaf.done || found.done || !equal(found.value, leaf.value)) expect(found).toEqual(leaf);
          if (leaf.done) break;
        }
      }),
      { numRuns: 60 },
    );
  });
});

test('the images reach every kind of outcome', AGAIN_IN_BROWSER, () => {
  expect([...seen.keys()].sort()).toEqual([
    'fault 0',
    'fault 1',
    'fault 33',
    'fault 9',
    'lass',
    'missing-table',
    'non-canonical',
    'page',
  ]);
  for (const count of seen.values()) expect(count).toBeGreaterThan(500);
});

test.each(['flat', 'sparse'] as const)('a batch answers what single calls answer (%s)', (kind) => {
  fc.assert(
    fc.property(imageRecipes, registerSets, fc.integer({ min: 0, max: 9000 }), (recipe, registers, count) => {
      const mmu = new Mmu(memoryWith(randomImage(recipe), kind), registers);
      const addresses = randomAddresses(recipe.seed, count, mmu.levels === 5 ? 57 : 48);
      const access = ACCESSES[count % ACCESSES.length]!;
      const single = addresses.map((va) => mmu.translateWord(va, access));
      expect(mmu.translateMany(addresses, access)).toEqual(single);
      const batch = mmu.batch(count + 1);
      batch.addresses.set(addresses);
      batch.run(count, access);
      expect(batch.outcomes.subarray(0, count)).toEqual(single);
    }),
    { numRuns: 25 },
  );
});

test('a batch of accesses sets what single accesses set', () => {
  fc.assert(
    fc.property(imageRecipes, registerSets, fc.constantFrom(...ACCESSES), (recipe, registers, access) => {
      const image = randomImage(recipe);
      const [one, many] = [
        new Mmu(memoryWith(image, 'flat'), registers),
        new Mmu(memoryWith(image, 'flat'), registers),
      ];
      const addresses = randomAddresses(recipe.seed, 500, one.levels === 5 ? 57 : 48);
      const batch = many.batch(500);
      batch.addresses.set(addresses);
      batch.access(500, access);
      expect([...batch.outcomes].map(decodeOutcome)).toEqual([...addresses].map((va) => one.access(va, access)));
      for (const at of image.keys()) {
        for (let i = 0n; i < 512n; i++) {
          if (one.memory.readEntry(at + i * 8n) !== many.memory.readEntry(at + i * 8n))
            expect.fail(`entry ${i} of ${at}`);
        }
      }
    }),
    { numRuns: 25 },
  );
});

test('an outcome word holds all that translate tells', () => {
  fc.assert(
    fc.property(imageRecipes, registerSets, (recipe, registers) => {
      const mmu = new Mmu(memoryWith(randomImage(recipe), 'flat'), registers);
      for (const va of randomAddresses(recipe.seed, 20, 48)) {
        expect(decodeOutcome(mmu.translateWord(va))).toEqual(mmu.translate(va));
      }
    }),
    { numRuns: 20 },
  );
});
