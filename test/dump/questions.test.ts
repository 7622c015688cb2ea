/**
 * Questions to an address space: what stands at an address, who maps a frame, what differs between two; and what operating systems mean by entries that are not
 * present.
 */
import { describe, expect, test } from 'vitest';
import { AddressSpace } from '../../src/dump/address-space.ts';
import { bytesSource } from '../../src/dump/byte-source.ts';
import type { Dump } from '../../src/dump/dump.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { absentEntries } from '../../src/dump/questions/absent-entries.ts';
import { diffMappings, type SpaceDifference } from '../../src/dump/questions/diff.ts';
import { describeOsEntry } from '../../src/dump/questions/os-entries.ts';
import { physicalUses } from '../../src/dump/questions/reverse.ts';
import { Entry, FlatMemory, Mmu } from '../../src/index.ts';
import { makeMigrationEntry } from '../../src/linux/base/migration-entry.ts';
import { PTE_UFFD_WP_MARKER, Pte } from '../../src/linux/base/pte.ts';
import { leafAt } from '../../src/linux/page-tables/page-table.ts';
import { scene } from '../linux/gup/support.ts';
import { readFixture } from '../support/files.ts';

const PRESENT = Entry.present;
const RW = PRESENT | Entry.writable | Entry.user;

/** Tables at 0x1000 to 0x4fff, pages behind them: va 0x0 to 0x2fff are pa 0x5000, 0x6000, a frame that the dump has not. */
function memory(): FlatMemory {
  const flat = new FlatMemory({ bytes: 1 << 16 });
  flat.writeEntry(0x1000n, 0x2000n | RW);
  flat.writeEntry(0x2000n, 0x3000n | RW);
  flat.writeEntry(0x3000n, 0x4000n | RW);
  flat.writeEntry(0x4000n, 0x5000n | RW);
  flat.writeEntry(0x4008n, 0x6000n | PRESENT);
  flat.writeEntry(0x4010n, 0x9_0000n | RW);
  return flat;
}

/** The first 64 KiB of it as a dump. */
function dumpOf(flat: FlatMemory): Dump {
  const bytes = new Uint8Array(flat.wasm.buffer, flat.base, 1 << 16);
  for (let at = 0x5000; at < 0x7000; at++) bytes[at] = at & 0xff;
  return {
    name: 'memory',
    format: 'elf-core',
    segments: [{ physical: 0n, bytes: 0x1_0000n }],
    cpus: [],
    warnings: [],
    readFrames: async (physical) =>
      physical.map((at) => (at < 0x1_0000n ? bytes.subarray(Number(at), Number(at) + 4096) : undefined)),
    close: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

describe('what stands at an address', () => {
  test('across pages, whoever may read them; holes are zeros, and named', async () => {
    const space = await AddressSpace.open(dumpOf(memory()), { cr3: 0x1000n });
    const { bytes, holes } = await space.read(0xffcn, 0x2010);
    expect([...bytes.subarray(0, 8)]).toEqual([0xfc, 0xfd, 0xfe, 0xff, 0, 1, 2, 3]);
    expect(bytes.length).toBe(0x2010);
    expect(holes).toEqual([
      { va: 0x2000n, bytes: 0x1000, why: 'not-in-dump' },
      { va: 0x3000n, bytes: 0xc, why: 'not-mapped' },
    ]);
    expect(bytes.subarray(0x1004).every((byte) => byte === 0)).toBe(true);
  });

  test('SMAP stops no reader', async () => {
    const space = await AddressSpace.open(dumpOf(memory()), { cr3: 0x1000n, cr4: 0x20_0020n });
    expect((await space.read(0n, 4)).holes).toEqual([]);
    expect((await space.read(0x1000n, 4)).holes).toEqual([]);
  });

  test('a range that is none', async () => {
    const space = await AddressSpace.open(dumpOf(memory()), { cr3: 0x1000n });
    await expect(space.read(0x7fff_ffff_f000n, 0x2000)).rejects.toThrow('va: expected canonical addresses');
    await expect(space.read(0n, -1)).rejects.toThrow('length: ');
    await expect(space.read(0n, 2 ** 29)).rejects.toThrow('length: ');
  });
});

test('who maps a frame: each leaf that covers it, of whatever size, with the address that comes to the byte', async () => {
  const dump = await openDump(bytesSource(await readFixture('test/fixtures/linux-6.1-4level.elf.gz'), 'guest.elf.gz'));
  const space = await AddressSpace.open(dump);
  const uses = await space.reverse(0x394_4123n);
  const listed = [...space.mmu.mappings()].filter(
    ({ pa, pageSize }) => pa <= 0x394_4123n && 0x394_4123n < pa + BigInt(pageSize),
  );
  expect(uses.map(({ va }) => va)).toEqual(listed.map(({ va, pa }) => va + 0x394_4123n - pa));
  expect(uses.map(({ va }) => va)).toEqual([0x40_0123n, 0xffff_8880_0394_4123n, 0xffff_ffff_8394_4123n]);
  for (const { va } of uses) {
    const outcome = space.mmu.explain(va).outcome;
    if (outcome.kind === 'page') expect(outcome.physicalAddress).toBe(0x394_4123n);
  }
  expect([...physicalUses(space.mmu, 0xf_0000_0000_0000n)]).toEqual([]);
});

describe('what differs between two address spaces', () => {
  const shown = ({ kind, va, bytes, before, after }: SpaceDifference) => [kind, va, bytes, before?.pa, after?.pa];

  test('nothing, between one and itself', () => {
    const mmu = new Mmu(memory(), { cr3: 0x1000n });
    expect([...diffMappings(mmu, mmu)]).toEqual([]);
  });

  test('pages that come, go, lead elsewhere, or have other rights; neighbours are one range', () => {
    const [one, other] = [memory(), memory()];
    other.writeEntry(0x4000n, 0n);
    other.writeEntry(0x4008n, 0x6000n | RW);
    other.writeEntry(0x4018n, 0xa000n | RW);
    other.writeEntry(0x4020n, 0xb000n | RW);
    const [before, after] = [one, other].map((flat) => new Mmu(flat, { cr3: 0x1000n })) as [Mmu, Mmu];
    expect([...diffMappings(before, after)].map(shown)).toEqual([
      ['removed', 0n, 0x1000n, 0x5000n, undefined],
      ['changed', 0x1000n, 0x1000n, 0x6000n, 0x6000n],
      ['added', 0x3000n, 0x2000n, undefined, 0xa000n],
    ]);
    expect([...diffMappings(after, before)].map(({ kind }) => kind)).toEqual(['added', 'changed', 'removed']);
  });

  test('a right that a table above takes away, though no leaf has changed', () => {
    const [one, other] = [memory(), memory()];
    other.writeEntry(0x3000n, 0x4000n | PRESENT | Entry.user);
    const [before, after] = [one, other].map((flat) => new Mmu(flat, { cr3: 0x1000n })) as [Mmu, Mmu];
    expect([...diffMappings(before, after)].map(({ kind, va }) => [kind, va])).toEqual([
      ['changed', 0n],
      ['changed', 0x2000n],
    ]);
  });

  test('A and D count only where that is asked for', () => {
    const [one, other] = [memory(), memory()];
    other.writeEntry(0x4000n, 0x5000n | RW | Entry.accessed | Entry.dirty);
    const [before, after] = [one, other].map((flat) => new Mmu(flat, { cr3: 0x1000n })) as [Mmu, Mmu];
    expect([...diffMappings(before, after)]).toEqual([]);
    expect([...diffMappings(before, after, { marks: true })]).toHaveLength(1);
  });
});

describe('what Linux means by an entry that is not present', () => {
  const value = ({ value }: Pte): bigint => value;

  test('PROT_NONE: the frame is stored inverted', () => {
    const { process, at, machine } = scene({ touched: true });
    const pa = machine.tables.read(leafAt(process.mm, at)!.ptep).pfn * 4096;
    process.mprotect(at, 2 ** 21, 0);
    const pte = machine.tables.read(leafAt(process.mm, at)!.ptep);
    expect(pte.value & 1n).toBe(0n);
    expect(describeOsEntry(value(pte), 'linux', { level: 2 })).toMatchObject({ kind: 'prot-none', pa: BigInt(pa) });
  });

  test('a page that moves, with A and D above its frame', () => {
    for (const levels of [4, 5] as const) {
      const pfn = 0x1_2345;
      const entry = makeMigrationEntry(
        { levels },
        { kind: 'write', pfn, young: true, dirty: true, softDirty: true, uffdWp: false },
      );
      expect(describeOsEntry(value(entry), 'linux', { levels })).toMatchObject({ kind: 'migration', pa: 0x1234_5000n });
    }
  });

  test('bad memory, a marker, nothing', () => {
    expect(describeOsEntry(value(Pte.hwpoison(0x4321)), 'linux')).toMatchObject({ kind: 'hwpoison', pa: 0x432_1000n });
    expect(describeOsEntry(value(PTE_UFFD_WP_MARKER), 'linux')).toMatchObject({ kind: 'marker', pa: undefined });
    expect(describeOsEntry(0n, 'linux')).toMatchObject({ kind: 'empty' });
    expect(describeOsEntry(0x1000n | PRESENT, 'linux')).toBeUndefined();
  });

  /* include/linux/swapops.h, swp_entry(2, 0x51) as pgtable_64.h packs it. */
  test('a page in a swap file', () => {
    const entry = BigInt.asUintN(64, ((~0x51n & ((1n << 50n) - 1n)) << 9n) | (2n << 59n));
    expect(describeOsEntry(entry, 'linux')).toMatchObject({ kind: 'swap', words: 'swapped out: file 2, page 0x51' });
  });
});

/* The structures' public symbols: MMPTE_TRANSITION, MMPTE_PROTOTYPE, MMPTE_SOFTWARE. */
test.each([
  [0x1234_5862n, 'transition', 0x1234_5000n],
  [0xffff_a000_1234_0460n, 'prototype', undefined],
  [0x0000_0042_0000_0080n, 'page-file', undefined],
  [0x80n, 'demand-zero', undefined],
] as const)('what Windows means by %s: %s', (entry, kind, pa) => {
  expect(describeOsEntry(entry, 'windows')).toMatchObject({ kind, pa });
});

describe('entries that are not present', () => {
  const SWAP = (page: bigint): bigint => BigInt.asUintN(59, ~page << 9n) & ~0x1ffn;

  test('are listed in order with what they mean, at each level, and empty ones are not', () => {
    const flat = memory();
    flat.writeEntry(0x4ff8n, SWAP(7n));
    flat.writeEntry(0x3008n, (~0x20_0000n & 0xf_ffff_ffe0_0000n) | 0x180n);
    flat.writeEntry(0x1800n, 0x2000n | RW);
    const mmu = new Mmu(flat, { cr3: 0x1000n });
    const found = [...absentEntries(mmu, 'linux')].map(({ va, bytes, level, os }) => [
      va,
      bytes,
      level,
      os.kind,
      os.pa,
    ]);
    const half = [
      [0x1f_f000n, 0x1000n, 1, 'swap', undefined],
      [0x20_0000n, 0x20_0000n, 2, 'prot-none', 0x20_0000n],
    ] as const;
    const upper = half.map(([va, ...rest]) => [va + 0xffff_8000_0000_0000n, ...rest]);
    expect(found).toEqual([...half, ...upper]);
    expect([...absentEntries(mmu, 'linux', { fold: true })]).toHaveLength(2);
    expect([...absentEntries(mmu, 'linux', { from: 0x20_0000n, to: 0x3f_ffffn })].map(({ va }) => va)).toEqual([
      0x20_0000n,
    ]);
    expect([...absentEntries(new Mmu(memory(), { cr3: 0x1000n }), 'linux')]).toEqual([]);
  });

  test('are one where they follow each other and their pages do, too', () => {
    const flat = memory();
    const transition = (pa: bigint): bigint => pa | 0x862n;
    for (const [index, entry] of [0x7000n, 0x8000n, 0xa000n].entries()) {
      flat.writeEntry(0x4020n + BigInt(index) * 8n, transition(entry));
    }
    for (let i = 0n; i < 5n; i++) flat.writeEntry(0x4100n + i * 8n, (0x1000n + i * 9n) << 32n);
    const mmu = new Mmu(flat, { cr3: 0x1000n });
    const found = [...absentEntries(mmu, 'windows', { coalesce: true })];
    expect(found.map(({ va, bytes, os }) => [va, bytes, os.kind, os.pa])).toEqual([
      [0x4000n, 0x2000n, 'transition', 0x7000n],
      [0x6000n, 0x1000n, 'transition', 0xa000n],
      [0x2_0000n, 0x5000n, 'page-file', undefined],
    ]);
  });

  test('of tables that contain themselves come to an end where there are none, and come one by one where there are', () => {
    const flat = new FlatMemory({ bytes: 1 << 16 });
    for (let at = 0x1000n; at < 0x2000n; at += 8n) flat.writeEntry(at, 0x1000n | RW);
    const mmu = new Mmu(flat, { cr3: 0x1000n });
    expect([...absentEntries(mmu, 'linux')]).toEqual([]);
    flat.writeEntry(0x1ff8n, SWAP(1n));
    let taken = 0;
    for (const { level } of absentEntries(mmu, 'linux')) {
      expect(level).toBeGreaterThanOrEqual(1);
      if (++taken === 1000) break;
    }
    expect(taken).toBe(1000);
    expect([...absentEntries(mmu, 'linux', { fold: true })].map(({ level }) => level)).toEqual([1, 2, 3, 4]);
  });
});
