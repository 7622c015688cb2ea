/*
 * The global bit: it gives and takes no rights at any level, with CR4.PGE or without; but AMD's processors reserve bit 8
 * of a PML4E and a PML5E. Intel SDM vol. 3A, tables 4-14 to 4-20; AMD APM vol. 2, 5.3.
 */
import { AMD, CR0_WP, CR4_PGE, G, P, PAGE_1G, U, W } from "./bits";
import { ACCESS_FIELD, accessOf, field, on, PLAIN_ACCESSES, when } from "./choice";
import { levels } from "./processor";
import {
  ACCESS,
  at,
  CR0,
  CR4,
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
  G1,
  G2,
  G3,
  G4,
  NO_PML4E,
  TWICE,
  /* the above are free */
  G5,
  ACCESS,
  LEAF = Flag.ACCESS + 4,
  PGE = Flag.LEAF + 2,
  AMD,
  WP,
  COUNT,
}

export const FREE: u32 = Flag.G5;
export const LENGTH: u32 = Flag.COUNT;

export function legal(c: u32): bool {
  if (levels == 4 && on(c, Flag.G5)) return false;
  return field(c, Flag.LEAF, 2) > 0 && field(c, Flag.ACCESS, ACCESS_FIELD) < PLAIN_ACCESSES;
}

export function registers(c: u32): void {
  ordinaryRegisters(levels);
  put(CR0, get(CR0) | when(c, Flag.WP, CR0_WP));
  put(CR4, get(CR4) | when(c, Flag.PGE, CR4_PGE));
  put(FEATURES, PAGE_1G | when(c, Flag.AMD, AMD));
  put(ACCESS, accessOf(field(c, Flag.ACCESS, ACCESS_FIELD)));
  ordinaryEntries(field(c, Flag.LEAF, 2));
}

export function entries(c: u32): void {
  const leafLevel = field(c, Flag.LEAF, 2);
  put(TWICE, when(c, Flag.TWICE, 1));
  for (let level: u32 = 4; level > leafLevel; --level) {
    const present = level == 4 && on(c, Flag.NO_PML4E) ? 0 : P;
    put(at(ENTRIES, level), table(level) | present | W | U | when(c, Flag.G1 + level - 1, G));
  }
  put(at(ENTRIES, 5), table(5) | P | W | U | when(c, Flag.G5, G));
  put(
    at(ENTRIES, leafLevel),
    leaf(leafLevel) |
      when(c, Flag.P, P) |
      when(c, Flag.W, W) |
      when(c, Flag.U, U) |
      when(c, Flag.G1 + leafLevel - 1, G),
  );
}
