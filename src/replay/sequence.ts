/**
 * What a scenario consists of, once it has been read.
 */
import type { Operation } from './operations.ts';
import type { Setting } from './setting.ts';

/** Huge pages of the pool: total, free, reserved, surplus. */
export type PoolCounts = readonly [total: number, free: number, reserved: number, surplus: number];

/**
 * A huge page in a process's page tables. Entries of one state have the same class when they map the same physical
 * page; class -1 is an entry that is not present.
 */
export type PageEntry = readonly [
  proc: number,
  slot: number,
  page: number,
  physical: number,
  mapcount: number,
  flags: number,
];

/** What can be observed between two operations; what is left out is not compared. */
export interface State {
  readonly pool?: PoolCounts;
  readonly pages?: readonly PageEntry[];
}

/** A line and where it stands. */
export interface Line {
  readonly file: string;
  /** The first is 1. */
  readonly line: number;
  readonly text: string;
}

/** An operation, and what is known of how it ended. */
export interface ScenarioStep extends Line {
  readonly operation: Operation;
  /** What its fields mean. */
  readonly values: Readonly<Record<string, unknown>>;
  /** OK, an errno, a signal; undefined if it is not compared. */
  readonly result?: string;
  /** What it found, as far as it is told. */
  readonly found?: Readonly<Record<string, number>>;
  /** Whether it never ended. */
  readonly hang: boolean;
  readonly state?: State;
}

/** How a sequence ends: all processes are gone, all files closed. */
export interface ScenarioEnd extends Line {
  readonly pool?: PoolCounts;
}

/** Operations on a machine of their own. */
export interface Sequence extends Line {
  readonly number: number;
  readonly setting: Setting;
  readonly steps: readonly ScenarioStep[];
  readonly end: ScenarioEnd;
}

/** Everything that a file holds. */
export interface Scenario {
  readonly file: string;
  readonly sequences: readonly Sequence[];
}
