/*
 * The library's table cache and its runs of leaves of one size, but one address at a time, with scalar instructions.
 *
 * Hoped for: one entry read instead of four or five, hence three times the walks.
 *
 * Made: about 1.9 times native with 4 KiB leaves, 1.7 with 2 MiB, 1.25 with 1 GiB, and 1.0 where the tables are in no
 * cache: half of what pairs make (assembly/run.ts), which put twice as many walks through the same number of
 * instructions. Leaves of mixed sizes: about 0.3, worse than no cache at all. Every change of size is a branch
 * guessed wrong, and a walk.
 */
import { ruleOf } from "../../../assembly/access";
import { demandRule } from "../../../assembly/demands";
import { entryOffset } from "../../../assembly/entry";
import { readEntry } from "../../../assembly/memory";
import {
  arrayFor,
  epochOfTags,
  slotIn,
  slotMask,
  TABLE_CACHE_ARRAYS,
  TABLE_CACHE_SLOT_BYTES,
  useTableCache,
} from "../../../assembly/table-cache";
import { Level1, Level2, Level3, shiftAt } from "./levels";
import { decidingAt, demandedAt, wordOf } from "./pages";
import { walkAndRemember } from "./remember";
import { walkEach } from "./walks";

/** Bytes of scratch that a call needs for so many addresses. */
export function scratchBytes(_count: u32, log2Slots: u32): usize {
  return (TABLE_CACHE_ARRAYS * TABLE_CACHE_SLOT_BYTES) << log2Slots;
}

export function translateMany(
  addresses: usize,
  count: u32,
  access: u32,
  outcomes: usize,
  scratch: usize,
  log2Slots: u32,
  epoch: u32,
): void {
  const rule = ruleOf(access);
  const end = addresses + ((<usize>count) << 3);
  const across = outcomes - addresses;
  if (!demandRule(rule) || !count) return walkEach(addresses, end, across, rule);
  useTableCache(scratch, log2Slots, epoch);
  let level: u32 = 1;
  let at = addresses;
  do {
    if (level == 1) at = translateRun<Level1>(at, end, across, rule);
    else if (level == 2) at = translateRun<Level2>(at, end, across, rule);
    else at = translateRun<Level3>(at, end, across, rule);
    if (at == end) return;
    level = walkAndRemember(at, at + 8, across, rule, level);
    at += 8;
  } while (at != end);
}

/** Like assembly/run.ts: translates addresses while their leaves are at level L, in cached tables, and permit it. */
function translateRun<L>(from: usize, end: usize, across: usize, rule: u32): usize {
  const shift = shiftAt<L>();
  const array = arrayFor(shift);
  const mask = slotMask();
  const epoch = epochOfTags();
  const demanded = demandedAt<L>(rule);
  const deciding = decidingAt<L>(rule);
  let at = from;
  do {
    const va = load<u64>(at);
    const slot = slotIn(array, va, shift, mask);
    const content = load<u64>(slot, 8);
    const leaf = readEntry(<usize>content + entryOffset(va, shift));
    /* One test for both. Where the tag is another's, what was read as a leaf is of no account, but can be read. */
    if ((load<u64>(slot) ^ ((va >> (shift + 9)) | epoch)) | ((leaf & deciding) ^ demanded)) return at;
    store<u64>(at + across, wordOf<L>(va, leaf, content));
    at += 8;
  } while (at != end);
  return at;
}
