/*
 * Many accesses through the TLB (tlb.ts), two at a time as long as both are hits. The arrays are laid out as for
 * translateMany.
 *
 * A pair is a hit if both pages are cached as the current context's own and permit the access; nothing but the cached
 * pages is read then. Global pages of another context, misses and faults are left to the single look-up, which would have
 * found the same pages: the smallest that the context owns. Where only pages of one size have been cached, only those
 * are looked at.
 */
import { ACCESS_MARK, marksOf, ruleOf } from "./access";
import { pcid } from "./cpu";
import {
  decidingHalf,
  decidingRights,
  demandedHalf,
  demandedRights,
  demandRule,
  keysDecide,
  passingKey,
} from "./demands";
import { DIRTY, LEVEL1_SHIFT, LEVEL2_SHIFT, LEVEL3_SHIFT } from "./entry";
import { OUTCOME_RIGHTS_SHIFT } from "./outcome";
import { AnyLevel, isAmiss, Level1, Level2, Level3, offsetsWithin, shiftAt } from "./pair";
import {
  cachedLevels,
  countLookups,
  log2PageEntries,
  lookUp,
  pageArrays,
  TLB_ADDRESS_MASK,
  TLB_CONTEXT_SPREAD,
  TLB_DIRTY,
  TLB_KEY_MASK,
} from "./tlb";

/** log2 of the bytes of a slot. */
const SLOT_SHIFT: u32 = 4;

/** Translates `count` addresses through the caches. The accesses are really made: A and D are set. */
export function tlbTranslateMany(addresses: usize, count: u32, access: u32, outcomes: usize): void {
  const rule = ruleOf(access | ACCESS_MARK);
  const across = outcomes - addresses;
  const end = addresses + ((<usize>count) << 3);
  let at = addresses;
  countLookups(count);
  if (demandRule(rule)) {
    const pairs = addresses + ((<usize>count >> 1) << 4);
    translatePairs(addresses, pairs, across, rule);
    at = pairs;
  }
  for (; at != end; at += 8) store<u64>(at + across, lookUp(load<u64>(at), rule));
}

function translatePairs(from: usize, end: usize, across: usize, rule: u32): void {
  for (let at = from; at != end; at += 16) {
    const levels = cachedLevels();
    if (levels == 1) at = hitsAt<Level1>(at, end, across, rule);
    else if (levels == 2) at = hitsAt<Level2>(at, end, across, rule);
    else if (levels == 4) at = hitsAt<Level3>(at, end, across, rule);
    else if (levels) at = hitsAtAnyLevel(at, end, across, rule);
    if (at == end) return;
    store<u64>(at + across, lookUp(load<u64>(at), rule));
    store<u64>(at + across, lookUp(load<u64>(at, 8), rule), 8);
  }
}

/** Bits of a cached page, and bit 63 of the address, that must be set. */
function demandedBitsOfPage(rule: u32): u64 {
  const dirty = marksOf(rule) & DIRTY ? TLB_DIRTY : 0;
  return ((<u64>demandedRights) << OUTCOME_RIGHTS_SHIFT) | <u64>passingKey | dirty | demandedHalf;
}

/** Those that must be as demanded. */
function decidingBitsOfPage(rule: u32): u64 {
  const key = keysDecide ? TLB_KEY_MASK : 0;
  return demandedBitsOfPage(rule) | ((<u64>decidingRights) << OUTCOME_RIGHTS_SHIFT) | key | decidingHalf;
}

/** Linear address of the slot for va, in the array of pages of 2^shift bytes at `array`. */
function slotIn(array: usize, va: u64, shift: u32, spread: usize, mask: usize): usize {
  return array + ((<usize>(va >> (shift - SLOT_SHIFT)) ^ spread) & mask);
}

function arrayFor(shift: u32): usize {
  return pageArrays() + (((shift - LEVEL1_SHIFT) / 9) << (log2PageEntries() + SLOT_SHIFT));
}

function slotMask(): usize {
  return ((1 << log2PageEntries()) - 1) << SLOT_SHIFT;
}

/** Translates pairs of addresses that hit pages at level L; answers with the address of the first that does not. */
function hitsAt<L>(from: usize, end: usize, across: usize, rule: u32): usize {
  const shift = shiftAt<L>();
  const array = arrayFor(shift);
  const mask = slotMask();
  const spread = (<usize>(pcid * TLB_CONTEXT_SPREAD)) << SLOT_SHIFT;
  const context = i64x2.splat(pcid);
  const demanded = i64x2.splat(demandedBitsOfPage(rule));
  const deciding = i64x2.splat(decidingBitsOfPage(rule));
  const half = i64x2.splat(decidingHalf);
  const offsets = i64x2.splat(((<i64>1) << shift) - 1);
  let at = from;
  do {
    const va = v128.load(at);
    const slot0 = v128.load(slotIn(array, load<u64>(at), shift, spread, mask));
    const slot1 = v128.load(slotIn(array, load<u64>(at, 8), shift, spread, mask));
    const pages = v128.shuffle<u64>(slot0, slot1, 1, 3);
    const words = v128.or(v128.and(pages, i64x2.splat(TLB_ADDRESS_MASK)), v128.and(va, offsets));
    const tags = v128.xor(v128.shuffle<u64>(slot0, slot1, 0, 2), v128.or(v128.andnot(va, offsets), context));
    const bits = v128.xor(v128.and(v128.or(pages, v128.and(va, half)), deciding), demanded);
    if (isAmiss<L>(tags, bits, words)) return at;
    v128.store(at + across, words);
    at += 16;
  } while (at != end);
  return at;
}

/** Like hitsAt, for pages of all sizes. */
function hitsAtAnyLevel(from: usize, end: usize, across: usize, rule: u32): usize {
  const array1 = arrayFor(LEVEL1_SHIFT);
  const array2 = arrayFor(LEVEL2_SHIFT);
  const array3 = arrayFor(LEVEL3_SHIFT);
  const mask = slotMask();
  const spread = (<usize>(pcid * TLB_CONTEXT_SPREAD)) << SLOT_SHIFT;
  const context = i64x2.splat(pcid);
  const demanded = i64x2.splat(demandedBitsOfPage(rule));
  const deciding = i64x2.splat(decidingBitsOfPage(rule));
  const half = i64x2.splat(decidingHalf);
  let at = from;
  do {
    const va0 = load<u64>(at);
    const va1 = load<u64>(at, 8);
    const va = v128.load(at);
    const slot10 = v128.load(slotIn(array1, va0, LEVEL1_SHIFT, spread, mask));
    const slot11 = v128.load(slotIn(array1, va1, LEVEL1_SHIFT, spread, mask));
    const slot20 = v128.load(slotIn(array2, va0, LEVEL2_SHIFT, spread, mask));
    const slot21 = v128.load(slotIn(array2, va1, LEVEL2_SHIFT, spread, mask));
    const slot30 = v128.load(slotIn(array3, va0, LEVEL3_SHIFT, spread, mask));
    const slot31 = v128.load(slotIn(array3, va1, LEVEL3_SHIFT, spread, mask));
    const in1 = isTagged(slot10, slot11, va, LEVEL1_SHIFT, context);
    const in2 = isTagged(slot20, slot21, va, LEVEL2_SHIFT, context);
    const in3 = isTagged(slot30, slot31, va, LEVEL3_SHIFT, context);
    const pages = v128.bitselect(
      v128.shuffle<u64>(slot10, slot11, 1, 3),
      v128.bitselect(v128.shuffle<u64>(slot20, slot21, 1, 3), v128.shuffle<u64>(slot30, slot31, 1, 3), in2),
      in1,
    );
    const offsets = offsetsWithin<AnyLevel>(in1, in2);
    const words = v128.or(v128.and(pages, i64x2.splat(TLB_ADDRESS_MASK)), v128.and(va, offsets));
    const tags = v128.not(v128.or(v128.or(in1, in2), in3));
    const bits = v128.xor(v128.and(v128.or(pages, v128.and(va, half)), deciding), demanded);
    if (isAmiss<AnyLevel>(tags, bits, words)) return at;
    v128.store(at + across, words);
    at += 16;
  } while (at != end);
  return at;
}

/** All ones where a slot holds the page of 2^shift bytes at the address. */
function isTagged(slot0: v128, slot1: v128, va: v128, shift: u32, context: v128): v128 {
  const page = v128.and(va, i64x2.splat(~(((<i64>1) << shift) - 1)));
  return i64x2.eq(v128.shuffle<u64>(slot0, slot1, 0, 2), v128.or(page, context));
}
