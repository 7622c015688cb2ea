/*
 * The whole batch in the order of its page tables: a radix sort by address >> 21, the walk of assembly/walk.ts, and
 * each outcome put where it belongs.
 *
 *   scratch   counters, u32 x 2048 | items | as many again; an item is an address and where its outcome goes, u64 each
 *
 * Hoped for: each table is fetched once, and walks that follow each other take the same branches.
 *
 * Made: about 0.3 to 0.5 times native with tables in the caches, 0.7 to 0.9 with 128 MiB of them; leaves of mixed
 * sizes 0.6 to 0.9, where the branches are guessed right indeed. The sort moves 32 bytes a digit through memory for
 * each address, two or three digits; that costs as much as the misses that it saves.
 */
import { marksOf, ruleOf } from "../../../assembly/access";
import { LEVEL2_SHIFT } from "../../../assembly/entry";
import { walk } from "../../../assembly/walk";
import { walkEach } from "./walks";

const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;
const COUNTER_BYTES: usize = DIGITS << 2;
const ITEM_BYTES: usize = 16;

/** Bytes of scratch that a call needs for so many addresses. */
export function scratchBytes(count: u32, _log2Slots: u32): usize {
  return COUNTER_BYTES + <usize>count * 2 * ITEM_BYTES;
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
  /* Marks have to be set in the order of the addresses: D of one may be what makes another a shadow-stack page. */
  if (marksOf(rule) || !count) return walkEach(addresses, end, outcomes - addresses, rule);
  const bytes = <usize>count * ITEM_BYTES;
  let items = scratch + COUNTER_BYTES;
  let others = items + bytes;
  const varying = list(addresses, end, outcomes - addresses, items);
  for (let digit = LEVEL2_SHIFT; digit < 64; digit += DIGIT_BITS) {
    /* Most addresses have the same upper bits. */
    if (!((varying >> digit) & (DIGITS - 1))) continue;
    sort(items, items + bytes, others, digit, scratch);
    const sorted = others;
    others = items;
    items = sorted;
  }
  const last = items + bytes;
  do {
    store<u64>(load<usize>(items, 8), walk(load<u64>(items), rule));
    items += ITEM_BYTES;
  } while (items != last);
}

/** Writes the items; answers with the bits in which the addresses differ. */
function list(from: usize, end: usize, across: usize, items: usize): u64 {
  const first = load<u64>(from);
  let varying: u64 = 0;
  let item = items;
  for (let at = from; at != end; at += 8) {
    const va = load<u64>(at);
    varying |= va ^ first;
    store<u64>(item, va);
    store<u64>(item, at + across, 8);
    item += ITEM_BYTES;
  }
  return varying;
}

/** Moves the items to `to`, ordered by one digit of their addresses, otherwise in the order that they had. */
function sort(from: usize, end: usize, to: usize, digit: u32, counters: usize): void {
  memory.fill(counters, 0, COUNTER_BYTES);
  for (let item = from; item != end; item += ITEM_BYTES) {
    const counter = counters + digitOf(load<u64>(item), digit);
    store<u32>(counter, load<u32>(counter) + 1);
  }
  let place = to;
  for (let counter = counters; counter != counters + COUNTER_BYTES; counter += 4) {
    const count: usize = load<u32>(counter);
    store<u32>(counter, <u32>place);
    place += count * ITEM_BYTES;
  }
  for (let item = from; item != end; item += ITEM_BYTES) {
    const counter = counters + digitOf(load<u64>(item), digit);
    const at: usize = load<u32>(counter);
    v128.store(at, v128.load(item));
    store<u32>(counter, <u32>(at + ITEM_BYTES));
  }
}

/** Byte offset of the counter of an address. */
function digitOf(va: u64, digit: u32): usize {
  return (<usize>(va >> digit) & (DIGITS - 1)) << 2;
}
