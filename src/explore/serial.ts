/**
 * What the operations answer if they are done one after the other, in all orders: what their users reckon with. An answer that no such order gives is told
 * apart by what it is: an errno is what the kernel permits where tasks meet; a signal, a wrong byte or a task that sleeps for ever is not.
 */
import type { Finding } from './kernel/finding.ts';
import { KernelProgram, type Observed, type Scene } from './kernel/kernel-program.ts';
import { BOUNDARY } from './kernel/kernel-watch.ts';
import { LockOrder } from './kernel/lock-order.ts';
import { BoundedSearch } from './search/bounded.ts';
import { Driver } from './search/driver.ts';
import { Recorder } from './search/recorder.ts';
import { scheduleOf } from './search/schedule.ts';

/** Orders that are tried at most: three tasks of three operations have 1680. */
const MOST_ORDERS = 5000;

/** Answers by operation, and all answers of an execution together. */
export class SerialOutcomes {
  readonly #answers = new Map<string, Set<string>>();
  readonly #outcomes = new Set<string>();
  /** Orders that were run. */
  orders = 0;
  /** Whether those were all. */
  isComplete = false;

  /** @param order learns in which order locks are taken */
  constructor(scene: Scene, order: LockOrder = new LockOrder()) {
    const recorder = new Recorder(scene.tasks, (place) => place === BOUNDARY);
    const search = new BoundedSearch(
      new Driver(new KernelProgram(scene, [], order), recorder),
      Number.POSITIVE_INFINITY,
    );
    for (; this.orders < MOST_ORDERS && search.next(); this.orders++) {
      order.settle(() => scheduleOf(search.driver.steps));
      const observed = scene.observe();
      for (const one of observed) this.#answersOf(one).add(one.answer);
      this.#outcomes.add(words(observed));
    }
    this.isComplete = this.orders < MOST_ORDERS;
  }

  /** Whether some order gives all of these answers. */
  has(observed: readonly Observed[]): boolean {
    return this.#outcomes.has(words(observed));
  }

  /** What no order gives, and the kernel does not permit either. */
  judge(observed: readonly Observed[]): Finding | undefined {
    if (!this.isComplete) return undefined;
    for (const one of observed) {
      const answers = this.#answersOf(one);
      if (answers.has(one.answer) || one.answer.startsWith(KILLED) || (!one.isTouch && one.answer !== BLOCKED))
        continue;
      const what = `${one.name}: ${one.answer}; one after the other, they give ${[...answers].join(' or ')}`;
      return { kind: 'outcome', what, task: one.task };
    }
    return undefined;
  }

  #answersOf({ name }: Observed): Set<string> {
    let answers = this.#answers.get(name);
    if (!answers) {
      answers = new Set();
      this.#answers.set(name, answers);
    }
    return answers;
  }
}

/** The answer of an operation that has not ended. */
export const BLOCKED = 'BLOCKED';

/** That of one whose process another task has ended meanwhile. */
const KILLED = 'SIGKILL';

function words(observed: readonly Observed[]): string {
  return observed.map(({ answer }) => answer).join('; ');
}
