/*
 * May this access be made, given the rights of all levels together? And if not, with which error code does it fault?
 * Intel SDM vol. 3A, sections 4.6.1 (determination of access rights) and 4.7 (page-fault exceptions).
 *
 * The rights that a walk leaves over are three bits, hence one of eight combinations. A set of combinations is a byte,
 * and the rule for an access is the set that permits it, worked out once a call:
 *
 *   combination   7    6    5    4    3    2    1    0
 *                XUW  XU-  X-W  X--  -UW  -U-  --W  ---
 */
import { noExecute, smap, smep, writeProtect } from "./cpu";
import { EXECUTE_DISABLE, USER, WRITABLE } from "./entry";

/* An access is described by the bits it would leave in an error code; a supervisor's read is 0. */

/** Access, and error code W/R: the access is a write. */
export const ACCESS_WRITE: u32 = 1 << 1;
/** Access, and error code U/S: the access is made in user mode. */
export const ACCESS_USER: u32 = 1 << 2;
/** Access, and error code I/D: the access is an instruction fetch. */
export const ACCESS_FETCH: u32 = 1 << 4;

/** Error code P: the fault was caused by rights or by a reserved bit, not by an entry that is not present. */
export const ERROR_PRESENT: u32 = 1 << 0;
/** Error code RSVD: a reserved bit was set in an entry used to translate; P is then set, too. */
export const ERROR_RESERVED: u32 = 1 << 3;

const ALL: u32 = 0b1111_1111;
const WRITABLE_PAGES: u32 = 0b1010_1010;
const USER_PAGES: u32 = 0b1100_1100;
const EXECUTABLE_PAGES: u32 = 0b1111_0000;

/** Rights before the first level has taken any away. Kept as entry bits, but with XD turned into "executable". */
export const ALL_RIGHTS: u64 = WRITABLE | USER | EXECUTE_DISABLE;

/** What is left of the rights after one more entry: a region is writable, user, executable if every level says so. */
export function narrow(rights: u64, entry: u64): u64 {
  return rights & (entry ^ EXECUTE_DISABLE);
}

/** The number, 0 to 7, of a combination of rights: W is bit 0, U bit 1, X bit 2. */
export function combination(rights: u64): u32 {
  return (<u32>(rights >> 1) & 3) | (<u32>(rights >> 61) & 4);
}

/** The set of combinations that permit an access. */
export function permittedBy(access: u32): u32 {
  let set = ALL;
  if (access & ACCESS_USER) set &= USER_PAGES;
  else if (access & ACCESS_FETCH ? smep : smap) set &= ~USER_PAGES;
  if (access & ACCESS_WRITE && (access & ACCESS_USER || writeProtect)) set &= WRITABLE_PAGES;
  if (access & ACCESS_FETCH) set &= EXECUTABLE_PAGES;
  return set;
}

/** The error-code bits that tell what kind of access it was; I/D is reported only where NXE or SMEP gives it a meaning. */
export function errorCodeOf(access: u32): u32 {
  return noExecute || smep ? access : access & ~ACCESS_FETCH;
}
