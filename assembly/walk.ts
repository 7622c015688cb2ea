/*
 * One linear address through every level, 4-level and 5-level paging.
 * Intel SDM vol. 3A, section 4.5.4 (linear-address translation), 4.6 (rights), 4.7 (faults).
 *
 *   56       48 47       39 38       30 29       21 20       12 11          0
 *  +-----------+-----------+-----------+-----------+-----------+-------------+
 *  |   PML5    |   PML4    |   PDPT    | directory |   table   |   offset    |
 *  +-----------+-----------+-----------+-----------+-----------+-------------+
 *   level 5     level 4     level 3     level 2     level 1
 */
import { ALL_RIGHTS, combination, ERROR_PRESENT, ERROR_RESERVED, errorCodeOf, narrow, permittedBy } from "./access";
import { isCanonical, largestPageShift, reservedEverywhere, root, rootShift } from "./cpu";
import { ADDRESS_MASK, entryOffset, LEVEL1_SHIFT, PAGE_SIZE, PRESENT, unusedAddressBits } from "./entry";
import { NO_TABLE, tableAt } from "./memory";
import { missingTable, nonCanonical, pageFault, translated } from "./outcome";

/** Whether a present entry maps a page. Where the processor has no pages of that size, PS is a reserved bit instead. */
export function isLeaf(entry: u64, shift: u32): bool {
  return shift == LEVEL1_SHIFT || (shift <= largestPageShift && (entry & PAGE_SIZE) != 0);
}

/** Bits that must be 0 in a present entry; one that points to a table has PS clear wherever PS means "page". */
export function reservedBits(leaf: bool, shift: u32): u64 {
  return reservedEverywhere | (leaf ? unusedAddressBits(shift) : PAGE_SIZE);
}

/**
 * Walks va and answers with an outcome word.
 * `permitted` is the set of rights that permit the access, `code` its error-code bits (see access.ts).
 */
export function walk(va: u64, permitted: u32, code: u32): u64 {
  if (!isCanonical(va)) return nonCanonical();
  let rights = ALL_RIGHTS;
  let table = root;
  let shift = rootShift;
  while (true) {
    const at = tableAt(table);
    if (at == NO_TABLE) return missingTable(table, shift);
    const entry = load<u64>(at + entryOffset(va, shift));
    if (!(entry & PRESENT)) return pageFault(code, table, shift);
    const leaf = isLeaf(entry, shift);
    if (entry & reservedBits(leaf, shift)) return pageFault(code | ERROR_PRESENT | ERROR_RESERVED, table, shift);
    rights = narrow(rights, entry);
    if (leaf) {
      if (!((permitted >> combination(rights)) & 1)) return pageFault(code | ERROR_PRESENT, table, shift);
      return translated(entry & ADDRESS_MASK, va, shift, rights);
    }
    table = entry & ADDRESS_MASK;
    shift -= 9;
  }
}

/** Walks one address for one kind of access (ACCESS_ bits). */
export function translate(va: u64, access: u32): u64 {
  return walk(va, permittedBy(access), errorCodeOf(access));
}
