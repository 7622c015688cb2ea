/**
 * One record of a scan: a leaf, a run of leaves, or an entry that leads nowhere. The layout is in assembly/scan.ts.
 */
import {
  ADDRESS_MASK,
  RECORD_ADDRESS_MASK,
  RECORD_KIND_SHIFT,
  RECORD_LEVEL_MASK,
  RECORD_RIGHTS_SHIFT,
} from '../core/generated/layout.ts';
import type { PageSize } from '../reference/outcome.ts';
import { pageSizeOf } from './outcome.ts';

const KINDS = ['leaf', 'reserved', 'missing-table', 'repeated-table'] as const;

/**
 * What a record is about:
 * - `leaf`: one leaf, or with `coalesce` a run of equal leaves;
 * - `reserved`: present entries with a reserved bit set, where every access faults;
 * - `missing-table`: entries that point to a table where there is no memory;
 * - `repeated-table`: with `fold`, a table that was listed before, at the same level.
 */
export type MappingKind = (typeof KINDS)[number];

/** Part of an address space, as a scan finds it. */
export class Mapping {
  readonly #tag: bigint;
  /** The (first) entry, as it stands in its table. For a missing or repeated table: the entry that points to it. */
  readonly entry: bigint;
  /** Bytes of linear address space that it covers. */
  readonly bytes: bigint;

  constructor(tag: bigint, entry: bigint, bytes: bigint) {
    this.#tag = tag;
    this.entry = entry;
    this.bytes = bytes;
  }

  get kind(): MappingKind {
    return KINDS[Number((this.#tag >> RECORD_KIND_SHIFT) & 3n)]!;
  }

  /** First linear address, canonical, as an unsigned number. */
  get va(): bigint {
    return this.#tag & RECORD_ADDRESS_MASK;
  }

  /** Level of the leaf (1 to 3) or of the entry with reserved bits; for a missing or repeated table, of that table. */
  get level(): number {
    return Number(this.#tag & RECORD_LEVEL_MASK);
  }

  /** Bytes of each of its leaves. */
  get pageSize(): PageSize {
    return pageSizeOf(this.level);
  }

  /** Physical address of the first page, without the bits that have another meaning in a large page's entry. */
  get pa(): bigint {
    return this.entry & ADDRESS_MASK & -BigInt(this.kind === 'leaf' ? this.pageSize : 0x1000);
  }

  /** Writable at every level. */
  get writable(): boolean {
    return this.#right(0n);
  }

  /** Accessible in user mode at every level. */
  get user(): boolean {
    return this.#right(1n);
  }

  /** Execute-disabled at no level. */
  get executable(): boolean {
    return this.#right(2n);
  }

  /** A shadow-stack page: writable above, not writable and dirty in the leaf. */
  get shadowStack(): boolean {
    return this.#right(3n);
  }

  #right(n: bigint): boolean {
    return ((this.#tag >> (RECORD_RIGHTS_SHIFT + n)) & 1n) === 1n;
  }
}
