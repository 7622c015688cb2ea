/**
 * Page descriptors: one of 24 bytes for each frame of bitmap 2. makedumpfile, diskdump_mod.h.
 *
 *   +0 u64 offset of the page in the file   +8 u32 bytes it takes there   +12 u32 flags   +16 u64 the kernel's page flags
 *
 * Pages of zeros share one offset. Offset 0 is a page that a dump which was broken off did not get to.
 */
import type { ByteSource } from '../../byte-source.ts';
import { readNearby } from '../in-file.ts';

/** Bytes of a descriptor. */
export const DESCRIPTOR = 24;

/** Where a page is, and how it is stored. */
export interface Descriptor {
  /** Exact where the file can be that large. */
  readonly offset: number;
  readonly length: number;
  readonly flags: number;
}

/** The descriptors of these numbers (ascending), of those that begin at `start`. */
export async function readDescriptors(
  source: ByteSource,
  start: number,
  numbers: readonly number[],
): Promise<Descriptor[]> {
  const ranges = numbers.map((number) => ({ offset: start + number * DESCRIPTOR, length: DESCRIPTOR }));
  const contents = await readNearby(source, ranges);
  return contents.map((bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, DESCRIPTOR);
    return {
      offset: view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32,
      length: view.getUint32(8, true),
      flags: view.getUint32(12, true),
    };
  });
}
