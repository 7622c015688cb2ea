/*
 * The walk written out level by level, in one function, with constant shifts and masks.
 *
 * Hoped for: the rest of the way to C, since this is what gcc makes of the native walker.
 *
 * Made: about 0.7 times native with tables in the caches, 0.6 beyond them. What is left: V8 reads registers of the
 * core (globals) anew at every level, and asks at every turn whether to stop; a table's place is chosen by a
 * conditional move (assembly/memory.ts, tableAt), so that each level waits for the comparison of the one above, where
 * gcc's branch is guessed.
 */
import { ALL_RIGHTS, forbidsHalf, marksOf, narrow, ruleOf } from "../../../assembly/access";
import { isCanonical, root, rootShift } from "../../../assembly/cpu";
import { demandRule } from "../../../assembly/demands";
import { ADDRESS_MASK, entryOffset, LEVEL5_SHIFT } from "../../../assembly/entry";
import { NO_TABLE, readEntry, tableAt } from "../../../assembly/memory";
import { walk } from "../../../assembly/walk";
import { Level1, Level2, Level3, Level4, Level5, shiftAt } from "./levels";
import { decidingAt, demandedAt, inWord, isPointer, permits, wordOf } from "./pages";
import { walkEach } from "./walks";

/** Bytes of scratch that a call needs for so many addresses. */
export function scratchBytes(_count: u32, _log2Slots: u32): usize {
  return 0;
}

export function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  _scratch: usize,
  _log2Slots: u32,
  _epoch: u32,
): void {
  const rule = ruleOf(access);
  const end = addresses + ((<usize>count) << 3);
  const across = outcomes - addresses;
  /* Marks are not unrolled: the benchmark makes probes. */
  if (marksOf(rule) || !demandRule(rule) || !count) return walkEach(addresses, end, across, rule);
  const five = rootShift == LEVEL5_SHIFT;
  const demanded1 = demandedAt<Level1>(rule);
  const demanded2 = demandedAt<Level2>(rule);
  const demanded3 = demandedAt<Level3>(rule);
  const deciding1 = decidingAt<Level1>(rule);
  const deciding2 = decidingAt<Level2>(rule);
  const deciding3 = decidingAt<Level3>(rule);
  let at = addresses;
  do {
    const va = load<u64>(at);
    let word: u64 = 0;
    let rights = ALL_RIGHTS;
    let entry = root;
    if (isCanonical(va) && !forbidsHalf(rule, va)) {
      /* An entry that cannot be read is 0, and leads nowhere. */
      if (five) {
        entry = entryBelow<Level5>(entry, va);
        rights = narrow(rights, entry);
      }
      if (!five || isPointer<Level5>(entry)) {
        entry = entryBelow<Level4>(entry, va);
        if (isPointer<Level4>(entry)) {
          rights = narrow(rights, entry);
          entry = entryBelow<Level3>(entry, va);
          if (isPointer<Level3>(entry)) {
            rights = narrow(rights, entry);
            entry = entryBelow<Level2>(entry, va);
            if (isPointer<Level2>(entry)) {
              rights = narrow(rights, entry);
              entry = entryBelow<Level1>(entry, va);
              if ((entry & deciding1) == demanded1) word = wordOf<Level1>(va, entry, inWord(rights));
            } else if ((entry & deciding2) == demanded2) word = wordOf<Level2>(va, entry, inWord(rights));
          } else if ((entry & deciding3) == demanded3) word = wordOf<Level3>(va, entry, inWord(rights));
        }
      }
    }
    store<u64>(at + across, word && permits(rule, word) ? word : walk(va, rule));
    at += 8;
  } while (at != end);
}

/** The entry for va in the table of level L that another entry points to; 0 where there is no memory. */
function entryBelow<L>(pointer: u64, va: u64): u64 {
  const at = tableAt(pointer & ADDRESS_MASK);
  return at == NO_TABLE ? 0 : readEntry(at + entryOffset(va, shiftAt<L>()));
}
