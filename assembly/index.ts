/*
 * The core: the paging hardware of an x86-64 processor over a page-table image in linear memory.
 *
 * It allocates nothing and has no data of its own in memory, only globals: it can be instantiated on any memory, also
 * one that belongs to somebody else. The constants exported here are the layout that the host reads.
 */
export { translateMany } from "./batch";
export { GUP_RUN_BYTES, gupCount, gupPages } from "./gup";
export { LEAF_RUN_BYTES, leafAt, leafModify, leafRuns, leafWrite } from "./leaf";
export * from "./scalar";
export {
  NOTE_BYTES,
  RECORD_ADDRESS_MASK,
  RECORD_BYTES,
  RECORD_KIND_SHIFT,
  RECORD_LEAF,
  RECORD_LEVEL_MASK,
  RECORD_MISSING_TABLE,
  RECORD_REPEATED_TABLE,
  RECORD_RESERVED,
  RECORD_RIGHTS_SHIFT,
  SCAN_COALESCE,
  SCAN_FOLD,
  scan,
  scanCursor,
  scanIsFull,
} from "./scan";
export { TABLE_CACHE_ARRAYS, TABLE_CACHE_EPOCHS, TABLE_CACHE_SLOT_BYTES } from "./table-cache";
export { tlbTranslateMany } from "./tlb-batch";
