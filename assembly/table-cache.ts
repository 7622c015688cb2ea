/*
 * The tables in which a batch has found leaves. Intel SDM vol. 3A, section 4.10.3 (paging-structure caches).
 *
 * Three direct-mapped arrays of 2^log2Slots slots in memory that the host gives, one behind the other: page tables, page
 * directories, page-directory-pointer tables. A slot is 16 bytes:
 *
 *   +0 tag       | 63 .. 43: epoch | 42 .. 0: linear addresses without the bits that lie below one table |
 *
 *                 63  61  60    59 58 57 56 55 54  53  52 51    32 31                           0
 *   +8 content   +------+-----+------+--+--+--+--+-------+--------+------------------------------+
 *                |   0  |  0  |   0  | 0| X| U| W| level |    0   | linear address of the table  |
 *                +------+-----+------+--+--+--+--+-------+--------+------------------------------+
 *
 * Level and rights lie where an outcome word has them (outcome.ts): the level of the table, the rights of those above.
 *
 * A slot serves only the epoch it was filled in. The host gives every call another one, so that no cache outlives a call
 * and none has to be cleared for that. What a slot holds is a table that was in use during the call, reached by entries
 * that were present, had no reserved bit set and, where the call marks, had A set.
 */
import { LEVEL1_SHIFT, levelOf } from "./entry";
import { OUTCOME_LEVEL_SHIFT, OUTCOME_RIGHTS_SHIFT } from "./outcome";
import { rightsAboveLeaf, tableOfLeaf } from "./walk";

/** Arrays of a table cache: tables of level 1, 2, 3. */
export const TABLE_CACHE_ARRAYS: u32 = 3;
/** Bytes of a slot. */
export const TABLE_CACHE_SLOT_BYTES: u32 = 16;
/** Epochs that tags tell apart: 0 is that of a cleared slot, the highest one less than this. */
export const TABLE_CACHE_EPOCHS: u32 = 1 << 21;

/** log2 of a slot's bytes. */
const SLOT_SHIFT: u32 = 4;
const EPOCH_SHIFT: u64 = 43;

let arrays: usize = 0;
let log2: u32 = 0;
let epoch: u64 = 0;

/** Uses the cache at a linear address from now on, in an epoch from 1 to TABLE_CACHE_EPOCHS - 1. */
export function useTableCache(at: usize, log2Slots: u32, inEpoch: u32): void {
  arrays = at;
  log2 = log2Slots;
  epoch = (<u64>inEpoch) << EPOCH_SHIFT;
}

/** The epoch, as tags have it. */
export function epochOfTags(): u64 {
  return epoch;
}

/** The array of the tables whose entries map 2^shift bytes each. */
export function arrayFor(shift: u32): usize {
  return arrays + (((shift - LEVEL1_SHIFT) / 9) << (log2 + SLOT_SHIFT));
}

/** The bits of a byte offset in an array that tell the slot. */
export function slotMask(): usize {
  return ((1 << log2) - 1) << SLOT_SHIFT;
}

/** The slot, in the array at a linear address, of the table whose entries map 2^shift bytes each, va among them. */
export function slotIn(array: usize, va: u64, shift: u32, mask: usize): usize {
  return array + (<usize>(va >> (shift + 9 - SLOT_SHIFT)) & mask);
}

/** Caches the table in which the last walk has found the leaf of va, of 2^shift bytes. */
export function rememberTable(va: u64, shift: u32): void {
  const slot = slotIn(arrayFor(shift), va, shift, slotMask());
  const rights = ((rightsAboveLeaf >> 1) & 3) | ((rightsAboveLeaf >> 61) & 4);
  store<u64>(slot, (va >> (shift + 9)) | epoch);
  store<u64>(
    slot,
    <u64>tableOfLeaf | ((<u64>levelOf(shift)) << OUTCOME_LEVEL_SHIFT) | (rights << OUTCOME_RIGHTS_SHIFT),
    8,
  );
}
