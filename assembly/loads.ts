/*
 * Which loads a walk makes, for models of time: the address of every entry that a page-miss handler reads, from the root down.
 * Intel SDM vol. 3A, section 4.5.4. Written to memory of the caller's:
 *
 *   +0           u64   outcome word, as translate answers it
 *   +8 + 16 i    u64   physical address of the i-th entry, 0 the root table's
 *   +16 + 16 i   u64   that entry, as it was before the walk set A or D in it
 *
 * The walk is the one of walk.ts and decides alone; here its way down is gone once before, with nothing but loads.
 */
import { forbidsHalf, sameRuleOf } from "./access";
import { isCanonical, root, rootShift } from "./cpu";
import { ADDRESS_MASK, entryOffset, LEVEL1_SHIFT } from "./entry";
import { isMissing, linearOf, readEntry } from "./memory";
import { pointsToTable, walk } from "./walk";

/** Bytes that walkLoads may write: an outcome word, and five loads. */
export const LOADS_BYTES: u32 = 88;
/** Where the loads begin. */
export const LOADS_FIRST: u32 = 8;
/** Bytes of a load: an address, and an entry. */
export const LOAD_BYTES: u32 = 16;

/**
 * Walks va for one kind of access (ACCESS_ bits), and writes outcome and loads from linear address `at` on. Answers with the number of
 * loads: 0 where no table is read. In a memory that threads share, an entry may change between its load and the walk.
 */
export function walkLoads(va: u64, access: u32, at: usize): u32 {
  const rule = sameRuleOf(access);
  const count = isCanonical(va) && !forbidsHalf(rule, va) ? wayDown(va, at + LOADS_FIRST) : 0;
  store<u64>(at, walk(va, rule));
  return count;
}

function wayDown(va: u64, to: usize): u32 {
  let count: u32 = 0;
  let table = root;
  let shift = rootShift;
  while (true) {
    const at = linearOf(table);
    if (isMissing(table, at)) return count;
    const entry = readEntry(at + entryOffset(va, shift));
    store<u64>(to, table | entryOffset(va, shift));
    store<u64>(to, entry, 8);
    ++count;
    if (shift == LEVEL1_SHIFT || !pointsToTable(entry, shift)) return count;
    table = entry & ADDRESS_MASK;
    shift -= 9;
    to += LOAD_BYTES;
  }
}
