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
  denialCode,
  ERROR_PRESENT,
  ERROR_RESERVED,
  forbidsHalf,
  marksOf,
  narrow,
  permits,
  sameRuleOf,
} from "./access";
import {
  isCanonical,
  largestPageShift,
  paging,
  pointerBits,
  reservedAtTop,
  reservedEverywhere,
  root,
  rootShift,
} from "./cpu";
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
import { isMissing, linearOf, mark, readEntry } from "./memory";
import {
  KIND_LASS,
  KIND_NON_CANONICAL,
  missingTable,
  offsetIn,
  pageAt,
  pageFault,
  pagingIsOff,
  refused,
} from "./outcome";

/** Whether a present entry maps a page. Where the processor has no pages of that size, PS is a reserved bit instead. */
export function isLeaf(entry: u64, shift: u32): bool {
  return shift == LEVEL1_SHIFT || (shift <= largestPageShift && (entry & PAGE_SIZE) != 0);
}

/** Bits that must be 0 in a present entry; one that points to a table has PS clear wherever PS means "page". */
export function reservedBits(leaf: bool, shift: u32): u64 {
  if (leaf) return reservedEverywhere | unusedAddressBits(shift);
  return reservedEverywhere | PAGE_SIZE | (shift >= LEVEL4_SHIFT ? reservedAtTop : 0);
}

/** Whether an entry of a level above 1 points to a table, so that the walk goes on. */
export function pointsToTable(entry: u64, shift: u32): bool {
  return (entry & pointerBits) == PRESENT || pointsToTableAfterAll(entry, shift);
}

/** Below the top, what is reserved there only (on AMD) may be set. */
function pointsToTableAfterAll(entry: u64, shift: u32): bool {
  return (entry & PRESENT) != 0 && !(entry & reservedBits(false, shift));
}

/** Where the last walk that arrived found its leaf: linear address of the table, and the rights of the levels above it. */
export let tableOfLeaf: usize = 0;
export let rightsAboveLeaf: u64 = 0;

/** What becomes of an address with which no walk begins: it is not canonical, or paging is off. */
export function untranslated(va: u64): u64 {
  return paging ? refused(KIND_NON_CANONICAL) : pagingIsOff(va);
}

/** Walks va under a rule (see access.ts) and answers with an outcome word. */
export function walk(va: u64, rule: u32): u64 {
  if (!isCanonical(va)) return untranslated(va);
  if (forbidsHalf(rule, va)) return refused(KIND_LASS);
  const marks = marksOf(rule);
  let rights = ALL_RIGHTS;
  let table = root;
  let shift = rootShift;
  let at: usize;
  let slot: usize;
  let entry: u64;
  while (true) {
    at = linearOf(table);
    if (isMissing(table, at)) return missingTable(table, shift);
    slot = at + entryOffset(va, shift);
    entry = readEntry(slot);
    if (shift == LEVEL1_SHIFT || !pointsToTable(entry, shift)) break;
    if (!mark(slot, entry, marks & ACCESSED)) continue;
    rights = narrow(rights, entry);
    table = entry & ADDRESS_MASK;
    shift -= 9;
  }
  if (!(entry & PRESENT)) return pageFault(codeOf(rule), table, shift);
  if (entry & reservedBits(isLeaf(entry, shift), shift))
    return pageFault(codeOf(rule) | ERROR_PRESENT | ERROR_RESERVED, table, shift);
  const held = combination(rights, entry);
  const key = protectionKey(entry);
  if (!permits(rule, held, key)) return pageFault(denialCode(rule, held, key), table, shift);
  if (!mark(slot, entry, marks)) return walk(va, rule);
  tableOfLeaf = at;
  rightsAboveLeaf = rights;
  return pageAt(entry & ADDRESS_MASK, shift, held, patIndex(entry, shift)) | offsetIn(va, shift);
}

/** Walks one address for one kind of access (ACCESS_ bits). */
export function translate(va: u64, access: u32): u64 {
  return walk(va, sameRuleOf(access));
}
