/**
 * Many accesses a call through a TLB: what single accesses would answer, cache, count and mark.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Access, decodeOutcome, isTranslated, Mmu, type PhysicalMemory, type Registers, Tlb } from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { memoryWith } from '../support/implementations.ts';
import { Random, randomAddresses } from '../support/random.ts';
import { A, D, G, PS, Tables, U, W, XD } from '../support/tables.ts';
import { AGAIN_IN_BROWSER, THOROUGH } from '../support/thorough.ts';
import { editTree, keyedRegisterSets, randomTree, treeRecipes, wandering } from '../support/trees.ts';

const KINDS = ['flat', 'sparse', 'threads'] as const;
const PAE = 1n << 5n;
const PGE = 1n << 7n;
const SMAP = 1n << 21n;
const PKE = 1n << 22n;
const LASS = 1n << 27n;
const PCIDE = 1n << 17n;
const KEEP = 1n << 63n;

const rounds = fc.array(
  fc.record({
    access: fc.constantFrom(...ACCESSES),
    length: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 1500 })),
    pcid: fc.integer({ min: 0, max: 2 }),
    edits: fc.constantFrom(0, 0, 20, 300),
    after: fc.constantFrom('nothing', 'invlpg', 'invpcid', 'flush', 'registers'),
  }),
  { minLength: 1, maxLength: 6 },
);

const seen = { hits: 0n, misses: 0n, failed: 0 };

describe.each(KINDS)('a batch through a TLB over %s memory', (kind) => {
  /* Tests read shared memory slowly: of that, the thorough run. */
  const options = kind === 'threads' ? THOROUGH : AGAIN_IN_BROWSER;
  test('answers, caches, counts and marks as accesses one after the other would', options, () => {
    fc.assert(
      fc.property(
        treeRecipes,
        keyedRegisterSets,
        fc.integer({ min: 0, max: 9 }),
        rounds,
        (recipe, chosen, log2, all) => {
          const registers: Registers = { ...chosen, cr3: 0n, cr4: chosen.cr4 | PCIDE | PGE };
          const image = randomTree(recipe, registers);
          const [one, many] = [0, 1].map(() => {
            const mmu = new Mmu(memoryWith(image, kind), registers);
            return new Tlb(mmu, { log2Pages: log2, log2Tables: 3 });
          }) as [Tlb, Tlb];
          const addresses = addressesFor(one.mmu, recipe.seed);
          for (const [i, { access, length, pcid, edits, after }] of all.entries()) {
            for (const tlb of [one, many]) tlb.movToCr3(BigInt(pcid) | KEEP);
            const list = wandering(recipe.seed + i, length, addresses, one.mmu.levels === 5 ? 57 : 48);
            const wanted = list.map((va) => one.accessWord(va, access));
            const found = i % 2 ? many.accessMany(list, access) : batched(many, list, access);
            expect(found.findIndex((word, n) => word !== wanted[n])).toBe(-1);
            expect(many.counts).toEqual(one.counts);
            seen.failed += wanted.filter((word) => !isTranslated(word)).length;
            for (const tlb of [one, many]) {
              for (const [at, entry] of editTree(image, recipe.seed + i, edits, registers)) {
                tlb.mmu.memory.writeEntry(at, entry);
              }
              if (after === 'invlpg') for (const va of list.subarray(0, 20)) tlb.invlpg(va);
              if (after === 'invpcid') tlb.invpcid(((recipe.seed + i) % 4) as 0 | 1 | 2 | 3, pcid, list[0] ?? 0n);
              if (after === 'flush') tlb.movToCr4(tlb.mmu.registers.cr4 ^ PGE);
              if (after === 'registers')
                tlb.mmu.setRegisters({ rflags: tlb.mmu.registers.rflags ^ (1n << 18n), pkru: 0 });
            }
          }
          expect([...many.entries()]).toEqual([...one.entries()]);
          for (const at of image.keys()) {
            for (let n = 0n; n < 512n; n++) {
              const [marked, wanted] = [many, one].map(({ mmu }) => mmu.memory.readEntry(at + n * 8n));
              if (marked !== wanted) expect(marked).toBe(wanted);
            }
          }
          seen.misses += one.counts.misses;
          seen.hits += one.counts.lookups - one.counts.misses;
        },
      ),
      { numRuns: 120 },
    );
  });

  test('writes the outcomes of its count, and none behind them', () => {
    const { tlb } = setUp(kind);
    const batch = tlb.batch(5);
    batch.addresses.set([0x1001n, 0x2002n, 0x1003n, 0x2004n, 0x1005n]);
    for (const count of [3, 3, 4, 0]) {
      batch.outcomes.fill(0x5555n);
      batch.access(count);
      const physical = [...batch.outcomes].map((word) => word & 0xffffn);
      expect(physical).toEqual(
        [0x1001n, 0x2002n, 0x1003n, 0x2004n, 0x1005n].map((va, i) => (i < count ? va : 0x5555n)),
      );
    }
    batch.release();
  });

  test.each([
    ['its own pages of one size', 0n, [0x1000n, 0x2000n]],
    ['its own pages of all sizes', 0n, [0x1000n, 0x40_0000n, 0x2000n, 0x8000_0000n]],
    ["another context's global pages", 5n, [0x1000n, 0x40_0000n]],
  ])('hits %s', (_, pcid, pages) => {
    const { tlb } = setUp(kind, pcid === 0n ? 0n : G);
    const list = BigUint64Array.from({ length: 1000 }, (_unused, i) => pages[i % pages.length]! + BigInt(i % 4096));
    const wanted = tlb.accessMany(list);
    const { misses } = tlb.counts;
    expect(misses).toBe(BigInt(pages.length));
    tlb.movToCr3(0x1000n | pcid | KEEP);
    expect(tlb.accessMany(list)).toEqual(wanted);
    expect(tlb.counts).toEqual({ lookups: 2000n, misses });
  });

  describe.each([
    ['of one size', false],
    ['among pages of other sizes', true],
  ])('pages that are cached, %s,', (_, withOthers) => {
    /** Caches a page by supervisor reads that nothing forbids, and asks for it eight times, in pairs. */
    const ask = (bits: bigint, access: number, changes: Partial<Registers> = {}) => {
      const tables = new Tables().map(0x1000n, 0x5000n, { bits: bits | A });
      tables.map(0x40_0000n, 0x40_0000n, { level: 2, bits: PS });
      const lax = { cr3: tables.root, rflags: 1n << 18n, cr4: PAE };
      const mmu = new Mmu(memoryWith(tables.frames, kind), lax);
      const tlb = new Tlb(mmu, { log2Pages: 4, log2Tables: 2 });
      tlb.access(0x1000n);
      if (withOthers) tlb.access(0x40_0000n);
      mmu.setRegisters(changes);
      const list = BigUint64Array.from({ length: 8 }, (_unused, i) => 0x1000n + BigInt(i));
      const wanted = [...list].map((va) => mmu.translate(va, access));
      const outcomes = [...tlb.accessMany(list, access)].map(decodeOutcome);
      expect(outcomes).toEqual(wanted);
      return { ...outcomes[7]!, leaf: mmu.memory.readEntry(tables.entry(1, 0x1000n))! };
    };
    const fault = (errorCode: number) => ({ kind: 'page-fault', errorCode });

    test('need U for a user', () => expect(ask(W, Access.user)).toMatchObject(fault(0x5)));
    test('need W for a user write', () => expect(ask(U, Access.user | Access.write)).toMatchObject(fault(0x7)));
    test('need X for a fetch', () => {
      expect(ask(XD, Access.fetch, { efer: 0xd00n })).toMatchObject(fault(0x11));
    });
    test('must not have U for the supervisor under SMAP', () => {
      expect(ask(U, Access.read, { cr4: PAE | SMAP, rflags: 2n })).toMatchObject(fault(0x1));
    });
    test('need a key that is allowed', () => {
      const changes = { cr4: PAE | PKE, pkru: 0b0100 };
      expect(ask(U | (1n << 59n), Access.user, changes)).toMatchObject(fault(0x25));
      expect(ask(U, Access.user, changes)).toMatchObject({ kind: 'page' });
    });
    test('lie in a half that LASS allows', () => {
      expect(ask(U, Access.fetch, { cr4: PAE | LASS })).toMatchObject({ kind: 'lass' });
      expect(ask(U, Access.user, { cr4: PAE | LASS })).toMatchObject({ kind: 'page' });
    });
    test('need a walk that sets D for a write', () => {
      expect(ask(W | U, Access.read).leaf & D).toBe(0n);
      expect(ask(W | U, Access.write).leaf & D).toBe(D);
    });
  });

  test('refuses what Tlb.access refuses', () => {
    const { tlb } = setUp(kind);
    expect(() => tlb.accessMany(new BigUint64Array(2), 1)).toThrow(/^access: expected read/);
    expect(() => tlb.accessMany(new BigUint64Array(2), Access.read, new BigUint64Array(1))).toThrow(
      new RangeError('outcomes: expected room for 2, got 1'),
    );
    const batch = tlb.batch(2);
    expect(() => batch.access(3)).toThrow(new RangeError('count: expected an integer from 0x0 to 0x2, got 0x3'));
    expect(() => batch.access(2, 1)).toThrow(/^access: expected read/);
    expect(() => tlb.batch(0)).toThrow(/^capacity: expected an integer from 0x1/);
  });
});

test('what was compared has hits, misses and faults', AGAIN_IN_BROWSER, () => {
  for (const count of [seen.hits, seen.misses, seen.failed]) expect(Number(count)).toBeGreaterThan(10_000);
});

/** Pages of every size, each where its linear address is. */
function setUp(kind: PhysicalMemory['kind'], bits = 0n) {
  const tables = new Tables();
  tables.map(0x1000n, 0x1000n, { bits: bits | U }).map(0x2000n, 0x2000n, { bits: bits | U });
  tables.map(0x40_0000n, 0x40_0000n, { level: 2, bits: bits | U | PS });
  tables.map(0x8000_0000n, 0x8000_0000n, { level: 3, bits: bits | U | PS });
  const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root, cr4: (1n << 5n) | PGE | PCIDE });
  return { tables, tlb: new Tlb(mmu, { log2Pages: 4, log2Tables: 2 }) };
}

function batched(tlb: Tlb, list: BigUint64Array, access: number): BigUint64Array {
  if (!list.length) return list;
  const batch = tlb.batch(list.length);
  batch.addresses.set(list);
  batch.access(list.length, access);
  const outcomes = batch.outcomes.slice();
  batch.release();
  return outcomes;
}

/** Some addresses that reach a page, where there are such, and some others. */
function addressesFor(mmu: Mmu, seed: number): bigint[] {
  const any = [...randomAddresses(seed, 300, mmu.levels === 5 ? 57 : 48)];
  const reached = any.filter((va) => isTranslated(mmu.translateWord(va)));
  const random = new Random(seed);
  return [...reached.slice(0, 6), ...Array.from({ length: 2 }, () => any[random.below(any.length)]!)];
}
