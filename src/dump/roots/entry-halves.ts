/**
 * Entries of page tables as pairs of 32-bit halves, which cost no bigint. Intel SDM vol. 3A, tables 4-14 to 4-20.
 *
 *   high   31 XD | 30:20 ignored | 19:0 address 51:32
 *   low    31:12 address 31:12 | 11:8 ignored, G in a leaf | 7 PS | 6 D | 5 A | 4 PCD | 3 PWT | 2 U/S | 1 R/W | 0 P
 */

/** Entries of a table. */
export const ENTRIES = 512;
/** Bytes of a table. */
export const TABLE_BYTES = 4096;

export const PRESENT = 1;
export const WRITABLE = 2;
export const USER = 4;
export const LARGE = 0x80;

/** What an address in an entry can be, in the memory of one dump. */
export interface AddressRule {
  /** Of the high half, the bits that are address: 19:0, but for the C-bit of memory that is encrypted. */
  readonly highMask: number;
  /** The physical address after the last that the dump may have. */
  readonly top: number;
}

/**
 * @param top the physical address after the last
 * @param cBit the bit of an entry that says that memory is encrypted, and is no part of the address
 */
export function addressRule(top: number, cBit: number | undefined): AddressRule {
  return { top, highMask: cBit === undefined ? 0xf_ffff : 0xf_ffff & ~(1 << (cBit - 32)) };
}

/** Bits 51:12 of entry `index`, as a number. */
export function addressAt(words: Int32Array, index: number, { highMask }: AddressRule): number {
  return (words[2 * index + 1]! & highMask) * 2 ** 32 + ((words[2 * index]! & 0xffff_f000) >>> 0);
}

/** A frame as halves of entries. One that lies at an odd place of its buffer is copied. */
export function wordsOf(frame: Uint8Array): Int32Array {
  if (frame.length !== TABLE_BYTES) {
    throw new RangeError(`readFrames: expected 4096 bytes or undefined for a frame, got ${frame.length} bytes`);
  }
  const at = frame.byteOffset;
  return at % 4 === 0
    ? new Int32Array(frame.buffer, at, TABLE_BYTES / 4)
    : new Int32Array(new Uint8Array(frame).buffer);
}
