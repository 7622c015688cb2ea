/**
 * QEMU's `info tlb` and `info registers`: the leaves and registers of a processor, as a second reader sees them.
 */
import { bytesSource } from '../../src/dump/byte-source.ts';
import { inflated } from '../../src/dump/gzip.ts';
import { readFixture } from './files.ts';

/** A leaf as QEMU prints it: `VA: PA FLAGS`, its own bits; PA without the bits below the page size. */
export interface Listed {
  readonly va: bigint;
  readonly pa: bigint;
  /** X G P D A C T U W, `-` where clear. */
  readonly flags: string;
}

/** A leaf as hugewalk has it. */
interface Leaf {
  readonly va: bigint;
  readonly level: number;
  readonly entry: bigint;
}

const FLAGS: readonly (readonly [string, bigint])[] = [
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

/** Leaves as QEMU would list them, in its order. */
export function listed(leaves: Iterable<Leaf>): Listed[] {
  return Array.from(leaves, ({ va, level, entry }) => ({
    va,
    pa: entry & 0xf_ffff_ffff_f000n & -(1n << BigInt(12 + 9 * (level - 1))),
    flags: FLAGS.map(([letter, bit]) => ((entry >> bit) & 1n && !(letter === 'P' && level === 1) ? letter : '-')).join(
      '',
    ),
  })).sort((a, b) => (a.va < b.va ? -1 : 1));
}

/** The listing in a file, plain or gzipped. */
export async function readListing(path: string): Promise<Listed[]> {
  return (await readText(path))
    .trim()
    .split('\n')
    .map((line) => {
      const [, va, pa, flags] = /^([0-9a-f]{16}): ([0-9a-f]{16}) (\S{9})/.exec(line)!;
      return { va: BigInt(`0x${va}`), pa: BigInt(`0x${pa}`), flags: flags! };
    });
}

/** The registers that paging depends on, of a file with `info registers`. */
export async function readRegisters(path: string): Promise<Record<'cr0' | 'cr3' | 'cr4' | 'efer', bigint>> {
  const printed = await readText(path);
  const register = (name: string): bigint => BigInt(`0x${new RegExp(`\\b${name}=([0-9a-f]+)`, 'i').exec(printed)![1]}`);
  return { cr0: register('cr0'), cr3: register('cr3'), cr4: register('cr4'), efer: register('efer') };
}

async function readText(path: string): Promise<string> {
  const source = await inflated(bytesSource(await readFixture(path), path));
  const [content] = await source.read([{ offset: 0, length: source.size }]);
  return new TextDecoder().decode(content);
}
