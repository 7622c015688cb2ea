/*
 * A paging-structure entry, as 4-level and 5-level paging read it.
 * Intel SDM vol. 3A, section 4.5 (tables 4-14 to 4-20); AMD APM vol. 2, section 5.3.
 *
 *   63 62     52 51                              12 11    9 8 7 6 5  4   3  2 1 0
 *  +--+---------+----------------------------------+-------+-+--+-+-+---+---+-+-+-+
 *  |XD| ignored | physical address of the next     |ignored|G|PS|D|A|PCD|PWT|U|W|P|
 *  |  | (PKEY)  | table, or of the page            |       | |  | | |   |   | | | |
 *  +--+---------+----------------------------------+-------+-+--+-+-+---+---+-+-+-+
 *
 *  The address of a 2 MiB or 1 GiB page ends at bit 21 or 30; bit 12 is then PAT, and the bits between are
 *  reserved. In a 4 KiB page's entry bit 7 is PAT: PS exists only in entries that could have pointed to a table.
 */

/** P: the entry maps a page or points to a table. When clear, the processor ignores all other bits. */
export const PRESENT: u64 = 1 << 0;
/** R/W: writes are allowed to the region this entry controls. */
export const WRITABLE: u64 = 1 << 1;
/** U/S: the region this entry controls may be accessed in user mode. */
export const USER: u64 = 1 << 2;
/** PWT: page-level write-through. */
export const WRITE_THROUGH: u64 = 1 << 3;
/** PCD: page-level cache disable. */
export const CACHE_DISABLE: u64 = 1 << 4;
/** A: software has reached the region through this entry. */
export const ACCESSED: u64 = 1 << 5;
/** D: software has written to the page; leaves only. */
export const DIRTY: u64 = 1 << 6;
/** PS: the entry maps a page instead of pointing to a table; bit 7 of a 4 KiB page's entry is PAT. */
export const PAGE_SIZE: u64 = 1 << 7;
/** G: the translation survives a change of CR3 (with CR4.PGE); leaves only. */
export const GLOBAL: u64 = 1 << 8;
/** Bits 62:59 of a leaf: its protection key, 4 bits from here. */
export const PROTECTION_KEY_SHIFT: u64 = 59;
/** Bits 62:59 of a leaf. */
export const PROTECTION_KEY: u64 = 15 << PROTECTION_KEY_SHIFT;
/** XD: instructions may not be fetched from the region; reserved while EFER.NXE is 0. */
export const EXECUTE_DISABLE: u64 = 1 << 63;

/** PAT in the entry of a 4 KiB page: bit 7. In that of a larger page it is bit 12. */
const PAT_4K_SHIFT: u64 = 7;
const PAT_LARGE_SHIFT: u64 = 12;

/** Bits 51:12, where an entry holds the physical address of a table or page. */
export const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;

/** Bytes of a table: 512 entries of 8 bytes; every table starts at a multiple of this. */
export const TABLE_BYTES: u32 = 4096;

/** log2 of what one entry of a page table (level 1) maps: 4 KiB. Level n maps 9 bits more than level n - 1. */
export const LEVEL1_SHIFT: u32 = 12;
/** log2 of what one entry of a page directory maps: 2 MiB. */
export const LEVEL2_SHIFT: u32 = 21;
/** log2 of what one entry of a page-directory-pointer table maps: 1 GiB, the largest page there is. */
export const LEVEL3_SHIFT: u32 = 30;
/** log2 of what one PML4 entry maps: 512 GiB; the root of 4-level paging. */
export const LEVEL4_SHIFT: u32 = 39;
/** log2 of what one PML5 entry maps: 256 TiB; the root of 5-level paging. */
export const LEVEL5_SHIFT: u32 = 48;

/** The level, 1 to 5, whose entries each map 2^shift bytes. */
export function levelOf(shift: u32): u32 {
  return (shift - LEVEL1_SHIFT) / 9 + 1;
}

/** log2 of what an entry of a level, 1 to 5, maps. */
export function shiftOf(level: u32): u32 {
  return LEVEL1_SHIFT + (level - 1) * 9;
}

/** Byte offset within its table of the entry that translates va at a level. */
export function entryOffset(va: u64, shift: u32): usize {
  return <usize>((va >> (shift - 3)) & (511 << 3));
}

/**
 * Address bits that a leaf of 2^shift bytes has no use for and which must be 0:
 * none at 4 KiB, 20:13 at 2 MiB, 29:13 at 1 GiB (bit 12 is PAT there).
 */
export function unusedAddressBits(shift: u32): u64 {
  return (((<u64>1) << shift) - 1) & ~(((<u64>1) << 13) - 1);
}

/** The protection key of a leaf. */
export function protectionKey(leaf: u64): u32 {
  return <u32>(leaf >> PROTECTION_KEY_SHIFT) & 15;
}

/** Which of the eight entries of IA32_PAT gives a leaf's memory type: PAT, PCD, PWT (SDM vol. 3A, section 4.9.2). */
export function patIndex(leaf: u64, shift: u32): u32 {
  const pat = <u32>(leaf >> (shift == LEVEL1_SHIFT ? PAT_4K_SHIFT : PAT_LARGE_SHIFT)) & 1;
  return (pat << 2) | (<u32>(leaf >> 3) & 3);
}
