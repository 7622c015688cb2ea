/*
 * The sweep of x86/access in kvm-unit-tests, written anew: a PTE and a PDE in all their states under every access.
 * Intel SDM vol. 3A, 4.6 and 4.7. Legal is what that test finds worth trying:
 *
 *   - a fetch is no write
 *   - at most one reserved bit; XD counts as one while EFER.NXE is 0
 *   - bit 13 only in a PDE that maps a page; bit 36 only where MAXPHYADDR is less than 37
 *   - PKRU holds something only with CR4.PKE, which needs a processor with protection keys, as a key does
 *   - CR4.SMEP is off (the sweep of the supervisor's protections has it)
 */
import {
  A,
  CR0_WP,
  CR4_PKE,
  CR4_SMEP,
  D,
  EFER_NXE,
  EFER_PAGING,
  FETCH,
  KEY_SHIFT,
  P,
  PS,
  U,
  USER,
  W,
  WRITE,
  XD,
} from "./bits";
import { on, when } from "./choice";
import { hasKeys, levels, width } from "./processor";
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
  PKRU,
  put,
  TWICE,
  table,
  WIDTH,
} from "./record";

enum Flag {
  PTE_P,
  PTE_W,
  PTE_U,
  PTE_A,
  PTE_D,
  PDE_P,
  PDE_W,
  PDE_U,
  PDE_A,
  PDE_D,
  PDPTE_READ_ONLY,
  TWICE,
  /* the above are free */
  PTE_XD,
  PTE_36,
  PTE_51,
  PDE_XD,
  PDE_13,
  PDE_36,
  PDE_51,
  PDE_PS,
  KEY,
  USER,
  WRITE,
  FETCH,
  WP,
  NXE,
  SMEP,
  PKE,
  AD,
  WD,
  COUNT,
}

export const FREE: u32 = Flag.PTE_XD;
export const LENGTH: u32 = Flag.COUNT;

/** The key that PKRU restricts; the other pages have key 0. */
const RESTRICTED_KEY: u32 = 2;

export function legal(c: u32): bool {
  if (on(c, Flag.SMEP)) return false;
  if (on(c, Flag.FETCH) && on(c, Flag.WRITE)) return false;
  if (on(c, Flag.PDE_13) && !on(c, Flag.PDE_PS)) return false;
  if (width >= 37 && (on(c, Flag.PTE_36) || on(c, Flag.PDE_36))) return false;
  if (!hasKeys && (on(c, Flag.PKE) || on(c, Flag.KEY))) return false;
  if (!on(c, Flag.PKE) && (on(c, Flag.AD) || on(c, Flag.WD))) return false;
  let reserved: u32 =
    (1 << Flag.PTE_36) | (1 << Flag.PTE_51) | (1 << Flag.PDE_13) | (1 << Flag.PDE_36) | (1 << Flag.PDE_51);
  if (!on(c, Flag.NXE)) reserved |= (1 << Flag.PTE_XD) | (1 << Flag.PDE_XD);
  return popcnt(c & reserved) <= 1;
}

export function registers(c: u32): void {
  ordinaryRegisters(levels);
  put(WIDTH, width);
  put(CR0, get(CR0) | when(c, Flag.WP, CR0_WP));
  put(CR4, get(CR4) | when(c, Flag.SMEP, CR4_SMEP) | when(c, Flag.PKE, CR4_PKE));
  put(EFER, EFER_PAGING | when(c, Flag.NXE, EFER_NXE));
  put(PKRU, (when(c, Flag.AD, 1) | when(c, Flag.WD, 2)) << (2 * RESTRICTED_KEY));
  put(ACCESS, when(c, Flag.USER, USER) | when(c, Flag.WRITE, WRITE) | when(c, Flag.FETCH, FETCH));
  ordinaryEntries(1);
}

export function entries(c: u32): void {
  const key = when(c, Flag.KEY, (<u64>RESTRICTED_KEY) << KEY_SHIFT);
  const large = on(c, Flag.PDE_PS);
  put(TWICE, when(c, Flag.TWICE, 1));
  put(at(ENTRIES, 3), table(3) | P | U | (W ^ when(c, Flag.PDPTE_READ_ONLY, W)));
  put(
    at(ENTRIES, 2),
    (large ? leaf(2) | key : table(2)) |
      when(c, Flag.PDE_P, P) |
      when(c, Flag.PDE_W, W) |
      when(c, Flag.PDE_U, U) |
      when(c, Flag.PDE_A, A) |
      when(c, Flag.PDE_D, D) |
      when(c, Flag.PDE_PS, PS) |
      when(c, Flag.PDE_13, 1 << 13) |
      when(c, Flag.PDE_36, 1 << 36) |
      when(c, Flag.PDE_51, 1 << 51) |
      when(c, Flag.PDE_XD, XD),
  );
  put(
    at(ENTRIES, 1),
    leaf(1) |
      key |
      when(c, Flag.PTE_P, P) |
      when(c, Flag.PTE_W, W) |
      when(c, Flag.PTE_U, U) |
      when(c, Flag.PTE_A, A) |
      when(c, Flag.PTE_D, D) |
      when(c, Flag.PTE_36, 1 << 36) |
      when(c, Flag.PTE_51, 1 << 51) |
      when(c, Flag.PTE_XD, XD),
  );
}
