/**
 * Batches: many addresses a call, in arrays that lie in linear memory.
 */
import { describe, expect, test } from 'vitest';
import { Access, decodeOutcome, isTranslated, Mmu, type PhysicalMemory } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { A, D, P, PS, Tables, U, W, XD } from '../support/tables.ts';

/** Pages of 4 KiB only, which one loop translates; with a large page every other address, which needs another loop. */
const NEIGHBOURHOODS = ['of one size', 'of mixed sizes'] as const;

describe.each(['flat', 'sparse', 'threads'] as const)('a batch over %s memory', (kind) => {
  const setUp = () => {
    const tables = new Tables().map(0n, 0x5000n).map(0x1000n, 0x6000n).map(0x2000n, 0x7000n);
    const memory: PhysicalMemory = memoryWith(tables.frames, kind);
    return { tables, memory, mmu: new Mmu(memory, { cr3: tables.root }) };
  };

  test('writes the outcomes of its count, and none behind them', () => {
    const batch = setUp().mmu.batch(4);
    batch.addresses.set([0x2001n, 0n, 0x1002n, 0x3000n]);
    batch.outcomes.fill(0x5555n);
    batch.run(3);
    expect([...batch.outcomes.subarray(0, 3)].map(decodeOutcome)).toMatchObject([
      { physicalAddress: 0x7001n },
      { physicalAddress: 0x5000n },
      { physicalAddress: 0x6002n },
    ]);
    expect(batch.outcomes[3]).toBe(0x5555n);
    batch.run(0);
    expect(batch.outcomes[3]).toBe(0x5555n);
    batch.run();
    expect(isTranslated(batch.outcomes[3]!)).toBe(false);
    expect([...batch.addresses]).toEqual([0x2001n, 0n, 0x1002n, 0x3000n]);
  });

  test('makes the kind of access that it is asked for', () => {
    const { mmu, memory, tables } = setUp();
    const batch = mmu.batch(2);
    batch.addresses.fill(0x3000n);
    batch.run(1, Access.user | Access.write);
    expect(decodeOutcome(batch.outcomes[0]!)).toMatchObject({ kind: 'page-fault', errorCode: 6 });
    expect(mmu.accessMany(BigUint64Array.of(0n, 0x1000n), Access.write).every(isTranslated)).toBe(true);
    const marks = (va: bigint) => memory.readEntry(tables.entry(1, va))! & (A | D);
    expect([0n, 0x1000n, 0x2000n].map(marks)).toEqual([A | D, A | D, 0n]);
  });

  test('keeps its arrays until the memory grows', () => {
    const { mmu, memory } = setUp();
    const batch = mmu.batch(4);
    const { addresses, outcomes } = batch;
    addresses.fill(0x1234n);
    expect(batch.addresses).toBe(addresses);
    expect(batch.outcomes).toBe(outcomes);
    memory.wasm.grow(1);
    expect([...batch.addresses]).toEqual([0x1234n, 0x1234n, 0x1234n, 0x1234n]);
    expect(batch.addresses === addresses).toBe(false);
    batch.run();
    expect(decodeOutcome(batch.outcomes[3]!)).toMatchObject({ physicalAddress: 0x6234n });
  });

  test('gives its arrays back, and so does translateMany', () => {
    const { mmu, memory } = setUp();
    const many = new BigUint64Array(10_000);
    mmu.batch(10_000).release();
    mmu.translateMany(many);
    const { byteLength } = memory.wasm.buffer;
    for (let i = 0; i < 50; i++) {
      mmu.batch(10_000).release();
      mmu.translateMany(many);
    }
    expect(memory.wasm.buffer.byteLength).toBe(byteLength);
  });

  test('may write its outcomes over its addresses', () => {
    const { mmu } = setUp();
    const words = BigUint64Array.from({ length: 5000 }, (_, i) => BigInt(i % 3) << 12n);
    const outcomes = mmu.translateMany(words);
    expect(mmu.translateMany(words, Access.read, words)).toBe(words);
    expect(words).toEqual(outcomes);
  });

  describe.each(NEIGHBOURHOODS)('among pages %s', (sizes) => {
    const PAGES = 96;
    /** Pages with the bits of the first, but for the last one; a large page, used already, behind them. */
    const neighbours = (first: bigint, last: bigint) => {
      const tables = new Tables();
      for (let i = 0; i < PAGES; i++) {
        const bits = i === PAGES - 2 ? last : first;
        tables.map(BigInt(i) << 12n, 0x10_0000n + (BigInt(i) << 12n), { bits });
      }
      tables.map(0x20_0000n, 0x40_0000n, { level: 2, bits: first | A | D });
      return tables;
    };
    const addresses = BigUint64Array.from({ length: 2 * PAGES }, (_, i) => {
      if (sizes === 'of one size') return BigInt(i % PAGES) << 12n;
      return i % 2 ? 0x20_0000n + BigInt(i) : BigInt(i >> 1) << 12n;
    });
    /** What the one page comes to whose bits differ, and its entry afterwards. */
    const lastOf = (tables: Tables, access: number, cr4 = 1n << 5n) => {
      const memory: PhysicalMemory = memoryWith(tables.frames, kind);
      const mmu = new Mmu(memory, { cr3: tables.root, cr4 });
      const outcomes = mmu.accessMany(addresses, access);
      const at = addresses.indexOf(BigInt(PAGES - 2) << 12n);
      expect(outcomes.filter((word) => !isTranslated(word)).length).toBeLessThanOrEqual(2);
      const entry = memory.readEntry(tables.entry(1, BigInt(PAGES - 2) << 12n))!;
      return { outcome: decodeOutcome(outcomes[at]!), marks: entry & (A | D) };
    };

    test('one that lacks A and D gets them', () => {
      const { outcome, marks } = lastOf(neighbours(W | U | A | D, W | U), Access.write);
      expect(outcome).toMatchObject({ kind: 'page' });
      expect(marks).toBe(A | D);
    });

    test('a read sets A and leaves D', () => {
      expect(lastOf(neighbours(W | U, W | U), Access.read).marks).toBe(A);
    });

    test('one that denies the access is left as it is', () => {
      const { outcome, marks } = lastOf(neighbours(W | U, U), Access.user | Access.write);
      expect(outcome).toMatchObject({ kind: 'page-fault', errorCode: 7 });
      expect(marks).toBe(0n);
    });

    test('one that is not dirty is no shadow stack, also to a write that would make it dirty', () => {
      const access = Access.user | Access.write | Access.shadowStack;
      const { outcome, marks } = lastOf(neighbours(U | D, U), access, (1n << 5n) | (1n << 23n));
      expect(outcome).toMatchObject({ kind: 'page-fault', errorCode: 0x47 });
      expect(marks).toBe(0n);
    });

    test('one that is not present faults', () => {
      const tables = neighbours(W | U, W | U);
      tables.change(tables.entry(1, BigInt(PAGES - 2) << 12n), { clear: P });
      expect(lastOf(tables, Access.read).outcome).toMatchObject({ kind: 'page-fault', errorCode: 0 });
    });
  });

  test.each([2, 3])(
    'takes no entry that points to a table for a page of level %i, wherever the table lies',
    (level) => {
      const size = 1n << BigInt(12 + 9 * (level - 1));
      const tables = new Tables(4, 0x2000n);
      for (let i = 0n; i < 64n; i++) tables.map(i * size, 0x40_0000_0000n + i * size, { level });
      /* At 0, where a page of any size could begin. */
      tables.newTable(0n);
      tables.write(tables.entry(level, 40n * size), P | W | U);
      for (let i = 0n; i < 512n; i++) tables.write(i * 8n, P | W | U | (level > 2 ? PS : 0n) | (i << 21n));
      const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root });
      for (const step of [1n, 63n]) {
        const addresses = BigUint64Array.from({ length: 500 }, (_, i) => ((BigInt(i) * step) % 64n) * size + BigInt(i));
        expect(mmu.translateMany(addresses)).toEqual(addresses.map((va) => mmu.translateWord(va)));
      }
      const mixed = BigUint64Array.from({ length: 500 }, (_, i) => (i % 2 ? 40n : BigInt(i % 37)) * size + BigInt(i));
      expect(mmu.translateMany(mixed)).toEqual(mixed.map((va) => mmu.translateWord(va)));
    },
  );

  test.each([1, 2, 3])(
    'tells addresses apart that differ in any one bit, in tables with leaves of level %i',
    (level) => {
      const tables = new Tables();
      const sizeBits = 12 + 9 * (level - 1);
      const home = 5n << BigInt(sizeBits);
      const others = Array.from({ length: 47 - sizeBits }, (_, i) => home ^ (1n << BigInt(sizeBits + i)));
      for (const [i, va] of [home, ...others].entries()) tables.map(va, BigInt(i + 1) << 32n, { level });
      const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root });
      const addresses = BigUint64Array.from(
        others.flatMap((va) => [...Array<bigint>(16).fill(home), va, va, home, home]),
      );
      expect(mmu.translateMany(addresses)).toEqual(addresses.map((va) => mmu.translateWord(va)));
      expect(mmu.translateMany(addresses.reverse())).toEqual(addresses.map((va) => mmu.translateWord(va)));
    },
  );

  test('takes no page whose key denies it, where no key passes for pages of both kinds', () => {
    const tables = new Tables();
    const isUsers = (i: bigint) => i >= 100n;
    for (let i = 0n; i < 256n; i++) tables.map(i << 12n, i << 12n, { bits: W | (isUsers(i) ? U | XD : 0n) });
    const cr4 = (1n << 5n) | (1n << 22n);
    const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root, cr4, pkru: 0x5555_5555 });
    const addresses = BigUint64Array.from({ length: 256 }, (_, i) => BigInt(i) << 12n);
    const outcomes = mmu.translateMany(addresses);
    expect(addresses.filter((_, i) => !isTranslated(outcomes[i]!))).toEqual(
      addresses.filter((va) => isUsers(va >> 12n)),
    );
  });

  describe.each([1, 2, 3])('in a table with pages of level %i', (level) => {
    const size = 1n << BigInt(12 + 9 * (level - 1));
    const SPOILT = 77n;
    const last = size >> 1n;
    test.each([
      ['that is not present', { clear: P }],
      ['with the lowest unused address bit set', { set: level > 1 ? 1n << 13n : 1n << 51n }],
      ['with the highest unused address bit set', { set: level > 1 ? last : 1n << 50n }],
      ['with an address beyond MAXPHYADDR', { set: 1n << 46n }],
      ['with XD, which is reserved without NXE', { set: XD }],
      ['with PAT', { set: level > 1 ? 1n << 12n : PS }],
      ['with PCD', { set: 1n << 4n }],
      ['without W', { clear: W }],
      ['without U', { clear: U }],
      ['with D and without W', { set: D, clear: W }],
    ])('one page %s is told from the others, among these and among all sizes', (_, change) => {
      const tables = new Tables();
      const places = [1, 2, 3].map((l) => BigInt(l) << 39n);
      for (const [i, place] of places.entries()) {
        const bytes = 1n << BigInt(12 + 9 * i);
        for (let n = 0n; n < 96n; n++) tables.map(place + n * bytes, (n + 1n) * bytes, { level: i + 1 });
      }
      const spoilt = places[level - 1]! + SPOILT * size;
      tables.change(tables.entry(level, spoilt), change);
      const registers = { cr3: tables.root, efer: 0x500n, maxPhysicalAddress: 46 };
      const mmu = new Mmu(memoryWith(tables.frames, kind), registers);
      const at = (l: number, n: number) => places[l - 1]! + (BigInt(n) << BigInt(12 + 9 * (l - 1)));
      const ofOneSize = BigUint64Array.from({ length: 192 }, (_, i) => at(level, i % 96));
      const ofAllSizes = BigUint64Array.from({ length: 600 }, (_, i) => at((i % 3) + 1, Math.floor(i / 3) % 96));
      for (const addresses of [ofOneSize, ofAllSizes]) {
        for (const access of [Access.read, Access.user | Access.write, Access.user]) {
          const single = addresses.map((va) => mmu.translateWord(va, access));
          expect(mmu.translateMany(addresses, access)).toEqual(single);
        }
      }
    });
  });
});
