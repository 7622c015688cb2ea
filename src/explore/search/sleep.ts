/**
 * Sleep sets: who has been run from a state already, until something comes that depends on it. Godefroid, "Partial-Order Methods for the Verification of
 * Concurrent Systems" (1996), chapter 5.
 */
import { type Accesses, conflicts } from './access.ts';

/** By task: what its next step touches, where that is run elsewhere. */
export type Sleep = readonly (Accesses | undefined)[];

/** Who sleeps behind a step: all that slept before it, but for those whose next step depends on it. */
export function stillAsleep(sleep: Sleep, task: number, accesses: Accesses): (Accesses | undefined)[] {
  return sleep.map((other, sleeper) => (other && sleeper !== task && !conflicts(other, accesses) ? other : undefined));
}

/** Who sleeps, a bit each. */
export function sleepers(sleep: Sleep): number {
  let tasks = 0;
  for (const [task, accesses] of sleep.entries()) if (accesses) tasks |= 1 << task;
  return tasks;
}
