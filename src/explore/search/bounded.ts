/**
 * All interleavings with few preemptions: most bugs need one or two. Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing of
 * Multithreaded Programs" (PLDI 2007).
 *
 * A preemption is a change to another task while the running one could go on; where it waits or has ended, changing costs nothing. Only busy places are
 * places to preempt at: moving a preemption over steps that commute with all others changes nothing.
 */
import { type Driver, lowest } from './driver.ts';
import type { LeftChoice, PieceOfFew } from './piece.ts';
import { MOST_PLACES_OF_STEP } from './recorder.ts';
import { followRun, scheduleOf } from './schedule.ts';
import { discard, type Ended, noCounts, type Search, type SearchCounts } from './search.ts';

/** A choice that was made; its step came to 0 places before it was taken. */
type Choice = { -readonly [Field in keyof LeftChoice]: LeftChoice[Field] };

/** Every execution with at most so many preemptions; or a piece of them, which is given up when it learns of another busy place: see {@link isOutgrown}. */
export class BoundedSearch<Finding> implements Search<Finding> {
  readonly driver: Driver<Finding>;
  readonly counts: SearchCounts = noCounts();
  readonly #bound: number;
  readonly #path: Choice[] = [];
  #busyPlaces = -1;
  #begun = false;
  readonly #isPiece: boolean;
  /** Choices above this are those of the way to the piece. */
  readonly #above: number;
  #isOutgrown = false;

  /**
   * @param bound most preemptions of an execution
   * @param piece what to search; default: everything
   */
  constructor(driver: Driver<Finding>, bound: number, piece?: PieceOfFew) {
    this.driver = driver;
    this.#bound = bound;
    this.#isPiece = piece !== undefined;
    this.#above = piece?.above ?? 0;
    if (!piece) return;
    this.#path.push(...piece.choices.map((choice) => ({ ...choice })));
    this.#begun = this.#path.length > 0;
    this.#busyPlaces = driver.recorder.busyPlaces;
  }

  /** Whether the search of a piece was given up, as it has learned of another busy place: all pieces are to be found anew. */
  get isOutgrown(): boolean {
    return this.#isOutgrown;
  }

  next(): Ended | undefined {
    if (this.#begun && !this.#backtrack()) return undefined;
    this.#begun = true;
    this.#run();
    this.counts.executions++;
    if (this.driver.recorder.busyPlaces !== this.#busyPlaces) this.#startAnew();
    return 'complete';
  }

  /** Steps end at more places now. */
  #startAnew(): void {
    this.#path.length = 0;
    if (this.#isPiece) {
      this.#isOutgrown = true;
      return;
    }
    discard(this.counts);
    this.#begun = false;
    this.#busyPlaces = this.driver.recorder.busyPlaces;
  }

  /** Leaves the search, between two executions. What it returns has the choices down to the last one where something is left. */
  left(): PieceOfFew {
    const last = this.#path.findLastIndex(({ left }, at) => at >= this.#above && left !== 0);
    return { choices: this.#path.slice(0, last + 1).map((choice) => ({ ...choice })), above: this.#above };
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
      if (!choice || this.#path.length <= this.#above) return false;
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
