/**
 * All interleavings with few preemptions: most bugs need one or two. Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing of
 * Multithreaded Programs" (PLDI 2007).
 *
 * A preemption is a change to another task while the running one could go on; where it waits or has ended, changing costs nothing. Only busy places are
 * places to preempt at: moving a preemption over steps that commute with all others changes nothing.
 */
import { type Driver, lowest } from './driver.ts';
import { MOST_PLACES_OF_STEP } from './recorder.ts';
import { followRun, scheduleOf } from './schedule.ts';
import { discard, type Ended, noCounts, type Search, type SearchCounts } from './search.ts';

/** A choice that was made. */
interface Choice {
  task: number;
  /** Preemptions up to it, itself included. */
  preemptions: number;
  /** What else is to be chosen here, a bit a task. */
  left: number;
  /** Preemptions that any of those costs. */
  readonly cost: 0 | 1;
  /** Places that its step came to; 0 before it was taken. */
  places: number;
}

/** Every execution with at most so many preemptions. */
export class BoundedSearch<Finding> implements Search<Finding> {
  readonly driver: Driver<Finding>;
  readonly counts: SearchCounts = noCounts();
  readonly #bound: number;
  readonly #path: Choice[] = [];
  #busyPlaces = -1;
  #begun = false;

  /** @param bound most preemptions of an execution */
  constructor(driver: Driver<Finding>, bound: number) {
    this.driver = driver;
    this.#bound = bound;
  }

  next(): Ended | undefined {
    if (this.#begun && !this.#backtrack()) return undefined;
    this.#begun = true;
    this.#run();
    this.counts.executions++;
    const { busyPlaces } = this.driver.recorder;
    if (busyPlaces !== this.#busyPlaces) {
      discard(this.counts);
      this.#path.length = 0;
      this.#begun = false;
      this.#busyPlaces = busyPlaces;
    }
    return 'complete';
  }

  #run(): void {
    const { driver } = this;
    driver.analyses = false;
    driver.reset();
    for (const run of scheduleOf(this.#path.slice(0, -1))) followRun(driver, run);
    const last = this.#path.at(-1);
    if (last) this.#take(last);
    while (driver.ready !== 0 && driver.finding === undefined) {
      const choice = this.#choose();
      this.#path.push(choice);
      this.#take(choice);
    }
    driver.end();
  }

  /** Takes the step of a choice. Where no preemption is left, there is nothing to choose before the task waits or ends. */
  #take(choice: Choice): void {
    const endsAnywhere = choice.preemptions < this.#bound;
    choice.places = this.driver.step(choice.task, endsAnywhere ? 0 : MOST_PLACES_OF_STEP).places;
  }

  /** The running task goes on, if it can: changing to another is a preemption then. */
  #choose(): Choice {
    const { ready } = this.driver;
    const last = this.#path.at(-1);
    const preemptions = last?.preemptions ?? 0;
    const goesOn = last !== undefined && this.driver.isReady(last.task);
    const task = goesOn ? last.task : lowest(ready);
    const left = goesOn && preemptions === this.#bound ? 0 : ready & ~(1 << task);
    return { task, preemptions, left, cost: goesOn ? 1 : 0, places: 0 };
  }

  /** Back to the last choice where something is left. Returns whether there is one. */
  #backtrack(): boolean {
    for (;;) {
      const choice = this.#path.at(-1);
      if (!choice) return false;
      if (choice.left === 0) {
        this.#path.pop();
        continue;
      }
      choice.task = lowest(choice.left);
      choice.left &= ~(1 << choice.task);
      choice.preemptions = (this.#path.at(-2)?.preemptions ?? 0) + choice.cost;
      return true;
    }
  }
}
