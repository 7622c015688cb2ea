/**
 * Entries as whoever writes page tables sees them. Intel SDM vol. 3A, section 4.5, tables 4-14 to 4-20; the picture of the
 * bits stands in bits/entry.ts.
 */
import {
  accessed,
  addressMask,
  executeDisable,
  pageSize,
  pat,
  patOfLargePage,
  present,
  user,
  writable,
} from './bits/entry.ts';

/** Entries of a table. */
export const ENTRIES = 512n;

/** log2 of the bytes that an entry of a level, 1 to 5, maps. */
export function shiftOf(level: number): bigint {
  return 12n + 9n * BigInt(level - 1);
}

/** Bytes that an entry of a level maps. */
export function bytesOf(level: number): bigint {
  return 1n << shiftOf(level);
}

/** Whether a present entry maps a page, and does not point to a table. PS at levels 4 and 5 is reserved: see {@link isMalformed}. */
export function mapsPage(entry: bigint, level: number): boolean {
  return level === 1 || (entry & pageSize) !== 0n;
}

/** Whether a present entry has reserved bits set that no processor allows: PS at levels 4 and 5, address bits that its page size has no use for. */
export function isMalformed(entry: bigint, level: number): boolean {
  if (level === 1 || !(entry & pageSize)) return false;
  return level > 3 || (entry & addressMask & ~patOfLargePage & (bytesOf(level) - 1n)) !== 0n;
}

/** Whether an entry above a leaf takes a right away that the leaf gives. */
export function withholds(above: bigint, leaf: bigint): boolean {
  const given = leaf & (writable | user);
  return (given & ~above) !== 0n || (above & ~leaf & executeDisable) !== 0n;
}

/** An entry that points to a table, and takes no right away. @param used whether the processor has gone through there: A */
export function pointerTo(table: bigint, used: boolean): bigint {
  return table | present | writable | user | (used ? accessed : 0n);
}

/**
 * What a large page is made of: 512 leaves one level down, with its rights, memory type, A and D. PAT moves from bit 12 to
 * bit 7 where they are 4 KiB pages.
 */
export function* piecesOf(leaf: bigint, level: number): Generator<bigint, void, undefined> {
  const start = leaf & addressMask & -bytesOf(level);
  const step = bytesOf(level - 1);
  let bits = leaf & (~addressMask | patOfLargePage);
  if (level === 2) bits = (bits & ~pageSize & ~patOfLargePage) | (leaf & patOfLargePage ? pat : 0n);
  for (let i = 0n; i < ENTRIES; i++) yield (start + i * step) | bits;
}
