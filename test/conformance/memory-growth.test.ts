/**
 * A flat memory that grows: what is there, what comes, and who sees it.
 */
import { describe, expect, test } from 'vitest';
import { Entry, FlatMemory, Mmu, Tlb } from '../../src/index.ts';

const { present, writable, user, pageSize } = Entry;
const POINTER = present | writable | user;
const LARGE = POINTER | pageSize;
const FIRST = 1 << 16;
const MOST = 1 << 20;

/** A root at 0x1000 whose only entry points behind the end of what there is as yet. */
function growing(): FlatMemory {
  const memory = new FlatMemory({ bytes: FIRST, maxBytes: MOST });
  memory.writeEntry(0x1000n, BigInt(FIRST) | POINTER);
  return memory;
}

describe('a memory that grows', () => {
  test('has no memory behind its bytes, and zeros there once it has grown', () => {
    const memory = growing();
    expect(memory.readEntry(BigInt(FIRST))).toBeUndefined();
    expect(() => memory.writeEntry(BigInt(FIRST), 1n)).toThrow(RangeError);
    memory.grow(FIRST + 4096);
    expect(memory.readEntry(BigInt(FIRST))).toBe(0n);
    expect([memory.bytes, memory.frameCount, memory.maxBytes]).toEqual([FIRST + 4096, 17, MOST]);
    expect(memory.readEntry(0x1000n)).toBe(BigInt(FIRST) | POINTER);
  });

  test('is seen by every processor that was there before, in walks, batches and lists', () => {
    const memory = growing();
    const mmus = [1, 2].map(() => new Mmu(memory, { cr3: 0x1000n }));
    const batch = mmus[0]!.batch(2);
    const tlb = new Tlb(mmus[1]!);
    for (const mmu of mmus)
      expect(mmu.translate(0x1234n)).toMatchObject({ kind: 'missing-table', table: BigInt(FIRST) });
    memory.grow(2 * FIRST);
    memory.writeEntry(BigInt(FIRST), 0x4000_0000n | LARGE);
    for (const mmu of mmus) {
      expect(mmu.translate(0x1234n)).toMatchObject({ kind: 'page', physicalAddress: 0x4000_1234n });
      expect([...mmu.mappings()]).toMatchObject([{ va: 0n, pa: 0x4000_0000n, bytes: 1n << 30n }]);
    }
    batch.addresses.fill(0x1234n);
    batch.run();
    expect([...batch.outcomes]).toEqual([1, 2].map(() => mmus[0]!.translateWord(0x1234n)));
    expect(tlb.access(0x1234n).kind).toBe('page');
  });

  test('grows no further than maxBytes, and never shrinks', () => {
    const memory = growing();
    memory.grow(MOST);
    expect(() => memory.grow(MOST + 1)).toThrow(/^bytes: expected an integer from 0x0 to 0x100000, got 0x100001/);
    memory.grow(4096);
    expect(memory.bytes).toBe(MOST);
  });

  test('keeps its bytes and its room to grow when buffers need more than lies in front of it', () => {
    const memory = growing();
    const mmu = new Mmu(memory, { cr3: 0x1000n });
    const batch = mmu.batch(2 ** 17);
    memory.grow(MOST);
    memory.writeEntry(BigInt(MOST - 8), 7n);
    batch.addresses.fill(0x1234n);
    batch.outcomes.fill(0n);
    expect([memory.readEntry(0x1000n), memory.readEntry(BigInt(MOST - 8))]).toEqual([BigInt(FIRST) | POINTER, 7n]);
    batch.run();
    expect(batch.outcomes[2 ** 17 - 1]).toBe(mmu.translateWord(0x1234n));
    expect(memory.readEntry(BigInt(MOST - 8))).toBe(7n);
  });

  test('is one of our own that nobody shares', () => {
    const wasm = new WebAssembly.Memory({ initial: 1 });
    for (const options of [{ memory: wasm }, { shared: true }]) {
      expect(() => new FlatMemory({ bytes: 4096, maxBytes: 8192, ...options })).toThrow(
        /^maxBytes: expected only of a new/,
      );
    }
    expect(() => new FlatMemory({ bytes: 8192, maxBytes: 4096 })).toThrow(/^maxBytes: expected an integer from 0x2000/);
  });
});
