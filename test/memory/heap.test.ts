/**
 * What hugewalk takes of memory: a batch allocates nothing, however many addresses go through it, and a core with an
 * empty image is small.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { Access, FlatMemory, isTranslated, Mmu, type PhysicalMemory, SparseMemory, Tlb } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { Tables } from '../support/tables.ts';
import { THOROUGH } from '../support/thorough.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** Bytes of the JS heap that are in use once all garbage is gone. */
function heapUsed(): number {
  for (let i = 0; i < 3; i++) collectGarbage();
  return process.memoryUsage().heapUsed;
}

const CAPACITY = 65536;
/** Pages of every size, so that all loops have their share. */
const tables = new Tables();
for (let i = 0n; i < 512n; i++) tables.map(i << 12n, 0x100_0000n + (i << 12n));
for (let i = 1n; i < 32n; i++) tables.map(i << 21n, 0x4000_0000n + (i << 21n), { level: 2 });
tables.map(0x4000_0000n, 0x8000_0000n, { level: 3 });

const addressOf = (i: number): bigint => {
  if (i < CAPACITY / 2) return BigInt((i * 4099) % (1 << 21));
  const places = [BigInt(i & 0xfffff), (BigInt(i % 31) + 1n) << 21n, 0x4000_0000n + BigInt(i)];
  return places[(i * 7) % 3]!;
};

/** Lets something run until it is compiled for good; then the growth of the JS heap and of linear memory by many runs more. */
function growthBy(memory: PhysicalMemory, run: () => void, times: number): { heap: number; linear: number } {
  for (let i = 0; i < 20; i++) run();
  const [heap, linear] = [heapUsed(), memory.wasm.buffer.byteLength];
  for (let i = 0; i < times; i++) run();
  return { heap: heapUsed() - heap, linear: memory.wasm.buffer.byteLength - linear };
}

const KIB = 1024;

describe('the JS heap and linear memory stay as they are', () => {
  test('while a billion addresses are translated', { timeout: 300_000, ...THOROUGH }, () => {
    const mmu = new Mmu(memoryWith(tables.frames, 'flat'), { cr3: tables.root });
    const batch = mmu.batch(CAPACITY);
    batch.addresses.forEach((_, i, all) => {
      all[i] = addressOf(i);
    });
    const times = Math.ceil(1e9 / CAPACITY);
    const { heap, linear } = growthBy(mmu.memory, () => batch.run(), times);
    expect(batch.outcomes.every(isTranslated)).toBe(true);
    expect(heap).toBeLessThan(256 * KIB);
    expect(linear).toBe(0);
  });

  test.each(['flat', 'sparse', 'threads'] as const)('while a hundred million accesses are made (%s)', (kind) => {
    const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root });
    const batch = mmu.batch(CAPACITY);
    batch.addresses.forEach((_, i, all) => {
      all[i] = addressOf(i);
    });
    const access = () => batch.access(CAPACITY, Access.write);
    const { heap, linear } = growthBy(mmu.memory, access, Math.ceil(1e8 / CAPACITY));
    expect(heap).toBeLessThan(256 * KIB);
    expect(linear).toBe(0);
  });

  test('while a hundred million accesses go through a TLB', () => {
    const mmu = new Mmu(memoryWith(tables.frames, 'flat'), { cr3: tables.root });
    const batch = new Tlb(mmu).batch(CAPACITY);
    batch.addresses.forEach((_, i, all) => {
      all[i] = addressOf(i);
    });
    const { heap, linear } = growthBy(mmu.memory, () => batch.access(), Math.ceil(1e8 / CAPACITY));
    expect(heap).toBeLessThan(256 * KIB);
    expect(linear).toBe(0);
  });

  test('while translateMany is called a thousand times, also for arrays of its own', () => {
    const mmu = new Mmu(memoryWith(tables.frames, 'flat'), { cr3: tables.root });
    const addresses = new BigUint64Array(10_000).map((_, i) => addressOf(i));
    const { heap, linear } = growthBy(mmu.memory, () => mmu.translateMany(addresses), 1000);
    expect(heap).toBeLessThan(256 * KIB);
    expect(linear).toBe(0);
  });
});

test.each([
  ['flat', () => new FlatMemory({ bytes: 65536 })],
  ['sparse', () => new SparseMemory()],
  ['threads', () => new FlatMemory({ bytes: 65536, shared: true })],
] as const)('a core with an empty image takes less than a megabyte, a batch included (%s)', (_, make) => {
  const memory = make();
  const mmu = new Mmu(memory, { cr3: 0n });
  const batch = mmu.batch(1024);
  batch.run();
  mmu.translateMany(new BigUint64Array(5000));
  expect(memory.wasm.buffer.byteLength).toBeLessThan(2 ** 20);
});
