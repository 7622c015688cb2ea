/*
 * Protection keys: PKRU for user pages and IA32_PKRS for supervisor pages, for each of the 16 keys, in leaves of every
 * size; the other keys' pairs all 0 or all 1. Intel SDM vol. 3A, 4.6.2.
 */
import { CR0_WP, CR4_PKE, CR4_PKS, CR4_SMAP, KEY_SHIFT, P, RFLAGS_AC, U, W } from "./bits";
import { ACCESS_FIELD, accessOf, field, ORDINARY_ACCESSES, when } from "./choice";
import { levels } from "./processor";
import {
  ACCESS,
  at,
  CR0,
  CR4,
  ENTRIES,
  get,
  leaf,
  ordinaryEntries,
  ordinaryRegisters,
  PKRS,
  PKRU,
  put,
  RFLAGS,
  table,
} from "./record";

enum Flag {
  P,
  W,
  U,
  UPPER_U,
  /* the above are free */
  ACCESS,
  LEAF = Flag.ACCESS + 4,
  KEY = Flag.LEAF + 2,
  USER_PAIR = Flag.KEY + 4,
  SUPERVISOR_PAIR = Flag.USER_PAIR + 2,
  OTHERS = Flag.SUPERVISOR_PAIR + 2,
  WP,
  PKE,
  PKS,
  SMAP_WITH_AC,
  COUNT,
}

export const FREE: u32 = Flag.ACCESS;
export const LENGTH: u32 = Flag.COUNT;

export function legal(c: u32): bool {
  const leafLevel = field(c, Flag.LEAF, 2);
  return leafLevel >= 1 && field(c, Flag.ACCESS, ACCESS_FIELD) < ORDINARY_ACCESSES;
}

export function registers(c: u32): void {
  const pair: u64 = 3;
  const shift = 2 * field(c, Flag.KEY, 4);
  const others = when(c, Flag.OTHERS, 0xffff_ffff & ~(pair << shift));
  ordinaryRegisters(levels);
  put(CR0, get(CR0) | when(c, Flag.WP, CR0_WP));
  put(CR4, get(CR4) | when(c, Flag.PKE, CR4_PKE) | when(c, Flag.PKS, CR4_PKS) | when(c, Flag.SMAP_WITH_AC, CR4_SMAP));
  put(RFLAGS, when(c, Flag.SMAP_WITH_AC, RFLAGS_AC));
  put(PKRU, others | ((<u64>field(c, Flag.USER_PAIR, 2)) << shift));
  put(PKRS, others | ((<u64>field(c, Flag.SUPERVISOR_PAIR, 2)) << shift));
  put(ACCESS, accessOf(field(c, Flag.ACCESS, ACCESS_FIELD)));
  ordinaryEntries(field(c, Flag.LEAF, 2));
}

export function entries(c: u32): void {
  const level = field(c, Flag.LEAF, 2);
  const key = (<u64>field(c, Flag.KEY, 4)) << KEY_SHIFT;
  put(at(ENTRIES, level + 1), table(level + 1) | P | W | when(c, Flag.UPPER_U, U));
  put(at(ENTRIES, level), leaf(level) | key | when(c, Flag.P, P) | when(c, Flag.W, W) | when(c, Flag.U, U));
}
