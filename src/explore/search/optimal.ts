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
import { type Driver, lowest } from './driver.ts';
import type { PieceOfAll } from './piece.ts';
import { type Reversal, reversalsOf, reversalsOfBlocked } from './race.ts';
import { discard, type Ended, noCounts, type Search, type SearchCounts } from './search.ts';
import { sleepers, stillAsleep } from './sleep.ts';
import { insert, isCovered, type WakeupNode } from './wakeup-tree.ts';

/** A state on the way. */
interface State {
  /** Whose step is being run from here; -1 before the first. */
  task: number;
  /** What it touched. */
  accesses: Accesses;
  /** What follows it, if the tree says so. */
  follows: readonly WakeupNode[];
  /** What else is to be run from here. */
  pending: WakeupNode[];
  /** By task: what its next step touches, where that has been run from here already. */
  readonly sleep: (Accesses | undefined)[];
  /** Of those, a bit each: see `LeftState` in piece.ts. */
  readonly elsewhere: number;
}

/**
 * The search: call {@link next} until it says that nothing is left. It covers the whole space, or a piece of it; then it ends as soon as it
 * learns of another busy place, as steps would end elsewhere on the way to the piece, too: see {@link isOutgrown}.
 */
export class OptimalSearch<Finding> implements Search<Finding> {
  readonly driver: Driver<Finding>;
  readonly counts: SearchCounts = noCounts();
  readonly #stack: State[] = [];
  /** Where the steps begin that no execution before had. */
  #fresh = 0;
  #busyPlaces = -1;
  #begun = false;
  readonly #isPiece: boolean;
  /** Nothing is run from states above this: those are of the way to the piece. */
  readonly #above: number;
  #isOutgrown = false;

  /** @param piece what to search; default: everything */
  constructor(driver: Driver<Finding>, piece?: PieceOfAll) {
    this.driver = driver;
    this.#isPiece = piece !== undefined;
    this.#above = piece?.above ?? 0;
    for (const state of piece?.states ?? []) {
      this.#stack.push({ ...state, follows: [], pending: [...state.pending], sleep: [...state.sleep] });
    }
    if (!piece) return;
    const last = this.#stack.at(-1);
    this.#begun = last !== undefined && !piece.follows;
    if (last && piece.follows) last.follows = piece.follows;
    this.#fresh = Math.max(0, this.#above - 1);
    this.#busyPlaces = driver.recorder.busyPlaces;
  }

  /** Whether the search of a piece was given up, as it has learned of another busy place: all pieces are to be found anew. */
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

  /**
   * Leaves the search, between two executions. What it returns has the states down to the last one from which something is to be run; at least those of the way.
   * Orders that may be handed on, from states of the way and the highest one below it, begin with steps as they are from there: each is taken once more, since
   * where it was seen other steps came before it. One that cannot be taken is dropped.
   */
  left(): PieceOfAll {
    const stack = this.#stack;
    for (let at = 0; at < stack.length; at++) {
      this.#settle(at);
      if (at >= this.#above && stack[at]!.pending.length > 0) break;
    }
    const last = stack.findLastIndex(({ pending }) => pending.length > 0);
    const end = Math.max(this.#above, last + 1);
    const states = stack
      .slice(0, end)
      .map(({ follows, ...state }) => ({ ...state, sleep: [...state.sleep], pending: [...state.pending] }));
    return { states, above: this.#above };
  }

  /** Takes the first step of each order that is to be run from a state, to see what it touches there. */
  #settle(at: number): void {
    const { driver } = this;
    const state = this.#stack[at]!;
    state.pending = state.pending.flatMap(({ task, children }) => {
      driver.reset();
      for (const above of this.#stack.slice(0, at)) driver.step(above.task);
      if (driver.isReady(task)) {
        driver.step(task);
        return [{ task, accesses: driver.execution.steps.at(-1)!.accesses, children }];
      }
      this.counts.impossible++;
      return [];
    });
    if (driver.recorder.busyPlaces !== this.#busyPlaces) this.#isOutgrown = true;
  }

  /** Steps end at more places now: what is on the stack is cut differently, and is run again. */
  #startAnew(): void {
    if (this.#isPiece) {
      this.#isOutgrown = true;
      this.#stack.length = 0;
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
    const sleep = last
      ? stillAsleep(last.sleep, last.task, last.accesses)
      : new Array<undefined>(driver.program.tasks).fill(undefined);
    const elsewhere = (last?.elsewhere ?? 0) & sleepers(sleep);
    const [planned, ...pending] = this.#possible(last?.follows ?? []);
    if (planned) return { task: planned.task, accesses: [], follows: planned.children, pending, sleep, elsewhere };
    const awake = driver.ready & ~sleepers(sleep);
    const task = last && (awake >> last.task) & 1 ? last.task : lowest(awake);
    return task < 0 ? undefined : { task, accesses: [], follows: [], pending: [], sleep, elsewhere };
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

  /** Notes an order that is to be run, unless it is covered where a sleeper's step comes first. */
  #note({ at, sequence }: Reversal): void {
    const { pending, sleep, elsewhere } = this.#stack[at]!;
    if (!isCovered(sequence, sleep, elsewhere)) insert(pending, sequence);
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
