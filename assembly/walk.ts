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
import {
  ALL_RIGHTS,
  codeOf,
  combination,
  denial,
  ERROR_PRESENT,
  ERROR_RESERVED,
  forbidsHalf,
  marksOf,
  narrow,
  ruleOf,
} from "./access";
import { isCanonical, largestPageShift, reservedAtTop, reservedEverywhere, root, rootShift } from "./cpu";
import {
  ACCESSED,
  ADDRESS_MASK,
  entryOffset,
  LEVEL1_SHIFT,
  LEVEL4_SHIFT,
  PAGE_SIZE,
  PRESENT,
  patIndex,
  protectionKey,
  unusedAddressBits,
} from "./entry";
import { mark, NO_TABLE, readEntry, tableAt } from "./memory";
import { KIND_LASS, KIND_NON_CANONICAL, missingTable, offsetIn, pageAt, pageFault, refused } from "./outcome";

/** Whether a present entry maps a page. Where the processor has no pages of that size, PS is a reserved bit instead. */
export function isLeaf(entry: u64, shift: u32): bool {
  return shift == LEVEL1_SHIFT || (shift <= largestPageShift && (entry & PAGE_SIZE) != 0);
}

/** Bits that must be 0 in a present entry; one that points to a table has PS clear wherever PS means "page". */
export function reservedBits(leaf: bool, shift: u32): u64 {
  if (leaf) return reservedEverywhere | unusedAddressBits(shift);
  return reservedEverywhere | PAGE_SIZE | (shift >= LEVEL4_SHIFT ? reservedAtTop : 0);
}

/** Walks va under a rule (see access.ts) and answers with an outcome word. */
export function walk(va: u64, rule: u32): u64 {
  if (!isCanonical(va)) return refused(KIND_NON_CANONICAL);
  if (forbidsHalf(rule, va)) return refused(KIND_LASS);
  const marks = marksOf(rule);
  let rights = ALL_RIGHTS;
  let table = root;
  let shift = rootShift;
  while (true) {
    const at = tableAt(table);
    if (at == NO_TABLE) return missingTable(table, shift);
    const slot = at + entryOffset(va, shift);
    const entry = readEntry(slot);
    if (!(entry & PRESENT)) return pageFault(codeOf(rule), table, shift);
    const leaf = isLeaf(entry, shift);
    if (entry & reservedBits(leaf, shift))
      return pageFault(codeOf(rule) | ERROR_PRESENT | ERROR_RESERVED, table, shift);
    if (leaf) {
      const held = combination(rights, entry);
      const denied = denial(rule, held, protectionKey(entry));
      if (denied) return pageFault(denied, table, shift);
      if (!mark(slot, entry, marks)) continue;
      return pageAt(entry & ADDRESS_MASK, shift, held, patIndex(entry, shift)) | offsetIn(va, shift);
    }
    if (!mark(slot, entry, marks & ACCESSED)) continue;
    rights = narrow(rights, entry);
    table = entry & ADDRESS_MASK;
    shift -= 9;
  }
}

/** Walks one address for one kind of access (ACCESS_ bits). */
export function translate(va: u64, access: u32): u64 {
  return walk(va, ruleOf(access));
}
