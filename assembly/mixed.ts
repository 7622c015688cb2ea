/*
 * Addresses whose leaves are of any size, in any order, two at a time. The caches of all three levels are asked at once,
 * and the lowest that knows an address has its table: no branch depends on a size, so none is mispredicted.
 */

import { reservedEverywhere } from "./cpu";
import { decidingBits, demandedBits, settableBits } from "./demands";
import { LEVEL1_SHIFT, LEVEL2_SHIFT, LEVEL3_SHIFT, PAGE_SIZE, PRESENT, unusedAddressBits } from "./entry";
import { markBoth, readEntries } from "./memory";
import { OUTCOME_LEVEL_SHIFT } from "./outcome";
import { AnyLevel, isAmiss, offsetsWithin, wordsOf } from "./pair";
import { arrayFor, epochOfTags, slotIn, slotMask } from "./table-cache";

/** Like translateRun, for leaves at any level. */
export function translateMixed(from: usize, end: usize, across: usize): usize {
  const array1 = arrayFor(LEVEL1_SHIFT);
  const array2 = arrayFor(LEVEL2_SHIFT);
  const array3 = arrayFor(LEVEL3_SHIFT);
  const mask = slotMask();
  const epoch = i64x2.splat(epochOfTags());
  const marks = i64x2.splat(settableBits);
  const must = PRESENT | settableBits | demandedBits;
  const demanded = i64x2.splat(must);
  const deciding = i64x2.splat(must | decidingBits | reservedEverywhere);
  let at = from;
  do {
    const va0 = load<u64>(at);
    const va1 = load<u64>(at, 8);
    const va = v128.load(at);

    const slot10 = v128.load(slotIn(array1, va0, LEVEL1_SHIFT, mask));
    const slot11 = v128.load(slotIn(array1, va1, LEVEL1_SHIFT, mask));
    const slot20 = v128.load(slotIn(array2, va0, LEVEL2_SHIFT, mask));
    const slot21 = v128.load(slotIn(array2, va1, LEVEL2_SHIFT, mask));
    const slot30 = v128.load(slotIn(array3, va0, LEVEL3_SHIFT, mask));
    const slot31 = v128.load(slotIn(array3, va1, LEVEL3_SHIFT, mask));
    const in1 = isTagged(slot10, slot11, va, LEVEL1_SHIFT, epoch);
    const in2 = isTagged(slot20, slot21, va, LEVEL2_SHIFT, epoch);
    const in3 = isTagged(slot30, slot31, va, LEVEL3_SHIFT, epoch);
    /* Contents with the entry's linear address instead of the table's. */
    const at1 = entryIn(slot10, slot11, va, LEVEL1_SHIFT);
    const at2 = entryIn(slot20, slot21, va, LEVEL2_SHIFT);
    const at3 = entryIn(slot30, slot31, va, LEVEL3_SHIFT);
    const where = v128.bitselect(at1, v128.bitselect(at2, at3, in2), in1);
    const leaf0 = <usize>i32x4.extract_lane(where, 0);
    const leaf1 = <usize>i32x4.extract_lane(where, 2);
    const leaves = readEntries(leaf0, leaf1);

    const offsets = offsetsWithin<AnyLevel>(in1, in2);
    const pats = v128.bitselect(i64x2.shl(leaves, 53), i64x2.shl(leaves, 48), in1);
    const levels = v128.and(where, i64x2.splat(3 << OUTCOME_LEVEL_SHIFT));
    const words = wordsOf<AnyLevel>(va, leaves, where, offsets, pats, levels);

    const pageSize = v128.andnot(i64x2.splat(PAGE_SIZE), in1);
    const unused = v128.and(offsets, i64x2.splat(unusedAddressBits(LEVEL3_SHIFT)));
    const tags = v128.not(v128.or(v128.or(in1, in2), in3));
    const bits = v128.xor(v128.and(leaves, v128.or(v128.or(deciding, pageSize), unused)), v128.or(demanded, pageSize));
    if (isAmiss<AnyLevel>(tags, bits, words)) {
      if (isAmiss<AnyLevel>(tags, v128.andnot(bits, marks), words) || !markBoth(leaf0, leaf1, leaves, marks)) return at;
    }
    v128.store(at + across, words);
    at += 16;
  } while (at != end);
  return at;
}

/** All ones where a slot belongs to the address. */
function isTagged(slot0: v128, slot1: v128, va: v128, shift: u32, epoch: v128): v128 {
  return i64x2.eq(v128.shuffle<u64>(slot0, slot1, 0, 2), v128.or(i64x2.shr_u(va, shift + 9), epoch));
}

function entryIn(slot0: v128, slot1: v128, va: v128, shift: u32): v128 {
  const offset = v128.and(i64x2.shr_u(va, shift - 3), i64x2.splat(511 << 3));
  return i64x2.add(v128.shuffle<u64>(slot0, slot1, 1, 3), offset);
}
