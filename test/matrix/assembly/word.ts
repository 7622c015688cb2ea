/*
 * The core's way to say what was expected: the outcome word, of whose layout alone (assembly/outcome.ts) it is made.
 */
import {
  FAILURE_KIND_SHIFT,
  FAILURE_LEVEL_SHIFT,
  KIND_LASS,
  KIND_PAGE_FAULT,
  OUTCOME_FAILED,
  OUTCOME_LEVEL_SHIFT,
  OUTCOME_PAT_SHIFT,
  OUTCOME_RIGHTS_SHIFT,
} from "../../../assembly/outcome";
import { tableOf } from "./record";

/** LASS forbids the access. */
export const LASS_VIOLATION: u64 = OUTCOME_FAILED | (KIND_LASS << FAILURE_KIND_SHIFT);

/** A page fault, raised by the entry of a level. */
export function faulted(level: u32, code: u64): u64 {
  return (
    OUTCOME_FAILED |
    (KIND_PAGE_FAULT << FAILURE_KIND_SHIFT) |
    ((<u64>level) << FAILURE_LEVEL_SHIFT) |
    tableOf(level) |
    code
  );
}

/** Among the rights, which are writable 1, user 2, executable 4, and this. */
export const SHADOW_STACK_PAGE: u32 = 8;

/** An access that reaches a page through the leaf of a level. */
export function reached(level: u32, physical: u64, rights: u32, pat: u32): u64 {
  return (
    physical |
    ((<u64>level) << OUTCOME_LEVEL_SHIFT) |
    ((<u64>rights) << OUTCOME_RIGHTS_SHIFT) |
    ((<u64>pat) << OUTCOME_PAT_SHIFT)
  );
}

/** Whether the access reached a page. */
export function isPage(outcome: u64): bool {
  return !(outcome & OUTCOME_FAILED);
}

export function asShadowStack(outcome: u64): u64 {
  return outcome | ((<u64>SHADOW_STACK_PAGE) << OUTCOME_RIGHTS_SHIFT);
}
