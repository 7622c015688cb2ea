/*
 * 1 GiB pages: a PDPTE as leaf in all its states, with each of the bits 12 (PAT) to 29 (reserved) on its own, and on a
 * processor without 1 GiB pages, where PS is reserved. Intel SDM vol. 3A, table 4-16; 4.6.1.
 */
import { A, CR0_WP, CR4_SMEP, D, EFER_NXE, EFER_PAGING, P, PAGE_1G, U, W, XD } from "./bits";
import { ACCESS_FIELD, accessOf, field, on, PLAIN_ACCESSES, when } from "./choice";
import { levels } from "./processor";
import {
  ACCESS,
  at,
  CR0,
  CR4,
  EFER,
  ENTRIES,
  FEATURES,
  get,
  leaf,
  ordinaryEntries,
  ordinaryRegisters,
  put,
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
  BIT_51,
  UPPER_W,
  UPPER_U,
  TWICE,
  /* the above are free */
  ACCESS,
  LOW_BIT = Flag.ACCESS + 4,
  WP = Flag.LOW_BIT + 5,
  NXE,
  SMEP,
  NO_1G,
  COUNT,
}

export const FREE: u32 = Flag.ACCESS;
export const LENGTH: u32 = Flag.COUNT;

/** 0: none of the bits; n: bit 11 + n. */
const LOW_BITS: u32 = 19;

export function legal(c: u32): bool {
  if (field(c, Flag.ACCESS, ACCESS_FIELD) >= PLAIN_ACCESSES) return false;
  return field(c, Flag.LOW_BIT, 5) < (on(c, Flag.NO_1G) ? 1 : LOW_BITS);
}

export function registers(c: u32): void {
  ordinaryRegisters(levels);
  put(CR0, get(CR0) | when(c, Flag.WP, CR0_WP));
  put(CR4, get(CR4) | when(c, Flag.SMEP, CR4_SMEP));
  put(EFER, EFER_PAGING | when(c, Flag.NXE, EFER_NXE));
  put(FEATURES, on(c, Flag.NO_1G) ? 0 : PAGE_1G);
  put(ACCESS, accessOf(field(c, Flag.ACCESS, ACCESS_FIELD)));
  ordinaryEntries(3);
}

export function entries(c: u32): void {
  const low = field(c, Flag.LOW_BIT, 5);
  put(TWICE, when(c, Flag.TWICE, 1));
  put(at(ENTRIES, 4), table(4) | P | when(c, Flag.UPPER_W, W) | when(c, Flag.UPPER_U, U));
  put(
    at(ENTRIES, 3),
    leaf(3) |
      when(c, Flag.P, P) |
      when(c, Flag.W, W) |
      when(c, Flag.U, U) |
      when(c, Flag.A, A) |
      when(c, Flag.D, D) |
      when(c, Flag.XD, XD) |
      when(c, Flag.BIT_51, 1 << 51) |
      (low ? (<u64>1) << (11 + low) : 0),
  );
}
