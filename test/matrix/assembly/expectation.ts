/*
 * What a case must come to: the rules of the manual, one by one, as pure functions of the record. Written from Intel
 * SDM vol. 3A, sections 4.5.4, 4.6.1, 4.6.2, 4.7, 4.8 and the chapter on linear-address space separation, and AMD APM
 * vol. 2, 5.3; apart from the core's walk and from the reference.
 */
import {
  A,
  ADDRESS,
  AMD,
  CR0_WP,
  CR4_LASS,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  D,
  EFER_NXE,
  ERROR_P,
  ERROR_PK,
  ERROR_RSVD,
  FETCH,
  G,
  IMPLICIT,
  KEY_SHIFT,
  P,
  PAGE_1G,
  PAT_4K,
  PAT_LARGE,
  PCD,
  PS,
  PWT,
  RFLAGS_AC,
  SHADOW_STACK,
  U,
  USER,
  W,
  WRITE,
  XD,
} from "./bits";
import { ACCESS, at, CR0, CR4, EFER, ENTRIES, FEATURES, get, LEVELS, PKRS, PKRU, RFLAGS, VA, WIDTH } from "./record";
import { asShadowStack, faulted, isPage, LASS_VIOLATION, reached, SHADOW_STACK_PAGE } from "./word";

function is(field: usize, bits: u64): bool {
  return (get(field) & bits) != 0;
}

function entry(level: u32): u64 {
  return get(at(ENTRIES, level));
}

/** 4.5.4: "if PS is 1, the entry maps a page": of 1 GiB in a PDPTE where CPUID has Page1GB, of 2 MiB in a PDE; a PTE always. */
function mapsPage(level: u32): bool {
  if (level == 1) return true;
  if (level > 3 || !(entry(level) & PS)) return false;
  return level == 2 || is(FEATURES, PAGE_1G);
}

/** The bits that tables 4-14 to 4-20 call reserved, of those that are set in the entry of a level. */
function reservedBits(level: u32): u64 {
  /* "51:M: reserved (must be 0)" in every entry, M being MAXPHYADDR. */
  let reserved = (~(<u64>0) << get(WIDTH)) & ADDRESS;
  /* "If IA32_EFER.NXE = 1, execute-disable ...; otherwise, reserved (must be 0)". */
  if (!is(EFER, EFER_NXE)) reserved |= XD;
  if (mapsPage(level)) {
    /* 1 GiB page: "29:13 reserved"; 2 MiB page: "20:13 reserved". Bit 12 is PAT. */
    if (level == 3) reserved |= 0x3fff_e000;
    if (level == 2) reserved |= 0x001f_e000;
  } else {
    /* PML5E, PML4E: "7 (PS): reserved (must be 0)"; PDPTE: 1 means a page, hence reserved where there are none. */
    reserved |= PS;
    /* APM, figures 5-18 to 5-20: bit 8 of a PML5E and a PML4E is MBZ. Intel: "11:8 ignored". */
    if (level > 3 && is(FEATURES, AMD)) reserved |= G;
  }
  return entry(level) & reserved;
}

/** 4.5.4: the level at which the walk ends, at a leaf or at an entry that is "not used to reference another entry". */
export function lastLevel(): u32 {
  let level = <u32>get(LEVELS);
  while (entry(level) & P && !reservedBits(level) && !mapsPage(level)) --level;
  return level;
}

/** Bits that are set in every entry from the root down to a level. */
function inEvery(level: u32): u64 {
  let all = ~(<u64>0);
  for (let l = <u32>get(LEVELS); l >= level; --l) all &= entry(l);
  return all;
}

/** Whether a bit is set in any entry from the root down to a level. */
function inAny(level: u32, bits: u64): bool {
  let any: u64 = 0;
  for (let l = <u32>get(LEVELS); l >= level; --l) any |= entry(l);
  return (any & bits) != 0;
}

/** 4.6.1: "a user-mode address: the U/S flag is 1 in every paging-structure entry controlling the translation". */
function isUserAddress(level: u32): bool {
  return (inEvery(level) & U) != 0;
}

/** 4.6.1: a shadow-stack address: R/W is 1 in every entry but the last, "R/W is 0 and D is 1" in that one. */
function isShadowStack(level: u32, leaf: u64): bool {
  const above = level == <u32>get(LEVELS) || (inEvery(level + 1) & W) != 0;
  return above && (leaf & (W | D)) == D;
}

/** 4.6.1, data reads and writes by the supervisor of user addresses: with SMAP only "if EFLAGS.AC = 1 and the access is explicit". */
function smapForbids(): bool {
  return is(CR4, CR4_SMAP) && (!is(RFLAGS, RFLAGS_AC) || is(ACCESS, IMPLICIT));
}

/** 4.6.1: whether the access rights permit the access. */
function permitted(level: u32): bool {
  const user = is(ACCESS, USER);
  const userAddress = isUserAddress(level);
  const writable = (inEvery(level) & W) != 0;
  const executable = !(is(EFER, EFER_NXE) && inAny(level, XD));
  /* "Shadow-stack accesses are allowed only to shadow-stack addresses", a user's to user's, the supervisor's to the supervisor's. */
  if (is(ACCESS, SHADOW_STACK)) return isShadowStack(level, entry(level)) && userAddress == user;
  /* "User-mode accesses: not to any supervisor-mode address." */
  if (user && !userAddress) return false;
  if (is(ACCESS, FETCH)) {
    /* "If CR4.SMEP = 1, instructions may not be fetched [by the supervisor] from any user-mode address." */
    if (!user && userAddress && is(CR4, CR4_SMEP)) return false;
    /* "If IA32_EFER.NXE = 1, from addresses for which the XD flag is 0 in every entry controlling the translation." */
    return executable;
  }
  if (!user && userAddress && smapForbids()) return false;
  if (!is(ACCESS, WRITE)) return true;
  /* "If CR0.WP = 0, data may be written to any [address]" by the supervisor; else R/W must be 1 in every entry. */
  return writable || (!user && !is(CR0, CR0_WP));
}

/** 4.6.2: whether the address's protection key forbids the access. */
function keyForbids(level: u32): bool {
  /* "Protection keys do not apply to instruction fetches". */
  if (is(ACCESS, FETCH)) return false;
  /* PKRU governs user-mode addresses with CR4.PKE, IA32_PKRS supervisor-mode addresses with CR4.PKS. */
  const userAddress = isUserAddress(level);
  /* A user's access to a supervisor-mode address is never permitted, of which U/S is the whole reason: the manual leaves
   * open whether PK is reported as well; it is not in the recordings of test/oracle/. */
  if (!userAddress && is(ACCESS, USER)) return false;
  if (!is(CR4, userAddress ? CR4_PKE : CR4_PKS)) return false;
  const pair = get(userAddress ? PKRU : PKRS) >> (2 * ((entry(level) >> KEY_SHIFT) & 15));
  /* "If ADi is 1, no data accesses". */
  if (pair & 1) return true;
  /* "If WDi is 1: user-mode write accesses are not permitted; supervisor-mode ones are not if CR0.WP = 1". */
  return (pair & 2) != 0 && is(ACCESS, WRITE) && (is(ACCESS, USER) || is(CR0, CR0_WP));
}

/** LASS: told from bit 63 of the address before any entry is read. */
function violatesLass(): bool {
  if (!is(CR4, CR4_LASS)) return false;
  const upperHalf = get(VA) >> 63 != 0;
  /* "A user-mode access: if bit 63 is 1". */
  if (is(ACCESS, USER)) return upperHalf;
  /* "A supervisor-mode instruction fetch: if bit 63 is 0"; "data access: besides, only if" SMAP would forbid a user address. */
  return !upperHalf && (is(ACCESS, FETCH) || smapForbids());
}

/** 4.7: the flags that "describe the access causing the page-fault exception". */
function describe(): u64 {
  const code = get(ACCESS) & (WRITE | USER | SHADOW_STACK);
  /* I/D: "the access was an instruction fetch, and either CR4.SMEP = 1 or IA32_EFER.NXE = 1". */
  const reported = is(CR4, CR4_SMEP) || is(EFER, EFER_NXE);
  return code | (reported ? get(ACCESS) & FETCH : 0);
}

/** 4.5.4, 4.9.2: the page that the leaf of a level maps, its rights and its entry of IA32_PAT: 4 x PAT + 2 x PCD + PWT. */
function page(level: u32): u64 {
  const leaf = entry(level);
  const inPage: u64 = ((<u64>1) << (12 + 9 * (level - 1))) - 1;
  const rights =
    ((inEvery(level) & W) != 0 ? 1 : 0) |
    (isUserAddress(level) ? 2 : 0) |
    (inAny(level, XD) ? 0 : 4) |
    (isShadowStack(level, leaf) ? SHADOW_STACK_PAGE : 0);
  const pat = (leaf & (level == 1 ? PAT_4K : PAT_LARGE) ? 4 : 0) | (leaf & PCD ? 2 : 0) | (leaf & PWT ? 1 : 0);
  return reached(level, (leaf & ADDRESS & ~inPage) | (get(VA) & inPage), rights, pat);
}

/** The outcome word. */
export function expectedOutcome(): u64 {
  if (violatesLass()) return LASS_VIOLATION;
  const level = lastLevel();
  /* 4.7, P: "0 if there is no translation because the P flag was 0 in one of the entries". */
  if (!(entry(level) & P)) return faulted(level, describe());
  /* 4.7, RSVD: "because a reserved bit was set ...; can be set only if bit 0 is also set". */
  if (reservedBits(level)) return faulted(level, describe() | ERROR_P | ERROR_RSVD);
  /* 4.7, PK: whether the key forbids it, also where other rights do. */
  if (keyForbids(level)) return faulted(level, describe() | ERROR_P | ERROR_PK);
  if (!permitted(level)) return faulted(level, describe() | ERROR_P);
  return page(level);
}

/**
 * The outcome word of the same access made again: nothing has changed, unless the first, a write with CR0.WP = 0, has
 * set D in a page that is writable above but not itself; that is what a shadow-stack page looks like.
 */
export function expectedAgain(last: u32, outcome: u64): u64 {
  const became = isPage(outcome) && isShadowStack(last, expectedEntry(last, last, outcome));
  return became ? asShadowStack(outcome) : outcome;
}

/** 4.8: the entry of a level after an access that ends at level `last` with an outcome. */
export function expectedEntry(level: u32, last: u32, outcome: u64): u64 {
  const before = entry(level);
  if (outcome == LASS_VIOLATION || level < last || level > <u32>get(LEVELS)) return before;
  /* "Whenever the processor uses an entry as part of linear-address translation, it sets the accessed flag in it". */
  if (level > last) return before | A;
  if (!isPage(outcome)) return before;
  /* "Whenever there is a write, it sets the dirty flag in the entry that identifies the final physical address". */
  return before | A | (is(ACCESS, WRITE) ? D : 0);
}
