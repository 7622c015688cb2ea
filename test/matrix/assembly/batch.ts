/*
 * A case as a batch, for the loops that translate in pairs from cached tables. In the table of its last entry stand two
 * more: a leaf that permits the access if the levels above do, whose walk caches the table; and a copy of the last entry,
 * which must come to the same.
 *
 *   friend, friend | va, copy | va, va | copy, va
 *
 * In the second pair the tables are cached and the leaves not marked yet; in the third both are one page. For the loop that
 * takes leaves of all sizes there stand 40 addresses before these, alternately of a 4 KiB page and of a 2 MiB one, in
 * tables of their own, which the access reaches if keys and LASS let it reach anything.
 */
import { ACCESS_MARK } from "../../../assembly/access";
import { TABLE_CACHE_ARRAYS, TABLE_CACHE_EPOCHS, TABLE_CACHE_SLOT_BYTES } from "../../../assembly/table-cache";
import { A, D, KEY_SHIFT, P, PS, SHADOW_STACK, U, USER, W } from "./bits";
import { tableAt, translateMany } from "./core";
import { levels } from "./processor";
import { ACCESS, AFTER, AGAIN, at, ENTRIES, EXPECTED, GOT, get, PKRS, PKRU, put, TIME, tableOf, VA } from "./record";

/** Addresses that make leaves look mixed: after some 30 they do, and the last are translated by the loop for such. */
const PRELUDE: u32 = 40;
/** Addresses of the case itself: those that are looked at, and as many as a batch has to have before it uses its cache. */
const LOOKED_AT: u32 = 8;
const OWN: u32 = 16;
const LOG2_SLOTS: u32 = 2;
const CACHE_BYTES: u32 = (TABLE_CACHE_ARRAYS * TABLE_CACHE_SLOT_BYTES) << LOG2_SLOTS;
/** Bytes of linear memory that batches need. */
export const BATCH_BYTES: u32 = CACHE_BYTES + (PRELUDE + OWN) * 16;
/** The tables of the addresses before: that of level n at (FIRST_TABLE + n) x 4096. */
const FIRST_TABLE: u64 = 5;

let cache: usize = 0;
let addresses: usize = 0;
let outcomes: usize = 0;
let prelude: u32 = 0;
/** A leaf of 4 KiB that permits the access, if any does, and is marked already. */
let friendly: u64 = 0;
let epoch: u32 = 0;

/** Makes batches from now on in BATCH_BYTES, filled with zeros, at a linear address. */
export function useBatches(place: usize): void {
  cache = place;
  addresses = place + CACHE_BYTES;
  outcomes = addresses + (PRELUDE + OWN) * 8;
}

/** Prepares for cases that differ in their entries only. */
export function prepareBatches(mixed: bool): void {
  prelude = mixed ? PRELUDE : 0;
  const user: u64 = get(ACCESS) & USER ? U : 0;
  const writable = get(ACCESS) & SHADOW_STACK ? 0 : W;
  friendly = P | A | D | user | writable | (keyThatPasses() << KEY_SHIFT) | 0x9_8740_0000;
  if (mixed) mapCompanions();
}

/** The va of the 4 KiB page; its neighbour in the directory is the 2 MiB page. */
function companion(): u64 {
  return get(VA) ^ ((<u64>4) << (12 + 9 * (levels - 1)));
}

function mapCompanions(): void {
  const va = companion();
  put8(tableOf(levels), va, levels, companionTable(levels - 1));
  for (let level = levels - 1; level > 1; --level)
    put8(tableOf(level + <u32>FIRST_TABLE), va, level, companionTable(level - 1));
  put8(tableOf(1 + <u32>FIRST_TABLE), va, 1, friendly);
  put8(tableOf(2 + <u32>FIRST_TABLE), va ^ (1 << 21), 2, friendly | PS);
  for (let i: u32 = 0; i < PRELUDE; ++i) store<u64>(addresses + (i << 3), i & 1 ? va ^ (1 << 21) : va);
}

function companionTable(level: u32): u64 {
  return tableOf(level + <u32>FIRST_TABLE) | P | A | W | U;
}

function put8(table: u64, va: u64, level: u32, entry: u64): void {
  store<u64>(tableAt(table) + ((<usize>(va >> (12 + 9 * (level - 1))) & 511) << 3), entry);
}

function keyThatPasses(): u64 {
  const registers = get(PKRU) | get(PKRS);
  for (let key: u64 = 0; key < 16; ++key) if (!((registers >> (2 * key)) & 3)) return key;
  return 0;
}

/** Where the batch's own addresses begin. */
function own(array: usize, i: u32): usize {
  return array + ((prelude + i) << 3);
}

/**
 * Probes or makes the access of the case, whose entries lie in memory, its last one, of level `last`, at a linear address.
 * Tells whether the outcomes and the copy of the last entry are as expected; the caller looks at the other entries.
 */
export function batchHolds(last: u32, slot: usize, marks: bool): bool {
  const step = (<u64>1) << (12 + 9 * (last - 1));
  const va = get(VA);
  const friend = va ^ step;
  const copy = va ^ (step << 1);
  store<u64>(
    slot ^ 8,
    last > 3 ? 0 : last == 3 ? (friendly & ~0x3fff_ffff) | (friendly & 0xfff) | PS : friendly | (last == 2 ? PS : 0),
  );
  store<u64>(slot ^ 16, get(at(ENTRIES, last)));
  store<u64>(own(addresses, 0), friend);
  store<u64>(own(addresses, 1), friend);
  store<u64>(own(addresses, 2), va);
  store<u64>(own(addresses, 3), copy);
  store<u64>(own(addresses, 4), va);
  store<u64>(own(addresses, 5), va);
  store<u64>(own(addresses, 6), copy);
  store<u64>(own(addresses, 7), va);
  for (let i = LOOKED_AT; i < OWN; ++i) store<u64>(own(addresses, i), friend);
  const access = <u32>get(ACCESS) | (marks ? ACCESS_MARK : 0);
  translateMany(addresses, prelude + OWN, access, outcomes, cache, LOG2_SLOTS, nextEpoch());
  const after = get(at(marks ? AFTER : ENTRIES, last));
  const copyHolds = load<u64>(slot ^ 16) == after;
  store<u64>(slot ^ 8, 0);
  store<u64>(slot ^ 16, 0);
  const again = marks ? AGAIN : EXPECTED;
  return (
    comes(2, EXPECTED) &&
    comes(3, EXPECTED) &&
    comes(4, again) &&
    comes(5, again) &&
    comes(6, again) &&
    comes(7, again) &&
    copyHolds
  );
}

/** Whether an outcome is the word in a field. */
function comes(i: u32, expected: usize): bool {
  put(TIME, expected == AGAIN ? 2 : 1);
  put(GOT, load<u64>(own(outcomes, i)));
  return get(GOT) == get(expected);
}

function nextEpoch(): u32 {
  if (++epoch == TABLE_CACHE_EPOCHS) {
    memory.fill(cache, 0, CACHE_BYTES);
    epoch = 1;
  }
  return epoch;
}
