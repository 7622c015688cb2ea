/*
 * The pages behind a range of linear addresses: what a kernel's get_user_pages looks for, as far as it is hardware.
 * Intel SDM vol. 3A, section 4.5 (entries); Linux 6.1, mm/gup.c: gup_pgd_range and what it calls.
 *
 * Page after page, as long as each has a leaf of 4 KiB, 2 MiB or 1 GiB with P, U/S and, for writing, R/W. The first that has
 * not is where it ends: what that means is for the caller to find out. Like Linux, and unlike the processor, it takes no notice
 * of rights in the entries above a leaf, where a kernel leaves every right, nor of reserved bits. Nothing is marked.
 *
 *   pages   | first frame | first + 1 | ... | one f64 for each 4 KiB page of the range: its frame number
 *
 *   runs    three f64 each: leaves one after the other in one table, whose frames follow each other
 *           +0   index in the list of its first page: its pages end where those of the next run begin
 *           +8   frame number of that page
 *           +16  physical address of its first entry, plus the level, 1 to 3
 *           behind the last one stands the number of all pages
 *
 *   table   ... | leaf A | leaf A + 1 | leaf A + 2 | leaf X | leaf X + 1 | not present | ...
 *   runs         ^ first                             ^ second             ^ end
 *
 * All numbers are f64, which hold every page and frame number, since a bigint costs more than a leaf.
 */
import {
  ADDRESS_MASK,
  entryOffset,
  LEVEL1_SHIFT,
  LEVEL3_SHIFT,
  levelOf,
  PAGE_SIZE,
  PRESENT,
  TABLE_BYTES,
  USER,
  WRITABLE,
} from "./entry";
import { isMissing, linearOf, readEntry, readNeighbours } from "./memory";

/** Bytes of a run. */
export const GUP_RUN_BYTES: u32 = 24;

const NO_FRAME: u64 = u64.MAX_VALUE;
/** 2^52 as an f64; a frame number in its low bits is 2^52 and that number. */
const TWO_TO_52: i64 = 0x4330_0000_0000_0000;

/** Bits that a leaf must have. */
let demanded: u64 = 0;
/** Whether pages and runs are listed, and not only counted. */
let lists: bool = false;
/** Where the list of pages begins, and where the next page goes. */
let list: usize = 0;
let out: usize = 0;
/** The next run, and how many more there is room for. */
let runs: usize = 0;
let roomForRuns: u32 = 0;
/** The frame that makes the last run longer. */
let expected: u64 = NO_FRAME;

/**
 * Lists `count` pages from page number `first` (the linear address / 4096) on, below the root table at frame `root`, whose
 * entries cover 2^shift bytes. Returns how many there were before one was missing, or the list of runs was full: call again.
 *
 * @param pages room for `count` f64, 8-byte aligned
 * @param records room for `room` runs, likewise, and for the number behind them
 */
export function gupPages(
  root: f64,
  shift: u32,
  first: f64,
  count: f64,
  write: bool,
  pages: usize,
  records: usize,
  room: u32,
): f64 {
  lists = true;
  list = out = pages;
  runs = records;
  roomForRuns = room;
  const found = walkPages(root, shift, first, count, write);
  store<f64>(runs, found);
  return found;
}

/** Counts pages, likewise, and lists nothing. */
export function gupCount(root: f64, shift: u32, first: f64, count: f64, write: bool): f64 {
  lists = false;
  return walkPages(root, shift, first, count, write);
}

function walkPages(root: f64, rootShift: u32, first: f64, count: f64, write: bool): f64 {
  const start = <u64>first;
  const end = start + <u64>count;
  demanded = PRESENT | USER | (write ? WRITABLE : 0);
  let page = start;
  while (page < end) {
    let table = (<u64>root) << LEVEL1_SHIFT;
    let shift = rootShift;
    let at: usize;
    while (true) {
      at = linearOf(table);
      if (isMissing(table, at)) return <f64>(page - start);
      if (shift == LEVEL1_SHIFT) break;
      const entry = readEntry(at + entryOffset(page << LEVEL1_SHIFT, shift));
      if (entry & PAGE_SIZE && shift <= LEVEL3_SHIFT) break;
      if ((entry & (PRESENT | PAGE_SIZE)) != PRESENT) return <f64>(page - start);
      table = entry & ADDRESS_MASK;
      shift -= 9;
    }
    /* No run goes on from one table into another. */
    expected = NO_FRAME;
    const next = shift == LEVEL1_SHIFT ? smallLeaves(at, table, page, end) : largeLeaves(at, table, page, end, shift);
    if (next == page) break;
    page = next;
  }
  return <f64>(page - start);
}

/** Leaves of 4 KiB from one in the table at `at` on, to the end of it. Returns the page behind them. */
function smallLeaves(at: usize, table: u64, first: u64, end: u64): u64 {
  const offset = entryOffset(first << LEVEL1_SHIFT, LEVEL1_SHIFT);
  let slot = at + offset;
  let left = min((<u64>TABLE_BYTES - offset) >> 3, end - first);
  let page = first;
  while (left) {
    if (left > 1) {
      /* Two at once, where they go on with the run. */
      const entries = readNeighbours(slot);
      const amiss = v128.andnot(i64x2.splat(demanded), entries);
      const frames = i64x2.shr_u(v128.and(entries, i64x2.splat(ADDRESS_MASK)), LEVEL1_SHIFT);
      const following = i64x2.replace_lane(i64x2.splat(expected), 1, expected + 1);
      if (!v128.any_true(lists ? v128.or(amiss, v128.xor(frames, following)) : amiss)) {
        if (lists) {
          v128.store(out, f64x2.sub(v128.or(frames, i64x2.splat(TWO_TO_52)), i64x2.splat(TWO_TO_52)));
          out += 16;
          expected += 2;
        }
        slot += 16;
        page += 2;
        left -= 2;
        continue;
      }
    }
    const entry = readEntry(slot);
    if ((entry & demanded) != demanded) break;
    if (lists) {
      const frame = (entry & ADDRESS_MASK) >> LEVEL1_SHIFT;
      if (frame != expected && !beginRun(frame, table + <u64>(slot - at), LEVEL1_SHIFT)) break;
      store<f64>(out, <f64>frame);
      out += 8;
      expected = frame + 1;
    }
    slot += 8;
    ++page;
    --left;
  }
  return page;
}

/** Leaves of 2 MiB or 1 GiB, likewise. */
function largeLeaves(at: usize, table: u64, first: u64, end: u64, shift: u32): u64 {
  const needed = demanded | PAGE_SIZE;
  const pagesOfLeaf = (<u64>1) << (shift - LEVEL1_SHIFT);
  let page = first;
  let offset = entryOffset(first << LEVEL1_SHIFT, shift);
  for (; page < end && offset < <usize>TABLE_BYTES; offset += 8) {
    const entry = readEntry(at + offset);
    if ((entry & needed) != needed) break;
    const within = page & (pagesOfLeaf - 1);
    const pages = min(pagesOfLeaf - within, end - page);
    if (lists) {
      const frame = (((entry & ADDRESS_MASK) >> LEVEL1_SHIFT) & ~(pagesOfLeaf - 1)) + within;
      if (frame != expected && !beginRun(frame, table + <u64>offset, shift)) break;
      listFrames(frame, pages);
      expected = frame + pages;
    }
    page += pages;
  }
  return page;
}

/** False where there is no room for another run. */
function beginRun(frame: u64, entryAddress: u64, shift: u32): bool {
  if (!roomForRuns) return false;
  --roomForRuns;
  store<f64>(runs, <f64>((out - list) >> 3));
  store<f64>(runs, <f64>frame, 8);
  store<f64>(runs, <f64>(entryAddress + levelOf(shift)), 16);
  runs += GUP_RUN_BYTES;
  return true;
}

/** Appends frame, frame + 1 ... to the list, eight at a time. */
function listFrames(frame: u64, count: u64): void {
  let two = f64x2.replace_lane(f64x2.splat(<f64>frame), 1, <f64>(frame + 1));
  let left = count;
  for (; left >= 8; left -= 8) {
    v128.store(out, two);
    v128.store(out, f64x2.add(two, f64x2.splat(2)), 16);
    v128.store(out, f64x2.add(two, f64x2.splat(4)), 32);
    v128.store(out, f64x2.add(two, f64x2.splat(6)), 48);
    two = f64x2.add(two, f64x2.splat(8));
    out += 64;
  }
  let next = f64x2.extract_lane(two, 0);
  for (; left; --left) {
    store<f64>(out, next);
    next += 1;
    out += 8;
  }
}
