/**
 * High-granularity mapping, HGM: a huge page mapped in smaller pieces, 4 KiB if need be. "hugetlb: introduce HugeTLB
 * high-granularity mapping", posted for Linux 6.1 and 6.2 by James Houghton, never merged: RFC v2 (October 2022), v2 (February 2023).
 *
 *
 *   one 2 MiB page   │████████████████████████████████│   one entry of the PMD table
 *
 *   the same, HGM    │█│█│ │ │█│ ...                   │   512 entries of a table below it; some are empty as yet
 *
 * What RFC v2 and v2 differ in is decided here and nowhere else has a version number.
 */

/** Linux 6.1 as it is; RFC v2, which a program asks for with a userfaultfd feature; v2, with MADV_SPLIT. */
export type HgmVersion = 'none' | 'rfc-v2' | 'v2';

/** How mapping in pieces is counted. */
export type MapcountScheme = 'head' | 'subpages';

/** HGM of a machine. */
export interface HgmOptions {
  /** Default 'v2'. */
  readonly version?: HgmVersion;
  /**
   * What map counts count. 'subpages', the default of v2, as for transparent huge pages: the huge page has the entries of its own size, each 4 KiB
   * page the smaller ones that map it. 'head', the default of RFC v2: the huge page has all entries.
   */
  readonly mapcounts?: MapcountScheme;
  /** HGM_POSTED_ bits: faults of the series as it was posted, to be had back. Default 0: none. */
  readonly posted?: number;
}

/** RFC v2 and v1, patch 18: GUP's skip path adds pages to bytes, and passes over most of what it should fault in. */
export const HGM_POSTED_GUP_UNITS = 1;
/** RFC v2, patch 22: a write to a 4 KiB leaf that is read-only is a BUG. */
export const HGM_POSTED_WP_BUG = 2;
/** RFC v2, patch 17: write protection puts its marker over the table of a huge page that is mapped in pieces. */
export const HGM_POSTED_MARKER_OVER_TABLE = 4;
/** RFC v2, patch 6: a VMA that a split or an mremap makes has no HGM, over page tables that have. */
export const HGM_POSTED_SPLIT_LOSES_HGM = 8;
/** RFC v2 and v2, pagewalk: a walk that begins inside a leaf runs as far behind the end of its range: mincore writes there. */
export const HGM_POSTED_PAGEWALK_OVERRUN = 16;
/** RFC v2 and v2: MADV_COLLAPSE does not count its new leaf in the process's usage. */
export const HGM_POSTED_COLLAPSE_NOT_COUNTED = 32;
/** RFC v2 and v2: MADV_COLLAPSE of a part of a 1 GiB page is a BUG: what unmaps wants whole huge pages. */
export const HGM_POSTED_PARTIAL_COLLAPSE = 64;
/** RFC v2 and v2: a PROT_NONE leaf of 1 GiB is no leaf to `hugetlb_pte_present_leaf`, nor a table: who meets it tries again for ever. */
export const HGM_POSTED_PROT_NONE_PUD = 128;
/** v2, patch 34: MADV_COLLAPSE goes on to the next VMA after an error, which may change it. */
export const HGM_POSTED_COLLAPSE_LOOP = 256;
/** v1 and v2: follow_page adds the offset in the huge page, not in the leaf, to the leaf's first frame. */
export const HGM_POSTED_FOLLOW_PAGE = 512;
/** v2, patch 7: MADV_SPLIT gives up shared page tables, of all the VMA, before it looks at the range. */
export const HGM_POSTED_SPLIT_UNSHARES_FIRST = 1024;

/** v2, patch 35: fork takes a reference that it gets for one that it does not get, and returns with the page-table locks held. */
export const HGM_POSTED_FORK_TRY_GET = 2048;
/** v1: GUP that finds a table where its leaf was looks again with the VMA lock still held, and takes it once more. */
export const HGM_POSTED_GUP_LEAKS_LOCK = 4096;
/** RFC v2, patch 18: GUP drops the VMA lock before it has the page-table lock, and may read a table that was freed meanwhile. */
export const HGM_POSTED_GUP_DROPS_LOCK = 8192;
/** v1: write protection where no table is yet takes the table that it gets for a failure, and ends there with 'ENOMEM'. */
export const HGM_POSTED_CHANGE_PROTECTION = 16384;
/**
 * RFC v2 and v2: MADV_COLLAPSE waits for a page's lock with the VMA lock and i_mmap_rwsem held, for which a truncation of stable kernels waits that has the page
 * locked.
 */
export const HGM_POSTED_COLLAPSE_WAITS = 32768;

/** Those that are about interleaving, by name, less the prefix. */
export const HGM_POSTED_RACES: Readonly<Record<string, number>> = {
  SPLIT_LOSES_HGM: HGM_POSTED_SPLIT_LOSES_HGM,
  FORK_TRY_GET: HGM_POSTED_FORK_TRY_GET,
  GUP_LEAKS_LOCK: HGM_POSTED_GUP_LEAKS_LOCK,
  GUP_DROPS_LOCK: HGM_POSTED_GUP_DROPS_LOCK,
  COLLAPSE_WAITS: HGM_POSTED_COLLAPSE_WAITS,
};

/** Those that leave counts behind which disagree with the page tables. */
export const HGM_POSTED_MISCOUNTS: number =
  HGM_POSTED_MARKER_OVER_TABLE | HGM_POSTED_COLLAPSE_NOT_COUNTED | HGM_POSTED_FORK_TRY_GET;
/** All of them. */
export const HGM_POSTED_ALL = 65535;
