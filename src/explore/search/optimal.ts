/**
 * Every interleaving that matters, once: optimal dynamic partial-order reduction. Abdulla, Aronsson, Jonsson and Sagonas, "Source Sets: A Foundation
 * for Optimal Dynamic Partial Order Reduction" (J. ACM 64, 2017), section 6, algorithm 2; locks that make tasks wait as in its section 8.
 *
 * Two executions are the same for us if one becomes the other by exchanging neighbours that commute (a Mazurkiewicz trace). The search runs one, looks
 * for its races, notes for each the other order at the state where they parted, and goes back to the last state where something is still to be run.
 *
 *   stack   | state 0 | state 1 | ... |  state: the step being run there; what is to be run after it (a wakeup tree);
 *                                        and who sleeps: whose step has been run from here, until something comes that depends on it
 */
import type { Accesses } from './access.ts';
import { type Root, type Sleep, sleepers, stillAsleep } from './cut.ts';
import { type Driver, lowest } from './driver.ts';
import { type Reversal, reversalsOf, reversalsOfBlocked } from './race.ts';
import { discard, type Ended, noCounts, type Search, type SearchCounts } from './search.ts';
import { insert, mayBegin, type WakeupNode } from './wakeup-tree.ts';

/** A state on the way. */
interface State {
  /** Whose step is being run from here; -1 before the first. */
  task: number;
  /** What it touched. */
  accesses: Accesses;
  /** What follows it, if the tree says so. */
  follows: readonly WakeupNode[];
  /** What else is to be run from here. */
  readonly pending: WakeupNode[];
  /** By task: what its next step touches, where that has been run from here already. */
  readonly sleep: (Accesses | undefined)[];
  /** Which of those have slept since the root, a bit each. */
  readonly fromRoot: number;
}

/**
 * The search: call {@link next} until it says that nothing is left. It covers the whole space, or what is below a root; then it ends as soon as it
 * learns of another busy place, as steps would end elsewhere on the way to the root, too: see {@link isOutgrown}.
 */
export class OptimalSearch<Finding> implements Search<Finding> {
  readonly driver: Driver<Finding>;
  readonly counts: SearchCounts = noCounts();
  readonly #stack: State[] = [];
  /** Where the steps begin that no execution before had. */
  #fresh = 0;
  #busyPlaces = -1;
  #begun = false;
  readonly #root: Root | undefined;
  /** States above this are those on the way to the root: nothing is to be run from there. */
  readonly #above: number;
  readonly #sleep: Sleep;
  #isOutgrown = false;

  /** @param root where to begin; default: the initial state */
  constructor(driver: Driver<Finding>, root?: Root) {
    this.driver = driver;
    this.#root = root;
    this.#above = root?.path.length ?? 0;
    this.#sleep = root?.sleep ?? new Array<undefined>(driver.program.tasks).fill(undefined);
    for (const task of root?.path ?? []) {
      this.#stack.push({ task, accesses: [], follows: [], pending: [], sleep: [], fromRoot: 0 });
    }
    if (root) this.#busyPlaces = driver.recorder.busyPlaces;
  }

  /** Whether a search below a root was given up, as it has learned of another busy place: all roots are to be found anew. */
  get isOutgrown(): boolean {
    return this.#isOutgrown;
  }

  /** Runs one more execution. Returns how it ended; undefined if there is none left: all that matters has been run. */
  next(): Ended | undefined {
    if (this.#begun && !this.#backtrack()) return undefined;
    this.#begun = true;
    this.driver.analyses = true;
    const ended = this.#run();
    if (ended === 'complete') this.counts.executions++;
    else this.counts[ended]++;
    if (this.driver.recorder.busyPlaces !== this.#busyPlaces) this.#startAnew();
    else if (ended !== 'impossible') this.#findRaces();
    return ended;
  }

  /** Steps end at more places now: what is on the stack is cut differently, and is run again. */
  #startAnew(): void {
    if (this.#root) {
      this.#isOutgrown = true;
      this.#stack.length = this.#above;
      return;
    }
    discard(this.counts);
    this.#stack.length = 0;
    this.#fresh = 0;
    this.#begun = false;
    this.#busyPlaces = this.driver.recorder.busyPlaces;
  }

  #run(): Ended {
    const { driver } = this;
    driver.reset();
    for (const state of this.#stack) {
      if (!driver.isReady(state.task)) {
        state.task = -1;
        return 'impossible';
      }
      this.#takeStep(state);
    }
    while (driver.ready !== 0 && driver.finding === undefined) {
      const state = this.#newState();
      if (!state) return 'asleep';
      this.#stack.push(state);
      this.#takeStep(state);
    }
    driver.end();
    return 'complete';
  }

  #takeStep(state: State): void {
    this.driver.step(state.task);
    state.accesses = this.driver.execution.steps.at(-1)!.accesses;
  }

  /** The state behind the last step; undefined where all that can go on sleep. */
  #newState(): State | undefined {
    const { driver } = this;
    const last = this.#stack.at(-1);
    const isRoot = this.#stack.length === this.#above;
    const sleep = isRoot || !last ? [...this.#sleep] : stillAsleep(last.sleep, last.task, last.accesses);
    const fromRoot = (isRoot || !last ? -1 : last.fromRoot) & sleepers(sleep);
    const [planned, ...pending] = this.#possible(last?.follows ?? []);
    if (planned) return { task: planned.task, accesses: [], follows: planned.children, pending, sleep, fromRoot };
    const awake = driver.ready & ~sleepers(sleep);
    const task = last && (awake >> last.task) & 1 ? last.task : lowest(awake);
    return task < 0 ? undefined : { task, accesses: [], follows: [], pending: [], sleep, fromRoot };
  }

  /** Of what the tree says, what can be run: another order may have left a task waiting. */
  #possible(planned: readonly WakeupNode[]): WakeupNode[] {
    const possible = planned.filter(({ task }) => this.driver.isReady(task));
    this.counts.impossible += planned.length - possible.length;
    return possible;
  }

  #findRaces(): void {
    const { execution, program, finding } = this.driver;
    for (const step of execution.steps.slice(this.#fresh)) {
      for (const reversal of reversalsOf(execution, step)) this.#note(reversal);
    }
    if (finding !== undefined && this.driver.ready !== 0) return;
    for (let task = 0; task < program.tasks; task++) {
      const awaited = program.awaits(task);
      if (awaited < 0 || this.driver.isReady(task)) continue;
      for (const reversal of reversalsOfBlocked(execution, task, awaited)) this.#note(reversal);
    }
  }

  /**
   * A task that sleeps since the root is as good as one that has to wait until something comes that depends on its step. What is below its step is
   * searched elsewhere, and no race from there is noted here: so an order that leaves the task out is not covered by it, as it is with other sleepers.
   */
  #note({ at, sequence }: Reversal): void {
    if (at < this.#above) return;
    const { pending, sleep, fromRoot } = this.#stack[at]!;
    for (const [task, accesses] of sleep.entries()) {
      if (!accesses || !mayBegin(sequence, { task, accesses })) continue;
      if (!((fromRoot >> task) & 1) || sequence.some((step) => step.task === task)) return;
    }
    insert(pending, sequence);
  }

  /** Goes back to the last state from which something is still to be run. Returns whether there is one. */
  #backtrack(): boolean {
    const stack = this.#stack;
    for (;;) {
      const state = stack.at(-1);
      if (!state || stack.length <= this.#above) return false;
      if (state.task >= 0) state.sleep[state.task] = state.accesses;
      const next = state.pending.shift();
      if (next) {
        state.task = next.task;
        state.follows = next.children;
        this.#fresh = stack.length - 1;
        return true;
      }
      stack.pop();
    }
  }
}
