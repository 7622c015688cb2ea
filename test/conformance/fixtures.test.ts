/**
 * Address spaces of real Linux processes, against QEMU's own listing of them (see test/fixtures/README.md).
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { Mmu } from '../../src/index.ts';
import { readFixture } from '../support/files.ts';
import { type Frames, IMPLEMENTATIONS, memoryWith } from '../support/implementations.ts';
import { type Listed, listed, readListing, readRegisters } from '../support/info-tlb.ts';
import { longSuites } from '../support/thorough.ts';

async function frames(path: string): Promise<Frames> {
  const dump = await openDump(bytesSource(await readFixture(path), path));
  const addresses = dump.segments.flatMap(({ physical, bytes }) =>
    Array.from({ length: Number(bytes / 4096n) }, (_, i) => physical + BigInt(i) * 4096n),
  );
  const contents = await dump.readFrames(addresses);
  return new Map(addresses.map((at, i) => [at, new BigUint64Array(contents[i]!.slice().buffer)]));
}

describe.each([
  { name: 'linux-6.1-4level', leaves: 9_910, levels: 4 },
  { name: 'linux-6.1-5level', leaves: 10_420, levels: 5 },
])('$name', ({ name, leaves, levels }) => {
  let image: Frames;
  let listing: Listed[];
  let registers: Awaited<ReturnType<typeof readRegisters>>;

  beforeAll(async () => {
    image = await frames(`test/fixtures/${name}.elf.gz`);
    listing = await readListing(`test/fixtures/${name}.info-tlb.txt.gz`);
    registers = await readRegisters(`test/fixtures/${name}.registers.txt`);
  });

  test('the listing holds what its README says', () => {
    expect(listing).toHaveLength(leaves);
    expect(Boolean(registers.cr4 & (1n << 12n))).toBe(levels === 5);
  });

  longSuites(IMPLEMENTATIONS, (implementation) => {
    test('maps exactly the leaves that QEMU lists, with the same addresses and bits', () => {
      expect(listed(implementation.make(image, registers).leaves())).toEqual(listing);
    });

    test('translates the first and last byte of every leaf, and nothing beside it', () => {
      const walker = implementation.make(image, { ...registers, rflags: 1n << 18n });
      const mapped = new Set(listing.map(({ va }) => va));
      const leaves = [...walker.leaves()];
      for (const [i, { va, level }] of leaves.entries()) {
        const size = 1n << BigInt(12 + 9 * (level - 1));
        const { pa } = listing[i]!;
        const first = walker.translate(va);
        expect(first.kind === 'page' && first.physicalAddress === pa && first.pageSize === Number(size)).toBe(true);
        const last = walker.translate(va + size - 1n);
        expect(last.kind === 'page' && last.physicalAddress === pa + size - 1n).toBe(true);
        const next = BigInt.asUintN(64, va + size);
        const following = leaves[i + 1]?.va;
        if (next !== following && !mapped.has(next)) expect(walker.translate(next).kind).not.toBe('page');
      }
      expect(leaves).toHaveLength(listing.length);
    });
  });

  test('a scan of the flat image visits no table outside it, and merging loses no byte', () => {
    const mmu = new Mmu(memoryWith(image, 'sparse'), registers);
    expect([...mmu.scan({ fold: true })].filter(({ kind }) => kind === 'missing-table' || kind === 'reserved')).toEqual(
      [],
    );
    const bytes = (options: object) => [...mmu.mappings(options)].reduce((sum, run) => sum + run.bytes, 0n);
    expect(bytes({ coalesce: true })).toBe(bytes({}));
  });
});
