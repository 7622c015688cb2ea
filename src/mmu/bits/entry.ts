/**
 * Bits of a paging-structure entry. Intel SDM vol. 3A, section 4.5, tables 4-14 to 4-20.
 *
 *   63 62   59 58    52 51                                 12 11    9 8 7 6 5  4   3  2 1 0
 *  +--+-------+--------+-------------------------------------+-------+-+--+-+-+---+---+-+-+-+
 *  |XD|  key  |ignored | physical address of the table below |ignored|G|PS|D|A|PCD|PWT|U|W|P|
 *  |  |(leaf) |        | or of the page                      |       | |  | | |   |   | | | |
 *  +--+-------+--------+-------------------------------------+-------+-+--+-+-+---+---+-+-+-+
 *
 * The address of a 2 MiB or 1 GiB page begins at bit 21 or 30; bit 12 is its PAT.
 */
import {
  ACCESSED,
  ADDRESS_MASK,
  CACHE_DISABLE,
  DIRTY,
  EXECUTE_DISABLE,
  GLOBAL,
  PAGE_SIZE,
  PRESENT,
  PROTECTION_KEY_SHIFT,
  USER,
  WRITABLE,
  WRITE_THROUGH,
} from '../../core/generated/layout.ts';

/** P, any level: the entry maps a page or points to a table. While it is clear, the processor ignores all other bits. */
export const present: bigint = PRESENT;
/** R/W, any level: what lies below may be written. One level without it makes everything below read-only. */
export const writable: bigint = WRITABLE;
/** U/S, any level: what lies below may be accessed in user mode. One level without it makes everything below the supervisor's. */
export const user: bigint = USER;
/** PWT: part of the memory type, in a leaf of the page's, above of the table's. */
export const writeThrough: bigint = WRITE_THROUGH;
/** PCD: likewise. */
export const cacheDisable: bigint = CACHE_DISABLE;
/** A, any level: the processor has used the entry. */
export const accessed: bigint = ACCESSED;
/** D, leaves only: the page was written to. */
export const dirty: bigint = DIRTY;
/** PS, levels 2 and 3: the entry maps a page of 2 MiB or 1 GiB. Reserved at levels 4 and 5; at level 1 the same bit is {@link pat}. */
export const pageSize: bigint = PAGE_SIZE;
/** G, leaves only: with CR4.PGE the translation outlives a change of CR3. */
export const global: bigint = GLOBAL;
/** PAT of a 4 KiB page: with PCD and PWT it chooses one of the eight memory types of IA32_PAT. */
export const pat: bigint = 1n << 7n;
/** PAT of a 2 MiB or 1 GiB page, where bit 7 is PS. */
export const patOfLargePage: bigint = 1n << 12n;
/** XD, any level: instructions may not be fetched from what lies below. Reserved while EFER.NXE is clear. */
export const executeDisable: bigint = EXECUTE_DISABLE;
/** Bits 51:12, where the physical address of the table or page is. */
export const addressMask: bigint = ADDRESS_MASK;
/** Bits 62:59, leaves only: the protection key, with CR4.PKE or CR4.PKS. `5n << Entry.protectionKeyShift` is key 5. */
export const protectionKeyMask: bigint = 15n << PROTECTION_KEY_SHIFT;
/** Where the protection key begins. */
export const protectionKeyShift: bigint = PROTECTION_KEY_SHIFT;
