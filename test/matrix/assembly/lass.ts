/*
 * Linear-address space separation: who may touch which half of the linear addresses, whatever the tables say, which
 * are not even read. Intel SDM vol. 3A, the chapter on linear-address space separation. Every kind of access, with
 * CR4.LASS and without, CR4.SMAP, RFLAGS.AC, CR4.SMEP, over the states of a leaf and of the entry above it.
 */
import { A, CR0_WP, CR4_CET, CR4_LASS, CR4_SMAP, CR4_SMEP, D, P, RFLAGS_AC, U, W, XD } from "./bits";
import { ACCESS_FIELD, ALL_ACCESSES, accessOf, field, on, when } from "./choice";
import { levels } from "./processor";
import {
  ACCESS,
  address,
  at,
  CR0,
  CR4,
  ENTRIES,
  get,
  leaf,
  ordinaryEntries,
  ordinaryRegisters,
  put,
  RFLAGS,
  TWICE,
  table,
  VA,
} from "./record";

enum Flag {
  P,
  W,
  U,
  A,
  D,
  XD,
  ABOVE_P,
  ABOVE_U,
  TWICE,
  /* the above are free */
  ACCESS,
  UPPER_HALF = Flag.ACCESS + 4,
  LASS,
  SMAP,
  AC,
  SMEP,
  COUNT,
}

export const FREE: u32 = Flag.ACCESS;
export const LENGTH: u32 = Flag.COUNT;

export function legal(c: u32): bool {
  return field(c, Flag.ACCESS, ACCESS_FIELD) < ALL_ACCESSES;
}

export function registers(c: u32): void {
  ordinaryRegisters(levels);
  put(CR0, get(CR0) | CR0_WP);
  put(
    CR4,
    get(CR4) | CR4_CET | when(c, Flag.LASS, CR4_LASS) | when(c, Flag.SMAP, CR4_SMAP) | when(c, Flag.SMEP, CR4_SMEP),
  );
  put(RFLAGS, when(c, Flag.AC, RFLAGS_AC));
  put(VA, address(levels, on(c, Flag.UPPER_HALF)));
  put(ACCESS, accessOf(field(c, Flag.ACCESS, ACCESS_FIELD)));
  ordinaryEntries(1);
}

export function entries(c: u32): void {
  put(TWICE, when(c, Flag.TWICE, 1));
  put(at(ENTRIES, 2), table(2) | W | when(c, Flag.ABOVE_P, P) | when(c, Flag.ABOVE_U, U));
  put(
    at(ENTRIES, 1),
    leaf(1) |
      when(c, Flag.P, P) |
      when(c, Flag.W, W) |
      when(c, Flag.U, U) |
      when(c, Flag.A, A) |
      when(c, Flag.D, D) |
      when(c, Flag.XD, XD),
  );
}
