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
import { paging, reservedEverywhere, root, rootShift } from "./cpu";
import { ADDRESS_MASK, entryOffset, levelOf, PRESENT, TABLE_BYTES } from "./entry";
import { frameIndex, isMissing, linearOf, readEntry } from "./memory";
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
  /* While paging is off nothing is mapped. */
  if (paging) scanTable(root, shift, from & ~spanned, ALL_RIGHTS, root);
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

/** Bytes of a cache line: eight entries. Those without a present one are passed over: most tables are nearly empty. */
const LINE_BYTES: usize = 64;

/** Byte offset in a table of the first line, from the one at an offset on, in which an entry is present. */
function firstLine(table: usize, from: usize): usize {
  let offset = from;
  while (offset < <usize>TABLE_BYTES) {
    const line = table + offset;
    const half = v128.or(v128.load(line), v128.load(line, 16));
    const other = v128.or(v128.load(line, 32), v128.load(line, 48));
    if (v128.any_true(v128.and(v128.or(half, other), i64x2.splat(PRESENT)))) return offset;
    offset += LINE_BYTES;
  }
  return offset;
}

/** Scans the table that maps the addresses from `start` on. `via` is the entry that points to it. */
function scanTable(table: u64, shift: u32, start: u64, rights: u64, via: u64): void {
  const at = linearOf(table);
  if (isMissing(table, at)) {
    appendTable(RECORD_MISSING_TABLE, start, shift, via, rights);
    return;
  }
  const note = notes + (frameIndex(at) << 1);
  const emptyBit = 1 << (levelOf(shift) - 1);
  const visitedBit = emptyBit << 5;
  const wholly = cursor <= start;
  if (load<u16>(note) & emptyBit) return;
  if (options & SCAN_FOLD && wholly && load<u16>(note) & visitedBit) {
    appendTable(RECORD_REPEATED_TABLE, start, shift, via, rights);
    return;
  }

  const appendedBefore = appended;
  let offset: usize = wholly ? 0 : entryOffset(cursor, shift);
  for (; offset < <usize>TABLE_BYTES; offset += 8) {
    if (!(offset & (LINE_BYTES - 1))) {
      offset = firstLine(at, offset);
      if (offset == <usize>TABLE_BYTES) break;
    }
    const va = start + ((<u64>(offset >> 3)) << shift);
    if (va > last) return;
    const entry = readEntry(at + offset);
    if (entry & PRESENT) {
      const leaf = isLeaf(entry, shift);
      const reserved = (entry & reservedBits(leaf, shift)) != 0;
      if (leaf || reserved) appendEntry(reserved, va, shift, entry, rights);
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

/** The first word of a record; `above` are the rights of the levels above the entry. */
function headOf(kind: u64, va: u64, shift: u32, entry: u64, above: u64): u64 {
  return va | (kind << RECORD_KIND_SHIFT) | ((<u64>combination(above, entry)) << RECORD_RIGHTS_SHIFT) | levelOf(shift);
}

/** A leaf, or an entry with reserved bits. */
function appendEntry(reserved: bool, va: u64, shift: u32, entry: u64, above: u64): void {
  const head = headOf(reserved ? RECORD_RESERVED : RECORD_LEAF, va, shift, entry, above);
  const bytes = (<u64>1) << shift;
  if (options & SCAN_COALESCE && !reserved && length && continues(head, entry)) {
    ++appended;
    store<u64>(lastRecord(), load<u64>(lastRecord(), 16) + bytes, 16);
    return;
  }
  append(va, head, entry, bytes);
}

/** What a table would map that cannot be, or shall not be, descended into. */
function appendTable(kind: u64, va: u64, shift: u32, via: u64, above: u64): void {
  append(va, headOf(kind, va, shift, via, above), via, (<u64>1) << (shift + 9));
}

function append(va: u64, head: u64, entry: u64, bytes: u64): void {
  ++appended;
  if (length == capacity) {
    full = true;
    cursor = va;
    return;
  }
  ++length;
  store<u64>(lastRecord(), head);
  store<u64>(lastRecord(), entry, 8);
  store<u64>(lastRecord(), bytes, 16);
}

/** Whether a leaf goes on where the last record of the list ends. */
function continues(head: u64, entry: u64): bool {
  const record = lastRecord();
  const covered = load<u64>(record, 16);
  return load<u64>(record) + covered == head && load<u64>(record, 8) + covered == entry;
}
