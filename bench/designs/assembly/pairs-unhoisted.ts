/*
 * assembly/run.ts as one would write it first: the loop tests its end where it begins, and works outcome words out
 * only after it has seen that nothing is amiss.
 *
 * Hoped for: what pairs make. No word is worked out in vain, and the test comes as early as it can.
 *
 * Made: nearly that: nine tenths of the library's run with tables in the caches, the same beyond them. V8 builds five
 * vectors in every turn that assembly/run.ts has before its loop, and works out what bits are demanded, deciding, and
 * tell the slot. (Of what is before the loop, seven vectors have no register and are read from the stack.) Without
 * assembly/mixed.ts, leaves of mixed sizes make about 0.4.
 */
import { marksOf, ruleOf } from "../../../assembly/access";
import { reservedEverywhere } from "../../../assembly/cpu";
import { decidingBits, demandedBits, demandRule } from "../../../assembly/demands";
import { entryOffset, LEVEL1_SHIFT, levelOf, PAGE_SIZE, PRESENT, unusedAddressBits } from "../../../assembly/entry";
import { readEntries } from "../../../assembly/memory";
import { OUTCOME_LEVEL_SHIFT } from "../../../assembly/outcome";
import { wordsOf } from "../../../assembly/pair";
import {
  arrayFor,
  epochOfTags,
  slotIn,
  slotMask,
  TABLE_CACHE_ARRAYS,
  TABLE_CACHE_SLOT_BYTES,
  useTableCache,
} from "../../../assembly/table-cache";
import { Level1, Level2, Level3, shiftAt } from "./levels";
import { walkAndRemember } from "./remember";
import { walkEach } from "./walks";

/** Bytes of scratch that a call needs for so many addresses. */
export function scratchBytes(_count: u32, log2Slots: u32): usize {
  return (TABLE_CACHE_ARRAYS * TABLE_CACHE_SLOT_BYTES) << log2Slots;
}

export function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  scratch: usize,
  log2Slots: u32,
  epoch: u32,
): void {
  const rule = ruleOf(access);
  const across = outcomes - addresses;
  const end = addresses + ((<usize>count) << 3);
  const pairs = !demandRule(rule) ? addresses : addresses + ((<usize>count >> 1) << 4);
  useTableCache(scratch, log2Slots, epoch);
  let level: u32 = 1;
  let at = addresses;
  while (at != pairs) {
    if (level == 1) at = translateRun<Level1>(at, pairs, across, rule);
    else if (level == 2) at = translateRun<Level2>(at, pairs, across, rule);
    else at = translateRun<Level3>(at, pairs, across, rule);
    if (at == pairs) break;
    level = walkAndRemember(at, at + 16, across, rule, level);
    at += 16;
  }
  walkEach(at, end, across, rule);
}

function translateRun<L>(from: usize, end: usize, across: usize, rule: u32): usize {
  const shift = shiftAt<L>();
  const array = arrayFor(shift);
  const mask = slotMask();
  const epoch = i64x2.splat(epochOfTags());
  const must = PRESENT | (shift == LEVEL1_SHIFT ? 0 : PAGE_SIZE) | marksOf(rule) | demandedBits;
  const demanded = i64x2.splat(must);
  const deciding = i64x2.splat(must | decidingBits | reservedEverywhere | unusedAddressBits(shift));
  const offsets = i64x2.splat(((<i64>1) << shift) - 1);
  const level = i64x2.splat((<u64>levelOf(shift)) << OUTCOME_LEVEL_SHIFT);
  let at = from;
  while (at != end) {
    const va0 = load<u64>(at);
    const va1 = load<u64>(at, 8);
    const va = v128.load(at);
    const slot0 = slotIn(array, va0, shift, mask);
    const slot1 = slotIn(array, va1, shift, mask);
    const cached0 = v128.load(slot0);
    const cached1 = v128.load(slot1);
    const leaves = readEntries(
      <usize>load<u32>(slot0, 8) + entryOffset(va0, shift),
      <usize>load<u32>(slot1, 8) + entryOffset(va1, shift),
    );
    const tags = v128.xor(v128.shuffle<u64>(cached0, cached1, 0, 2), v128.or(i64x2.shr_u(va, shift + 9), epoch));
    const bits = v128.xor(v128.and(leaves, deciding), demanded);
    if (v128.any_true(v128.or(tags, bits))) break;
    const contents = v128.shuffle<u64>(cached0, cached1, 1, 3);
    const pats = i64x2.shl(leaves, shift == LEVEL1_SHIFT ? 53 : 48);
    v128.store(at + across, wordsOf<L>(va, leaves, contents, offsets, pats, level));
    at += 16;
  }
  return at;
}
