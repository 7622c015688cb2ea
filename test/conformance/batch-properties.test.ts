/**
 * Long batches over random trees: translated in pairs and with cached tables, they must answer what walks of their own
 * would, address by address, and leave the same entries behind.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTranslated, Mmu, type PhysicalMemory, type Registers } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { type Frames, memoryWith } from '../support/implementations.ts';
import { Random, randomAddresses } from '../support/random.ts';
import { AGAIN_IN_BROWSER, fewAndMany, THOROUGH } from '../support/thorough.ts';
import { editTree, keyedRegisterSets, randomTree, type TreeRecipe, treeRecipes, wandering } from '../support/trees.ts';

const KINDS = ['flat', 'sparse', 'threads'] as const;
const lengths = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5000 }));
const scenes = {
  recipe: treeRecipes,
  registers: keyedRegisterSets,
  access: fc.constantFrom(...ACCESSES),
  length: lengths,
};

interface Scene {
  readonly recipe: TreeRecipe;
  readonly registers: Registers;
  readonly access: number;
  readonly length: number;
}

/** How many outcomes there were of each level, and how many faults, to show that there is something to see. */
const seen = { pages: [0, 0, 0, 0], failed: 0 };
const note = (outcomes: BigUint64Array): void => {
  for (const outcome of outcomes) {
    if (isTranslated(outcome)) seen.pages[Number((outcome >> 52n) & 3n)]!++;
    else seen.failed++;
  }
};

function mmuOver(image: Frames, kind: PhysicalMemory['kind'], registers: Registers): Mmu {
  return new Mmu(memoryWith(image, kind), registers);
}

/** Addresses that wander among some that an access reaches, where there are such. */
function addressesFor(mmu: Mmu, { recipe, access, length }: Scene, seed = recipe.seed): BigUint64Array<ArrayBuffer> {
  const width = mmu.levels === 5 ? 57 : 48;
  const any = [...randomAddresses(seed, 400, width)];
  const reached = any.filter((va) => isTranslated(mmu.translateWord(va, access)));
  const random = new Random(seed ^ 0x77);
  const homes = Array.from({ length: 8 }, () => {
    const from = reached.length && random.chance(90) ? reached : any;
    return from[random.below(from.length)]!;
  });
  return wandering(seed, length, homes, width);
}

function single(mmu: Mmu, addresses: BigUint64Array, access: number): BigUint64Array {
  return addresses.map((va) => mmu.translateWord(va, access));
}

/** The first place at which two arrays differ, in words; a comparison of all would take longer than the walks. */
function difference(found: BigUint64Array, wanted: BigUint64Array, what: string): string {
  const at = found.findIndex((word, i) => word !== wanted[i]);
  if (at < 0 && found.length === wanted.length) return '';
  return `${what} ${at} of ${found.length}: 0x${found[at]?.toString(16)} instead of 0x${wanted[at]?.toString(16)}`;
}

function entriesOf(mmu: Mmu, image: Frames): BigUint64Array {
  const all = new BigUint64Array(image.size * 512);
  let i = 0;
  for (const at of image.keys()) for (let n = 0n; n < 512n; n++) all[i++] = mmu.memory.readEntry(at + n * 8n)!;
  return all;
}

/* What is compared lies in shared memory then, which engines read slowly: that is for the thorough run. */
for (const kind of KINDS)
  describe(`a batch over ${kind} memory`, kind === 'threads' ? THOROUGH : AGAIN_IN_BROWSER, () => suiteOf(kind));

function suiteOf(kind: (typeof KINDS)[number]): void {
  for (const { numRuns, options } of fewAndMany(60, 120)) {
    test(`answers each address as a walk of its own would: ${numRuns} times`, options, () => {
      fc.assert(
        fc.property(fc.record(scenes), (scene) => {
          const mmu = mmuOver(randomTree(scene.recipe, scene.registers), kind, scene.registers);
          const addresses = addressesFor(mmu, scene);
          const wanted = single(mmu, addresses, scene.access);
          note(wanted);
          const batch = mmu.batch(addresses.length + 2);
          batch.addresses.set(addresses);
          batch.run(addresses.length, scene.access);
          expect(difference(batch.outcomes.subarray(0, addresses.length), wanted, 'outcome')).toBe('');
          expect(difference(batch.addresses.subarray(0, addresses.length), addresses, 'address')).toBe('');
          expect(difference(mmu.translateMany(addresses, scene.access), wanted, 'outcome')).toBe('');
          expect(difference(mmu.translateMany(addresses, scene.access, addresses), wanted, 'outcome in place')).toBe(
            '',
          );
        }),
        { numRuns },
      );
    });
  }

  for (const { numRuns, options } of fewAndMany(60, 120)) {
    test(`makes accesses as if one after the other, A and D included: ${numRuns} times`, options, () => {
      fc.assert(
        fc.property(fc.record(scenes), (scene) => {
          const image = randomTree(scene.recipe, scene.registers);
          const [one, many] = [mmuOver(image, kind, scene.registers), mmuOver(image, kind, scene.registers)];
          const addresses = addressesFor(one, scene);
          const wanted = addresses.map((va) => BigInt.asUintN(64, one.core.translate(va, scene.access | (1 << 9))));
          expect(difference(many.accessMany(addresses, scene.access), wanted, 'outcome')).toBe('');
          expect(difference(entriesOf(many, image), entriesOf(one, image), 'entry')).toBe('');
        }),
        { numRuns },
      );
    });
  }

  for (const { numRuns, options } of fewAndMany(25, 50)) {
    test(
      `remembers nothing of the batch before it: neither tables, nor registers, nor the kind of access: ${numRuns} times`,
      options,
      () => {
        fc.assert(
          fc.property(
            fc.record(scenes),
            keyedRegisterSets,
            fc.constantFrom(...ACCESSES),
            (scene, others, otherAccess) => {
              const image = randomTree(scene.recipe, scene.registers);
              const mmu = mmuOver(image, kind, scene.registers);
              const addresses = addressesFor(mmu, scene);
              const batch = mmu.batch(addresses.length);
              batch.addresses.set(addresses);
              const check = (access: number, what: string) => {
                batch.run(addresses.length, access);
                expect(difference(batch.outcomes, single(mmu, addresses, access), what)).toBe('');
              };
              check(scene.access, 'at first');
              for (const [at, entry] of editTree(image, scene.recipe.seed, 600, scene.registers)) {
                mmu.memory.writeEntry(at, entry);
              }
              check(scene.access, 'after edits');
              check(otherAccess, 'another access');
              batch.access(addresses.length, otherAccess);
              check(scene.access, 'after accesses');
              mmu.setRegisters({ ...others, cr4: (others.cr4 & ~(1n << 12n)) | (scene.registers.cr4 & (1n << 12n)) });
              check(otherAccess, 'after a change of registers');
              mmu.setRegisters({ cr3: 0x1000n });
              check(otherAccess, 'after a change of CR3');
            },
          ),
          { numRuns },
        );
      },
    );
  }
}

test('what was compared has pages of every size, and faults', AGAIN_IN_BROWSER, () => {
  const [, small, large, huge] = seen.pages;
  for (const count of [small, large, huge, seen.failed]) expect(count).toBeGreaterThan(5_000);
});
