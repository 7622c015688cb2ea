/*
 * Addresses whose leaves are of one size, two at a time. One entry is read for each: its leaf.
 */

import { reservedEverywhere } from "./cpu";
import { decidingBits, demandedBits, settableBits } from "./demands";
import { entryOffset, LEVEL1_SHIFT, levelOf, PAGE_SIZE, PRESENT, unusedAddressBits } from "./entry";
import { markBoth, readEntries } from "./memory";
import { OUTCOME_LEVEL_SHIFT } from "./outcome";
import { isAmiss, shiftAt, wordsOf } from "./pair";
import { arrayFor, epochOfTags, slotIn, slotMask } from "./table-cache";

/**
 * Translates the addresses from linear address `from` up to `end`, an even number and at least two, and puts each word
 * `across` bytes from its address. Stops before the first pair of which not both are leaves at level L that permit the
 * access, in tables that are cached, and answers where that is.
 */
export function translateRun<L>(from: usize, end: usize, across: usize): usize {
  const shift = shiftAt<L>();
  const array = arrayFor(shift);
  const mask = slotMask();
  const epoch = i64x2.splat(epochOfTags());
  const marks = i64x2.splat(settableBits);
  const must = PRESENT | (shift == LEVEL1_SHIFT ? 0 : PAGE_SIZE) | settableBits | demandedBits;
  const demanded = i64x2.splat(must);
  const deciding = i64x2.splat(must | decidingBits | reservedEverywhere | unusedAddressBits(shift));
  const offsets = i64x2.splat(((<i64>1) << shift) - 1);
  const level = i64x2.splat((<u64>levelOf(shift)) << OUTCOME_LEVEL_SHIFT);
  let at = from;
  do {
    const va0 = load<u64>(at);
    const va1 = load<u64>(at, 8);
    const va = v128.load(at);
    const slot0 = slotIn(array, va0, shift, mask);
    const slot1 = slotIn(array, va1, shift, mask);
    const cached0 = v128.load(slot0);
    const cached1 = v128.load(slot1);
    const contents = v128.shuffle<u64>(cached0, cached1, 1, 3);
    const leaf0 = <usize>load<u32>(slot0, 8) + entryOffset(va0, shift);
    const leaf1 = <usize>load<u32>(slot1, 8) + entryOffset(va1, shift);
    const leaves = readEntries(leaf0, leaf1);
    const pats = i64x2.shl(leaves, shift == LEVEL1_SHIFT ? 53 : 48);
    const words = wordsOf<L>(va, leaves, contents, offsets, pats, level);
    const tags = v128.xor(v128.shuffle<u64>(cached0, cached1, 0, 2), v128.or(i64x2.shr_u(va, shift + 9), epoch));
    const bits = v128.xor(v128.and(leaves, deciding), demanded);
    if (isAmiss<L>(tags, bits, words)) {
      if (isAmiss<L>(tags, v128.andnot(bits, marks), words) || !markBoth(leaf0, leaf1, leaves, marks)) return at;
    }
    v128.store(at + across, words);
    at += 16;
  } while (at != end);
  return at;
}
