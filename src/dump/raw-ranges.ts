import { checkAligned, checkBigint, checkInteger, hex, wrongKind } from '../core/errors.ts';
import type { PhysicalRange } from './dump.ts';
import { PHYSICAL_LIMIT, type Segment } from './segment.ts';

/** Which physical memory lies where in a raw image. */
export interface RawRange extends PhysicalRange {
  /** Where in the file it begins. Default: where the range before it ends, or 0. */
  readonly offset?: number;
}

/**
 * Ranges with all their offsets.
 *
 * @throws TypeError or RangeError for what is no range of physical memory
 */
export function checkedRanges(ranges: readonly RawRange[]): Segment[] {
  if (!Array.isArray(ranges)) throw wrongKind('ranges', 'an array of ranges', ranges);
  if (ranges.length === 0) throw new RangeError('ranges: expected at least one range, got an empty array');
  let end = 0;
  return (ranges as readonly RawRange[]).map((range, i) => {
    const name = `ranges[${i}]`;
    if (typeof range !== 'object' || range === null) throw wrongKind(name, 'a range', range);
    const { physical, bytes, offset = end } = range;
    checkAligned(`${name}.physical`, physical, 1n, PHYSICAL_LIMIT - 1n);
    checkBigint(`${name}.bytes`, bytes, PHYSICAL_LIMIT);
    checkInteger(`${name}.offset`, offset, 0, Number.MAX_SAFE_INTEGER);
    if (bytes === 0n || physical + bytes > PHYSICAL_LIMIT) {
      throw new RangeError(`${name}.bytes: expected 0x1 to ${hex(PHYSICAL_LIMIT - physical)}, got ${hex(bytes)}`);
    }
    end = offset + Number(bytes);
    return { physical, bytes, offset };
  });
}
