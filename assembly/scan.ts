/*
 * Everything that is mapped between two addresses, in ascending order of the address as an unsigned number.
 *
 * A scan descends into every table of the range and appends records to a list in linear memory. When the list is full
 * it stops, and goes on in a next call from scanCursor(). One record, three u64:
 *
 *   +0   | 63 .. 12: linear address | 9 .. 8: kind | 6 .. 3: rights SS X U W | 2 .. 0: level |
 *   +8   the entry, as it stands in its table (for a repeated table: the entry that points to it)
 *   +16  bytes of linear address space covered
 *
 * Real tables share tables, and broken ones contain themselves; no number of paths may make a scan hang. So it takes
 * notes, one u16 a frame, cleared by the host before a scan begins:
 *
 *   | 9 .. 5: visited as a table of level 5 .. 1 | 4 .. 0: nothing is mapped below it as a table of level 5 .. 1 |
 *
 * Between two records a scan does at most 512 steps for each frame and level, however the tables are knotted.
 */
import { ALL_RIGHTS, combination, narrow } from "./access";
import { reservedEverywhere, root, rootShift } from "./cpu";
import { ADDRESS_MASK, entryOffset, levelOf, PRESENT, TABLE_BYTES } from "./entry";
import { frameIndex, NO_TABLE, readEntry, tableAt } from "./memory";
import { isLeaf, reservedBits } from "./walk";

/** Bytes of a record. */
export const RECORD_BYTES: u32 = 24;
/** Bytes of notes a scan needs for each 4 KiB of memory in which tables can lie. */
export const NOTE_BYTES: u32 = 2;

/** A record's level: bits 2:0. */
export const RECORD_LEVEL_MASK: u64 = 7;
/** A record's rights over all levels, 4 bits from here: writable, user, executable, shadow stack. */
export const RECORD_RIGHTS_SHIFT: u64 = 3;
/** A record's kind, 2 bits from here. */
export const RECORD_KIND_SHIFT: u64 = 8;
/** A record's linear address. */
export const RECORD_ADDRESS_MASK: u64 = ~(<u64>0xfff);

/** A leaf: an access reaches the page, if the rights permit it. */
export const RECORD_LEAF: u64 = 0;
/** A present entry with a reserved bit set: every access faults. */
export const RECORD_RESERVED: u64 = 1;
/** An entry that points to a table where there is no memory. */
export const RECORD_MISSING_TABLE: u64 = 2;
/** An entry that points to a table which the scan has listed before, at the same level; only with SCAN_FOLD. */
export const RECORD_REPEATED_TABLE: u64 = 3;

/** Merge a leaf into the one before it where both are contiguous, linear and physical, with equal level and bits. */
export const SCAN_COALESCE: u32 = 1 << 0;
/** Descend into a table only the first time it is met at a level; later it becomes one record. */
export const SCAN_FOLD: u32 = 1 << 1;

let first: u64 = 0;
let last: u64 = 0;
let list: usize = 0;
let length: u32 = 0;
let capacity: u32 = 0;
let notes: usize = 0;
let options: u32 = 0;
let cursor: u64 = 0;
let full: bool = false;
/** Calls of append so far: tells whether a table had anything below it, also where records merge. */
let appended: u64 = 0;

/**
 * Appends to a list of `filled` records what is mapped between two addresses (`to` is the last one, inclusive; both
 * canonical and not across the hole), until the list holds `room` records. Returns how many it holds now. A list that
 * is full may have more to come: call again with `resume` = scanCursor(), where a scan begins with `resume` = `from`;
 * its last record, moved to the front, may still grow.
 */
export function scan(
  from: u64,
  to: u64,
  resume: u64,
  at: usize,
  filled: u32,
  room: u32,
  noteTable: usize,
  flags: u32,
): u32 {
  first = from;
  last = to;
  list = at;
  length = filled;
  capacity = room;
  notes = noteTable;
  options = flags;
  full = false;
  cursor = resume;
  const shift = rootShift;
  const spanned = ((<u64>1) << (shift + 9)) - 1;
  scanTable(root, shift, from & ~spanned, ALL_RIGHTS, root);
  return length;
}

/** Where the next call goes on, after a scan whose list was full; scanIsFull() tells whether that is so. */
export function scanCursor(): u64 {
  return cursor;
}

/** Whether the last scan stopped because its list was full. */
export function scanIsFull(): bool {
  return full;
}

/** Scans the table that maps the addresses from `start` on. `via` is the entry that points to it. */
function scanTable(table: u64, shift: u32, start: u64, rights: u64, via: u64): void {
  const span = (<u64>1) << (shift + 9);
  const at = tableAt(table);
  if (at == NO_TABLE) {
    append(RECORD_MISSING_TABLE, start, span, via, rights, levelOf(shift));
    return;
  }
  const note = notes + (frameIndex(at) << 1);
  const emptyBit = 1 << (levelOf(shift) - 1);
  const visitedBit = emptyBit << 5;
  const wholly = cursor <= start;
  if (load<u16>(note) & emptyBit) return;
  if (options & SCAN_FOLD && wholly && load<u16>(note) & visitedBit) {
    append(RECORD_REPEATED_TABLE, start, span, via, rights, levelOf(shift));
    return;
  }

  const appendedBefore = appended;
  const size = (<u64>1) << shift;
  let offset: usize = wholly ? 0 : entryOffset(cursor, shift);
  for (let va = start + ((<u64>(offset >> 3)) << shift); offset < <usize>TABLE_BYTES; offset += 8, va += size) {
    if (va > last) return;
    const entry = readEntry(at + offset);
    if (entry & PRESENT) {
      const leaf = isLeaf(entry, shift);
      if (entry & reservedBits(leaf, shift)) append(RECORD_RESERVED, va, size, entry, rights, levelOf(shift));
      else if (leaf) append(RECORD_LEAF, va, size, entry, rights, levelOf(shift));
      else scanTable(entry & ADDRESS_MASK, shift - 9, va, narrow(rights, entry), entry);
      if (full) return;
    }
  }
  /* Noted only now: a table that was left because the list was full is entered again, perhaps from its start. */
  const empty = wholly && appended == appendedBefore;
  if (empty) store<u16>(note, load<u16>(note) | emptyBit);
  else if (first <= start) store<u16>(note, load<u16>(note) | visitedBit);
}

function lastRecord(): usize {
  return list + (length - 1) * RECORD_BYTES;
}

/** `above` are the rights of the levels above the entry. */
function append(kind: u64, va: u64, bytes: u64, entry: u64, above: u64, level: u32): void {
  ++appended;
  const tag = (kind << RECORD_KIND_SHIFT) | ((<u64>combination(above, entry)) << RECORD_RIGHTS_SHIFT) | level;
  if (kind == RECORD_LEAF && options & SCAN_COALESCE && length && continues(va, tag, entry)) {
    const record = lastRecord();
    store<u64>(record, load<u64>(record, 16) + bytes, 16);
    return;
  }
  if (length == capacity) {
    full = true;
    cursor = va;
    return;
  }
  ++length;
  store<u64>(lastRecord(), va | tag);
  store<u64>(lastRecord(), entry, 8);
  store<u64>(lastRecord(), bytes, 16);
}

/** Whether a leaf goes on where the last record of the list ends. */
function continues(va: u64, tag: u64, entry: u64): bool {
  const record = lastRecord();
  const covered = load<u64>(record, 16);
  return load<u64>(record) + covered == (va | tag) && load<u64>(record, 8) + covered == entry;
}
