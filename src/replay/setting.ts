/**
 * What the header of a sequence fixes: the pool, the files, and where things are.
 */

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** Page sizes by the name that a header gives them. */
export const HUGE_PAGES: { readonly '2M': number; readonly '1G': number } = { '2M': 2 * MIB, '1G': GIB };

/** How a recording was made; what differs is the range of a slot, and what its states list. */
export const MODES = ['A', 'B', 'C', 'P', 'G'] as const;
export type Mode = (typeof MODES)[number];

/** Slots and processes have numbers below. */
export const MOST_SLOTS = 64;
export const MOST_PROCESSES = 64;
/** A sequence has at most. */
export const MOST_FILES = 64;
/** Huge pages of a pool or a file. */
export const MOST_PAGES: number = 2 ** 16;

/** Where slot 0 begins. */
const FIRST_SLOT = 0x1000_0000_0000;

/** In mode P every mapping has 512 pages, of which these alone are touched and listed. */
const LISTED_IN_P: ReadonlySet<number> = new Set([0, 1, 2, 255, 256, 511]);

/** The fields of a header that decide how the sequence runs. */
export interface Header {
  readonly mode: Mode | undefined;
  /** Bytes of a huge page. */
  readonly hugePageSize: number;
  /** Huge pages of the pool. */
  readonly pool: number;
  /** Surplus pages allowed. */
  readonly overcommit: number;
  /** Sizes of the files, in huge pages. */
  readonly files: readonly number[];
}

/** A header and what follows from it. */
export interface Setting extends Header {
  /** Bytes from one slot to the next. */
  readonly slotBytes: number;
  /** Huge pages a slot has. */
  readonly slotPages: number;
  /** The pages of a slot that states list; all, if undefined. */
  readonly listed: ReadonlySet<number> | undefined;
}

/** Completes a header. */
export function settingOf(header: Header): Setting {
  const { mode, hugePageSize } = header;
  const slotBytes = (hugePageSize === HUGE_PAGES['1G'] ? 8 : mode === 'P' ? 2 : 1) * GIB;
  return {
    ...header,
    slotBytes,
    slotPages: slotBytes / hugePageSize,
    listed: mode === 'P' ? LISTED_IN_P : undefined,
  };
}

/** The address of a byte of a slot's page. */
export function addressOf({ slotBytes, hugePageSize }: Setting, slot: number, page: number, at: number = 0): number {
  return FIRST_SLOT + slot * slotBytes + page * hugePageSize + at;
}

/** The slot and page that an address is in. */
export function placeOf({ slotBytes, hugePageSize }: Setting, address: number): { slot: number; page: number } {
  const offset = address - FIRST_SLOT;
  const slot = Math.floor(offset / slotBytes);
  return { slot, page: Math.floor((offset - slot * slotBytes) / hugePageSize) };
}
