/*
 * A translation lookaside buffer and paging-structure caches, in memory that the embedder gives.
 * Intel SDM vol. 3A, sections 4.10.2 (TLBs), 4.10.3 (paging-structure caches); what drops entries is in invalidate.ts.
 *
 * A processor may have several, an ITLB and a DTLB; the core works on the one that was selected. Each is a header of 64 bytes
 * and seven direct-mapped arrays, 16 bytes an entry, one behind the other from the address given to makeTlb:
 *
 *   +0 lookups | +8 misses | +16 log2Pages | +20 log2Tables | +24 levelsCached     u64, u64, u32, u32, u32; kept in globals
 *                                                                                 as long as it is selected
 *   pages of 4 KiB | 2 MiB | 1 GiB     2^log2Pages entries each        a page's address
 *   PDEs | PDPTEs | PML4Es | PML5Es    2^log2Tables entries each       the address of the table that the entry points to
 *
 *   +0 tag    | 63 .. 12: linear address, low bits beyond the entry's size clear | 11 .. 0: PCID |
 *   +8 page   | 63 .. 12: as in an outcome word (outcome.ts) | 5: D | 4: G | 3 .. 0: protection key |
 *   +8 table  | 51 .. 12: physical address | 2: U | 1: W | 0: X |   rights of all levels down to the entry
 *
 * As in hardware, only what has A set is cached, a write through an entry without D walks again to set it, and entries
 * that software has changed stay until they are dropped. A fault is never taken from a cached entry: the tables are
 * asked again first, so there are no spurious faults (hardware may, and does, have them).
 */
import {
  ACCESS_MARK,
  ALL_RIGHTS,
  codeOf,
  combination,
  denialCode,
  ERROR_PRESENT,
  ERROR_RESERVED,
  forbidsHalf,
  marksOf,
  narrow,
  permits,
  sameRuleOf,
} from "./access";
import { globalPages, isCanonical, pcid, root, rootShift } from "./cpu";
import {
  ACCESSED,
  ADDRESS_MASK,
  DIRTY,
  EXECUTE_DISABLE,
  entryOffset,
  GLOBAL,
  LEVEL1_SHIFT,
  LEVEL2_SHIFT,
  LEVEL3_SHIFT,
  levelOf,
  PRESENT,
  patIndex,
  protectionKey,
  shiftOf,
} from "./entry";
import { isMissing, linearOf, mark, readEntry } from "./memory";
import {
  KIND_LASS,
  levelOfPage,
  missingTable,
  OUTCOME_FAILED,
  OUTCOME_RIGHTS_SHIFT,
  offsetIn,
  pageAt,
  pageFault,
  refused,
} from "./outcome";
import { isLeaf, reservedBits, untranslated } from "./walk";

/** Bytes in front of the arrays: as many as a line of the processor's caches. */
export const TLB_HEADER_BYTES: u32 = 64;
/** Bytes of an entry. */
export const TLB_ENTRY_BYTES: u32 = 16;
/** Arrays of pages: 4 KiB, 2 MiB, 1 GiB. */
export const TLB_PAGE_ARRAYS: u32 = 3;
/** Arrays of entries that point to tables: PDE, PDPTE, PML4E, PML5E. */
export const TLB_TABLE_ARRAYS: u32 = 4;
/**
 * The tag of a free entry, which is no canonical address; and its content, which is no page: an address that is not canonical
 * may have that tag.
 */
export const TLB_FREE: u64 = 1 << 63;
/** A cached page's protection key. */
export const TLB_KEY_MASK: u64 = 15;
/** A cached page is global: it belongs to every PCID. */
export const TLB_GLOBAL: u64 = 1 << 4;
/** A cached page had D set. */
export const TLB_DIRTY: u64 = 1 << 5;
/** A cached entry's linear address. */
export const TLB_ADDRESS_MASK: u64 = ~(<u64>0xfff);

/** Moves the contexts apart in an array: any odd number that is large enough. */
export const TLB_CONTEXT_SPREAD: u64 = 0x9e5;

/** Where the header has what. */
const MISSES: usize = 8;
const LOG2_PAGES: usize = 16;
const LOG2_TABLES: usize = 20;
const LEVELS_CACHED: usize = 24;

const NO_TLB: usize = u32.MAX_VALUE;

/** Linear address of the TLB that is selected, or NO_TLB. */
let selected: usize = NO_TLB;
let pages: usize = 0;
let tables: usize = 0;
let log2Pages: u32 = 0;
let log2Tables: u32 = 0;
let lookups: u64 = 0;
let misses: u64 = 0;
/** Bit n - 1: pages of level n have been cached since the caches were last empty. */
let levelsCached: u32 = 0;

/** Bytes that makeTlb needs. */
export function tlbBytes(log2OfPages: u32, log2OfTables: u32): u32 {
  return (
    TLB_HEADER_BYTES +
    TLB_PAGE_ARRAYS * (TLB_ENTRY_BYTES << log2OfPages) +
    TLB_TABLE_ARRAYS * (TLB_ENTRY_BYTES << log2OfTables)
  );
}

/** Makes an empty TLB at linear address `at`, and selects it. */
export function makeTlb(at: usize, log2OfPages: u32, log2OfTables: u32): void {
  leave();
  store<u64>(at, 0);
  store<u64>(at, 0, MISSES);
  store<u32>(at, log2OfPages, LOG2_PAGES);
  store<u32>(at, log2OfTables, LOG2_TABLES);
  store<u32>(at, 0, LEVELS_CACHED);
  take(at);
  for (let slot = pages; slot < arraysEnd(); slot += TLB_ENTRY_BYTES) drop(slot);
}

/** From now on, the TLB at linear address `at` is the one that is used, counted, and dropped from. */
export function selectTlb(at: usize): void {
  leave();
  take(at);
}

/** The TLB that is selected goes away, and its memory may be used for something else: none is selected then. */
export function dropTlb(): void {
  selected = NO_TLB;
}

/** Puts what is kept in globals into the header of the TLB that was selected. */
function leave(): void {
  if (selected == NO_TLB) return;
  store<u64>(selected, lookups);
  store<u64>(selected, misses, MISSES);
  store<u32>(selected, levelsCached, LEVELS_CACHED);
}

function take(at: usize): void {
  selected = at;
  lookups = load<u64>(at);
  misses = load<u64>(at, MISSES);
  log2Pages = load<u32>(at, LOG2_PAGES);
  log2Tables = load<u32>(at, LOG2_TABLES);
  levelsCached = load<u32>(at, LEVELS_CACHED);
  pages = at + TLB_HEADER_BYTES;
  tables = pages + TLB_PAGE_ARRAYS * (TLB_ENTRY_BYTES << log2Pages);
}

/** Bit n - 1 set: there may be pages of level n in the caches. */
export function cachedLevels(): u32 {
  return levelsCached;
}

/** Somebody has dropped everything. */
export function noteEmpty(): void {
  levelsCached = 0;
}

/** The number of accesses grows by so many. */
export function countLookups(count: u32): void {
  lookups += count;
}

/** log2 of the entries of an array of pages. */
export function log2PageEntries(): u32 {
  return log2Pages;
}

/** Translations asked for since makeTlb. */
export function tlbLookups(): u64 {
  return lookups;
}

/** Those of them for which tables had to be read. */
export function tlbMisses(): u64 {
  return misses;
}

/** What an entry of 2^shift bytes for va is tagged with. */
export function tagOf(va: u64, shift: u32, context: u64): u64 {
  return (va & ~(((<u64>1) << shift) - 1)) | context;
}

/** Spreads the contexts over an array, so that the same address in several of them does not fight for one slot. */
function indexOf(va: u64, shift: u32, context: u64, log2Slots: u32): usize {
  return <usize>((va >> shift) ^ (context * TLB_CONTEXT_SPREAD)) & ((1 << log2Slots) - 1);
}

/** Where a page of 2^shift bytes at va is cached, if it is; a global page as if it belonged to context 0. */
export function pageSlot(va: u64, shift: u32, context: u64): usize {
  const array: usize = (shift - LEVEL1_SHIFT) / 9;
  return pages + (((array << log2Pages) + indexOf(va, shift, context, log2Pages)) << 4);
}

/** Where an entry that points to a table and spans 2^shift bytes at va is cached, if it is. */
export function tableSlot(va: u64, shift: u32, context: u64): usize {
  const array: usize = (shift - LEVEL2_SHIFT) / 9;
  return tables + (((array << log2Tables) + indexOf(va, shift, context, log2Tables)) << 4);
}

/** Linear address of the first array of pages; those of tables follow, then the end. */
export function pageArrays(): usize {
  return pages;
}

export function tableArrays(): usize {
  return tables;
}

export function arraysEnd(): usize {
  return tables + (TLB_TABLE_ARRAYS << (log2Tables + 4));
}

/** The slot in which a page of 2^shift bytes at va is cached as a page of the current context, or 0. */
function ownSlot(va: u64, shift: u32): usize {
  const slot = pageSlot(va, shift, pcid);
  return load<u64>(slot) == tagOf(va, shift, pcid) ? slot : 0;
}

/** The slot in which a page of 2^shift bytes at va is cached as a global one, or 0. */
function globalSlot(va: u64, shift: u32): usize {
  const slot = pageSlot(va, shift, 0);
  const isIt = (load<u64>(slot) & TLB_ADDRESS_MASK) == tagOf(va, shift, 0) && (load<u64>(slot, 8) & TLB_GLOBAL) != 0;
  return isIt ? slot : 0;
}

/** Nothing is cached in a slot any more. */
export function drop(slot: usize): void {
  store<u64>(slot, TLB_FREE);
  store<u64>(slot, TLB_FREE, 8);
}

/** The slot in which the page of va is cached, or 0: the smallest of the context's own, else the smallest global one. */
function cachedAt(va: u64): usize {
  if (!isCanonical(va)) return 0;
  for (let shift = LEVEL1_SHIFT; shift <= LEVEL3_SHIFT; shift += 9) {
    const slot = ownSlot(va, shift);
    if (slot) return slot;
  }
  for (let shift = LEVEL1_SHIFT; shift <= LEVEL3_SHIFT; shift += 9) {
    const slot = globalSlot(va, shift);
    if (slot) return slot;
  }
  return 0;
}

/** Translates through the caches, under a rule that marks. */
export function lookUp(va: u64, rule: u32): u64 {
  const slot = cachedAt(va);
  if (slot) {
    if (forbidsHalf(rule, va)) return refused(KIND_LASS);
    const content = load<u64>(slot, 8);
    const held = <u32>(content >> OUTCOME_RIGHTS_SHIFT) & 15;
    const permitted = permits(rule, held, <u32>(content & TLB_KEY_MASK));
    const lacksDirty = (marksOf(rule) & DIRTY) != 0 && !(content & TLB_DIRTY);
    if (permitted && !lacksDirty) return (content & TLB_ADDRESS_MASK) | offsetIn(va, shiftOf(levelOfPage(content)));
  }
  ++misses;
  return walkAndCache(va, rule);
}

/** The walk of walk.ts, beginning at the deepest table that is cached; remembers every entry it uses. */
function walkAndCache(va: u64, rule: u32): u64 {
  if (!isCanonical(va)) return untranslated(va);
  if (forbidsHalf(rule, va)) return refused(KIND_LASS);
  for (let shift = LEVEL2_SHIFT; shift <= rootShift; shift += 9) {
    const slot = tableSlot(va, shift, pcid);
    if (load<u64>(slot) != tagOf(va, shift, pcid)) continue;
    const content = load<u64>(slot, 8);
    const outcome = descend(va, rule, content & ADDRESS_MASK, shift - 9, (content & 6) | (content << 63));
    if (!(outcome & OUTCOME_FAILED)) return outcome;
    break;
  }
  const outcome = descend(va, rule, root, rootShift, ALL_RIGHTS);
  if (outcome & OUTCOME_FAILED) forget(va);
  return outcome;
}

function descend(va: u64, rule: u32, from: u64, fromShift: u32, above: u64): u64 {
  const marks = marksOf(rule);
  let rights = above;
  let table = from;
  let shift = fromShift;
  while (true) {
    const at = linearOf(table);
    if (isMissing(table, at)) return missingTable(table, shift);
    const slot = at + entryOffset(va, shift);
    const entry = readEntry(slot);
    if (!(entry & PRESENT)) return pageFault(codeOf(rule), table, shift);
    const leaf = isLeaf(entry, shift);
    if (entry & reservedBits(leaf, shift))
      return pageFault(codeOf(rule) | ERROR_PRESENT | ERROR_RESERVED, table, shift);
    if (leaf) {
      const held = combination(rights, entry);
      const key = protectionKey(entry);
      if (!permits(rule, held, key)) return pageFault(denialCode(rule, held, key), table, shift);
      if (!mark(slot, entry, marks)) continue;
      /* A write that sets D in a read-only leaf (CR0.WP = 0) makes a shadow-stack page of it. */
      rememberPage(va, shift, contentOf(entry | marks, shift, rights));
      return pageAt(entry & ADDRESS_MASK, shift, held, patIndex(entry, shift)) | offsetIn(va, shift);
    }
    if (!mark(slot, entry, ACCESSED)) continue;
    rights = narrow(rights, entry);
    table = entry & ADDRESS_MASK;
    rememberTable(va, shift, table, rights);
    shift -= 9;
  }
}

/** What is cached of a page, given its leaf and the rights of the levels above. */
export function contentOf(leaf: u64, shift: u32, above: u64): u64 {
  const page = pageAt(leaf & ADDRESS_MASK, shift, combination(above, leaf), patIndex(leaf, shift));
  const dirty: u64 = leaf & DIRTY ? TLB_DIRTY : 0;
  const global: u64 = globalPages && leaf & GLOBAL ? TLB_GLOBAL : 0;
  return page | dirty | global | protectionKey(leaf);
}

function rememberPage(va: u64, shift: u32, content: u64): void {
  const slot = pageSlot(va, shift, content & TLB_GLOBAL ? 0 : pcid);
  forgetPage(va);
  levelsCached |= (<u32>1) << (levelOf(shift) - 1);
  store<u64>(slot, tagOf(va, shift, pcid));
  store<u64>(slot, content, 8);
}

function rememberTable(va: u64, shift: u32, table: u64, rights: u64): void {
  const slot = tableSlot(va, shift, pcid);
  store<u64>(slot, tagOf(va, shift, pcid));
  store<u64>(slot, table | (rights & 6) | (rights >> 63), 8);
}

/** Drops the page cached for va in the current context, of whatever size, global ones included. */
export function forgetPage(va: u64): void {
  for (let slot = cachedAt(va); slot; slot = cachedAt(va)) drop(slot);
}

/** Drops everything that would be used to translate va in the current context, as a page fault does (4.10.4.1). */
function forget(va: u64): void {
  forgetPage(va);
  for (let shift = LEVEL2_SHIFT; shift <= rootShift; shift += 9) {
    const slot = tableSlot(va, shift, pcid);
    if (load<u64>(slot) == tagOf(va, shift, pcid)) drop(slot);
  }
}

/** Translates one address through the caches. The access is really made: A and D are set. */
export function tlbTranslate(va: u64, access: u32): u64 {
  ++lookups;
  return lookUp(va, sameRuleOf(access | ACCESS_MARK));
}
