/**
 * What the header of a sequence fixes: the pool, the files, and where things are.
 */
import type { HgmOptions } from '../../linux/base/hgm.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** Page sizes by the name that a header gives them. */
export const HUGE_PAGES: { readonly '2M': number; readonly '1G': number } = { '2M': 2 * MIB, '1G': GIB };

/** How TLBs of other processors are flushed, by name. */
export const FLUSHES = { interrupt: 'interrupt', hypercall: 'hypercall' } as const;

/** Slots and processes have numbers below. */
export const MOST_SLOTS = 64;
export const MOST_PROCESSES = 64;
/** A sequence has at most. */
export const MOST_FILES = 64;
/** Huge pages of a pool or a file. */
export const MOST_PAGES: number = 2 ** 16;

/** Where slot 0 begins: 512 GiB from there on belong to one entry of the root table. */
export const FIRST_SLOT = 0x1000_0000_0000;

/** A header's fields, and what follows from them. */
export interface Setting {
  /** Bytes of a huge page. */
  readonly hugePageSize: number;
  /** Huge pages of the pool. */
  readonly pool: number;
  /** Surplus pages allowed. */
  readonly overcommit: number;
  /** Sizes of the files, in huge pages. */
  readonly files: readonly number[];
  /** High-granularity mapping, as the kernel has it. */
  readonly hgm: HgmOptions;
  /** LINUX_BUG_ and LINUX_FIX_ bits. */
  readonly bugs: number;
  readonly fixes: number;
  /** How TLBs of other processors are flushed. */
  readonly flushes: 'interrupt' | 'hypercall';
  /** Bytes of what `page` and `pages` count: huge pages, or 4 KiB. */
  readonly pageBytes: number;
  /** Bytes from one slot to the next. */
  readonly slotBytes: number;
  /** Pages a slot has. */
  readonly slotPages: number;
}

/** Bytes from one slot to the next, where nothing else is said. */
export function slotBytesOf(hugePageSize: number): number {
  return hugePageSize === HUGE_PAGES['1G'] ? 8 * GIB : GIB;
}

/** The address of a byte of a slot's page. */
export function addressOf({ slotBytes, pageBytes }: Setting, slot: number, page: number, at: number = 0): number {
  return FIRST_SLOT + slot * slotBytes + page * pageBytes + at;
}

/** The slot and page that an address is in. */
export function placeOf({ slotBytes, pageBytes }: Setting, address: number): { slot: number; page: number } {
  const offset = address - FIRST_SLOT;
  const slot = Math.floor(offset / slotBytes);
  return { slot, page: Math.floor((offset - slot * slotBytes) / pageBytes) };
}
