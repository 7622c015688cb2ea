/*
 * The walk of assembly/walk.ts, one address after the other.
 *
 * Hoped for: the speed of C. A walk is some shifts and loads, and V8 compiles those well; walks that have nothing to
 * do with each other overlap in the processor by themselves.
 *
 * Made: about 0.4 to 0.6 times the walks of native C, with tables of any size. Instructions decide, not cache misses:
 * shifts by variables, what is reserved at a level worked out at that level, and a call for each address.
 */
import { ruleOf } from "../../../assembly/access";
import { walkEach } from "./walks";

/** Bytes of scratch that a call needs for so many addresses. */
export function scratchBytes(_count: u32, _log2Slots: u32): usize {
  return 0;
}

/** The contract of assembly/batch.ts; `scratch`, as many bytes as scratchBytes says, takes the place of the cache. */
export function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  _scratch: usize,
  _log2Slots: u32,
  _epoch: u32,
): void {
  walkEach(addresses, addresses + ((<usize>count) << 3), outcomes - addresses, ruleOf(access));
}
