/**
 * What the core answers to embedders: which loads a walk makes, what a TLB of their own has to know of a page, what a rule permits.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ACCESS_MARK,
  LOAD_BYTES,
  LOADS_BYTES,
  LOADS_FIRST,
  RULE_FORBIDS_LOWER,
  RULE_FORBIDS_UPPER,
  RULE_KEYS_SHIFT,
  TLB_DIRTY,
  TLB_GLOBAL,
  TLB_KEY_MASK,
} from '../../src/core/generated/layout.ts';
import { Access, CR4, Entry, Mmu } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { decodeOutcome } from '../../src/mmu/outcome.ts';
import { memoryWith } from '../support/implementations.ts';
import { randomAddresses } from '../support/random.ts';
import { keyedRegisterSets, randomTree, treeRecipes } from '../support/trees.ts';

const unsigned = (word: bigint): bigint => BigInt.asUintN(64, word);

describe.each(['flat', 'sparse', 'threads'] as const)('over %s memory', (kind) => {
  test('the loads of a walk are the steps that the reference makes, with the entries as they were; the outcome is that of the access', () => {
    const counts = new Set<number>();
    fc.assert(
      fc.property(treeRecipes, keyedRegisterSets, fc.boolean(), (recipe, registers, marks) => {
        const mmu = new Mmu(memoryWith(randomTree(recipe, registers), kind), registers);
        const at = mmu.memory.arena.allocate(LOADS_BYTES);
        for (const [i, va] of randomAddresses(recipe.seed, 40, mmu.levels === 5 ? 57 : 48).entries()) {
          const access = ACCESSES[i % ACCESSES.length]!;
          const { steps, outcome } = mmu.explain(va, access);
          const count = mmu.core.walkLoads(va, access | (marks ? ACCESS_MARK : 0), at);
          const words = new BigUint64Array(mmu.memory.wasm.buffer, at, LOADS_BYTES / 8);
          const loads = Array.from({ length: count }, (_, load) => {
            const word = (LOADS_FIRST + load * LOAD_BYTES) / 8;
            return [words[word]!, words[word + 1]!];
          });
          expect(loads).toEqual(steps.map(({ address, entry }) => [address, entry]));
          expect(decodeOutcome(words[0]!)).toEqual(outcome);
          counts.add(count);
        }
      }),
      { numRuns: 60 },
    );
    expect([...counts].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('a filled page is what the tables say once the access is made: address, rights, D, G, key; what is no page is the outcome word', () => {
    const seen = { pages: 0, global: 0, dirty: 0, keyed: 0 };
    fc.assert(
      fc.property(treeRecipes, keyedRegisterSets, (recipe, set) => {
        const registers = recipe.seed & 1 ? set : { ...set, cr4: set.cr4 | CR4.pge };
        const mmu = new Mmu(memoryWith(randomTree(recipe, registers), kind), registers);
        for (const [i, va] of randomAddresses(recipe.seed, 60, mmu.levels === 5 ? 57 : 48).entries()) {
          const access = ACCESSES[i % ACCESSES.length]!;
          const expected = unsigned(mmu.core.translate(va, access));
          const word = unsigned(mmu.core.fillPage(va, access | ACCESS_MARK));
          if (expected >> 63n) {
            expect(word).toBe(expected);
            continue;
          }
          const { steps, outcome } = mmu.explain(va, access);
          if (outcome.kind !== 'page') throw new Error('expected a page');
          const { entry } = steps.at(-1)!;
          expect(decodeOutcome(word & ~0xfffn)).toEqual({
            ...outcome,
            physicalAddress: outcome.physicalAddress & -BigInt(outcome.pageSize),
          });
          const isGlobal = (entry & Entry.global) !== 0n && (registers.cr4 & CR4.pge) !== 0n;
          expect([word & TLB_DIRTY, word & TLB_GLOBAL, word & TLB_KEY_MASK]).toEqual([
            entry & Entry.dirty ? TLB_DIRTY : 0n,
            isGlobal ? TLB_GLOBAL : 0n,
            (entry >> 59n) & 15n,
          ]);
          seen.pages++;
          if (isGlobal) seen.global++;
          if (word & TLB_DIRTY) seen.dirty++;
          if (word & TLB_KEY_MASK) seen.keyed++;
        }
      }),
      { numRuns: 80 },
    );
    expect(Math.min(seen.global, seen.dirty, seen.keyed)).toBeGreaterThan(20);
  });

  test('an access reaches a mapped page if its rule permits the rights, no key denies it, and LASS does not forbid the half', () => {
    const answers = { yes: 0, no: 0 };
    fc.assert(
      fc.property(treeRecipes, keyedRegisterSets, (recipe, registers) => {
        const mmu = new Mmu(memoryWith(randomTree(recipe, registers), kind), registers);
        const { core } = mmu;
        for (const va of randomAddresses(recipe.seed, 20, mmu.levels === 5 ? 57 : 48)) {
          const { steps } = mmu.explain(va, Access.read);
          const leaf = steps.at(-1);
          if (!leaf?.leaf || leaf.reserved !== 0n) continue;
          /* Rights over all levels, as a page's word has them. */
          const { writable, user, executable, shadowStack } = leaf.rights;
          const held = (writable ? 1 : 0) | (user ? 2 : 0) | (executable ? 4 : 0) | (shadowStack ? 8 : 0);
          const key = Number((leaf.entry >> 59n) & 15n);
          for (const access of ACCESSES) {
            const rule = core.ruleOf(access) >>> 0;
            const byUser = (access & Access.user) !== 0;
            const keys = user
              ? registers.cr4 & CR4.pke
                ? registers.pkru
                : 0
              : registers.cr4 & CR4.pks && !byUser
                ? registers.pkrs
                : 0;
            const denied = (keys >>> (2 * key)) & (rule >>> RULE_KEYS_SHIFT) & 3;
            const forbidden = rule & (va >> 63n ? RULE_FORBIDS_UPPER : RULE_FORBIDS_LOWER);
            const reaches = ((rule >>> held) & 1) === 1 && denied === 0 && forbidden === 0;
            expect(mmu.translate(va, access).kind === 'page').toBe(reaches);
            if (reaches) answers.yes++;
            else answers.no++;
          }
        }
      }),
      { numRuns: 60 },
    );
    expect(Math.min(answers.yes, answers.no)).toBeGreaterThan(1000);
  });
});
