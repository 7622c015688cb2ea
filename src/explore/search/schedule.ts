/**
 * A schedule: who runs, and how far. It does not depend on which places are busy, so it stays what it is while a search learns, and in a file.
 */
import { type Driver, lowest } from './driver.ts';
import type { TakenStep } from './execution.ts';

/** A task runs over so many places, and stops at the last of them; or to where it waits or ends, if there are fewer. */
export interface Run {
  readonly task: number;
  readonly places: number;
}

/** The schedule of an execution: steps of one task in a row are one run. */
export function scheduleOf(steps: readonly TakenStep[]): Run[] {
  const runs: { task: number; places: number }[] = [];
  for (const { task, places } of steps) {
    const last = runs.at(-1);
    if (last?.task === task) last.places += places;
    else runs.push({ task, places });
  }
  return runs;
}

/**
 * Runs a schedule from the initial state on, and then whatever is left, task by task.
 *
 * @param ran called after each run
 * @throws RangeError where a task of the schedule cannot go on: the schedule is of another program
 */
export function follow<Finding>(
  driver: Driver<Finding>,
  schedule: readonly Run[],
  ran: (run: Run) => void = () => undefined,
): void {
  driver.reset();
  for (const [index, run] of schedule.entries()) {
    if (driver.finding !== undefined) break;
    if (!driver.isReady(run.task)) {
      throw new RangeError(
        `schedule[${index}]: expected a task that can go on, got ${run.task}: it is of another scenario`,
      );
    }
    followRun(driver, run);
    ran(run);
  }
  while (driver.ready !== 0 && driver.finding === undefined) {
    const run = { task: lowest(driver.ready), places: Number.POSITIVE_INFINITY };
    followRun(driver, run);
    ran(run);
  }
  driver.end();
}

/** Lets a task run over so many places, busy or not. */
export function followRun<Finding>(driver: Driver<Finding>, { task, places }: Run): void {
  let left = places;
  do left -= driver.step(task, left === Number.POSITIVE_INFINITY ? 0 : left).places;
  while (left > 0 && driver.isReady(task) && driver.finding === undefined);
}
