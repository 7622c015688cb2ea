/*
 * Shadow stacks: shadow-stack accesses and all the others, over the states that make a page a shadow-stack page (R/W 1
 * at every level above, 0 in the leaf, D 1) and those that do not. Intel SDM vol. 3A, 4.6.1, 4.6.2. There are
 * shadow-stack accesses only with CR4.CET, which demands CR0.WP.
 */
import { A, CR0_WP, CR4_CET, CR4_PKE, CR4_PKS, CR4_SMAP, D, KEY_SHIFT, P, RFLAGS_AC, U, W, XD } from "./bits";
import { ACCESS_FIELD, ALL_ACCESSES, accessOf, field, ORDINARY_ACCESSES, on, when } from "./choice";
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
  TWICE,
  table,
} from "./record";

enum Flag {
  P,
  W,
  U,
  A,
  D,
  XD,
  ABOVE_W,
  ABOVE_U,
  ABOVE_D,
  TOP_W,
  TWICE,
  /* the above are free */
  ACCESS,
  LEAF = Flag.ACCESS + 4,
  /** What the keys' registers say of the page's key: 0 nothing, 1 AD, 2 WD. */
  PAIR = Flag.LEAF + 2,
  WP = Flag.PAIR + 2,
  CET,
  SMAP,
  AC,
  COUNT,
}

export const FREE: u32 = Flag.ACCESS;
export const LENGTH: u32 = Flag.COUNT;

const KEY: u32 = 9;

export function legal(c: u32): bool {
  if (!field(c, Flag.LEAF, 2) || field(c, Flag.PAIR, 2) > 2) return false;
  if (on(c, Flag.CET) && !on(c, Flag.WP)) return false;
  return field(c, Flag.ACCESS, ACCESS_FIELD) < (on(c, Flag.CET) ? ALL_ACCESSES : ORDINARY_ACCESSES);
}

export function registers(c: u32): void {
  const pair = (<u64>field(c, Flag.PAIR, 2)) << (2 * KEY);
  ordinaryRegisters(levels);
  put(CR0, get(CR0) | when(c, Flag.WP, CR0_WP));
  put(CR4, get(CR4) | CR4_PKE | CR4_PKS | when(c, Flag.CET, CR4_CET) | when(c, Flag.SMAP, CR4_SMAP));
  put(RFLAGS, when(c, Flag.AC, RFLAGS_AC));
  put(PKRU, pair);
  put(PKRS, pair);
  put(ACCESS, accessOf(field(c, Flag.ACCESS, ACCESS_FIELD)));
  ordinaryEntries(field(c, Flag.LEAF, 2));
}

export function entries(c: u32): void {
  const level = field(c, Flag.LEAF, 2);
  put(TWICE, when(c, Flag.TWICE, 1));
  /* Above a 1 GiB page the PML4E of 4 levels is both: the entry above and the top. */
  const writableAbove = on(c, Flag.ABOVE_W) && (level + 1 < levels || on(c, Flag.TOP_W));
  put(at(ENTRIES, levels), table(levels) | P | U | when(c, Flag.TOP_W, W));
  put(
    at(ENTRIES, level + 1),
    table(level + 1) | P | (writableAbove ? W : 0) | when(c, Flag.ABOVE_U, U) | when(c, Flag.ABOVE_D, D),
  );
  put(
    at(ENTRIES, level),
    leaf(level) |
      ((<u64>KEY) << KEY_SHIFT) |
      when(c, Flag.P, P) |
      when(c, Flag.W, W) |
      when(c, Flag.U, U) |
      when(c, Flag.A, A) |
      when(c, Flag.D, D) |
      when(c, Flag.XD, XD),
  );
}
