/**
 * Who watches what tasks share: a search of interleavings, see src/explore. It learns of each access to what several tasks can see, and says where
 * another task comes in.
 *
 * There is one watch at a time, set while a task takes a step, and none otherwise: then all of this costs a test of one variable.
 */

import type { Lock, LockMode } from './lock.ts';
import type { Processor } from './processor.ts';

/** Something shared that lives longer than a step. Its name is the same in every execution, and nothing else has it. */
export interface Shared {
  readonly name: string;
}

/** How something is touched. Additions commute with each other: a count whose value nobody looks at. */
export const Touch = { read: 0, write: 1, add: 2 } as const;
export type Touch = (typeof Touch)[keyof typeof Touch];

/** Values that something shared may have which are told apart: 0 to 7. */
export type Part = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

/** A search, as the kernel's paths see it. */
export interface Watch {
  /** The processors that run tasks. */
  readonly processors: readonly Processor[];
  /**
   * The running task comes to where others may come in, before it touches something: a lock that it wants, the physical address of an entry that it
   * reads without a lock, anything else that is shared.
   *
   * @returns whether it is to stop here
   */
  place(before: Shared | number): boolean;
  touch(how: Touch, what: Shared, part: Part): void;
  /** An entry of a page table is read or written. @param at physical address */
  entry(how: Touch, at: number): void;
  /**
   * How many of the neighbouring entries from one on nobody needs to come in at. Those may be passed at once: as if the running task came to each of them
   * as a place, and did there what it does until all are passed.
   *
   * @param at physical address of the first
   * @param entries of one table
   */
  quietEntries(at: number, entries: number): number;
  passEntries(at: number, entries: number): void;
  passedEntries(): void;
  /** Each of the entries that are being passed is read or written. @param at physical address of the first */
  eachEntry(how: Touch, at: number): void;
  /** A leaf's entry is about to be written. */
  leaf(mm: Shared, address: number, hpte: { readonly ptep: number; readonly lock: Shared }): void;
  /** The running task begins to look for pages, from an address on: GUP. */
  gupBegins(mm: Shared, start: number, nrPages: number): void;
  /** It has found `done` pages; their frame numbers stand in a list from an index on. */
  gupEnds(pages: ArrayLike<number> | undefined, base: number, done: number): void;
  /** It has pinned them, for somebody to keep: from an address on, `done` pages. */
  pinned(mm: Shared, start: number, pages: ArrayLike<number>, base: number, done: number): void;
  /** The program has a leaf taken away from an address, or moved: munmap, madvise, a truncation, mremap. */
  unmaps(mm: Shared, address: number, size: number): void;
  /** A page table comes or goes. @param at physical address */
  table(at: number, isNew: boolean): void;
  /** Somebody looks whether there is a page table. @param at physical address */
  frame(at: number): void;
  /** The physical address of a new page table: each task has its own, so that whoever comes first does not decide where the other's lies. */
  tableAddress(): number | undefined;
  /** The running task is about to take a lock, and waits until it can have it; or waits, and does not take it. Who only tries does not. */
  wants(lock: Lock, mode: LockMode): void;
  /** A lock was taken, or released. */
  acquired(lock: Lock, write: boolean, guardsAll: boolean): void;
  released(lock: Lock, write: boolean): void;
  /** Who holds a lock will never release it. */
  leaked(lock: Shared): void;
  /** A lock was tried, without success. */
  refused(lock: Shared, write: boolean): void;
}

/** The watch, while a step is under way. */
export let watch: Watch | undefined;

/** Sets the watch, or takes it away. */
export function setWatch(by: Watch | undefined): void {
  watch = by;
}

/** Looks at something, and no watch learns of it. */
export function unwatched<T>(look: () => T): T {
  const by = watch;
  watch = undefined;
  try {
    return look();
  } finally {
    watch = by;
  }
}
