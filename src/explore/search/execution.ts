/**
 * One execution: its steps, and which of them happened before which. Clocks as in Fidge and Mattern's vector time: a step's clock has, for each task,
 * how many steps of that task happened before it, itself included.
 *
 *   task 0   a1 ----- a2 ------------------ a3         clock of b2 = [2, 2]: a1 and a2 happened before it
 *                       \
 *   task 1   b1 ----------- b2                         as b2 depends on a2: they touched the same, and do not commute
 */
import { type Accesses, CONFLICTS, HOLDS, KINDS, kindOf, objectOf, TAKES } from './access.ts';

/** A step that was taken: all that a schedule needs of it. */
export interface TakenStep {
  readonly task: number;
  /** Places that it came to, busy or not, and ended at the last; one more if it ended elsewhere: where its task sleeps, or is done. */
  readonly places: number;
}

/** A step, with its order among the others. */
export interface Step extends TakenStep {
  /** Its place in the execution, from 0. */
  readonly index: number;
  /** Steps of its task before it, and itself: from 1. */
  readonly nth: number;
  readonly accesses: Accesses;
  readonly clock: Uint32Array;
  /** The clock of its task's step before it. */
  readonly before: Uint32Array;
  /** Steps on which it depends directly, of other tasks: the last of each for each object. */
  readonly causes: readonly Step[];
  /** Steps that took the lock which it began by taking, in a way that made it wait, or would have. */
  readonly takers: readonly Step[];
  /** The step that made it ready, after it had to wait; undefined where it could go on at once. */
  readonly enabler: Step | undefined;
}

/** Whether a step happened before something with this clock, or is it. */
export function isBefore(step: Step, clock: Uint32Array): boolean {
  return clock[step.task]! >= step.nth;
}

/** The steps of one execution, with their order. */
export class Execution {
  readonly steps: Step[] = [];
  readonly #tasks: number;
  /** By object, task and kind: the last such step, by its index + 1; 0 for none. Cleared by going back over the steps. */
  readonly #last: Int32Array[] = [];
  readonly #clocks: Uint32Array[];
  readonly #start: Uint32Array;
  #ready = 0;
  readonly #enablers: (Step | undefined)[];

  constructor(tasks: number) {
    this.#tasks = tasks;
    this.#start = new Uint32Array(tasks);
    this.#clocks = new Array(tasks).fill(this.#start);
    this.#enablers = new Array(tasks).fill(undefined);
  }

  /** Begins anew. @param ready the tasks that can take a step */
  clear(ready: number): void {
    for (const { accesses } of this.steps) for (const access of accesses) this.#last[objectOf(access)]!.fill(0);
    this.steps.length = 0;
    this.#clocks.fill(this.#start);
    this.#enablers.fill(undefined);
    this.#ready = ready;
  }

  /** The clock of a task's last step. */
  clockOf(task: number): Uint32Array {
    return this.#clocks[task]!;
  }

  /**
   * Adds a step.
   *
   * @param awaited the lock that it began by taking, as an access; -1 for none
   * @param ready the tasks that can take a step after it
   */
  add(task: number, accesses: Accesses, places: number, awaited: number, ready: number): Step {
    const before = this.#clocks[task]!;
    const clock = before.slice();
    clock[task]!++;
    const causes: Step[] = [];
    const takers: Step[] = [];
    for (const access of accesses) this.#findCauses(access, task, awaited, causes, takers);
    for (const cause of causes) join(clock, cause.clock);
    const step: Step = {
      index: this.steps.length,
      task,
      nth: clock[task]!,
      accesses,
      places,
      clock,
      before,
      causes,
      takers,
      enabler: this.#enablers[task],
    };
    this.steps.push(step);
    this.#clocks[task] = clock;
    for (const access of accesses) this.#lastOf(objectOf(access))[task * KINDS + kindOf(access)] = step.index + 1;
    this.#enablers[task] = undefined;
    for (let other = 0; other < this.#tasks; other++) {
      if (other !== task && (ready >> other) & 1 && !((this.#ready >> other) & 1)) this.#enablers[other] = step;
    }
    this.#ready = ready;
    return step;
  }

  /** Steps of others that took a lock and held it, for which a task has to wait. @param awaited as an access */
  takersOf(awaited: number, task: number): Step[] {
    const takers: Step[] = [];
    this.#collect(objectOf(awaited), task, CONFLICTS[kindOf(awaited)]! & HOLDS, takers);
    return takers;
  }

  #findCauses(access: number, task: number, awaited: number, causes: Step[], takers: Step[]): void {
    const object = objectOf(access);
    const against = CONFLICTS[kindOf(access)]!;
    this.#collect(object, task, against, causes);
    if (awaited >= 0 && object === objectOf(awaited) && (TAKES >> kindOf(access)) & 1) {
      this.#collect(object, task, against & TAKES, takers);
    }
  }

  /** The last step of each other task that touched an object in one of these kinds. */
  #collect(object: number, task: number, kinds: number, into: Step[]): void {
    const last = this.#last[object];
    if (!last) return;
    for (let other = 0; other < this.#tasks; other++) {
      if (other === task) continue;
      let latest = 0;
      for (let kind = 0; kind < KINDS; kind++) {
        if ((kinds >> kind) & 1) latest = Math.max(latest, last[other * KINDS + kind]!);
      }
      const step = this.steps[latest - 1];
      if (step && !into.includes(step)) into.push(step);
    }
  }

  #lastOf(object: number): Int32Array {
    let last = this.#last[object];
    if (!last) {
      last = new Int32Array(this.#tasks * KINDS);
      this.#last[object] = last;
    }
    return last;
  }
}

function join(clock: Uint32Array, other: Uint32Array): void {
  for (let task = 0; task < clock.length; task++) if (other[task]! > clock[task]!) clock[task] = other[task]!;
}
