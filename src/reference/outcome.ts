/**
 * What can become of a translation: a closed set, the same for the reference walk and for the core's decoded words.
 */

/** The sizes of a page in bytes: 4 KiB, 2 MiB, 1 GiB. */
export type PageSize = 0x1000 | 0x20_0000 | 0x4000_0000;

/** The access reaches memory. */
export interface PageOutcome {
  readonly kind: 'page';
  /** Where the access goes, offset within the page included. */
  readonly physicalAddress: bigint;
  /** Bytes of the page. */
  readonly pageSize: PageSize;
  /** Rights over all levels together. */
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  /** Whether it is a shadow-stack page: R/W is 1 at every level above the leaf, 0 in the leaf, where D is 1. */
  readonly shadowStack: boolean;
  /** Which of the eight entries of IA32_PAT gives its memory type. */
  readonly patIndex: number;
}

/** The access raises #PF. */
export interface PageFaultOutcome {
  readonly kind: 'page-fault';
  /** The error code the handler would find: P, W, U, RSVD, I, PK, SS from bit 0. */
  readonly errorCode: number;
  /** Level of the last entry read, 1 to 5. */
  readonly level: number;
  /** Physical address of the table that holds that entry. */
  readonly table: bigint;
}

/** The address is not canonical: #GP, or #SS for the stack; no table was read. */
export interface NonCanonicalOutcome {
  readonly kind: 'non-canonical';
}

/** CR4.LASS forbids the access in that half of the linear addresses: #GP, or #SS for the stack; no table was read. */
export interface LassOutcome {
  readonly kind: 'lass';
}

/** Paging is off (CR0.PG = 0): there are no rights, and the linear address is the physical one. */
export interface PagingOffOutcome {
  readonly kind: 'paging-off';
  /** Bits 31:0 of the linear address, which has no others outside long mode. */
  readonly physicalAddress: bigint;
}

/** A table lies where there is no memory: outside a flat memory, or in a frame that was never added. */
export interface MissingTableOutcome {
  readonly kind: 'missing-table';
  /** Level of that table, 1 to 5. */
  readonly level: number;
  /** Its physical address. */
  readonly table: bigint;
}

/** What became of a translation. It says nothing of the leaf's other bits: see `explain`. */
export type Outcome =
  | PageOutcome
  | PageFaultOutcome
  | NonCanonicalOutcome
  | LassOutcome
  | MissingTableOutcome
  | PagingOffOutcome;
