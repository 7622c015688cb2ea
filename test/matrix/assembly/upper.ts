/*
 * PML5E, PML4E and PDPTE in all their states above a page that permits everything. Intel SDM vol. 3A, tables 4-14 to
 * 4-16; 4.6.1. At most one of them is not present, and at most one of their bits PS and 51 is set (PS of a PDPTE maps a
 * page, or is reserved where there are no 1 GiB pages). With 4 levels there is no PML5E to vary.
 */
import { A, CR0_WP, EFER_NXE, EFER_PAGING, P, PAGE_1G, PS, U, W, XD } from "./bits";
import { ACCESS_FIELD, accessOf, field, on, PLAIN_ACCESSES, when } from "./choice";
import { levels } from "./processor";
import {
  ACCESS,
  at,
  CR0,
  EFER,
  ENTRIES,
  FEATURES,
  get,
  leaf,
  ordinaryEntries,
  ordinaryRegisters,
  put,
  table,
} from "./record";

enum Flag {
  W3,
  U3,
  A3,
  XD3,
  W4,
  U4,
  A4,
  XD4,
  /* the above are free */
  W5,
  U5,
  A5,
  XD5,
  /** The level that is not present, or that has the bit set: 0 none, 1 PDPTE, 2 PML4E, 3 PML5E. */
  ABSENT,
  PS = Flag.ABSENT + 2,
  BIT_51 = Flag.PS + 2,
  ACCESS = Flag.BIT_51 + 2,
  WP = Flag.ACCESS + 4,
  NXE,
  NO_1G,
  COUNT,
}

export const FREE: u32 = Flag.W5;
export const LENGTH: u32 = Flag.COUNT;

export function legal(c: u32): bool {
  const places: u32 = levels - 2;
  if (field(c, Flag.ABSENT, 2) > places || field(c, Flag.PS, 2) > places || field(c, Flag.BIT_51, 2) > places)
    return false;
  if (levels == 4 && field(c, Flag.W5, 4)) return false;
  if (field(c, Flag.PS, 2) && field(c, Flag.BIT_51, 2)) return false;
  if (on(c, Flag.NO_1G) && field(c, Flag.PS, 2) != 1) return false;
  return field(c, Flag.ACCESS, ACCESS_FIELD) < PLAIN_ACCESSES;
}

export function registers(c: u32): void {
  ordinaryRegisters(levels);
  put(CR0, get(CR0) | when(c, Flag.WP, CR0_WP));
  put(EFER, EFER_PAGING | when(c, Flag.NXE, EFER_NXE));
  put(FEATURES, on(c, Flag.NO_1G) ? 0 : PAGE_1G);
  put(ACCESS, accessOf(field(c, Flag.ACCESS, ACCESS_FIELD)));
  ordinaryEntries(1);
}

export function entries(c: u32): void {
  if (levels == 5) upper(c, 5, Flag.W5);
  upper(c, 4, Flag.W4);
  upper(c, 3, Flag.W3);
}

function upper(c: u32, level: u32, flags: u32): void {
  const place = level - 2;
  const ps = field(c, Flag.PS, 2) == place;
  put(
    at(ENTRIES, level),
    (level == 3 && ps ? leaf(3) : table(level)) |
      (field(c, Flag.ABSENT, 2) == place ? 0 : P) |
      when(c, flags, W) |
      when(c, flags + 1, U) |
      when(c, flags + 2, A) |
      when(c, flags + 3, XD) |
      (ps ? PS : 0) |
      (field(c, Flag.BIT_51, 2) == place ? 1 << 51 : 0),
  );
}
