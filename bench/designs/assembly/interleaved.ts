/*
 * Four walks in one loop, level by level in lockstep, with scalar instructions.
 *
 * As long as all four entries point to tables, the walks go on together; after that each is finished alone.
 *
 * Hoped for: four chains of loads that do not wait for each other, and one branch a level instead of four.
 *
 * Made: about 0.5 to 0.7 times native with tables in the caches, 0.9 to 1.0 beyond them: more misses are under way at
 * a time, but there are as many instructions as before, and sixteen values on sixteen registers. Where sizes are mixed
 * the four part after two levels: 0.55 to 0.7.
 */
import { ALL_RIGHTS, forbidsHalf, marksOf, narrow, ruleOf } from "../../../assembly/access";
import { isCanonical, pointerBits, root, rootShift } from "../../../assembly/cpu";
import { ADDRESS_MASK, entryOffset, LEVEL1_SHIFT, PRESENT } from "../../../assembly/entry";
import { NO_TABLE, readEntry, tableAt } from "../../../assembly/memory";
import { walkEach, walkOn } from "./walks";

const FOUR: usize = 4 * 8;

/** Bytes of scratch that a call needs for so many addresses. */
export function scratchBytes(_count: u32, _log2Slots: u32): usize {
  return 0;
}

export function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  _scratch: usize,
  _log2Slots: u32,
  _epoch: u32,
): void {
  const rule = ruleOf(access);
  const end = addresses + ((<usize>count) << 3);
  const across = outcomes - addresses;
  /* Marks have to be set in the order of the addresses: D of one may be what makes another a shadow-stack page. */
  const fours: usize = marksOf(rule) ? 0 : count >> 2;
  const rest = addresses + fours * FOUR;
  let at = addresses;
  if (fours) {
    do {
      if (mayBegin(at, rule)) walkFour(at, across, rule);
      else walkEach(at, at + FOUR, across, rule);
      at += FOUR;
    } while (at != rest);
  }
  walkEach(at, end, across, rule);
}

/** Whether a table has to be read for each of the four. */
function mayBegin(at: usize, rule: u32): bool {
  for (const end = at + FOUR; at != end; at += 8) {
    const va = load<u64>(at);
    if (!isCanonical(va) || forbidsHalf(rule, va)) return false;
  }
  return true;
}

function walkFour(at: usize, across: usize, rule: u32): void {
  const va0 = load<u64>(at);
  const va1 = load<u64>(at, 8);
  const va2 = load<u64>(at, 16);
  const va3 = load<u64>(at, 24);
  let entry0 = root;
  let entry1 = root;
  let entry2 = root;
  let entry3 = root;
  let above0 = ALL_RIGHTS;
  let above1 = ALL_RIGHTS;
  let above2 = ALL_RIGHTS;
  let above3 = ALL_RIGHTS;
  for (let shift = rootShift; ; shift -= 9) {
    const in0 = tableAt(entry0 & ADDRESS_MASK);
    const in1 = tableAt(entry1 & ADDRESS_MASK);
    const in2 = tableAt(entry2 & ADDRESS_MASK);
    const in3 = tableAt(entry3 & ADDRESS_MASK);
    if (in0 == NO_TABLE || in1 == NO_TABLE || in2 == NO_TABLE || in3 == NO_TABLE) {
      walkEach(at, at + FOUR, across, rule);
      return;
    }
    entry0 = readEntry(in0 + entryOffset(va0, shift));
    entry1 = readEntry(in1 + entryOffset(va1, shift));
    entry2 = readEntry(in2 + entryOffset(va2, shift));
    entry3 = readEntry(in3 + entryOffset(va3, shift));
    /* Bits in which one of the four is not what an entry is that points to a table. */
    const others = (entry0 ^ PRESENT) | (entry1 ^ PRESENT) | (entry2 ^ PRESENT) | (entry3 ^ PRESENT);
    if (shift == LEVEL1_SHIFT || others & pointerBits) {
      store<u64>(at + across, walkOn(va0, entry0, shift, above0, rule));
      store<u64>(at + across, walkOn(va1, entry1, shift, above1, rule), 8);
      store<u64>(at + across, walkOn(va2, entry2, shift, above2, rule), 16);
      store<u64>(at + across, walkOn(va3, entry3, shift, above3, rule), 24);
      return;
    }
    above0 = narrow(above0, entry0);
    above1 = narrow(above1, entry1);
    above2 = narrow(above2, entry2);
    above3 = narrow(above3, entry3);
  }
}
