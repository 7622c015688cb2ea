/*
 * May this access be made, given the rights of all levels together? And if not, with which error code does it fault?
 * Intel SDM vol. 3A, sections 4.6 (access rights: 4.6.1 modes and addresses, 4.6.2 protection keys), 4.7 (page-fault
 * exceptions), and the section on linear-address space separation (LASS).
 *
 * The rights that a walk leaves over are four bits, hence one of sixteen combinations. A set of combinations is 16
 * bits, and what an access needs is the set that permits it, worked out once a call and kept in one word, its rule:
 *
 *   31  29  28   27    26   25 24 23 22              16 15                             0
 *  +------+----+-----+-----+-----+--+------------------+--------------------------------+
 *  |      |mark|upper|lower|keys |  | error-code bits  | combinations that permit it    |
 *  +------+----+-----+-----+-----+--+------------------+--------------------------------+
 *   mark: sets A and D, as the processor does; else a probe        upper, lower: LASS forbids that half
 *   keys: which bits of a protection key's pair deny it: AD, WD
 */
import {
  alignmentCheck,
  lass,
  noExecute,
  registersTaken,
  smap,
  smep,
  supervisorKeys,
  userKeys,
  writeProtect,
} from "./cpu";
import { ACCESSED, DIRTY, EXECUTE_DISABLE, PROTECTION_KEY_SHIFT, USER, WRITABLE } from "./entry";

/* An access is described by the bits it would leave in an error code, and two more; a supervisor's read is 0. */

/** Access, and error code W/R: the access is a write. */
export const ACCESS_WRITE: u32 = 1 << 1;
/** Access, and error code U/S: the access is made in user mode. */
export const ACCESS_USER: u32 = 1 << 2;
/** Access, and error code I/D: the access is an instruction fetch. */
export const ACCESS_FETCH: u32 = 1 << 4;
/** Access, and error code SS: the access is one of a shadow stack; with ACCESS_WRITE where it stores. */
export const ACCESS_SHADOW_STACK: u32 = 1 << 6;
/** Access: an implicit one, to a descriptor table or a TSS; always the supervisor's, whatever the CPL, and AC does not help. */
export const ACCESS_IMPLICIT: u32 = 1 << 8;
/** Access: really made, so that A and D are set; without it the walk is a probe and changes nothing. */
export const ACCESS_MARK: u32 = 1 << 9;

/** Error code P: the fault was caused by rights or by a reserved bit, not by an entry that is not present. */
export const ERROR_PRESENT: u32 = 1 << 0;
/** Error code RSVD: a reserved bit was set in an entry used to translate; P is then set, too. */
export const ERROR_RESERVED: u32 = 1 << 3;
/** Error code PK: the protection key of the address denies the access. */
export const ERROR_PROTECTION_KEY: u32 = 1 << 5;

const ALL: u32 = 0xffff;
/** Combinations with W; with U; with X; of shadow-stack pages, which are never writable. */
export const WRITABLE_PAGES: u32 = 0b0000_0000_1010_1010;
export const USER_PAGES: u32 = 0b1100_1100_1100_1100;
export const EXECUTABLE_PAGES: u32 = 0b1111_0000_1111_0000;
export const SHADOW_STACK_PAGES: u32 = 0b0101_0101_0000_0000;

/** Rule: 7 bits from here are error-code bits of the access. */
export const RULE_CODE_SHIFT: u32 = 16;
const CODE_MASK: u32 = 0x7f;
/** Rule: 2 bits from here say which bits of a protection key's pair deny the access: AD, WD. */
export const RULE_KEYS_SHIFT: u32 = 24;
/** Rule: LASS forbids the lower half. */
export const RULE_FORBIDS_LOWER: u32 = 1 << 26;
/** Rule: LASS forbids the upper half. */
export const RULE_FORBIDS_UPPER: u32 = 1 << 27;
/** Rule: the access sets A and D. */
export const RULE_MARKS: u32 = 1 << 28;

/** Access disable, write disable: the two bits that PKRU and IA32_PKRS hold for each key. */
const ACCESS_DISABLE: u32 = 1;
const WRITE_DISABLE: u32 = 2;

/** Rights before the first level has taken any away. Kept as entry bits, but with XD turned into "executable". */
export const ALL_RIGHTS: u64 = WRITABLE | USER | EXECUTE_DISABLE;

/** What is left of the rights after one more entry: a region is writable, user, executable if every level says so. */
export function narrow(rights: u64, entry: u64): u64 {
  return rights & (entry ^ EXECUTE_DISABLE);
}

/**
 * The number, 0 to 15, of the combination at a leaf, given the rights of the levels above: W is bit 0, U bit 1, X bit 2,
 * and bit 3 a shadow-stack page: writable above, not writable and dirty in the leaf itself.
 */
export function combination(above: u64, leaf: u64): u32 {
  const rights = narrow(above, leaf);
  /* W was there above and is not any more, and the leaf has D. */
  const shadowStack = (<u32>(above ^ rights) & <u32>(leaf >> 5) & 2) << 2;
  return (<u32>(rights >> 1) & 3) | (<u32>(rights >> 61) & 4) | shadowStack;
}

/** The rule for an access. */
export function ruleOf(access: u32): u32 {
  const user = (access & ACCESS_USER) != 0;
  const write = (access & ACCESS_WRITE) != 0;
  const fetch = (access & ACCESS_FETCH) != 0;
  const shadowStack = (access & ACCESS_SHADOW_STACK) != 0;
  /* With AC the supervisor says that it means to touch user memory; an implicit access means nothing of the kind. */
  const shielded = !alignmentCheck || (access & ACCESS_IMPLICIT) != 0;

  let set = ALL;
  if (user) set &= USER_PAGES;
  else if (shadowStack || (fetch ? smep : smap && shielded)) set &= ~USER_PAGES;
  if (shadowStack) set &= SHADOW_STACK_PAGES;
  else if (write && (user || writeProtect)) set &= WRITABLE_PAGES;
  if (fetch) set &= EXECUTABLE_PAGES;

  let rule = set | (errorCodeOf(access) << RULE_CODE_SHIFT);
  if (!fetch) rule |= ACCESS_DISABLE << RULE_KEYS_SHIFT;
  if (write && (user || writeProtect)) rule |= WRITE_DISABLE << RULE_KEYS_SHIFT;
  if (lass && user) rule |= RULE_FORBIDS_UPPER;
  if (lass && !user && (fetch || (smap && shielded))) rule |= RULE_FORBIDS_LOWER;
  if (access & ACCESS_MARK) rule |= RULE_MARKS;
  return rule;
}

let lastRule: u32 = 0;
let lastAccess: u32 = u32.MAX_VALUE;
let lastRegisters: u32 = 0;

/** The same for those who ask again and again: accesses one at a time are often of one kind. */
export function sameRuleOf(access: u32): u32 {
  if (access != lastAccess || registersTaken != lastRegisters) {
    lastRule = ruleOf(access);
    lastAccess = access;
    lastRegisters = registersTaken;
  }
  return lastRule;
}

/** The error-code bits that tell what kind of access it was; I/D is reported only where NXE or SMEP gives it a meaning. */
function errorCodeOf(access: u32): u32 {
  return (noExecute || smep ? access : access & ~ACCESS_FETCH) & CODE_MASK;
}

/** The combinations that permit the access. */
export function permittingSet(rule: u32): u32 {
  return rule & ALL;
}

/** Whether the access is made in user mode. */
export function isByUser(rule: u32): bool {
  return (rule & (ACCESS_USER << RULE_CODE_SHIFT)) != 0;
}

/** Which bits of a protection key's pair deny the access: AD, WD. */
export function keyPairOf(rule: u32): u32 {
  return (rule >> RULE_KEYS_SHIFT) & 3;
}

/** Error-code bits of the access. */
export function codeOf(rule: u32): u32 {
  return (rule >> RULE_CODE_SHIFT) & CODE_MASK;
}

/** Whether LASS forbids the access in the half of va, before any table is read. */
export function forbidsHalf(rule: u32, va: u64): bool {
  return (rule & (<i64>va < 0 ? RULE_FORBIDS_UPPER : RULE_FORBIDS_LOWER)) != 0;
}

/** The bits that the access sets in the leaf: none, A, or A and D. */
export function marksOf(rule: u32): u64 {
  if (!(rule & RULE_MARKS)) return 0;
  return rule & (ACCESS_WRITE << RULE_CODE_SHIFT) ? ACCESSED | DIRTY : ACCESSED;
}

/**
 * Whether the protection key, 0 to 15, of a user or supervisor page denies the access. IA32_PKRS is for accesses of the
 * supervisor only: user mode is kept from supervisor pages by U/S, which then is the whole reason.
 */
export function keyDenies(rule: u32, userPage: bool, key: u32): bool {
  const register = userPage ? userKeys : isByUser(rule) ? 0 : supervisorKeys;
  return ((register >> (key << 1)) & keyPairOf(rule)) != 0;
}

/** Whether the rule permits the access at a leaf with this combination of rights and this key. */
export function permits(rule: u32, held: u32, key: u32): bool {
  return ((rule >> held) & 1) != 0 && !((userKeys | supervisorKeys) != 0 && keyDenies(rule, (held & 2) != 0, key));
}

/** The error code where it does not. */
export function denialCode(rule: u32, held: u32, key: u32): u32 {
  const byKey = keyDenies(rule, (held & 2) != 0, key);
  return codeOf(rule) | ERROR_PRESENT | (byKey ? ERROR_PROTECTION_KEY : 0);
}
