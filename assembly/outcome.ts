/*
 * What a walk answers, in one word.
 *
 *  translated   63 62 61 60    58  57 56 55 54  53  52 51                                           0
 *              +--+-----+--------+---+--+--+--+-------+----------------------------------------------+
 *              | 0|  0  |  PAT   |SS |X |U |W | level | physical address, offset in the page included |
 *              +--+-----+--------+---+--+--+--+-------+----------------------------------------------+
 *  level: of the leaf, 1 (4 KiB), 2 (2 MiB), 3 (1 GiB). W, U, X: rights over all levels. SS: a shadow-stack page.
 *  PAT: which entry of IA32_PAT gives the page's memory type.
 *
 *  failed       63 62    58 57  55 54   52 51                                  12 11            0
 *              +--+--------+------+-------+--------------------------------------+---------------+
 *              | 1|    0   | kind | level | physical address of the table        | #PF error code|
 *              +--+--------+------+-------+--------------------------------------+---------------+
 *  level: of the table that holds the last entry read (or that should have); 0 when no table was needed.
 *  While paging is off, bits 31:0 are the physical address.
 */
import { levelOf } from "./entry";

/** Set in the word of a walk that did not arrive. */
export const OUTCOME_FAILED: u64 = 1 << 63;
/** Translated: bits 51:0. */
export const OUTCOME_ADDRESS_MASK: u64 = (1 << 52) - 1;
/** Translated: 2 bits from here are the leaf's level. */
export const OUTCOME_LEVEL_SHIFT: u64 = 52;
/** Translated: 4 bits from here are the rights: writable, user, executable, shadow stack. */
export const OUTCOME_RIGHTS_SHIFT: u64 = 54;
/** Translated: 3 bits from here are the index into IA32_PAT. */
export const OUTCOME_PAT_SHIFT: u64 = 58;
/** Failed: bits 11:0 are the page fault's error code. */
export const FAILURE_CODE_MASK: u64 = (1 << 12) - 1;
/** Failed: 3 bits from here are the level of the table concerned. */
export const FAILURE_LEVEL_SHIFT: u64 = 52;
/** Failed: 3 bits from here are one of the kinds. */
export const FAILURE_KIND_SHIFT: u64 = 55;

/** #PF, with its error code. */
export const KIND_PAGE_FAULT: u64 = 0;
/** The address is not canonical: #GP or #SS, before any table is read. */
export const KIND_NON_CANONICAL: u64 = 1;
/** LASS forbids the access in this half of the linear addresses: #GP or #SS, before any table is read. */
export const KIND_LASS: u64 = 3;
/** Paging is off: bits 31:0 of the linear address are the physical one. */
export const KIND_PAGING_OFF: u64 = 4;
/** A table lies where there is no memory; what real hardware reads there is not ours to invent. */
export const KIND_MISSING_TABLE: u64 = 2;

/** The word of a page, without the offset; `held` is the combination of rights (see access.ts). */
export function pageAt(address: u64, shift: u32, held: u32, pat: u32): u64 {
  return (
    (address & ~(((<u64>1) << shift) - 1)) |
    ((<u64>levelOf(shift)) << OUTCOME_LEVEL_SHIFT) |
    ((<u64>held) << OUTCOME_RIGHTS_SHIFT) |
    ((<u64>pat) << OUTCOME_PAT_SHIFT)
  );
}

/** The level of the leaf of a translated word. */
export function levelOfPage(outcome: u64): u32 {
  return <u32>(outcome >> OUTCOME_LEVEL_SHIFT) & 3;
}

/** Bits of va that lie within a page of 2^shift bytes. */
export function offsetIn(va: u64, shift: u32): u64 {
  return va & (((<u64>1) << shift) - 1);
}

export function pageFault(code: u32, table: u64, shift: u32): u64 {
  return (
    OUTCOME_FAILED |
    (KIND_PAGE_FAULT << FAILURE_KIND_SHIFT) |
    ((<u64>levelOf(shift)) << FAILURE_LEVEL_SHIFT) |
    table |
    code
  );
}

export function missingTable(table: u64, shift: u32): u64 {
  return (
    OUTCOME_FAILED | (KIND_MISSING_TABLE << FAILURE_KIND_SHIFT) | ((<u64>levelOf(shift)) << FAILURE_LEVEL_SHIFT) | table
  );
}

/** The word of an address while paging is off. Linear addresses have 32 bits then, as the processor is not in long mode. */
export function pagingIsOff(va: u64): u64 {
  return OUTCOME_FAILED | (KIND_PAGING_OFF << FAILURE_KIND_SHIFT) | <u64>(<u32>va);
}

/** KIND_NON_CANONICAL or KIND_LASS. */
export function refused(kind: u64): u64 {
  return OUTCOME_FAILED | (kind << FAILURE_KIND_SHIFT);
}
