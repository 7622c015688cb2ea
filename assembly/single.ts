/*
 * One probe a call, for those who want the physical address and nothing else.
 *
 * Addresses come in halves and go as a number, since a call from JavaScript with a 64-bit argument makes a bigint. What
 * the walk finds out besides (rights, memory type, the reason of a failure) is not worked out here: the way down is the
 * walk's for a page that permits the access; where anything is amiss, the walk decides.
 */
import { ALL_RIGHTS, combination, forbidsHalf, narrow, permits, sameRuleOf } from "./access";
import { isCanonical, paging, pointerBits, root, rootShift } from "./cpu";
import { ADDRESS_MASK, entryOffset, LEVEL1_SHIFT, PRESENT, protectionKey } from "./entry";
import { isMissing, linearOf, readEntry } from "./memory";
import { OUTCOME_ADDRESS_MASK, OUTCOME_FAILED, offsetIn } from "./outcome";
import { isLeaf, reservedBits, walk } from "./walk";

/** The physical address, exact as a number, or -1 where the access does not reach a page. While paging is off, that is `low`. */
export function physicalAddress(high: u32, low: u32, access: u32): f64 {
  const va = ((<u64>high) << 32) | low;
  const rule = sameRuleOf(access);
  if (!isCanonical(va)) return paging ? -1 : <f64>low;
  if (forbidsHalf(rule, va)) return -1;
  let rights = ALL_RIGHTS;
  let entry = root;
  let shift = rootShift;
  while (true) {
    const table = entry & ADDRESS_MASK;
    const at = linearOf(table);
    if (isMissing(table, at)) return -1;
    entry = readEntry(at + entryOffset(va, shift));
    if (shift == LEVEL1_SHIFT || (entry & pointerBits) != PRESENT) break;
    rights = narrow(rights, entry);
    shift -= 9;
  }
  const sound = (entry & (PRESENT | reservedBits(true, shift))) == PRESENT && isLeaf(entry, shift);
  if (sound && permits(rule, combination(rights, entry), protectionKey(entry))) {
    return <f64>(<i64>((entry & ADDRESS_MASK & ~offsetIn(~0, shift)) | offsetIn(va, shift)));
  }
  const outcome = walk(va, rule);
  return outcome & OUTCOME_FAILED ? -1 : <f64>(<i64>(outcome & OUTCOME_ADDRESS_MASK));
}
