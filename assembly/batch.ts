/*
 * Many addresses a call. The arrays are the caller's, in linear memory, 8-byte aligned:
 *
 *   addresses   u64 x count     outcomes   u64 x count (may be the same array)
 *
 * With a table cache (table-cache.ts) most addresses need one entry read, that of the leaf, and are translated in pairs:
 * as long as leaves have one size by a loop that is made for it (run.ts), otherwise by one that takes any (mixed.ts). What
 * they cannot settle, because a table is not cached or the access faults, is walked. So faults come from nowhere else,
 * and a cache can make an answer older by a part of a call, but not wrong.
 */
import { ruleOf } from "./access";
import { demandRule } from "./demands";
import { shiftOf } from "./entry";
import { translateMixed } from "./mixed";
import { levelOfPage, OUTCOME_FAILED } from "./outcome";
import { Level1, Level2, Level3 } from "./pair";
import { translateRun } from "./run";
import { rememberTable, useTableCache } from "./table-cache";
import { walk } from "./walk";

/** Fewer addresses are walked without further ado. */
const FEW: u32 = 16;
/** Where one fault follows the other, twice as many addresses are walked every time before the loops are tried again: 2 to 64. */
const MOST_STUMBLES: u32 = 6;
/** In how many addresses a loop for one size gains what a change of size costs. */
const CHANGE_COSTS: i32 = 16;
/** What changes may have cost before leaves are taken for mixed, in addresses; and for how many. */
const PATIENCE: i32 = 256;
const MIXED_STRETCH: i32 = 4096;

/**
 * Walks `count` addresses for one kind of access; writes one outcome word each.
 *
 * `cache` is the linear address of a table cache of 2^log2Slots slots a level, cleared before its first use, or 0 for
 * none; `epoch`, from 1 to TABLE_CACHE_EPOCHS - 1, is another one for every call, unless a list comes in pieces: for one
 * kind of access, and with the same registers.
 */
export function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  cache: usize,
  log2Slots: u32,
  epoch: u32,
): void {
  const rule = ruleOf(access);
  const across = outcomes - addresses;
  let at = addresses;
  if (cache && count >= FEW && demandRule(rule)) {
    useTableCache(cache, log2Slots, epoch);
    const pairs = addresses + ((<usize>count >> 1) << 4);
    translatePairs(addresses, pairs, across, rule);
    at = pairs;
  }
  const end = addresses + ((<usize>count) << 3);
  for (; at != end; at += 8) store<u64>(at + across, walk(load<u64>(at), rule));
}

/** Addresses are compared for equality only: arrays may end at 4 GiB, where the end is 0. */
function translatePairs(from: usize, end: usize, across: usize, rule: u32): void {
  let level: u32 = 1;
  /* What changes of size have cost more than runs have gained, in addresses. */
  let loss = 0;
  let stumbles: u32 = 1;
  for (let at = from; at != end; ) {
    const start = at;
    if (loss > PATIENCE) {
      at = translateMixed(at, at + min((<usize>MIXED_STRETCH) << 3, end - at), across);
      if (at == start + ((<usize>MIXED_STRETCH) << 3)) loss = PATIENCE;
    } else {
      if (level == 1) at = translateRun<Level1>(at, end, across);
      else if (level == 2) at = translateRun<Level2>(at, end, across);
      else at = translateRun<Level3>(at, end, across);
      loss = max(loss - <i32>((at - start) >> 3), 0);
    }
    if (at != start) stumbles = 1;
    let faults = false;
    for (const next = at + min((<usize>8) << stumbles, end - at); at != next; at += 8) {
      const va = load<u64>(at);
      const outcome = walk(va, rule);
      store<u64>(at + across, outcome);
      if (outcome & OUTCOME_FAILED) {
        faults = true;
        continue;
      }
      const found = levelOfPage(outcome);
      rememberTable(va, shiftOf(found));
      if (found != level) loss += CHANGE_COSTS;
      level = found;
    }
    stumbles = faults ? min(stumbles + 1, MOST_STUMBLES) : 1;
  }
}
