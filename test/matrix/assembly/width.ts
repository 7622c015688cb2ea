/*
 * MAXPHYADDR: with every width from 36 to 52 each of the bits 36 to 51, on its own, in each entry on the way to a leaf
 * of each size. At or above the width it is reserved; below it is part of the address, which is tried in leaves only.
 * Intel SDM vol. 3A, 4.1.4, tables 4-14 to 4-20.
 */
import { FETCH, P, U, USER, W, WRITE, XD } from "./bits";
import { field, on, when } from "./choice";
import { levels } from "./processor";
import { ACCESS, at, ENTRIES, get, leaf, ordinaryEntries, ordinaryRegisters, put, TWICE, WIDTH } from "./record";

enum Flag {
  P,
  W,
  U,
  XD,
  TWICE,
  /* the above are free */
  USER,
  WRITE,
  FETCH,
  LEAF,
  PLACE = Flag.LEAF + 2,
  BIT = Flag.PLACE + 3,
  WIDTH = Flag.BIT + 4,
  COUNT = Flag.WIDTH + 5,
}

export const FREE: u32 = Flag.USER;
export const LENGTH: u32 = Flag.COUNT;

const NARROWEST: u32 = 36;
const WIDEST: u32 = 52;

export function legal(c: u32): bool {
  const width = NARROWEST + field(c, Flag.WIDTH, 5);
  const bit = NARROWEST + field(c, Flag.BIT, 4);
  const leafLevel = field(c, Flag.LEAF, 2);
  const place = field(c, Flag.PLACE, 3);
  if (width > WIDEST || leafLevel == 0 || place < leafLevel || place > levels) return false;
  if (place > leafLevel && bit < width) return false;
  return !(on(c, Flag.WRITE) && on(c, Flag.FETCH));
}

export function registers(c: u32): void {
  ordinaryRegisters(levels);
  put(WIDTH, NARROWEST + field(c, Flag.WIDTH, 5));
  put(ACCESS, when(c, Flag.USER, USER) | when(c, Flag.WRITE, WRITE) | when(c, Flag.FETCH, FETCH));
  ordinaryEntries(field(c, Flag.LEAF, 2));
}

/** The flags are those of the entry with the bit; the others permit everything. */
export function entries(c: u32): void {
  const place = field(c, Flag.PLACE, 3);
  const entry = get(at(ENTRIES, place)) & ~(P | W | U | XD);
  const bit = (<u64>1) << (NARROWEST + field(c, Flag.BIT, 4));
  put(TWICE, when(c, Flag.TWICE, 1));
  put(
    at(ENTRIES, place),
    entry | bit | when(c, Flag.P, P) | when(c, Flag.W, W) | when(c, Flag.U, U) | when(c, Flag.XD, XD),
  );
}
