/**
 * What the table cache of batches takes of a memory: room that nobody misses, and nothing that was there before.
 */
import { describe, expect, test } from 'vitest';
import { FlatMemory, isTranslated, Mmu, SparseMemory } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { Tables } from '../support/tables.ts';

const PAGE = 65536;
const tables = new Tables().map(0n, 0x5000n).map(0x20_0000n, 0x40_0000n, { level: 2 });
const IMAGE_BYTES = 0x8000;

/** An embedder's memory with the tables at linear address 0 and a piece that hugewalk may use. */
function embedded(scratch: { at: number; bytes: number }, pages = 4) {
  const wasm = new WebAssembly.Memory({ initial: pages });
  for (const [at, frame] of tables.frames) new BigUint64Array(wasm.buffer, Number(at), 512).set(frame);
  return {
    wasm,
    mmu: new Mmu(new FlatMemory({ memory: wasm, bytes: IMAGE_BYTES, base: 0, scratch }), { cr3: 0x1000n }),
  };
}

describe("an embedder's scratch", () => {
  test('that has room for a batch, but not for a cache, is all that is written to', { timeout: 120_000 }, () => {
    const { wasm, mmu } = embedded({ at: 0x1_0000, bytes: 512 });
    new Uint8Array(wasm.buffer, 0, 0x1000).fill(0x5a);
    const before = new Uint8Array(wasm.buffer).slice();
    const batch = mmu.batch(16);
    /* More lists than a cache has epochs: time and again one would have to be cleared. */
    for (let i = 0; i < 2 ** 21 + 2; i++) batch.run(0);
    batch.run();
    expect(batch.outcomes.every(isTranslated)).toBe(true);
    const after = new Uint8Array(wasm.buffer).slice();
    for (const bytes of [before, after]) bytes.fill(0, 0x1_0000, 0x1_0200);
    expect(after.findIndex((byte, i) => byte !== before[i])).toBe(-1);
  });

  test('of the size that a call asks for is enough for that call', () => {
    const { mmu } = embedded({ at: 0x1_0000, bytes: 32768 });
    expect(mmu.translateMany(new BigUint64Array(5000)).every(isTranslated)).toBe(true);
  });

  test('that has served a batch and translateMany goes on to do so', () => {
    const { mmu } = embedded({ at: 0x1_0000, bytes: 65536 });
    const batch = mmu.batch(2048);
    batch.run();
    expect(mmu.translateMany(new BigUint64Array(5000)).every(isTranslated)).toBe(true);
    batch.run();
    expect(batch.outcomes.every(isTranslated)).toBe(true);
  });

  test.each([0, 256, 1024, 4096, 16384, 65536])(
    'of %i bytes beyond the arrays gives the same outcomes as any other',
    (bytes) => {
      const { mmu } = embedded({ at: 0x1_0000, bytes: 16000 + bytes });
      const batch = mmu.batch(1000);
      const addresses = Array.from({ length: 1000 }, (_, i) => BigInt((i * 37) % 700) << 12n);
      batch.addresses.set(addresses);
      batch.run();
      expect([...batch.outcomes]).toEqual(addresses.map((va) => mmu.translateWord(va)));
    },
  );

  test('at the very end of 4 GiB ends there', { timeout: 60_000 }, () => {
    const { mmu } = embedded({ at: 65536 * PAGE - 0x1_0000, bytes: 0x1_0000 }, 65536);
    mmu.batch(16).run();
    mmu.memory.arena.allocate(mmu.memory.arena.available - 0x4000);
    const batch = mmu.batch(1024);
    batch.addresses.forEach((_, i, all) => {
      all[i] = i % 2 ? 0x20_0000n : 0n;
    });
    batch.outcomes.fill(0x5555n);
    batch.run(512);
    expect(batch.outcomes.indexOf(0x5555n)).toBe(512);
    expect(batch.outcomes.subarray(512).every((word) => word === 0x5555n)).toBe(true);
  });

  test('that ends with the last byte of 4 GiB is used to its end', { timeout: 60_000 }, () => {
    const { wasm, mmu } = embedded({ at: 65536 * PAGE - 0x1_0000, bytes: 0x1_0000 }, 65536);
    const cache = 65536 * PAGE - 0x1_0000;
    for (const [count, addressOf] of [
      [64, (i: number) => BigInt(i) << 30n],
      [1000, (i: number) => (i % 2 ? 0x20_0000n : 0n)],
      [1001, (i: number) => BigInt(i)],
    ] as const) {
      const at = 65536 * PAGE - count * 8;
      const words = new BigUint64Array(wasm.buffer, at, count);
      const addresses = Array.from({ length: count }, (_, i) => addressOf(i));
      words.set(addresses);
      mmu.core.translateMany(at, count, 0, at, cache, 4, count);
      expect([...words]).toEqual(addresses.map((va) => mmu.translateWord(va)));
    }
  });
});

describe('a memory of our own', () => {
  test.each(['flat', 'sparse', 'threads'] as const)(
    'does not grow under the arrays that a run is made on (%s)',
    (kind) => {
      const memory = memoryWith(tables.frames, kind);
      const batch = new Mmu(memory, { cr3: tables.root }).batch(16);
      const { addresses, outcomes } = batch;
      addresses.fill(0x123n);
      batch.run();
      expect(outcomes.length).toBe(16);
      expect(outcomes.every(isTranslated)).toBe(true);
    },
  );

  test('of the greatest size still has room for batches', () => {
    const bytes = 65536 * PAGE - 65 * PAGE;
    const memory = new FlatMemory({ bytes });
    memory.writeEntry(0x1000n, 0x2003n);
    memory.writeEntry(0x2000n, 0x83n);
    const mmu = new Mmu(memory, { cr3: 0x1000n });
    expect(mmu.translateMany(new BigUint64Array(100)).every(isTranslated)).toBe(true);
    const batch = mmu.batch(100);
    batch.run();
    expect(batch.outcomes.every(isTranslated)).toBe(true);
  });

  test('that has grown to its limit since goes on with the cache that it has', () => {
    const memory = new SparseMemory();
    for (const [at, frame] of tables.frames) memory.addFrame(at, new Uint8Array(frame.buffer));
    const mmu = new Mmu(memory, { cr3: tables.root });
    const many = new BigUint64Array(5000).map((_, i) => BigInt(i % 300) << 12n);
    const wanted = mmu.translateMany(many);
    const batch = mmu.batch(100);
    memory.wasm.grow(65536 - memory.wasm.buffer.byteLength / PAGE);
    for (let i = 0; i < 3; i++) {
      expect(mmu.translateMany(many)).toEqual(wanted);
      batch.run();
      expect(batch.outcomes.every(isTranslated)).toBe(true);
    }
  });

  test('may grow between batches, the cache with it', () => {
    const memory = memoryWith(tables.frames, 'sparse') as SparseMemory;
    const mmu = new Mmu(memory, { cr3: tables.root });
    const many = new BigUint64Array(5000).map((_, i) => BigInt(i % 600) << 12n);
    for (let frames = 0; frames < 12_000; frames += 2000) {
      for (let i = 0; i < 2000; i++) memory.addFrame(BigInt(0x10_0000 + frames + i) << 12n);
      memory.writeEntry(tables.entry(1, 0n), (BigInt(frames + 1) << 12n) | 7n);
      expect(mmu.translateMany(many)).toEqual(many.map((va) => mmu.translateWord(va)));
    }
  });

  test('serves any number of Mmus that make batches', () => {
    const memory = memoryWith(tables.frames, 'flat');
    const many = new BigUint64Array(16);
    new Mmu(memory, { cr3: tables.root }).translateMany(many);
    const before = memory.wasm.buffer.byteLength;
    for (let i = 0; i < 200; i++) new Mmu(memory, { cr3: tables.root }).translateMany(many);
    expect(memory.wasm.buffer.byteLength - before).toBeLessThan(2 ** 20);
  });
});
