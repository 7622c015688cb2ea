/**
 * The space of a search cut into pieces that can be searched apart: in threads, or on machines. A piece is all that follows a root, which is a way from
 * the initial state; the pieces are disjoint.
 *
 *            (initial state)
 *            /             \
 *          t0               t1          t0 sleeps below t1, until something comes that depends on its step
 *         /  \             /  \
 *       t0    t1         t0    t1       four roots of two steps
 *
 * Above the roots every task that is awake goes on, whether a race asks for it or not. With sleep sets that is no more complete executions than before:
 * an order that comes to the same is asleep. Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems" (1996), chapter 5.
 */
import { type Accesses, conflicts } from './access.ts';
import type { Driver } from './driver.ts';

/** By task: what its next step touches, where that is run elsewhere. */
export type Sleep = readonly (Accesses | undefined)[];

/** Where a piece of the space begins. */
export interface Root {
  /** Whose steps lead there. */
  readonly path: readonly number[];
  readonly sleep: Sleep;
}

/** Who sleeps behind a step: all that slept before it, but for those whose next step depends on it. */
export function stillAsleep(sleep: Sleep, task: number, accesses: Accesses): (Accesses | undefined)[] {
  return sleep.map((other, sleeper) => (other && sleeper !== task && !conflicts(other, accesses) ? other : undefined));
}

/** Who sleeps, a bit a task. */
export function sleepers(sleep: Sleep): number {
  let tasks = 0;
  for (const [task, accesses] of sleep.entries()) if (accesses) tasks |= 1 << task;
  return tasks;
}

/**
 * Roots that have the whole space below them, all equally deep but for those where an execution ends: as few as there can be of `least` or more; fewer
 * where the space has no more. The same program and the same busy places give the same roots.
 *
 * On the way it may learn of more busy places: then it begins anew.
 */
export function rootsOf<Finding>(driver: Driver<Finding>, least: number): Root[] {
  for (;;) {
    const roots = rootsOnce(driver, least);
    if (roots) return roots;
  }
}

/** Returns undefined where more places are busy than at the beginning: steps end elsewhere now. */
function rootsOnce<Finding>(driver: Driver<Finding>, least: number): Root[] | undefined {
  const { busyPlaces } = driver.recorder;
  driver.analyses = true;
  const ended: Root[] = [];
  const none = new Array<undefined>(driver.program.tasks).fill(undefined);
  let open: Root[] = [{ path: [], sleep: none }];
  while (open.length > 0 && ended.length + open.length < least) {
    const below: Root[] = [];
    for (const root of open) {
      const next = stepsFrom(driver, root);
      if (driver.recorder.busyPlaces !== busyPlaces) return undefined;
      if (next) below.push(...next);
      else ended.push(root);
    }
    open = below;
  }
  return [...ended, ...open].sort((one, other) => inOrder(one.path, other.path));
}

/** The roots one step below one; undefined where its execution has ended. None where all that could go on sleep: those are below other roots. */
function stepsFrom<Finding>(driver: Driver<Finding>, { path, sleep }: Root): Root[] | undefined {
  const { recorder, program } = driver;
  const { busyPlaces } = recorder;
  goTo(driver, path);
  if (driver.ready === 0 || driver.finding !== undefined) return undefined;
  const awake = driver.ready & ~sleepers(sleep);
  const sleeping = [...sleep];
  const roots: Root[] = [];
  for (let task = 0; task < program.tasks && recorder.busyPlaces === busyPlaces; task++) {
    if (!((awake >> task) & 1)) continue;
    if (roots.length > 0) goTo(driver, path);
    driver.step(task);
    const { accesses } = driver.execution.steps.at(-1)!;
    roots.push({ path: [...path, task], sleep: stillAsleep(sleeping, task, accesses) });
    sleeping[task] = accesses;
  }
  return roots;
}

function goTo<Finding>(driver: Driver<Finding>, path: readonly number[]): void {
  driver.reset();
  for (const task of path) driver.step(task);
}

function inOrder(one: readonly number[], other: readonly number[]): number {
  for (const [at, task] of one.entries()) {
    if (at >= other.length) return 1;
    if (task !== other[at]) return task - other[at]!;
  }
  return one.length - other.length;
}
