/*
 * A small TLB in front of the walk: a direct-mapped cache of whole outcome words, a slot for a page of 4 KiB, made
 * anew each call. A larger page takes a slot for each 4 KiB of it that is asked for. Failures are not cached.
 *
 *   slot   +0 tag: the page's address, and 12 bits that are set (0: free)    +8 outcome word of the page's first byte
 *
 * Hoped for: what a processor gains by its TLB. A hit is two loads and a comparison.
 *
 * Made: about 1.0 times native where all there is are 2,560 pages of 4 KiB, 0.4 to 0.6 everywhere else, a little less
 * than without it. Random addresses come back too seldom: a slot of a table cache serves 512 pages, one of this a
 * single one. And hits and misses come in no order that a branch predictor could learn.
 */
import { marksOf, ruleOf } from "../../../assembly/access";
import { OUTCOME_FAILED } from "../../../assembly/outcome";
import { walk } from "../../../assembly/walk";
import { walkEach } from "./walks";

/** As many as large second-level TLBs have; clearing them costs about a microsecond a call. */
const SLOTS: usize = 2048;
const SLOT_BYTES: usize = 16;
const IN_PAGE: u64 = 4095;

/** Bytes of scratch that a call needs for so many addresses. */
export function scratchBytes(_count: u32, _log2Slots: u32): usize {
  return SLOTS * SLOT_BYTES;
}

export function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  scratch: usize,
  _log2Slots: u32,
  _epoch: u32,
): void {
  const rule = ruleOf(access);
  const end = addresses + ((<usize>count) << 3);
  const across = outcomes - addresses;
  /* A D that is set makes a shadow-stack page of a read-only one: its word of before must not be used again. */
  if (marksOf(rule) || !count) return walkEach(addresses, end, across, rule);
  memory.fill(scratch, 0, SLOTS * SLOT_BYTES);
  let at = addresses;
  do {
    const va = load<u64>(at);
    const slot = scratch + (<usize>(va >> 8) & ((SLOTS - 1) * SLOT_BYTES));
    if (load<u64>(slot) == (va | IN_PAGE)) {
      store<u64>(at + across, load<u64>(slot, 8) | (va & IN_PAGE));
    } else {
      const outcome = walk(va, rule);
      store<u64>(at + across, outcome);
      if (!(outcome & OUTCOME_FAILED)) {
        store<u64>(slot, va | IN_PAGE);
        store<u64>(slot, outcome & ~IN_PAGE, 8);
      }
    }
    at += 8;
  } while (at != end);
}
