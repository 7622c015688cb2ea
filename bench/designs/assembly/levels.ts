/*
 * Levels as type parameters: a type of 1, 2, 4, 8 or 16 bytes stands for level 1 to 5 (see assembly/pair.ts). A
 * function with a parameter L is compiled for each level, with all its shifts and masks in place.
 */
import { LEVEL1_SHIFT } from "../../../assembly/entry";

export type Level1 = u8;
export type Level2 = u16;
export type Level3 = u32;
export type Level4 = u64;
export type Level5 = v128;

/** log2 of what an entry of level L maps. */
export function shiftAt<L>(): u32 {
  return LEVEL1_SHIFT + 9 * <u32>ctz(sizeof<L>());
}
