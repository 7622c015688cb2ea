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
import { type Accesses, conflicts } from './access.ts';
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
}

/** The search: call {@link next} until it says that nothing is left. */
export class OptimalSearch<Finding> implements Search<Finding> {
  readonly driver: Driver<Finding>;
  readonly counts: SearchCounts = noCounts();
  readonly #stack: State[] = [];
  /** Where the steps begin that no execution before had. */
  #fresh = 0;
  #busyPlaces = -1;
  #begun = false;

  constructor(driver: Driver<Finding>) {
    this.driver = driver;
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
    else if (ended === 'complete') this.#findRaces();
    return ended;
  }

  /** Steps end at more places now: what is on the stack is cut differently, and is run again. */
  #startAnew(): void {
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
    const sleep = last ? stillAsleep(last) : new Array<undefined>(driver.program.tasks).fill(undefined);
    const [planned, ...pending] = this.#possible(last?.follows ?? []);
    if (planned) return { task: planned.task, accesses: [], follows: planned.children, pending, sleep };
    let awake = driver.ready;
    for (const [task, accesses] of sleep.entries()) if (accesses) awake &= ~(1 << task);
    const task = last && (awake >> last.task) & 1 ? last.task : lowest(awake);
    return task < 0 ? undefined : { task, accesses: [], follows: [], pending: [], sleep };
  }

  /** Of what the tree says, what can be run: another order may have left a task waiting. */
  #possible(planned: readonly WakeupNode[]): WakeupNode[] {
    const possible = planned.filter(({ task }) => this.driver.isReady(task));
    this.counts.impossible += planned.length - possible.length;
    return possible;
  }

  #findRaces(): void {
    const { execution, program, ready, finding } = this.driver;
    for (const step of execution.steps.slice(this.#fresh)) {
      for (const reversal of reversalsOf(execution, step)) this.#note(reversal);
    }
    if (finding !== undefined && ready !== 0) return;
    for (let task = 0; task < program.tasks; task++) {
      const awaited = program.awaits(task);
      if (awaited < 0) continue;
      for (const reversal of reversalsOfBlocked(execution, task, awaited)) this.#note(reversal);
    }
  }

  #note({ at, sequence }: Reversal): void {
    const { pending, sleep } = this.#stack[at]!;
    for (const [task, accesses] of sleep.entries()) {
      if (accesses && mayBegin(sequence, { task, accesses })) return;
    }
    insert(pending, sequence);
  }

  /** Goes back to the last state from which something is still to be run. Returns whether there is one. */
  #backtrack(): boolean {
    const stack = this.#stack;
    for (;;) {
      const state = stack.at(-1);
      if (!state) return false;
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

/** Who sleeps behind a step: all that slept before it, but for those whose next step depends on it. */
function stillAsleep({ sleep, accesses, task }: State): (Accesses | undefined)[] {
  return sleep.map((other, sleeper) => (other && sleeper !== task && !conflicts(other, accesses) ? other : undefined));
}
