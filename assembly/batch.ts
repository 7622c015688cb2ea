/*
 * Many addresses a call. The arrays are the caller's, in linear memory, 8-byte aligned:
 *
 *   addresses   u64 x count     outcomes   u64 x count (may be the same array)
 */
import { ruleOf } from "./access";
import { walk } from "./walk";

/** Walks `count` addresses for one kind of access; writes one outcome word each. */
export function translateMany(addresses: usize, count: u32, access: u32, outcomes: usize): void {
  const rule = ruleOf(access);
  for (let i: usize = 0; i < <usize>count; ++i) {
    store<u64>(outcomes + (i << 3), walk(load<u64>(addresses + (i << 3)), rule));
  }
}
