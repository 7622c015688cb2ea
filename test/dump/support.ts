/**
 * What the suites of the dump layer share.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { compileCoreSync } from '../../src/core/instantiate.ts';
import { AddressSpace, type AddressSpaceOptions } from '../../src/dump/address-space.ts';
import { bytesSource } from '../../src/dump/byte-source.ts';
import type { Dump } from '../../src/dump/dump.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import type { ByteRange } from '../../src/dump/ranges.ts';
import { NAME } from './checks.ts';

export * from './checks.ts';

/** The real address spaces: see test/fixtures/README.md. */
export const FIXTURES = [
  { levels: 4, leaves: 9_910, tables: 415 },
  { levels: 5, leaves: 10_420, tables: 417 },
].map(({ levels, leaves, tables }) => {
  const path = (suffix: string): URL => new URL(`../fixtures/linux-6.1-${levels}level.${suffix}`, import.meta.url);
  return {
    levels,
    leaves,
    tables,
    path: path('elf.gz'),
    gzipped: (): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(path('elf.gz'))),
    plain: (): Uint8Array<ArrayBuffer> => new Uint8Array(gunzipSync(readFileSync(path('elf.gz')))),
    /** A register as QEMU's monitor printed it. */
    register: (name: string): bigint => {
      const printed = readFileSync(path('registers.txt'), 'utf8');
      return BigInt(`0x${new RegExp(`\\b${name}=([0-9a-f]+)`).exec(printed)![1]!}`);
    },
  };
});

/** Opens bytes as a dump. */
export function open(bytes: Uint8Array): Promise<Dump> {
  return openDump(bytesSource(bytes, NAME));
}

/** Opens an address space on cores that are compiled once. */
export async function openSpace(bytes: Uint8Array, options?: AddressSpaceOptions): Promise<AddressSpace> {
  return AddressSpace.open(await open(bytes), { core: compileCoreSync(), ...options });
}

/** Checks that `read` are the ranges of `content`; quicker than toEqual. */
export function expectRanges(read: readonly Uint8Array[], content: Uint8Array, ranges: readonly ByteRange[]): void {
  expect(read.map(({ length }) => length)).toEqual(ranges.map(({ length }) => length));
  for (const [i, { offset, length }] of ranges.entries()) {
    expect(Buffer.compare(read[i]!, content.subarray(offset, offset + length)), `range ${i}`).toBe(0);
  }
}
