/*
 * Physical memory: where in linear memory the table at a physical address lies. Two kinds, chosen at compile time:
 *
 *  flat    physical address 0 is linear address `base`, `bytes` of it exist:  linear = base + physical
 *
 *  sparse  4 KiB frames at any 52-bit address, found through the frame directory, a hash table with open addressing.
 *          Its header stands at a fixed place, so that every instance on one memory sees it grow:
 *
 *          DIRECTORY   +0 u32 linear address of the slots   +4 u32 log2 of their number   +8 u32 frames in use
 *          slot, u64   | 63 .. 60: 0 | 59 .. 20: physical frame number + 1 | 19 .. 0: linear address >> 12 |   0 = free
 *
 * Only tables need memory here; a leaf may point anywhere.
 */
import { ADDRESS_MASK, TABLE_BYTES } from "./entry";

/** 1 when this module was compiled for sparse memory, else 0 (set by the build: asc --use SPARSE=n). */
export const IS_SPARSE: u32 = SPARSE;
/** 1 when this module was compiled for memory that several threads share, else 0 (asc --use SHARED=n). */
export const IS_SHARED: u32 = SHARED;

/** What tableAt, and linearOf in a sparse memory, answer when no table lies at the address; no frame can, it is not a multiple of 8. */
export const NO_TABLE: usize = usize.MAX_VALUE;

/** Linear address of the frame directory's header; sparse memory only. */
export const DIRECTORY: usize = 4096;
/** Linear address of the first byte that the host may give out in a sparse memory. */
export const DIRECTORY_END: usize = 8192;

const SLOT_PAGE_BITS: u64 = 20;
const SLOT_PAGE_MASK: u64 = (1 << SLOT_PAGE_BITS) - 1;
/** 2^64 / golden ratio: spreads consecutive frame numbers over the directory. */
const HASH_MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

let base: usize = 0;
/** Physical address of the last whole frame that exists. */
let lastFrame: u64 = 0;

/** Flat memory: `bytes` (at least 4096) of physical memory from linear address `at` on. */
export function setFlatMemory(at: usize, bytes: u64): void {
  base = at;
  lastFrame = bytes - TABLE_BYTES;
}

/**
 * Linear address of the table at a physical address (a multiple of 4096), unless `isMissing` says that there is none:
 * apart, so that the processor can guess and go on to read the entry.
 */
export function linearOf(physical: u64): usize {
  if (SPARSE) return frameInDirectory(physical);
  return base + <usize>physical;
}

/** Whether there is no memory at a physical address, for which linearOf has answered with `at`. */
export function isMissing(physical: u64, at: usize): bool {
  if (SPARSE) return at == NO_TABLE;
  return physical > lastFrame;
}

/** Both in one: the linear address, or NO_TABLE. */
export function tableAt(physical: u64): usize {
  const at = linearOf(physical);
  return isMissing(physical, at) ? NO_TABLE : at;
}

/** The entry at a linear address. */
export function readEntry(slot: usize): u64 {
  return SHARED ? atomic.load<u64>(slot) : load<u64>(slot);
}

/** Two entries, at linear addresses. */
export function readEntries(first: usize, second: usize): v128 {
  if (SHARED) return i64x2.replace_lane(i64x2.splat(atomic.load<i64>(first)), 1, atomic.load<i64>(second));
  return v128.load_lane<u64>(second, v128.load64_zero(first), 1);
}

/** Two entries that stand one behind the other. */
export function readNeighbours(slot: usize): v128 {
  return SHARED ? readEntries(slot, slot + 8) : v128.load(slot);
}

/**
 * Sets bits of the entry at a linear address, as a locked operation. False when the entry is no longer what it was:
 * somebody else has written to it, nothing was set, and the walk has to read it again.
 */
export function mark(slot: usize, entry: u64, bits: u64): bool {
  if (!(bits & ~entry)) return true;
  if (SHARED) return atomic.cmpxchg<u64>(slot, entry, entry | bits) == entry;
  store<u64>(slot, entry | bits);
  return true;
}

/**
 * Sets bits of two entries, as `mark` does. False when that has to be done one after the other, because both are the
 * same entry, or anew, because somebody else has written to one of them.
 */
export function markBoth(first: usize, second: usize, entries: v128, bits: v128): bool {
  if (first == second) return false;
  if (SHARED) {
    return (
      mark(first, i64x2.extract_lane(entries, 0), i64x2.extract_lane(bits, 0)) &&
      mark(second, i64x2.extract_lane(entries, 1), i64x2.extract_lane(bits, 1))
    );
  }
  const marked = v128.or(entries, bits);
  v128.store_lane<u64>(first, marked, 0);
  v128.store_lane<u64>(second, marked, 1);
  return true;
}

/** Writes an entry, in one step with reading what stood there. */
export function exchangeEntry(slot: usize, entry: u64): u64 {
  if (SHARED) return atomic.xchg<u64>(slot, entry);
  const before = load<u64>(slot);
  store<u64>(slot, entry);
  return before;
}

/** The same for two entries that stand one behind the other; in shared memory each on its own. */
export function exchangeNeighbours(slot: usize, entries: v128): v128 {
  if (SHARED) {
    const first = exchangeEntry(slot, i64x2.extract_lane(entries, 0));
    return i64x2.replace_lane(i64x2.splat(first), 1, exchangeEntry(slot + 8, i64x2.extract_lane(entries, 1)));
  }
  const before = v128.load(slot);
  v128.store(slot, entries);
  return before;
}

/**
 * Writes (entry & keep) ^ flip, of the entry at `from`, to `to`: where both are the same, as a locked operation. Returns what
 * stood at `from`.
 */
export function rewriteEntry(to: usize, from: usize, keep: u64, flip: u64): u64 {
  let entry = readEntry(from);
  if (SHARED) {
    if (to != from) {
      atomic.store<u64>(to, (entry & keep) ^ flip);
      return entry;
    }
    while (true) {
      const found = atomic.cmpxchg<u64>(to, entry, (entry & keep) ^ flip);
      if (found == entry) return entry;
      entry = found;
    }
  }
  store<u64>(to, (entry & keep) ^ flip);
  return entry;
}

/** The same for two entries that stand one behind the other; in shared memory each on its own. */
export function rewriteNeighbours(to: usize, from: usize, keep: v128, flip: v128): v128 {
  if (SHARED) {
    const keepOne = i64x2.extract_lane(keep, 0);
    const flipOne = i64x2.extract_lane(flip, 0);
    const first = rewriteEntry(to, from, keepOne, flipOne);
    return i64x2.replace_lane(i64x2.splat(first), 1, rewriteEntry(to + 8, from + 8, keepOne, flipOne));
  }
  const entries = v128.load(from);
  v128.store(to, v128.xor(v128.and(entries, keep), flip));
  return entries;
}

/** A small number that tells the frames of this memory apart: the index into a scan's notes. */
export function frameIndex(table: usize): usize {
  return (SPARSE ? table : table - base) >> 12;
}

function slotOf(frame: u64, log2Slots: u32): u32 {
  return <u32>((frame * HASH_MULTIPLIER) >> (64 - log2Slots));
}

/** Probes from the frame's own slot to the first free one; the directory is never more than half full. */
function frameInDirectory(physical: u64): usize {
  const slots: usize = load<u32>(DIRECTORY);
  const log2Slots = load<u32>(DIRECTORY, 4);
  const frame = (physical >> 12) + 1;
  const mask: usize = (1 << log2Slots) - 1;
  let i: usize = slotOf(frame, log2Slots);
  while (true) {
    const slot = load<u64>(slots + ((i & mask) << 3));
    if (slot >> SLOT_PAGE_BITS == frame) return <usize>((slot & SLOT_PAGE_MASK) << 12);
    if (!slot) return NO_TABLE;
    ++i;
  }
}

function insert(slots: usize, log2Slots: u32, slot: u64): void {
  let i: usize = slotOf(slot >> SLOT_PAGE_BITS, log2Slots);
  const mask: usize = (1 << log2Slots) - 1;
  while (load<u64>(slots + ((i & mask) << 3))) ++i;
  store<u64>(slots + ((i & mask) << 3), slot);
}

/** Says that the frame at a physical address lies at linear address `at` (a multiple of 4096); false: directory full. */
export function addFrame(physical: u64, at: usize): bool {
  const count = load<u32>(DIRECTORY, 8);
  const log2Slots = load<u32>(DIRECTORY, 4);
  if (count * 2 >= (<u32>1) << log2Slots) return false;
  insert(
    load<u32>(DIRECTORY),
    log2Slots,
    ((((physical & ADDRESS_MASK) >> 12) + 1) << SLOT_PAGE_BITS) | (<u64>at >> 12),
  );
  store<u32>(DIRECTORY, count + 1, 8);
  return true;
}

/** Moves the directory to 2^log2Slots zeroed slots at linear address `at`; also makes the first one. */
export function moveDirectory(at: usize, log2Slots: u32): void {
  const old: usize = load<u32>(DIRECTORY);
  if (old) {
    const end = old + ((<usize>8) << load<u32>(DIRECTORY, 4));
    for (let slot = old; slot < end; slot += 8) {
      if (load<u64>(slot)) insert(at, log2Slots, load<u64>(slot));
    }
  }
  store<u32>(DIRECTORY, <u32>at);
  store<u32>(DIRECTORY, log2Slots, 4);
}
