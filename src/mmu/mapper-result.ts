/**
 * What becomes of the operations of a {@link Mapper}: a closed set for each, as in the crate x86_64 (rust-osdev).
 */

/** It is done. */
export interface Changed {
  readonly kind: 'changed';
  /**
   * What needs INVLPG, in every context that uses the tables: one address for each page that was mapped otherwise before,
   * ascending. Until then processors may go on as before, also through tables whose frames were given back.
   */
  readonly invalidate: readonly bigint[];
}

/** An entry is in the way; nothing was changed. */
export interface Obstacle<Kind extends string> {
  /**
   * - `already-mapped`: a page is mapped there;
   * - `not-mapped`: no page is;
   * - `restricted-above`: an entry above takes away a right that was asked for;
   * - `shared-table`: the entry points to a table that another entry on the way through the range points to, too, or to the root;
   * - `missing-table`: the entry points to a table where there is no memory;
   * - `reserved`: the entry has reserved bits set, so that no access gets past it.
   */
  readonly kind: Kind;
  /** First address of the range for which it is in the way. */
  readonly va: bigint;
  /** Level of the entry, 1 to 5. */
  readonly level: number;
  readonly entry: bigint;
}

/** Frames for tables ran out; nothing was changed, and what had been allocated was given back. */
export interface NoFrame {
  readonly kind: 'no-frame';
  /** How many tables it takes. */
  readonly needed: number;
}

/** What can be wrong with the tables themselves. */
export type TableObstacle = Obstacle<'shared-table'> | Obstacle<'missing-table'> | Obstacle<'reserved'>;
/** What becomes of {@link Mapper.map}. */
export type MapResult = Changed | Obstacle<'already-mapped'> | Obstacle<'restricted-above'> | TableObstacle | NoFrame;
/** What becomes of {@link Mapper.unmap}: a large page of which a part stays needs tables. */
export type UnmapResult = Changed | Obstacle<'not-mapped'> | TableObstacle | NoFrame;
/** What becomes of {@link Mapper.protect}. */
export type ProtectResult = UnmapResult | Obstacle<'restricted-above'>;
