/**
 * The TLB against a plain model (test/support/tlb-model.ts), on random sequences of accesses, edits and invalidations.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Access, Mmu, Tlb } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { A, D, G, P, PS, Tables, U, W, XD } from '../support/tables.ts';
import { TlbModel } from '../support/tlb-model.ts';

const PAE = 1n << 5n;
const PGE = 1n << 7n;
const PCIDE = 1n << 17n;

/** Seven addresses: neighbours, one in another page directory, one far away, and a 2 MiB page's both ends. */
const ADDRESSES = [0x1000n, 0x2000n, 0x20_0000n, 0x4000_1000n, 0x80_0000_1000n, 0x60_0000n, 0x7f_f000n];

/** Two address spaces over some common tables, and a page table to spare. */
function twoSpaces() {
  const tables = new Tables();
  for (const [i, va] of ADDRESSES.entries()) {
    const isLarge = va === 0x60_0000n || va === 0x7f_f000n;
    if (!isLarge) tables.map(va, BigInt(0x10 + i) << 12n);
  }
  tables.map(0x60_0000n, 0x40_0000n, { level: 2 });
  const secondRoot = tables.newTable();
  tables.write(secondRoot, tables.read(tables.root)).write(secondRoot + 8n, tables.read(tables.root + 8n));
  const spare = tables.newTable();
  tables.write(spare + 8n, 0x77_7000n | P | W | U);
  return { tables, secondRoot, spare };
}

const va = fc.constantFrom(...ADDRESSES);
const pcid = fc.integer({ min: 0, max: 2 });
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant('access'), va, write: fc.boolean(), user: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('editLeaf'),
      va,
      entry: fc.record({
        frame: fc.integer({ min: 0x20, max: 0x28 }),
        bits: fc.subarray([W, U, G, XD, A, D]).map((all) => all.reduce((sum, bit) => sum | bit, 0n)),
        present: fc.boolean(),
      }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('editTable'),
      va,
      level: fc.integer({ min: 2, max: 4 }),
      how: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('invlpg'), va }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('invpcid'), type: fc.constantFrom(0, 1, 2, 3), pcid, va }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('cr3'), second: fc.boolean(), pcid, keep: fc.boolean() }) },
);

let stale = 0;
let hits = 0n;

test.each([
  ['a TLB of few entries', 2, 1],
  ['one of many', 8, 4],
])('%s may forget, but never invents, whatever software does', (_, log2Pages, log2Tables) => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 150 }), (steps) => {
      const { tables, secondRoot, spare } = twoSpaces();
      const memory = memoryWith(tables.frames, 'flat');
      const mmu = new Mmu(memory, { cr3: tables.root, cr4: PAE | PGE | PCIDE });
      const tlb = new Tlb(mmu, { log2Pages, log2Tables });
      const model = new TlbModel(tables.frames, tables.root);
      const put = (at: bigint, entry: bigint) => {
        memory.writeEntry(at, entry);
        model.edit(at, entry);
      };
      for (const one of steps) {
        if (one.op === 'access' && 'write' in one) {
          const access = (one.write ? Access.write : 0) | (one.user ? Access.user : 0);
          const outcome = tlb.access(one.va, access);
          const now = mmu.translate(one.va, access);
          expect(model.allows(one.va, one.write, one.user, outcome)).toBe(true);
          if (JSON.stringify(outcome, bigintAsText) !== JSON.stringify(now, bigintAsText)) {
            stale++;
            expect(tlb.stale()).not.toEqual([]);
          }
        } else if (one.op === 'editLeaf' && 'entry' in one) {
          const { frame, bits, present } = one.entry;
          const isLarge = one.va === 0x60_0000n || one.va === 0x7f_f000n;
          const at = tables.entry(isLarge ? 2 : 1, one.va);
          put(at, (BigInt(frame) << (isLarge ? 21n : 12n)) | bits | (present ? P : 0n) | (isLarge ? PS : 0n));
        } else if (one.op === 'editTable' && 'level' in one) {
          if (one.va === 0x60_0000n || one.va === 0x7f_f000n) continue;
          const at = tables.entry(one.level, one.va);
          const pointer = tables.read(at);
          const changed = [pointer & ~P, pointer & ~W, pointer, one.level === 2 ? spare | P | W | U : pointer & ~U][
            one.how
          ]!;
          put(at, changed);
        } else if (one.op === 'invlpg') {
          tlb.invlpg(one.va!);
          model.invlpg(one.va!);
        } else if (one.op === 'invpcid' && 'type' in one) {
          tlb.invpcid(one.type as 0 | 1 | 2 | 3, one.pcid, one.va);
          model.invpcid(one.type, one.pcid, one.va);
        } else if (one.op === 'cr3' && 'keep' in one) {
          const value = (one.second ? secondRoot : tables.root) | BigInt(one.pcid) | (one.keep ? 1n << 63n : 0n);
          tlb.movToCr3(value);
          model.movToCr3(value);
        }
      }
      const { lookups, misses } = tlb.counts;
      hits += lookups - misses;
      tlb.invpcid(2);
      for (const address of ADDRESSES) expect(tlb.access(address)).toEqual(mmu.translate(address));
    }),
    { numRuns: 300 },
  );
});

test('the sequences meet stale entries, and hits', () => {
  expect(stale).toBeGreaterThan(100);
  expect(hits).toBeGreaterThan(1000n);
});

const bigintAsText = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value);
