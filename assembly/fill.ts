/*
 * A page for the TLB of an emulator's own: all that such a TLB has to know to answer the next access without a walk.
 * Intel SDM vol. 3A, section 4.10.2.2 (what a TLB entry holds).
 *
 *   63 .. 12: as in an outcome word (outcome.ts), the address that of the page | 5: D | 4: G | 3 .. 0: protection key
 *
 * It is the content of an entry of tlb.ts. A write to a page without D must come here again, which sets D.
 */
import { sameRuleOf } from "./access";
import { entryOffset, shiftOf } from "./entry";
import { readEntry } from "./memory";
import { levelOfPage, OUTCOME_ADDRESS_MASK, OUTCOME_FAILED, offsetIn } from "./outcome";
import { contentOf } from "./tlb";
import { rightsAboveLeaf, tableOfLeaf, walk } from "./walk";

/**
 * Makes an access (ACCESS_ bits; with ACCESS_MARK, as hardware caches only what has A set), and answers with the page, or with the
 * outcome word of what kept it from one.
 */
export function fillPage(va: u64, access: u32): u64 {
  const rule = sameRuleOf(access);
  while (true) {
    const outcome = walk(va, rule);
    if (outcome & OUTCOME_FAILED) return outcome;
    const shift = shiftOf(levelOfPage(outcome));
    const content = contentOf(readEntry(tableOfLeaf + entryOffset(va, shift)), shift, rightsAboveLeaf);
    /* Where threads share the memory, the leaf may be another by now: then the page is that of another walk. */
    if (!SHARED || !((content ^ outcome) & OUTCOME_ADDRESS_MASK & ~offsetIn(~0, shift))) return content;
  }
}
