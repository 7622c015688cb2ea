/*
 * Blocks of 64 addresses, one pass for each level over all of them that are not done yet.
 *
 * A walk under way is four u64 in scratch: address, physical address of the table, rights so far, where its outcome
 * goes. Faults are left to the walk.
 *
 * Hoped for: 64 cache misses at a time instead of one after the other.
 *
 * Made: about 0.5 times native with tables in the caches, 0.8 to 0.95 beyond them. Misses do overlap, but the
 * processor has some of the next walks under way anyhow, and a state of 32 bytes read and written at every level costs
 * what that gains.
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

const BLOCK: usize = 64;
const STATE_BYTES: usize = 32;

/** Bytes of scratch that a call needs for so many addresses. */
export function scratchBytes(_count: u32, _log2Slots: u32): usize {
  return BLOCK * STATE_BYTES;
}

export function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  scratch: usize,
  _log2Slots: u32,
  _epoch: u32,
): void {
  const rule = ruleOf(access);
  const end = addresses + ((<usize>count) << 3);
  const across = outcomes - addresses;
  /* Marks have to be set in the order of the addresses: D of one may be what makes another a shadow-stack page. */
  if (marksOf(rule) || !demandRule(rule) || !count) return walkEach(addresses, end, across, rule);
  const demanded1 = demandedAt<Level1>(rule);
  const demanded2 = demandedAt<Level2>(rule);
  const demanded3 = demandedAt<Level3>(rule);
  const deciding1 = decidingAt<Level1>(rule);
  const deciding2 = decidingAt<Level2>(rule);
  const deciding3 = decidingAt<Level3>(rule);
  let at = addresses;
  do {
    let left = begin(at, min(at + (BLOCK << 3), end), across, rule, scratch);
    if (rootShift == LEVEL5_SHIFT) left = pass<Level5>(scratch, left, rule, 0, 0);
    left = pass<Level4>(scratch, left, rule, 0, 0);
    left = pass<Level3>(scratch, left, rule, demanded3, deciding3);
    left = pass<Level2>(scratch, left, rule, demanded2, deciding2);
    pass<Level1>(scratch, left, rule, demanded1, deciding1);
    at += BLOCK << 3;
  } while (at < end);
}

/** Puts the walks of a block before the root; answers where the last one ends. */
function begin(from: usize, end: usize, across: usize, rule: u32, states: usize): usize {
  let state = states;
  for (let at = from; at != end; at += 8) {
    const va = load<u64>(at);
    if (!isCanonical(va) || forbidsHalf(rule, va)) {
      store<u64>(at + across, walk(va, rule));
      continue;
    }
    store<u64>(state, va);
    store<u64>(state, root, 8);
    store<u64>(state, ALL_RIGHTS, 16);
    store<u64>(state, at + across, 24);
    state += STATE_BYTES;
  }
  return state;
}

/** Takes all walks through level L, and moves those that go on to the front; answers where the last of them ends. */
function pass<L>(states: usize, end: usize, rule: u32, demanded: u64, deciding: u64): usize {
  const shift = shiftAt<L>();
  let kept = states;
  for (let state = states; state != end; state += STATE_BYTES) {
    const va = load<u64>(state);
    const above = load<u64>(state, 16);
    const outcome = load<usize>(state, 24);
    const at = tableAt(load<u64>(state, 8));
    if (at == NO_TABLE) {
      store<u64>(outcome, walk(va, rule));
      continue;
    }
    const entry = readEntry(at + entryOffset(va, shift));
    if (isPointer<L>(entry)) {
      store<u64>(kept, va);
      store<u64>(kept, entry & ADDRESS_MASK, 8);
      store<u64>(kept, narrow(above, entry), 16);
      store<u64>(kept, outcome, 24);
      kept += STATE_BYTES;
      continue;
    }
    let word: u64 = 0;
    if (sizeof<L>() <= 4 && (entry & deciding) == demanded) word = wordOf<L>(va, entry, inWord(above));
    store<u64>(outcome, word && permits(rule, word) ? word : walk(va, rule));
  }
  return kept;
}
