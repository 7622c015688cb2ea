/**
 * What every search is: executions, one after the other, until none is left.
 */
import type { Driver } from './driver.ts';

/** How one execution ended: to its end or to a finding; given up, as its like has been run; or not possible, as a task had to wait. */
export type Ended = 'complete' | 'asleep' | 'impossible';

/** What has been done. */
export interface SearchCounts {
  /** Executions that came to their end, or to a finding. */
  executions: number;
  /** Executions given up, as all that could go on slept: their like has been run. */
  asleep: number;
  /** Orders that could not be run: a task had to wait there. */
  impossible: number;
  /** Executions before the search knew all places that are busy, and began anew. */
  discarded: number;
}

/** A search under way. */
export interface Search<Finding> {
  /** Has the last execution, and what was found in it. */
  readonly driver: Driver<Finding>;
  readonly counts: Readonly<SearchCounts>;
  /** Runs one more execution. Undefined if there is none left. */
  next(): Ended | undefined;
}

export function noCounts(): SearchCounts {
  return { executions: 0, asleep: 0, impossible: 0, discarded: 0 };
}

/** The search begins anew. */
export function discard(counts: SearchCounts): void {
  counts.discarded += counts.executions + counts.asleep;
  counts.executions = 0;
  counts.asleep = 0;
  counts.impossible = 0;
}

/** Adds to counts. */
export function addCounts(sum: SearchCounts, counts: Readonly<SearchCounts>): void {
  sum.executions += counts.executions;
  sum.asleep += counts.asleep;
  sum.impossible += counts.impossible;
  sum.discarded += counts.discarded;
}
