/**
 * Executions by chance, for what is too large to be exhausted.
 *
 * By priorities: Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs" (ASPLOS 2010). The
 * task with the highest priority runs; at d - 1 steps, chosen beforehand, it falls below all others. With n tasks and k steps, each execution meets a bug
 * that needs d steps in order with a chance of at least 1 / (n k^(d-1)).
 */
import type { Driver } from './driver.ts';
import { type Ended, noCounts, type Search, type SearchCounts } from './search.ts';

/** Random numbers that a seed determines (xorshift32). */
class Chance {
  #state: number;

  constructor(seed: number) {
    /* The seeds 1, 2, 3 ... begin far from each other. */
    this.#state = Math.imul(seed, 0x9e37_79b1) | 1;
  }

  below(n: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % n;
  }
}

/** How to choose by chance. */
export interface RandomOptions {
  readonly seed: number;
  /** Executions. */
  readonly executions: number;
  /** Steps in order that a bug needs at most, d above; 0: any ready task at each step. */
  readonly depth: number;
}

/** So many executions by chance. */
export class RandomSearch<Finding> implements Search<Finding> {
  readonly driver: Driver<Finding>;
  readonly counts: SearchCounts = noCounts();
  readonly #options: RandomOptions;
  readonly #chance: Chance;
  /** Steps of the longest execution so far. */
  #steps = 1;

  constructor(driver: Driver<Finding>, options: RandomOptions) {
    this.driver = driver;
    this.#options = options;
    this.#chance = new Chance(options.seed);
  }

  next(): Ended | undefined {
    if (this.counts.executions >= this.#options.executions) return undefined;
    const { driver } = this;
    driver.analyses = false;
    driver.reset();
    const pick = this.#options.depth === 0 ? () => this.#any() : this.#byPriority();
    let steps = 0;
    for (; driver.ready !== 0 && driver.finding === undefined; steps++) driver.step(pick(steps));
    driver.end();
    this.#steps = Math.max(this.#steps, steps);
    this.counts.executions++;
    return 'complete';
  }

  #any(): number {
    const { ready, program } = this.driver;
    for (;;) {
      const task = this.#chance.below(program.tasks);
      if ((ready >> task) & 1) return task;
    }
  }

  #byPriority(): (step: number) => number {
    const { tasks } = this.driver.program;
    const { depth } = this.#options;
    /* The last is the first to run. */
    const order: number[] = [];
    for (let task = 0; task < tasks; task++) order.splice(this.#chance.below(task + 1), 0, task);
    const falls = Array.from({ length: depth - 1 }, () => this.#chance.below(this.#steps));
    return (step) => {
      const first = () => order.findLastIndex((task) => this.driver.isReady(task));
      if (falls.includes(step)) order.unshift(...order.splice(first(), 1));
      return order[first()]!;
    };
  }
}
