/**
 * Pages compressed by LZO1X, after the description of its format: Linux, Documentation/staging/lzo.rst.
 *
 *   first byte     18 and more: that - 17 literals
 *   0000....       behind no literals: a run of them, 3 + L
 *   0000DDSS H     behind 1 to 3 literals: copy 2 bytes from (H << 2) + D + 1 back; behind more: 3, from 2048 further
 *   0001HLLL DS D  copy 2 + L bytes from 16384 + (H << 14) + D back; from 16384: the end
 *   001LLLLL DS D  copy 2 + L bytes from 1 + D back
 *   01LDDDSS H     copy 3 + L bytes from (H << 3) + D + 1 back
 *   1LLDDDSS H     copy 5 + L bytes from (H << 3) + D + 1 back
 *
 *   L of 0, where it is a field to itself: the field's highest value, 255 for each byte of 0, and the first byte that is not
 *   SS literals follow each copy
 */
import { PAGE } from './page.ts';

/** Undefined where a copy leads out of the page, the input ends too early or too late, or the page is not filled. */
export function decompressLzo(input: Uint8Array): Uint8Array | undefined {
  const page = new Uint8Array(PAGE);
  let at = 0;
  let filled = 0;
  /** Literals behind the last copy, 4 for more: what the next instruction means depends on it. */
  let state = 0;

  /** A length whose field in the instruction, of which all bits are `mask`, has the given value. Beyond the page, its sum is of no interest. */
  const long = (field: number, mask: number): number => {
    if (field > 0) return field;
    let length = mask;
    while (input[at] === 0) {
      length += 255;
      at++;
    }
    return length + (input[at++] ?? Number.NaN);
  };
  const literals = (count: number): boolean => {
    if (!(filled + count <= PAGE && at + count <= input.length)) return false;
    page.set(input.subarray(at, at + count), filled);
    at += count;
    filled += count;
    return true;
  };
  const copy = (distance: number, length: number): boolean => {
    if (!(distance <= filled && filled + length <= PAGE)) return false;
    for (const end = filled + length; filled < end; filled++) page[filled] = page[filled - distance]!;
    return true;
  };

  if (input[0]! > 17) {
    const count = input[at++]! - 17;
    if (!literals(count)) return undefined;
    state = Math.min(count, 4);
  }
  while (at < input.length) {
    const code = input[at++]!;
    if (code < 16 && state === 0) {
      if (!literals(3 + long(code, 15))) return undefined;
      state = 4;
      continue;
    }
    let distance: number;
    let length: number;
    let following = code;
    if (code >= 16 && code < 64) {
      length = 2 + (code < 32 ? long(code & 7, 7) : long(code & 31, 31));
      following = input[at++] ?? Number.NaN;
      const low = (following >> 2) + (input[at++] ?? Number.NaN) * 64;
      distance = code < 32 ? 16384 + ((code & 8) << 11) + low : 1 + low;
      if (code < 32 && distance === 16384)
        return at === input.length && length === 3 && filled === PAGE ? page : undefined;
    } else {
      const high = input[at++] ?? Number.NaN;
      if (code < 16) {
        length = state === 4 ? 3 : 2;
        distance = high * 4 + (code >> 2) + (state === 4 ? 2049 : 1);
      } else {
        length = code < 128 ? 3 + ((code >> 5) & 1) : 5 + ((code >> 5) & 3);
        distance = high * 8 + ((code >> 2) & 7) + 1;
      }
    }
    if (!copy(distance, length)) return undefined;
    state = following & 3;
    if (!literals(state)) return undefined;
  }
  return undefined;
}
