/*
 * SMEP and SMAP: what the supervisor may do to user pages, with RFLAGS.AC, explicitly and implicitly, over the states of
 * a PTE and a PDE. Intel SDM vol. 3A, 4.6.1.
 */
import { A, CR0_WP, CR4_SMAP, CR4_SMEP, D, EFER_NXE, EFER_PAGING, P, PS, RFLAGS_AC, U, W, XD } from "./bits";
import { ACCESS_FIELD, accessOf, field, ORDINARY_ACCESSES, on, when } from "./choice";
import { levels } from "./processor";
import {
  ACCESS,
  at,
  CR0,
  CR4,
  EFER,
  ENTRIES,
  get,
  leaf,
  ordinaryEntries,
  ordinaryRegisters,
  put,
  RFLAGS,
  TWICE,
  table,
} from "./record";

enum Flag {
  PTE_P,
  PTE_W,
  PTE_U,
  PTE_A,
  PTE_D,
  PTE_XD,
  PDE_P,
  PDE_W,
  PDE_U,
  PDE_XD,
  PDE_PS,
  TWICE,
  /* the above are free */
  ACCESS,
  WP = Flag.ACCESS + 4,
  NXE,
  SMEP,
  SMAP,
  AC,
  COUNT,
}

export const FREE: u32 = Flag.ACCESS;
export const LENGTH: u32 = Flag.COUNT;

export function legal(c: u32): bool {
  return field(c, Flag.ACCESS, ACCESS_FIELD) < ORDINARY_ACCESSES;
}

export function registers(c: u32): void {
  ordinaryRegisters(levels);
  put(CR0, get(CR0) | when(c, Flag.WP, CR0_WP));
  put(CR4, get(CR4) | when(c, Flag.SMEP, CR4_SMEP) | when(c, Flag.SMAP, CR4_SMAP));
  put(EFER, EFER_PAGING | when(c, Flag.NXE, EFER_NXE));
  put(RFLAGS, when(c, Flag.AC, RFLAGS_AC));
  put(ACCESS, accessOf(field(c, Flag.ACCESS, ACCESS_FIELD)));
  ordinaryEntries(1);
}

export function entries(c: u32): void {
  put(TWICE, when(c, Flag.TWICE, 1));
  put(
    at(ENTRIES, 2),
    (on(c, Flag.PDE_PS) ? leaf(2) | PS : table(2)) |
      when(c, Flag.PDE_P, P) |
      when(c, Flag.PDE_W, W) |
      when(c, Flag.PDE_U, U) |
      when(c, Flag.PDE_XD, XD),
  );
  put(
    at(ENTRIES, 1),
    leaf(1) |
      when(c, Flag.PTE_P, P) |
      when(c, Flag.PTE_W, W) |
      when(c, Flag.PTE_U, U) |
      when(c, Flag.PTE_A, A) |
      when(c, Flag.PTE_D, D) |
      when(c, Flag.PTE_XD, XD),
  );
}
