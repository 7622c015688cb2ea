/**
 * Address spaces of real Linux processes, against QEMU's own listing of them (see test/fixtures/README.md).
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { inflated } from '../../src/dump/gzip.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { Mmu } from '../../src/index.ts';
import { readFixture } from '../support/files.ts';
import { type Frames, IMPLEMENTATIONS, memoryWith } from '../support/implementations.ts';
import { longSuites } from '../support/thorough.ts';

/** A leaf as QEMU prints it: `VA: PA FLAGS`, its own bits; PA without the bits below the page size. */
interface Listed {
  readonly va: bigint;
  readonly pa: bigint;
  /** X G P D A C T U W, `-` where clear. */
  readonly flags: string;
}

const hex = (text: string) => BigInt(`0x${text}`);

async function text(path: string): Promise<string> {
  const bytes = await readFixture(path);
  const source = await inflated(bytesSource(bytes, path));
  const [content] = await source.read([{ offset: 0, length: source.size }]);
  return new TextDecoder().decode(content);
}

async function frames(path: string): Promise<Frames> {
  const dump = await openDump(bytesSource(await readFixture(path), path));
  const addresses = dump.segments.flatMap(({ physical, bytes }) =>
    Array.from({ length: Number(bytes / 4096n) }, (_, i) => physical + BigInt(i) * 4096n),
  );
  const contents = await dump.readFrames(addresses);
  return new Map(addresses.map((at, i) => [at, new BigUint64Array(contents[i]!.slice().buffer)]));
}

/** The letters QEMU prints for an entry. */
function flagsOf(entry: bigint, level: number): string {
  const letters: [string, bigint][] = [
    ['X', 63n],
    ['G', 8n],
    ['P', 7n],
    ['D', 6n],
    ['A', 5n],
    ['C', 4n],
    ['T', 3n],
    ['U', 2n],
    ['W', 1n],
  ];
  return letters
    .map(([letter, bit]) => ((entry >> bit) & 1n && !(letter === 'P' && level === 1) ? letter : '-'))
    .join('');
}

describe.each([
  { name: 'linux-6.1-4level', leaves: 9_910, levels: 4 },
  { name: 'linux-6.1-5level', leaves: 10_420, levels: 5 },
])('$name', ({ name, leaves, levels }) => {
  let image: Frames;
  let listing: Listed[];
  const registers = { cr3: 0n, cr4: 0n, cr0: 0n, efer: 0n };

  beforeAll(async () => {
    image = await frames(`test/fixtures/${name}.elf.gz`);
    listing = (await text(`test/fixtures/${name}.info-tlb.txt.gz`))
      .trim()
      .split('\n')
      .map((line) => {
        const [, va, pa, flags] = /^([0-9a-f]{16}): ([0-9a-f]{16}) (\S{9})/.exec(line)!;
        return { va: hex(va!), pa: hex(pa!), flags: flags! };
      });
    const printed = await text(`test/fixtures/${name}.registers.txt`);
    for (const register of ['cr0', 'cr3', 'cr4', 'efer'] as const) {
      registers[register] = hex(new RegExp(`\\b${register}=([0-9a-f]+)`, 'i').exec(printed)![1]!);
    }
  });

  test('the listing holds what its README says', () => {
    expect(listing).toHaveLength(leaves);
    expect(Boolean(registers.cr4 & (1n << 12n))).toBe(levels === 5);
  });

  longSuites(IMPLEMENTATIONS, (implementation) => {
    test('maps exactly the leaves that QEMU lists, with the same addresses and bits', () => {
      const actual = [...implementation.make(image, registers).leaves()].map(({ va, level, entry }) => ({
        va,
        pa: entry & 0xf_ffff_ffff_f000n & -(1n << BigInt(12 + 9 * (level - 1))),
        flags: flagsOf(entry, level),
      }));
      expect(actual.sort((a, b) => (a.va < b.va ? -1 : 1))).toEqual(listing);
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
