/*
 * A combination is a number: every flag of a sweep has a bit, every choice among several a field of bits. The lowest
 * bits of a sweep are free: whatever they hold is legal; which of the others go together is said by its legal().
 */
import { FETCH, IMPLICIT, SHADOW_STACK, USER, WRITE } from "./bits";

export function on(combination: u32, flag: u32): bool {
  return ((combination >> flag) & 1) != 0;
}

/** `bits` if the flag is on, else 0. */
export function when(combination: u32, flag: u32, bits: u64): u64 {
  return bits & (0 - (<u64>(combination >> flag) & 1));
}

export function field(combination: u32, from: u32, length: u32): u32 {
  return (combination >> from) & ((1 << length) - 1);
}

/** Bits of a field that chooses among accesses. */
export const ACCESS_FIELD: u32 = 4;
/** How many accesses the field can name: the first 6 every processor has, 8 those on behalf of instructions, 12 with CET. */
export const PLAIN_ACCESSES: u32 = 6;
export const ORDINARY_ACCESSES: u32 = 8;
export const ALL_ACCESSES: u32 = 12;

/** The access that a field names. */
export function accessOf(choice: u32): u64 {
  const who: u64 = choice & 1 ? USER : 0;
  if (choice < PLAIN_ACCESSES) return who | (choice < 2 ? 0 : choice < 4 ? WRITE : FETCH);
  if (choice < ORDINARY_ACCESSES) return IMPLICIT | (choice & 1 ? WRITE : 0);
  return SHADOW_STACK | who | (choice < 10 ? 0 : WRITE);
}
