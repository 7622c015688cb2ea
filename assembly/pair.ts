/*
 * Two walks at a time, each in one half of a vector.
 *
 * The tables in which two addresses have their leaves are known (table-cache.ts). What is left of two walks: find the
 * tables, read the leaves, see that both are leaves that permit the access, and make outcome words of them. Linear
 * addresses are worked out by the scalar units, which have nothing else to do; all the rest is done for both at once.
 *
 * Nothing here faults: where anything is amiss, the pair is left to the walk. So all that has to be found out about a leaf
 * is whether some of its bits (`deciding`) are as they should be (`demanded`), and one test of a whole vector settles
 * tags, presence, size, reserved bits, rights, keys, and whether A and D are set already.
 *
 * How loops over pairs must be written: V8 takes a constant out of a loop only if it is used in every turn. So everything
 * is worked out before the one test, the words too, and no loop tests its end at its beginning.
 */
import { ADDRESS_MASK, LEVEL1_SHIFT, LEVEL2_SHIFT, LEVEL3_SHIFT } from "./entry";

/*
 * AssemblyScript has no constants as type parameters. The size of a type stands in: a function with a parameter L is
 * compiled for each kind of leaf, with all its shifts and masks in place.
 */
export type Level1 = u8;
export type Level2 = u16;
export type Level3 = u32;
export type AnyLevel = u64;

/** log2 of what an entry of level L maps. */
export function shiftAt<L>(): u32 {
  return sizeof<L>() == 1 ? LEVEL1_SHIFT : sizeof<L>() == 2 ? LEVEL2_SHIFT : LEVEL3_SHIFT;
}

/** Where an outcome word has W; W and U; X; PCD and PWT; PAT. SS stands three bits above W. */
const WORD_W: i64 = 1 << 54;
const WORD_W_U: i64 = 3 << 54;
const WORD_X: i64 = 1 << 56;
const WORD_PCD_PWT: i64 = 3 << 58;
const WORD_PAT: i64 = 1 << 60;
/** Bits that the word of a page never has. */
const WORD_NEVER: i64 = 7 << 61;

/**
 * The outcome words of two pages.
 *
 * @param above contents of the table cache: the rights of the levels above
 * @param offsets the bits of an address that lie within the page
 * @param pats leaves shifted so that PAT stands where the word has it
 * @param levels levels, where the word has them
 */
export function wordsOf<L>(va: v128, leaves: v128, above: v128, offsets: v128, pats: v128, levels: v128): v128 {
  const addresses = v128.or(v128.and(va, offsets), v128.and(leaves, v128.andnot(i64x2.splat(ADDRESS_MASK), offsets)));
  const types = v128.or(
    v128.and(i64x2.shl(leaves, 55), i64x2.splat(WORD_PCD_PWT)),
    v128.and(pats, i64x2.splat(WORD_PAT)),
  );
  /* XD is bit 63, and means the opposite. */
  const own = v128.or(
    v128.and(i64x2.shl(leaves, 53), i64x2.splat(WORD_W_U)),
    v128.andnot(i64x2.splat(WORD_X), i64x2.shr_u(leaves, 7)),
  );
  const rights = v128.and(own, above);
  /* W, lost in the leaf only, and D, which is bit 6. */
  const lost = v128.and(v128.xor(above, rights), i64x2.splat(WORD_W));
  const shadowStack = i64x2.shl(v128.and(lost, i64x2.shl(leaves, 48)), 3);
  return v128.or(v128.or(v128.or(addresses, types), v128.or(rights, shadowStack)), levels);
}

/** The bits of an address that lie within a page, where it is known which are at level 1, and which at level 2. */
export function offsetsWithin<L>(in1: v128, in2: v128): v128 {
  const beyond4K = v128.andnot(i64x2.splat(offsetsAt(LEVEL2_SHIFT) & ~offsetsAt(LEVEL1_SHIFT)), in1);
  const beyond2M = v128.andnot(i64x2.splat(offsetsAt(LEVEL3_SHIFT) & ~offsetsAt(LEVEL2_SHIFT)), v128.or(in1, in2));
  return v128.or(v128.or(beyond4K, beyond2M), i64x2.splat(offsetsAt(LEVEL1_SHIFT)));
}

function offsetsAt(shift: u32): i64 {
  return ((<i64>1) << shift) - 1;
}

/** Whether anything is amiss: a bit of one of the two vectors, or words that no page has, which they do not. */
export function isAmiss<L>(tags: v128, bits: v128, words: v128): bool {
  return v128.any_true(v128.or(v128.or(tags, bits), v128.and(words, i64x2.splat(WORD_NEVER))));
}
