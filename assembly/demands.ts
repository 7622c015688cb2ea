/*
 * A rule as bits of a page, for the fast paths, which test many pages at once. Intel SDM vol. 3A, section 4.6.
 *
 * The set of combinations that permit an access (access.ts) is always some demands together: for a right, or against U. So a
 * page permits the access if some of its bits are as they should be: those that decide, as demanded. In two cases these are
 * stricter than the rule, and leave to the walk what they do not let pass: a supervisor page is recognized by its leaf alone,
 * and where protection keys deny anything, only pages of one key pass.
 */
import {
  EXECUTABLE_PAGES,
  forbidsHalf,
  isByUser,
  keyPairOf,
  marksOf,
  permittingSet,
  SHADOW_STACK_PAGES,
  USER_PAGES,
  WRITABLE_PAGES,
} from "./access";
import { supervisorKeys, userKeys } from "./cpu";
import { DIRTY, EXECUTE_DISABLE, PROTECTION_KEY, PROTECTION_KEY_SHIFT, USER, WRITABLE } from "./entry";

/** The first bit of the pair of every protection key. */
const EVERY_FIRST_BIT: u32 = 0x5555_5555;
const UPPER_HALF: u64 = 1 << 63;

/* Of the rule taken last: */

/** Rights, as bits of a combination, that a page must have; and those that decide: U is among them where it must be clear. */
export let demandedRights: u32 = 0;
export let decidingRights: u32 = 0;
/** The lowest protection key whose pages the access may touch; and whether keys decide at all. */
export let passingKey: u32 = 0;
export let keysDecide: bool = false;
/** Bit 63 of the linear address, where LASS forbids a half; and what it must be. */
export let decidingHalf: u64 = 0;
export let demandedHalf: u64 = 0;
/** Bits of a leaf that must be set where the tables above leave enough rights; and those that must be as demanded. */
export let demandedBits: u64 = 0;
export let decidingBits: u64 = 0;
/** Bits of a leaf that the access sets where it is permitted: not those that permit it, as D does that of a shadow stack. */
export let settableBits: u64 = 0;

/** Takes a rule; false where no page could pass, because no protection key does. */
export function demandRule(rule: u32): bool {
  const set = permittingSet(rule);
  const writable = !(set & ~WRITABLE_PAGES);
  const user = !(set & ~USER_PAGES);
  const executable = !(set & ~EXECUTABLE_PAGES);
  const shadowStack = !(set & ~SHADOW_STACK_PAGES);
  const notUser = !(set & USER_PAGES);
  demandedRights = <u32>writable | ((<u32>user) << 1) | ((<u32>executable) << 2) | ((<u32>shadowStack) << 3);
  decidingRights = demandedRights | ((<u32>notUser) << 1);

  const denying = denyingPairs(rule);
  keysDecide = denying != 0;
  passingKey = ctz(~(denying | (denying >> 1)) & EVERY_FIRST_BIT) >> 1;

  const notLower = forbidsHalf(rule, 0);
  decidingHalf = notLower || forbidsHalf(rule, UPPER_HALF) ? UPPER_HALF : 0;
  demandedHalf = notLower ? UPPER_HALF : 0;

  demandedBits = (<u64>passingKey) << PROTECTION_KEY_SHIFT;
  if (writable) demandedBits |= WRITABLE;
  if (user) demandedBits |= USER;
  if (shadowStack) demandedBits |= DIRTY;
  decidingBits = demandedBits;
  if (keysDecide) decidingBits |= PROTECTION_KEY;
  if (notUser) decidingBits |= USER;
  if (executable) decidingBits |= EXECUTE_DISABLE;
  if (shadowStack) decidingBits |= WRITABLE;
  settableBits = marksOf(rule) & ~demandedBits;
  return passingKey < 16;
}

/** PKRU and IA32_PKRS together, as far as they deny the access to pages that it may touch at all. */
function denyingPairs(rule: u32): u32 {
  const set = permittingSet(rule);
  let registers: u32 = 0;
  if (set & USER_PAGES) registers |= userKeys;
  if (set & ~USER_PAGES && !isByUser(rule)) registers |= supervisorKeys;
  return registers & (keyPairOf(rule) * EVERY_FIRST_BIT);
}
