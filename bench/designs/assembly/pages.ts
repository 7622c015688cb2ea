/*
 * What the fast paths of several designs do with a leaf: see that its bits are as they must be, make its outcome word.
 * The scalar counterpart of assembly/pair.ts. AssemblyScript inlines functions only as long as they are small.
 */
import { marksOf } from "../../../assembly/access";
import { largestPageShift, pointerBits, reservedEverywhere } from "../../../assembly/cpu";
import { decidingBits, demandedBits, demandRule } from "../../../assembly/demands";
import { ADDRESS_MASK, LEVEL1_SHIFT, PAGE_SIZE, PRESENT, unusedAddressBits } from "../../../assembly/entry";
import { OUTCOME_LEVEL_SHIFT, OUTCOME_RIGHTS_SHIFT } from "../../../assembly/outcome";
import { shiftAt } from "./levels";

/** Where an outcome word has W; W and U; X; PCD and PWT; PAT. SS stands three bits above W. */
const WORD_W: u64 = 1 << 54;
const WORD_W_U: u64 = 3 << 54;
const WORD_X: u64 = 1 << 56;
const WORD_PCD_PWT: u64 = 3 << 58;
const WORD_PAT: u64 = 1 << 60;

/** Whether an entry at level L points to a table, without a reserved bit. */
export function isPointer<L>(entry: u64): bool {
  return sizeof<L>() != 1 && (entry & pointerBits) == PRESENT;
}

/** Bits that a leaf at level L must have for a rule; there are some only after demandRule. */
export function demandedAt<L>(rule: u32): u64 {
  return PRESENT | (sizeof<L>() == 1 ? 0 : PAGE_SIZE) | marksOf(rule) | demandedBits;
}

/**
 * Bits that must be as demanded, the others clear; none where there are no pages of the size, so that nothing is as
 * demanded. The rights of the levels above are another matter: see permits.
 */
export function decidingAt<L>(rule: u32): u64 {
  if (shiftAt<L>() > largestPageShift) return 0;
  return demandedAt<L>(rule) | decidingBits | reservedEverywhere | unusedAddressBits(shiftAt<L>());
}

/** Rights that are left over above a leaf, from where entries have them to where words have them. */
export function inWord(rights: u64): u64 {
  return ((rights << 53) & WORD_W_U) | ((rights >> 7) & WORD_X);
}

/** The outcome word of a leaf at level L; `above` as inWord gives it, or the table cache. */
export function wordOf<L>(va: u64, leaf: u64, above: u64): u64 {
  const shift = shiftAt<L>();
  const offset = ((<u64>1) << shift) - 1;
  const pat = (shift == LEVEL1_SHIFT ? leaf << 53 : leaf << 48) & WORD_PAT;
  const rights = (((leaf << 53) & WORD_W_U) | (WORD_X & ~(leaf >> 7))) & above;
  const shadowStack = ((above ^ rights) & WORD_W & (leaf << 48)) << 3;
  const level = (<u64>(shift - LEVEL1_SHIFT) / 9 + 1) << OUTCOME_LEVEL_SHIFT;
  return (
    (va & offset) |
    (leaf & (ADDRESS_MASK & ~offset)) |
    ((leaf << 55) & WORD_PCD_PWT) |
    pat |
    rights |
    shadowStack |
    level
  );
}

/** Whether the rights of a page, as its word has them, permit the access. */
export function permits(rule: u32, word: u64): bool {
  return ((rule >> (<u32>(word >> OUTCOME_RIGHTS_SHIFT) & 15)) & 1) != 0;
}
