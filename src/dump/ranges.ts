/**
 * Ranges of bytes of a file: what is asked of a byte source in one pass.
 */
import { hex } from '../core/errors.ts';

/** Part of a file. */
export interface ByteRange {
  /** First byte, from 0. */
  readonly offset: number;
  /** Number of bytes. */
  readonly length: number;
}

/** Offset of the byte after a range. */
export function endOf({ offset, length }: ByteRange): number {
  return offset + length;
}

/** @throws RangeError unless the ranges lie within a source of `size` bytes, in ascending order of offset */
export function checkRanges(ranges: readonly ByteRange[], size: number): void {
  let before = 0;
  for (const { offset, length } of ranges) {
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < before || length < 0) {
      throw new RangeError(
        `ranges: expected ascending offsets from ${hex(before)}, got offset ${offset}, length ${length}`,
      );
    }
    if (offset + length > size) {
      throw new RangeError(`ranges: expected them to end by ${hex(size)}, got ${hex(offset)} + ${hex(length)}`);
    }
    before = offset;
  }
}

/** Reads ranges (ascending) with one call of `read` for all that touch each other; the results are views of what it gave. */
export async function readMerged(
  ranges: readonly ByteRange[],
  read: (range: ByteRange) => Promise<Uint8Array>,
): Promise<Uint8Array[]> {
  const results: Uint8Array[] = [];
  while (results.length < ranges.length) {
    const first = results.length;
    const { offset } = ranges[first]!;
    let end = offset;
    let next = first;
    for (; next < ranges.length && ranges[next]!.offset <= end; next++) end = Math.max(end, endOf(ranges[next]!));
    const bytes = await read({ offset, length: end - offset });
    for (const range of ranges.slice(first, next)) {
      results.push(bytes.subarray(range.offset - offset, endOf(range) - offset));
    }
  }
  return results;
}
