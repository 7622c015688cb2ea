/*
 * The permission matrix: goes through all combinations of a sweep, makes each a case (record.ts), has the core walk it,
 * and compares what came with what the rules demand (expectation.ts).
 *
 * Like the core it has no data of its own in memory: it lives in the core's, next to the tables, in records that the
 * host gives.
 */
import { ACCESS_MARK } from "../../../assembly/access";
import { batchHolds, prepareBatches } from "./batch";
import { invalidateAll, setRegisters, tableAt, translate } from "./core";
import { expectedAgain, expectedEntry, expectedOutcome, lastLevel } from "./expectation";
import { levels } from "./processor";
import {
  ACCESS,
  AFTER,
  AGAIN,
  at,
  CR0,
  CR4,
  EFER,
  ENTRIES,
  EXPECTED,
  FEATURES,
  FOUND,
  GOT,
  get,
  PKRS,
  PKRU,
  put,
  RECORD_BYTES,
  RFLAGS,
  TIME,
  TWICE,
  tableOf,
  useRecord,
  VA,
  WIDTH,
} from "./record";
import { entries, freeOf, legal, lengthOf, registers } from "./sweeps";

export { BATCH_BYTES, useBatches } from "./batch";
export { setProcessor } from "./processor";
export { RECORD_BYTES } from "./record";

/** No combination: there is no mismatch, or there are no more. */
const NONE: u32 = 0xffff_ffff;

/** Linear addresses of the entries on the way, by level. */
let slot1: usize = 0;
let slot2: usize = 0;
let slot3: usize = 0;
let slot4: usize = 0;
let slot5: usize = 0;

/** One address a call; through a TLB, which must forget before each case; in batches, for the one loop or the other. */
export const SINGLE: u32 = 0;
export const THROUGH_TLB: u32 = 1;
export const IN_PAIRS: u32 = 2;
export const IN_MIXED_PAIRS: u32 = 3;

/** Which of them. */
let way: u32 = SINGLE;
/** The level at which the case's walk ends. */
let last: u32 = 0;
/** Combinations found right. */
let cases: u32 = 0;

/** How many legal combinations a sweep has. */
export function count(sweep: u32): u32 {
  let sum: u32 = 0;
  for (let c = firstLegal(sweep, 0); c != NONE; c = nextBlock(sweep, c)) sum += 1 << freeOf(sweep);
  return sum;
}

/** The first block of combinations, told apart by free bits only, that is legal and not below c (free bits 0). */
function firstLegal(sweep: u32, c: u32): u32 {
  const end: u32 = 1 << lengthOf(sweep);
  while (c < end && !legal(sweep, c)) c += 1 << freeOf(sweep);
  return c < end ? c : NONE;
}

function nextBlock(sweep: u32, c: u32): u32 {
  const free = freeOf(sweep);
  return firstLegal(sweep, ((c >> free) + 1) << free);
}

/** The first legal combination of a sweep, the others are reached from it by skip(). */
export function first(sweep: u32): u32 {
  return firstLegal(sweep, 0);
}

/** The legal combination that comes `steps` behind a legal one, or NONE. */
export function skip(sweep: u32, c: u32, steps: u32): u32 {
  const size: u32 = 1 << freeOf(sweep);
  let left = (c & (size - 1)) + steps;
  let block = c & ~(size - 1);
  while (left >= size) {
    left -= size;
    block = nextBlock(sweep, block);
    if (block == NONE) return NONE;
  }
  return block + left;
}

/**
 * Checks the combinations of a sweep that are `stride` apart, from the first on, in a record at a linear address. The first that comes
 * out wrong, or NONE; how many it was, checked() says.
 */
export function check(sweep: u32, record: usize, inWhichWay: u32, stride: u32): u32 {
  useRecord(record);
  way = inWhichWay;
  cases = 0;
  const size: u32 = 1 << freeOf(sweep);
  /* Of the next one, in its block. */
  let place: u32 = 0;
  for (let block = firstLegal(sweep, 0); block != NONE; block = nextBlock(sweep, block)) {
    if (place < size) prepare(sweep, block);
    for (; place < size; place += stride) {
      entries(sweep, block + place);
      expect();
      if (!holds()) return block + place;
      ++cases;
    }
    place -= size;
  }
  return NONE;
}

/** How many combinations the last check() has found right. */
export function checked(): u32 {
  return cases;
}

/** Checks one combination; what was expected and what came is in the record. */
export function checkOne(sweep: u32, c: u32, record: usize, inWhichWay: u32): bool {
  useRecord(record);
  way = inWhichWay;
  prepare(sweep, c);
  entries(sweep, c);
  expect();
  return holds();
}

/** Writes cases to successive records, from a combination on with `stride` from one to the next; how many it wrote. */
export function write(sweep: u32, from: u32, stride: u32, record: usize, room: u32): u32 {
  let written: u32 = 0;
  for (let c = from; c != NONE && written < room; c = skip(sweep, c, stride)) {
    useRecord(record + <usize>written * RECORD_BYTES);
    registers(sweep, c);
    entries(sweep, c);
    expect();
    ++written;
  }
  return written;
}

/** Loads the registers of a block of combinations into the core, and finds the entries' places. */
function prepare(sweep: u32, block: u32): void {
  registers(sweep, block);
  setRegisters(
    get(CR0),
    tableOf(levels),
    get(CR4),
    get(EFER),
    get(RFLAGS),
    <u32>get(PKRU),
    <u32>get(PKRS),
    <u32>get(WIDTH),
    <u32>get(FEATURES),
  );
  slot1 = slotOf(1);
  slot2 = slotOf(2);
  slot3 = slotOf(3);
  slot4 = slotOf(4);
  slot5 = slotOf(5);
  if (way >= IN_PAIRS) prepareBatches(way == IN_MIXED_PAIRS);
}

function slotOf(level: u32): usize {
  return tableAt(tableOf(level)) + ((<usize>(get(VA) >> (12 + 9 * (level - 1))) & 511) << 3);
}

/** Fills in what is expected. */
function expect(): void {
  const outcome = expectedOutcome();
  last = lastLevel();
  put(EXPECTED, outcome);
  put(AGAIN, expectedAgain(last, outcome));
  for (let level: u32 = 1; level <= 5; ++level) put(at(AFTER, level), expectedEntry(level, last, outcome));
}

/** Makes the access, twice if the case says so, else after a probe, and compares. */
function holds(): bool {
  store<u64>(slot1, get(at(ENTRIES, 1)));
  store<u64>(slot2, get(at(ENTRIES, 2)));
  store<u64>(slot3, get(at(ENTRIES, 3)));
  store<u64>(slot4, get(at(ENTRIES, 4)));
  store<u64>(slot5, get(at(ENTRIES, 5)));
  const access = <u32>get(ACCESS);
  if (way >= IN_PAIRS)
    return batchHolds(last, slotOf(last), get(TWICE) != 0) && entriesAre(get(TWICE) ? AFTER : ENTRIES);
  if (way == THROUGH_TLB) invalidateAll(false);
  else if (!get(TWICE) && !comesOut(0, access, EXPECTED, ENTRIES)) return false;
  if (!comesOut(1, access | ACCESS_MARK, EXPECTED, AFTER)) return false;
  return !get(TWICE) || comesOut(2, access | ACCESS_MARK, AGAIN, AFTER);
}

/** Whether the core answers with the word in one field and leaves the entries of the other. */
function comesOut(time: u64, access: u32, expected: usize, after: usize): bool {
  put(TIME, time);
  put(GOT, translate(get(VA), access));
  return get(GOT) == get(expected) && entriesAre(after);
}

/** Whether the entries are those of a field. */
function entriesAre(expected: usize): bool {
  put(at(FOUND, 1), load<u64>(slot1));
  put(at(FOUND, 2), load<u64>(slot2));
  put(at(FOUND, 3), load<u64>(slot3));
  put(at(FOUND, 4), load<u64>(slot4));
  put(at(FOUND, 5), load<u64>(slot5));
  for (let level: u32 = 1; level <= 5; ++level) {
    if (get(at(FOUND, level)) != get(at(expected, level))) return false;
  }
  return true;
}
