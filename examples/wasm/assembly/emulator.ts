/*
 * The memory part of an emulator as a WebAssembly module of its own: it imports a core's functions and constants, so that no access goes
 * through JavaScript, and answers hits of the TLB itself, as the code that a JIT makes would. docs/abi.md explains each line.
 *
 * Guest memory is flat: guest-physical 0 is linear address `guest`.
 */
@external("core", "tlbTranslate")
declare function tlbTranslate(va: u64, access: u32): u64;
@external("core", "ruleOf")
declare function ruleOf(access: u32): u32;
@external("core", "ACCESS_WRITE")
declare const ACCESS_WRITE: u32;
@external("core", "ACCESS_USER")
declare const ACCESS_USER: u32;
@external("core", "ACCESS_MARK")
declare const ACCESS_MARK: u32;
@external("core", "OUTCOME_FAILED")
declare const OUTCOME_FAILED: u64;
@external("core", "OUTCOME_ADDRESS_MASK")
declare const OUTCOME_ADDRESS_MASK: u64;
@external("core", "OUTCOME_RIGHTS_SHIFT")
declare const OUTCOME_RIGHTS_SHIFT: u64;
@external("core", "RULE_FORBIDS_LOWER")
declare const RULE_FORBIDS_LOWER: u32;
@external("core", "RULE_FORBIDS_UPPER")
declare const RULE_FORBIDS_UPPER: u32;
@external("core", "TLB_CONTEXT_SPREAD")
declare const TLB_CONTEXT_SPREAD: u64;
@external("core", "TLB_DIRTY")
declare const TLB_DIRTY: u64;

let guest: usize = 0;
let pages: usize = 0;
let mask: u64 = 0;
let context: u64 = 0;
let spread: u64 = 0;
let readers: u32 = 0;
let writers: u32 = 0;
let readAccess: u32 = 0;
let writeAccess: u32 = 0;
let hits: u32 = 0;

/** The word of the last access that reached no page: what the emulator raises. */
export let fault: u64 = 0;

/** Where guest memory begins, and where the TLB has its pages: Tlb.layout. */
export function place(guestAt: usize, pagesAt: usize, log2Pages: u32): void {
  guest = guestAt;
  pages = pagesAt;
  mask = ((<u64>1) << log2Pages) - 1;
}

/**
 * The emulator calls this where registers or the privilege level change. pcid: bits 11:0 of CR3 where CR4.PCIDE is set, else 0. keys:
 * whether CR4.PKE or CR4.PKS is set.
 */
export function changed(pcid: u64, user: bool, keys: bool): void {
  context = pcid;
  spread = pcid * TLB_CONTEXT_SPREAD;
  readAccess = ACCESS_MARK | (user ? ACCESS_USER : 0);
  writeAccess = readAccess | ACCESS_WRITE;
  readers = keys ? 0 : inlinable(ruleOf(readAccess));
  writers = keys ? 0 : inlinable(ruleOf(writeAccess));
}

/** Where LASS forbids a half of the addresses, as where there are keys, nothing is answered here: no rights permit the access. */
function inlinable(rule: u32): u32 {
  return rule & (RULE_FORBIDS_LOWER | RULE_FORBIDS_UPPER) ? 0 : rule;
}

/** Hits that were answered here. */
export function inlinedHits(): u32 {
  return hits;
}

/**
 * Where an access goes in linear memory, or 0, and then `fault` says why. A hit of an own 4 KiB page is answered here; all else is the
 * core's: large pages, global ones, keys, misses, faults.
 */
// @ts-ignore: decorator
@inline
function reachBy(va: u64, rule: u32, access: u32, needed: u64): usize {
  const slot: usize = pages + (<usize>(((va >> 12) ^ spread) & mask) << 4);
  if (load<u64>(slot) == ((va & ~(<u64>0xfff)) | context)) {
    const content = load<u64>(slot, 8);
    const held = <u32>(content >> OUTCOME_RIGHTS_SHIFT) & 15;
    if (((rule >> held) & 1) != 0 && (content & (needed | OUTCOME_FAILED)) == needed) {
      ++hits;
      return guest + <usize>((content & OUTCOME_ADDRESS_MASK & ~(<u64>0xfff)) | (va & 0xfff));
    }
  }
  const outcome = tlbTranslate(va, access);
  if (!(outcome & OUTCOME_FAILED)) return guest + <usize>(outcome & OUTCOME_ADDRESS_MASK);
  fault = outcome;
  return 0;
}

/** Where a read or a write goes in linear memory, or 0: see `fault`. */
export function reach(va: u64, write: bool): usize {
  return write ? reachBy(va, writers, writeAccess, TLB_DIRTY) : reachBy(va, readers, readAccess, 0);
}

/** A byte of the guest's, or -1: see `fault`. */
export function readByte(va: u64): i32 {
  const at = reach(va, false);
  return at ? load<u8>(at) : -1;
}

/** Writes a byte; false: see `fault`. */
export function writeByte(va: u64, value: u32): bool {
  const at = reach(va, true);
  if (at) store<u8>(at, <u8>value);
  return at != 0;
}
