/*
 * What the designs with a table cache do where a run has stopped.
 */
import { shiftOf } from "../../../assembly/entry";
import { levelOfPage, OUTCOME_FAILED } from "../../../assembly/outcome";
import { rememberTable } from "../../../assembly/table-cache";
import { walk } from "../../../assembly/walk";

/** Walks the addresses from `from` up to `end`, caches their tables, and answers with the level of the last leaf. */
export function walkAndRemember(from: usize, end: usize, across: usize, rule: u32, before: u32): u32 {
  let level = before;
  for (let at = from; at != end; at += 8) {
    const va = load<u64>(at);
    const outcome = walk(va, rule);
    store<u64>(at + across, outcome);
    if (outcome & OUTCOME_FAILED) continue;
    level = levelOfPage(outcome);
    rememberTable(va, shiftOf(level));
  }
  return level;
}
