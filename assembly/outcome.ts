/*
 * What a walk answers, in one word.
 *
 *  translated   63 62      57  56 55 54 53  52 51                                               0
 *              +--+----------+--+--+--+-------+--------------------------------------------------+
 *              | 0| reserved |X |U |W | level | physical address, offset within the page included |
 *              +--+----------+--+--+--+-------+--------------------------------------------------+
 *  level: of the leaf, 1 (4 KiB), 2 (2 MiB), 3 (1 GiB). W, U, X: rights over all levels.
 *
 *  failed       63 62    58 57  55 54   52 51                                  12 11            0
 *              +--+--------+------+-------+--------------------------------------+---------------+
 *              | 1|reserved| kind | level | physical address of the table        | #PF error code|
 *              +--+--------+------+-------+--------------------------------------+---------------+
 *  level: of the table that holds the last entry read (or that should have); 0 when no table was needed.
 */
import { combination } from "./access";
import { levelOf } from "./entry";

/** Set in the word of a walk that did not arrive. */
export const OUTCOME_FAILED: u64 = 1 << 63;
/** Translated: bits 51:0. */
export const OUTCOME_ADDRESS_MASK: u64 = (1 << 52) - 1;
/** Translated: 2 bits from here are the leaf's level. */
export const OUTCOME_LEVEL_SHIFT: u64 = 52;
/** Translated: 3 bits from here are the rights: writable, user, executable. */
export const OUTCOME_RIGHTS_SHIFT: u64 = 54;
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
/** A table lies where there is no memory; what real hardware reads there is not ours to invent. */
export const KIND_MISSING_TABLE: u64 = 2;

export function translated(page: u64, va: u64, shift: u32, rights: u64): u64 {
  const offsetMask = ((<u64>1) << shift) - 1;
  return (
    (page & ~offsetMask) |
    (va & offsetMask) |
    ((<u64>levelOf(shift)) << OUTCOME_LEVEL_SHIFT) |
    ((<u64>combination(rights)) << OUTCOME_RIGHTS_SHIFT)
  );
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

export function nonCanonical(): u64 {
  return OUTCOME_FAILED | (KIND_NON_CANONICAL << FAILURE_KIND_SHIFT);
}
