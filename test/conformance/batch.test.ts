/**
 * Batches: many addresses a call, in arrays that lie in linear memory.
 */
import { describe, expect, test } from 'vitest';
import { Access, decodeOutcome, isTranslated, Mmu, type PhysicalMemory } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { A, D, Tables } from '../support/tables.ts';

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
});
