/*
 * The core without vectors, for importers whose target has none. It answers as the whole core does;
 * lists of addresses, listings of a range and what the kernel model asks are left out.
 */
export {
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_MARK,
  ACCESS_SHADOW_STACK,
  ACCESS_USER,
  ACCESS_WRITE,
  ERROR_PRESENT,
  ERROR_PROTECTION_KEY,
  ERROR_RESERVED,
  RULE_CODE_SHIFT,
  RULE_FORBIDS_LOWER,
  RULE_FORBIDS_UPPER,
  RULE_KEYS_SHIFT,
  RULE_MARKS,
  ruleOf,
} from "./access";
export {
  CR0_PG,
  CR0_WP,
  CR4_CET,
  CR4_LA57,
  CR4_LASS,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  EFER_NXE,
  FEATURE_AMD,
  FEATURE_PAGE_1G,
  RFLAGS_AC,
  setRegisters,
} from "./cpu";
export {
  ACCESSED,
  ADDRESS_MASK,
  CACHE_DISABLE,
  DIRTY,
  EXECUTE_DISABLE,
  GLOBAL,
  PAGE_SIZE,
  PRESENT,
  PROTECTION_KEY_SHIFT,
  TABLE_BYTES,
  USER,
  WRITABLE,
  WRITE_THROUGH,
} from "./entry";
export { fillPage } from "./fill";
export { invalidateAll, invalidatePage, invalidatePcid, invalidatePcidPage } from "./invalidate";
export { LOAD_BYTES, LOADS_BYTES, LOADS_FIRST, walkLoads } from "./loads";
export {
  addFrame,
  DIRECTORY,
  DIRECTORY_END,
  IS_SHARED,
  IS_SPARSE,
  moveDirectory,
  NO_TABLE,
  setFlatMemory,
  tableAt,
} from "./memory";
export {
  FAILURE_CODE_MASK,
  FAILURE_KIND_SHIFT,
  FAILURE_LEVEL_SHIFT,
  KIND_LASS,
  KIND_MISSING_TABLE,
  KIND_NON_CANONICAL,
  KIND_PAGE_FAULT,
  KIND_PAGING_OFF,
  OUTCOME_ADDRESS_MASK,
  OUTCOME_FAILED,
  OUTCOME_LEVEL_SHIFT,
  OUTCOME_PAT_SHIFT,
  OUTCOME_RIGHTS_SHIFT,
} from "./outcome";
export { physicalAddress } from "./single";
export {
  dropTlb,
  makeTlb,
  selectTlb,
  TLB_ADDRESS_MASK,
  TLB_CONTEXT_SPREAD,
  TLB_DIRTY,
  TLB_ENTRY_BYTES,
  TLB_FREE,
  TLB_GLOBAL,
  TLB_HEADER_BYTES,
  TLB_KEY_MASK,
  TLB_PAGE_ARRAYS,
  TLB_TABLE_ARRAYS,
  tlbBytes,
  tlbLookups,
  tlbMisses,
  tlbTranslate,
} from "./tlb";
export { translate } from "./walk";
