/**
 * Entries of a TLB, read from its arrays. The picture of the bits stands in assembly/tlb.ts.
 */
import {
  ADDRESS_MASK,
  OUTCOME_RIGHTS_SHIFT,
  TLB_ADDRESS_MASK,
  TLB_DIRTY,
  TLB_GLOBAL,
  TLB_KEY_MASK,
} from '../core/generated/layout.ts';
import type { PageSize } from '../reference/outcome.ts';
import { pageSizeOf, physicalAddressOf } from './outcome.ts';

/** A page that the TLB holds. */
export interface CachedPage {
  readonly kind: 'page';
  readonly va: bigint;
  readonly pcid: number;
  readonly physicalAddress: bigint;
  readonly pageSize: PageSize;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  readonly shadowStack: boolean;
  readonly protectionKey: number;
  readonly global: boolean;
  readonly dirty: boolean;
}

/** An entry that points to a table, as a paging-structure cache holds it. */
export interface CachedTable {
  readonly kind: 'table';
  readonly va: bigint;
  readonly pcid: number;
  /** Level of the entry: 2 (PDE) to 5 (PML5E). */
  readonly level: number;
  /** Physical address of the table that it points to. */
  readonly table: bigint;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
}

/** The page of a slot in the array of a level, 1 to 3. */
export function cachedPage(tag: bigint, content: bigint, level: number): CachedPage {
  const rights = content >> OUTCOME_RIGHTS_SHIFT;
  return {
    kind: 'page',
    va: tag & TLB_ADDRESS_MASK,
    pcid: Number(tag & ~TLB_ADDRESS_MASK),
    physicalAddress: physicalAddressOf(content) & ADDRESS_MASK,
    pageSize: pageSizeOf(level),
    writable: (rights & 1n) !== 0n,
    user: (rights & 2n) !== 0n,
    executable: (rights & 4n) !== 0n,
    shadowStack: (rights & 8n) !== 0n,
    protectionKey: Number(content & TLB_KEY_MASK),
    global: (content & TLB_GLOBAL) !== 0n,
    dirty: (content & TLB_DIRTY) !== 0n,
  };
}

/** The table of a slot in the array of a level, 2 to 5. */
export function cachedTable(tag: bigint, content: bigint, level: number): CachedTable {
  return {
    kind: 'table',
    va: tag & TLB_ADDRESS_MASK,
    pcid: Number(tag & ~TLB_ADDRESS_MASK),
    level,
    table: content & ADDRESS_MASK,
    writable: (content & 2n) !== 0n,
    user: (content & 4n) !== 0n,
    executable: (content & 1n) !== 0n,
  };
}
