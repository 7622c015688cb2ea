/*
 * A case: one combination turned into registers, entries and an access, with what is expected of it and what came out.
 * It is a record of 64-bit words in linear memory, which the host reads, too:
 *
 *   CR0 CR4 EFER RFLAGS PKRU PKRS WIDTH FEATURES LEVELS VA ACCESS TWICE
 *   ENTRIES x 5      the entries on the way, of level 1 to 5, before the access
 *   EXPECTED AGAIN   outcome words (assembly/outcome.ts) of the access, and of the same access made once more
 *   AFTER x 5        the entries afterwards
 *   GOT TIME         the outcome word that came, and of which time it is: 0 a probe, 1, 2
 *   FOUND x 5        the entries that were found then
 *
 * The tables lie at fixed physical addresses: that of level n at n x 4096.
 */
import {
  CR0_PAGING,
  CR4_LA57,
  CR4_PAGING,
  EFER_NXE,
  EFER_PAGING,
  P,
  PAGE_1G,
  PAT_4K,
  PCD,
  PS,
  PWT,
  U,
  W,
} from "./bits";

export const CR0: usize = 0 << 3;
export const CR4: usize = 1 << 3;
export const EFER: usize = 2 << 3;
export const RFLAGS: usize = 3 << 3;
export const PKRU: usize = 4 << 3;
export const PKRS: usize = 5 << 3;
/** MAXPHYADDR. */
export const WIDTH: usize = 6 << 3;
export const FEATURES: usize = 7 << 3;
export const LEVELS: usize = 8 << 3;
export const VA: usize = 9 << 3;
export const ACCESS: usize = 10 << 3;
/** Whether the access is made twice. */
export const TWICE: usize = 11 << 3;
export const ENTRIES: usize = 12 << 3;
export const EXPECTED: usize = 17 << 3;
export const AGAIN: usize = 18 << 3;
export const AFTER: usize = 19 << 3;
export const GOT: usize = 24 << 3;
export const TIME: usize = 25 << 3;
export const FOUND: usize = 26 << 3;
export const RECORD_BYTES: usize = 31 << 3;

/** What every table-pointing entry holds that the processor must ignore: bits 62:52 and 11:9. */
const IGNORED_IN_TABLE: u64 = 0x7ff0_0000_0000_0e00;
/** And a leaf, where 62:59 are the protection key. */
const IGNORED_IN_LEAF: u64 = 0x07f0_0000_0000_0e00;

const PAGE_4K: u64 = 0x1_2345_6000 | PWT | PAT_4K | IGNORED_IN_LEAF;
const PAGE_2M: u64 = 0x2_4680_0000 | PCD | PS | IGNORED_IN_LEAF;
const PAGE_1G_LEAF: u64 = 0x7_4000_0000 | PCD | PWT | PS | IGNORED_IN_LEAF;

/** Distinct indices, so that a level mixed up with another finds an empty entry. The top one decides the half. */
const BELOW_TOP: u64 = (0x1c3 << 30) | (0x0e7 << 21) | (0x139 << 12) | 0xabc;
const LOWER_4: u64 = (0x05b << 39) | BELOW_TOP;
const UPPER_4: u64 = 0xffff_0000_0000_0000 | (0x1a4 << 39) | BELOW_TOP;
const LOWER_5: u64 = (0x0a5 << 48) | (0x133 << 39) | BELOW_TOP;
const UPPER_5: u64 = 0xfe00_0000_0000_0000 | (0x15a << 48) | (0x133 << 39) | BELOW_TOP;

let record: usize = 0;

/** From now on the case is the record at linear address `at`. */
export function useRecord(at: usize): void {
  record = at;
}

export function get(field: usize): u64 {
  return load<u64>(record + field);
}

export function put(field: usize, value: u64): void {
  store<u64>(record + field, value);
}

/** Where the word for a level, 1 to 5, lies within a group of five. */
export function at(field: usize, level: u32): usize {
  return field + ((level - 1) << 3);
}

/** Physical address of the table of a level. */
export function tableOf(level: u32): u64 {
  return (<u64>level) << 12;
}

/** The address whose translation is asked for. */
export function address(levels: u32, upperHalf: bool): u64 {
  if (levels == 5) return upperHalf ? UPPER_5 : LOWER_5;
  return upperHalf ? UPPER_4 : LOWER_4;
}

/** An entry that points to the table below a level, without P, W, U. */
export function table(level: u32): u64 {
  return tableOf(level - 1) | IGNORED_IN_TABLE;
}

/** The leaf of a level, without P, W, U. */
export function leaf(level: u32): u64 {
  if (level == 1) return PAGE_4K;
  return level == 2 ? PAGE_2M : PAGE_1G_LEAF;
}

/** Ordinary registers, of which a sweep then changes what it varies. */
export function ordinaryRegisters(levels: u32): void {
  put(CR0, CR0_PAGING);
  put(CR4, CR4_PAGING | (levels == 5 ? CR4_LA57 : 0));
  put(EFER, EFER_PAGING | EFER_NXE);
  put(RFLAGS, 0);
  put(PKRU, 0);
  put(PKRS, 0);
  put(WIDTH, 46);
  put(FEATURES, PAGE_1G);
  put(LEVELS, levels);
  put(VA, address(levels, false));
}

/** Ordinary entries, which permit everything, down to a leaf at a level; below it lies what must not be reached. */
export function ordinaryEntries(leafLevel: u32): void {
  put(TWICE, 0);
  for (let level: u32 = 1; level <= 5; ++level) {
    put(at(ENTRIES, level), (level > leafLevel ? table(level) : leaf(min(level, 3))) | P | W | U);
  }
}
