/*
 * Every entry under a range of linear addresses, whatever it holds: what a kernel goes through that unmaps, copies or protects.
 * Intel SDM vol. 3A, section 4.5 (entries); Linux 6.1, arch/x86/include/asm/pgtable.h, pgtable-invert.h (what it keeps in an entry with P = 0).
 *
 * One linear range may be mapped by leaves of 1 GiB, 2 MiB and 4 KiB together, with holes of all sizes between them. A present entry
 * without PS above 4 KiB points to a table, and the walk goes down; any other is listed, at the level where it stands.
 *
 *   run     neighbouring entries of one table whose values go up or down by the same step:
 *
 *             P = 1               leaves: up by the leaf's size, the frames follow each other
 *             P = 0, bit 8 = 1    Linux's PROT_NONE: down by the size, since the frame number is stored inverted
 *             all others          empty entries, markers, swap entries: all the same
 *
 *           Some bits may be let differ, as A and D do once programs have run: the record has them where any entry has them.
 *
 *   record  +0   f64  number of the 4 KiB page where the run begins: cut off where the range begins in the middle of an entry
 *           +8   f64  physical address of its first entry
 *           +16  u32  low half of that entry   +20 u32  high half
 *           +24  u32  number of entries        +28 u32  level, 1 to 5
 *           behind the last one stands, as f64, the number of the page where the list ends
 *
 *   table   ... | leaf A | leaf A + 1 | leaf A + 2 | empty | empty | to a table | empty | ...
 *   runs         ^ first                            ^ second        ^ its runs   ^
 */
import { ADDRESS_MASK, entryOffset, GLOBAL, LEVEL1_SHIFT, levelOf, PAGE_SIZE, PRESENT, TABLE_BYTES } from "./entry";
import {
  exchangeEntry,
  exchangeNeighbours,
  isMissing,
  linearOf,
  NO_TABLE,
  readEntry,
  readNeighbours,
  rewriteEntry,
  rewriteNeighbours,
} from "./memory";

/** Bytes of a record. */
export const LEAF_RUN_BYTES: u32 = 32;
/** What leafWrite and leafModify answer where there are no such entries. */
const NOT_THERE: f64 = -1;

/** The next record, and how many more there is room for. */
let record: usize = 0;
let roomForRuns: u32 = 0;
/** Bits in which the entries of a run may differ. */
let loose: u64 = 0;
/** Whether the list ended for want of room. */
let isFull: bool = false;

/**
 * Lists the entries under `count` pages from page number `first` (the linear address / 4096) on, below the root table at frame
 * `root`, whose entries cover 2^shift bytes. It ends before its time where there is no room for another record, and before a table
 * that lies where there is no memory. Returns the number of records.
 *
 * @param mayDiffer bits 11:0 in which the entries of a run may differ
 * @param records room for `room` records, 8-byte aligned, and for an f64 behind them
 */
export function leafRuns(
  root: f64,
  shift: u32,
  first: f64,
  count: f64,
  mayDiffer: u32,
  records: usize,
  room: u32,
): u32 {
  const end = <u64>first + <u64>count;
  record = records;
  roomForRuns = room;
  loose = mayDiffer;
  isFull = false;
  let page = <u64>first;
  while (page < end && !isFull) {
    let table = (<u64>root) << LEVEL1_SHIFT;
    let below = shift;
    let at = linearOf(table);
    while (!isMissing(table, at)) {
      const entry = readEntry(at + entryOffset(page << LEVEL1_SHIFT, below));
      if (!pointsToTable(entry, below)) break;
      table = entry & ADDRESS_MASK;
      below -= 9;
      at = linearOf(table);
    }
    if (isMissing(table, at)) break;
    page = runsOfTable(at, table, page, end, below);
  }
  store<f64>(record, <f64>page);
  return <u32>(record - records) / LEAF_RUN_BYTES;
}

/**
 * The way down to one entry: from the root to the entry of the level where one covers 2^stop bytes, or to what stands in the way, a leaf
 * or a hole that covers more. Returns the entry's physical address, plus its level, 1 to 5; 0 where a table lies outside memory.
 */
export function leafAt(root: f64, shift: u32, page: f64, stop: u32): f64 {
  const address = (<u64>page) << LEVEL1_SHIFT;
  let table = (<u64>root) << LEVEL1_SHIFT;
  let below = shift;
  while (true) {
    const at = linearOf(table);
    if (isMissing(table, at)) return 0;
    const offset = entryOffset(address, below);
    const entry = readEntry(at + offset);
    if (below <= stop || !pointsToTable(entry, below)) return <f64>(table + <u64>offset + levelOf(below));
    table = entry & ADDRESS_MASK;
    below -= 9;
  }
}

/**
 * Writes `count` entries of one table from the physical address `at` on: the first gets the value, each other `step` more than the
 * one before. Returns the low halves of what stood there, all in one by OR, so that no D is lost that another thread sets meanwhile;
 * -1, and nothing is written, where memory or the table ends before the last entry.
 */
export function leafWrite(at: f64, count: u32, low: u32, high: u32, step: i32): f64 {
  let slot = slotOf(at, count);
  if (slot == NO_TABLE) return NOT_THERE;
  const first = wordOf(low, high);
  const stepWide = <i64>step;
  let next = i64x2.replace_lane(i64x2.splat(first), 1, first + stepWide);
  let seen = i64x2.splat(0);
  let left = count;
  for (; left > 1; left -= 2) {
    seen = v128.or(seen, exchangeNeighbours(slot, next));
    next = i64x2.add(next, i64x2.splat(stepWide * 2));
    slot += 16;
  }
  const rest = left ? exchangeEntry(slot, i64x2.extract_lane(next, 0)) : 0;
  return lowOfAll(seen, rest);
}

/**
 * Makes (entry & keep) ^ flip of `count` entries from the physical address `from` on, and writes it from `to` on, which may be the
 * same place. So a bit is cleared that is not kept, set if it is flipped as well; kept and flipped, it is inverted. Both places lie
 * within a table each. Returns as leafWrite does, of what stood at `from`.
 */
export function leafModify(
  to: f64,
  from: f64,
  count: u32,
  keepLow: u32,
  keepHigh: u32,
  flipLow: u32,
  flipHigh: u32,
): f64 {
  let target = slotOf(to, count);
  let slot = slotOf(from, count);
  if (slot == NO_TABLE || target == NO_TABLE) return NOT_THERE;
  const keep = wordOf(keepLow, keepHigh);
  const flip = wordOf(flipLow, flipHigh);
  const keepBoth = i64x2.splat(keep);
  const flipBoth = i64x2.splat(flip);
  let seen = i64x2.splat(0);
  let left = count;
  for (; left > 1; left -= 2) {
    seen = v128.or(seen, rewriteNeighbours(target, slot, keepBoth, flipBoth));
    slot += 16;
    target += 16;
  }
  const rest = left ? rewriteEntry(target, slot, keep, flip) : 0;
  return lowOfAll(seen, rest);
}

/** Appends the runs of the table at `at`, from the one with page `first` on, up to an entry that points to a table. Returns the page behind them. */
function runsOfTable(at: usize, table: u64, first: u64, end: u64, shift: u32): u64 {
  const log2Pages = <u64>(shift - LEVEL1_SHIFT);
  const offset = entryOffset(first << LEVEL1_SHIFT, shift);
  const entries = min<u64>((TABLE_BYTES - <u32>offset) >> 3, ((end - 1) >> log2Pages) - (first >> log2Pages) + 1);
  const endOfEntries = at + offset + ((<usize>entries) << 3);
  let slot = at + offset;
  let page = first;
  while (slot < endOfEntries) {
    const entry = readEntry(slot);
    if (pointsToTable(entry, shift)) break;
    if (!roomForRuns) {
      isFull = true;
      break;
    }
    --roomForRuns;
    store<f64>(record, <f64>page);
    store<f64>(record, <f64>(table + <u64>(slot - at)), 8);
    const next = endOfRun(slot, endOfEntries, entry, stepOf(entry, shift));
    const length = (next - slot) >> 3;
    store<u32>(record, <u32>length, 24);
    store<u32>(record, levelOf(shift), 28);
    record += LEAF_RUN_BYTES;
    page = ((page >> log2Pages) + <u64>length) << log2Pages;
    slot = next;
  }
  return min(page, end);
}

/** Where a run ends that begins with an entry; stores the entry into the record, with the loose bits of all. */
function endOfRun(first: usize, end: usize, entry: u64, step: u64): usize {
  const strict = i64x2.splat(~loose);
  const two = i64x2.splat(step * 2);
  let next = i64x2.replace_lane(i64x2.splat(entry + step), 1, entry + step * 2);
  let seen = i64x2.splat(entry);
  let slot = first + 8;
  while (slot + 8 < end) {
    const entries = readNeighbours(slot);
    if (v128.any_true(v128.and(v128.xor(entries, next), strict))) break;
    seen = v128.or(seen, entries);
    next = i64x2.add(next, two);
    slot += 16;
  }
  let used = i64x2.extract_lane(seen, 0) | i64x2.extract_lane(seen, 1);
  if (slot < end) {
    /* The first of two that do not both go on with the run, or one that is left over. */
    const last = readEntry(slot);
    if (!((last ^ i64x2.extract_lane(next, 0)) & ~loose)) {
      used |= last;
      slot += 8;
    }
  }
  store<u64>(record, entry | (used & loose), 16);
  return slot;
}

function pointsToTable(entry: u64, shift: u32): bool {
  return shift > LEVEL1_SHIFT && (entry & (PRESENT | PAGE_SIZE)) == PRESENT;
}

/** By how much an entry must be more than the one before it, to go on with its run. */
function stepOf(entry: u64, shift: u32): u64 {
  const size = (<u64>1) << shift;
  if (entry & PRESENT) return size;
  return entry & GLOBAL ? -size : 0;
}

/** The linear address of `count` entries at a physical address; NO_TABLE where memory or their table ends before. */
function slotOf(physical: f64, count: u32): usize {
  const at = <u64>physical;
  const table = at & ADDRESS_MASK;
  const linear = linearOf(table);
  const offset = <u32>(at - table);
  return isMissing(table, linear) || count > (TABLE_BYTES - offset) >> 3 ? NO_TABLE : linear + offset;
}

function wordOf(low: u32, high: u32): u64 {
  return ((<u64>high) << 32) | low;
}

function lowOfAll(seen: v128, rest: u64): f64 {
  return <f64>(<u32>(i64x2.extract_lane(seen, 0) | i64x2.extract_lane(seen, 1) | rest));
}
