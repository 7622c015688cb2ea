/**
 * Several TLBs of one processor, an ITLB and a DTLB: each has its own entries and counts, and what a processor invalidates it
 * invalidates in all of them. Intel SDM vol. 3A, sections 4.10.2 and 4.10.4.1.
 */
import { describe, expect, test } from 'vitest';
import { Access, Mmu, type PhysicalMemory, physicalAddressOf, Tlb } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { G, P, Tables, U, W } from '../support/tables.ts';

const PAE = 1n << 5n;
const PGE = 1n << 7n;
const PCIDE = 1n << 17n;
const SMEP = 1n << 20n;
const NO_FLUSH = 1n << 63n;
const { fetch, user, write } = Access;

describe.each(['flat', 'sparse', 'threads'] as const)('over %s memory', (kind) => {
  const CODE = 0x40_0000n;
  const DATA = 0x40_1000n;
  const GLOBAL = 0x40_2000n;
  const LARGE = 0x8000_0000n;

  const setUp = (cr4 = PAE | PGE | PCIDE) => {
    const tables = new Tables()
      .map(CODE, 0x5000n)
      .map(DATA, 0x6000n)
      .map(GLOBAL, 0x8000n, { bits: W | U | G })
      .map(LARGE, 0x20_0000n, { level: 2 });
    const memory: PhysicalMemory = memoryWith(tables.frames, kind);
    const mmu = new Mmu(memory, { cr3: tables.root, cr4 });
    const itlb = new Tlb(mmu, { log2Pages: 3, log2Tables: 2 });
    const dtlb = new Tlb(mmu, { log2Pages: 6, log2Tables: 3 });
    const unmap = (va: bigint, level = 1) => {
      const at = tables.entry(level, va);
      memory.writeEntry(at, memory.readEntry(at)! & ~P);
    };
    return { tables, memory, mmu, itlb, dtlb, unmap };
  };
  const pagesOf = (tlb: Tlb) => [...tlb.entries()].filter((entry) => entry.kind === 'page').map(({ va }) => va);

  test('each caches what goes through it, and nothing else', () => {
    const { itlb, dtlb } = setUp();
    itlb.access(CODE, user | fetch);
    dtlb.access(DATA, user | write);
    dtlb.access(LARGE);
    itlb.access(CODE, fetch);
    expect(pagesOf(itlb)).toEqual([CODE]);
    expect(pagesOf(dtlb)).toEqual([DATA, LARGE]);
  });

  test('each counts its own accesses and misses, however they take turns', () => {
    const { itlb, dtlb, mmu } = setUp();
    const batch = dtlb.batch(4);
    batch.addresses.fill(DATA);
    for (let i = 0; i < 3; i++) {
      itlb.access(CODE, fetch);
      batch.access();
    }
    itlb.accessMany(BigUint64Array.of(CODE, CODE), fetch);
    const third = new Tlb(mmu);
    expect(third.counts).toEqual({ lookups: 0n, misses: 0n });
    expect(itlb.counts).toEqual({ lookups: 5n, misses: 1n });
    expect(dtlb.counts).toEqual({ lookups: 12n, misses: 1n });
  });

  test('a stale entry of one is no answer of the other', () => {
    const { itlb, dtlb, unmap } = setUp();
    itlb.access(CODE, fetch);
    unmap(CODE);
    expect(itlb.access(CODE, fetch).kind).toBe('page');
    expect(dtlb.access(CODE).kind).toBe('page-fault');
    expect(itlb.access(CODE, fetch).kind).toBe('page');
    expect(itlb.stale()).toHaveLength(1);
    expect(dtlb.stale()).toEqual([]);
  });

  test('pages of one size in one, of another in the other: batches find each', () => {
    const { itlb, dtlb } = setUp();
    const small = itlb.batch(64);
    const large = dtlb.batch(64);
    small.addresses.fill(CODE + 8n);
    large.addresses.fill(LARGE + 0x1_2345n);
    for (let i = 0; i < 2; i++) {
      small.access(64, fetch);
      large.access();
    }
    expect(new Set(small.outcomes.map(physicalAddressOf))).toEqual(new Set([0x5008n]));
    expect(new Set(large.outcomes.map(physicalAddressOf))).toEqual(new Set([0x21_2345n]));
    expect([itlb.counts.misses, dtlb.counts.misses]).toEqual([1n, 1n]);
  });

  test.each<[string, (mmu: Mmu, root: bigint) => void, bigint[]]>([
    ['INVLPG', (mmu) => mmu.invlpg(DATA), [CODE, GLOBAL]],
    ['INVPCID 0', (mmu) => mmu.invpcid(0, 0, DATA), [CODE, GLOBAL]],
    ['INVPCID 1', (mmu) => mmu.invpcid(1, 0), [GLOBAL]],
    ['INVPCID 2', (mmu) => mmu.invpcid(2), []],
    ['INVPCID 3', (mmu) => mmu.invpcid(3), [GLOBAL]],
    ['MOV to CR3', (mmu, root) => mmu.movToCr3(root), [GLOBAL]],
    ['MOV to CR3 with bit 63', (mmu, root) => mmu.movToCr3(root | NO_FLUSH), [CODE, DATA, GLOBAL]],
    ['MOV to CR4, PGE', (mmu) => mmu.movToCr4(PAE | PCIDE), []],
    ['MOV to CR4, SMEP', (mmu) => mmu.movToCr4(PAE | PGE | PCIDE | SMEP), []],
  ])('%s reaches all of them', (_, instruction, left) => {
    const { mmu, itlb, dtlb, tables } = setUp();
    for (const tlb of [itlb, dtlb]) for (const va of [CODE, DATA, GLOBAL]) tlb.access(va);
    instruction(mmu, tables.root);
    expect(pagesOf(itlb)).toEqual(left);
    expect(pagesOf(dtlb)).toEqual(left);
  });

  test('an instruction is the same on any of them', () => {
    const { itlb, dtlb } = setUp();
    for (const tlb of [itlb, dtlb]) tlb.access(DATA);
    itlb.invlpg(DATA);
    expect([pagesOf(itlb), pagesOf(dtlb)]).toEqual([[], []]);
  });

  test('one that is released is forgotten; the other goes on, and its instructions do not touch the memory of the first', () => {
    const { memory, mmu, itlb, dtlb } = setUp();
    itlb.access(CODE, fetch);
    dtlb.access(DATA);
    itlb.access(CODE, fetch);
    itlb.release();
    /* The same size: it is given the same bytes. */
    const bytes = mmu.core.tlbBytes(3, 2);
    const at = memory.arena.allocate(bytes);
    const words = new BigUint64Array(memory.wasm.buffer, at, bytes / 8).fill(0x1234n);
    mmu.invpcid(2);
    dtlb.access(DATA);
    expect(words.every((word) => word === 0x1234n)).toBe(true);
    expect(dtlb.counts).toEqual({ lookups: 2n, misses: 2n });
    memory.arena.release(at, bytes);
    const fresh = new Tlb(mmu, { log2Pages: 3, log2Tables: 2 });
    expect([...fresh.entries()]).toEqual([]);
    expect(fresh.counts).toEqual({ lookups: 0n, misses: 0n });
    expect(() => itlb.access(CODE)).toThrow(TypeError);
  });

  test('two processors over one memory have TLBs, and instructions, of their own', () => {
    const { memory, mmu, dtlb, tables } = setUp();
    const other = new Mmu(memory, { cr3: tables.root, cr4: PAE });
    const theirs = new Tlb(other, { log2Pages: 6, log2Tables: 3 });
    for (const tlb of [dtlb, theirs]) for (const va of [CODE, DATA]) tlb.access(va);
    expect(other.movToCr3(0x9_9999_9000n).kind).toBe('done');
    expect(pagesOf(theirs)).toEqual([]);
    expect(pagesOf(dtlb)).toEqual([CODE, DATA]);
    expect(dtlb.access(DATA)).toMatchObject({ physicalAddress: 0x6000n });
    expect(theirs.access(DATA).kind).toBe('missing-table');
    mmu.movToCr3(0x9_9999_9000n);
    other.movToCr3(tables.root);
    expect(theirs.access(DATA)).toMatchObject({ physicalAddress: 0x6000n });
    expect(dtlb.access(DATA).kind).toBe('missing-table');
  });

  test('batches of two processors take turns at the cache of tables that they share', () => {
    const one = new Tables().map(CODE, 0x5000n);
    const two = new Tables(4, 0x1_0000n).map(CODE, 0x7000n);
    const memory = memoryWith(new Map([...one.frames, ...two.frames]), kind);
    const batches = [one, two].map(({ root }) => new Mmu(memory, { cr3: root }).batch(64));
    for (const batch of batches) batch.addresses.fill(CODE);
    for (let i = 0; i < 3; i++) {
      for (const [which, batch] of batches.entries()) {
        batch.run();
        expect(new Set(batch.outcomes.map(physicalAddressOf))).toEqual(new Set([which ? 0x7000n : 0x5000n]));
      }
    }
  });

  test('select() chooses for those who call the core themselves', () => {
    const { itlb, dtlb, mmu } = setUp();
    expect(itlb.select()).toBe(mmu.core);
    mmu.core.tlbTranslate(CODE, fetch);
    dtlb.select().tlbTranslate(DATA, 0);
    expect(pagesOf(itlb)).toEqual([CODE]);
    expect(pagesOf(dtlb)).toEqual([DATA]);
  });
});
