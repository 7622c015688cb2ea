/*
 * Walks as several designs end with them.
 */
import { combination, keyDenies, narrow } from "../../../assembly/access";
import { pointerBits } from "../../../assembly/cpu";
import { ADDRESS_MASK, entryOffset, LEVEL1_SHIFT, PRESENT, patIndex, protectionKey } from "../../../assembly/entry";
import { NO_TABLE, readEntry, tableAt } from "../../../assembly/memory";
import { offsetIn, pageAt } from "../../../assembly/outcome";
import { isLeaf, reservedBits, walk } from "../../../assembly/walk";

/**
 * Walks the addresses from linear address `from` up to `end`, one after the other; words go `across` bytes further.
 * Like most loops of the designs it tests its end at its end: V8 moves what is worked out before a loop, a whole rule,
 * into a loop that may not come to use it, and works it out in every turn.
 */
export function walkEach(from: usize, end: usize, across: usize, rule: u32): void {
  if (from == end) return;
  let at = from;
  do {
    store<u64>(at + across, walk(load<u64>(at), rule));
    at += 8;
  } while (at != end);
}

/**
 * The outcome of a probe that has come to an entry of 2^atShift bytes; `above` are the rights of the levels above it.
 * Faults are left to the walk, from the root.
 */
export function walkOn(va: u64, atEntry: u64, atShift: u32, above: u64, rule: u32): u64 {
  let entry = atEntry;
  let shift = atShift;
  let rights = above;
  while (shift != LEVEL1_SHIFT && (entry & pointerBits) == PRESENT) {
    rights = narrow(rights, entry);
    const at = tableAt(entry & ADDRESS_MASK);
    if (at == NO_TABLE) return walk(va, rule);
    shift -= 9;
    entry = readEntry(at + entryOffset(va, shift));
  }
  if (!(entry & PRESENT) || !isLeaf(entry, shift) || entry & reservedBits(true, shift)) return walk(va, rule);
  const held = combination(rights, entry);
  const forbidden = !((rule >> held) & 1) || keyDenies(rule, (held & 2) != 0, protectionKey(entry));
  if (forbidden) return walk(va, rule);
  return pageAt(entry & ADDRESS_MASK, shift, held, patIndex(entry, shift)) | offsetIn(va, shift);
}
