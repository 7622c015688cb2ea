/**
 * Tasks, and how kernel paths run.
 *
 * A kernel path is a generator. It yields before each lock that it takes, which is where another processor's doings can
 * come in between, and it returns like the kernel's function. One task runs straight through (`run`): it never has to
 * wait, so nothing is yielded. Several take turns (`interleave`): every lock is a place to change over.
 */
import { InvariantError } from '../core/errors.ts';
import type { Lock, LockMode } from './lock.ts';
import type { Machine } from './machine.ts';

/** A place where a task may be preempted, or has to wait: it goes on when it can have the lock. */
export interface Pause {
  readonly lock: Lock;
  readonly mode: LockMode;
}

/** A kernel function on its way. */
export type Path<T> = Generator<Pause, T, void>;

/** A thread in the kernel: what the kernel calls `current`. */
export class Task {
  readonly machine: Machine;
  /** For messages and traces. */
  readonly name: string;
  /** The locks that it holds, in the order in which it took them. */
  readonly held: Lock[] = [];
  /** Whether another task may come in between at every lock, also at a free one. */
  preemptible = false;

  constructor(machine: Machine, name: string) {
    this.machine = machine;
    this.name = name;
  }

  /** @throws InvariantError when something is still held: at the end of a system call nothing may be */
  assertNothingHeld(where: string): void {
    if (this.held.length === 0) return;
    throw new InvariantError(`${where}: ${this.name} still holds ${this.held.map(({ name }) => name).join(', ')}`);
  }
}

/**
 * Runs a path to its end, alone.
 *
 * @throws InvariantError when it would have to wait: nobody is there to release the lock
 */
export function run<T>(path: Path<T>): T {
  const step = path.next();
  if (step.done) return step.value;
  throw new InvariantError(`run: waits for ${step.value.lock.describe()}, and no other task is there to release it`);
}

/** A task and what it does. */
export interface Work<T> {
  readonly task: Task;
  readonly path: Path<T>;
}

/**
 * Runs several tasks that take turns at their locks. Tasks that wait are passed over.
 *
 * @param works one path a task
 * @param pick chooses among `count` tasks that can go on, 0 to count - 1; called at every turn
 * @returns what each path returned, in the order of `works`
 * @throws InvariantError when all that are left wait for each other
 */
export function interleave<T>(works: readonly Work<T>[], pick: (count: number) => number): T[] {
  const results = new Array<T>(works.length);
  const waiting = works.map(({ task, path }, index) => ({ task, path, index, pause: undefined as Pause | undefined }));
  for (const { task } of waiting) task.preemptible = true;
  try {
    while (waiting.length > 0) {
      const ready = waiting.filter(({ task, pause }) => !pause || pause.lock.isFreeFor(task, pause.mode));
      if (ready.length === 0) {
        const who = waiting.map(({ task, pause }) => `${task.name} waits for ${pause!.lock.describe()}`);
        throw new InvariantError(`interleave: a deadlock: ${who.join('; ')}`);
      }
      const turn = ready[pick(ready.length)]!;
      const step = turn.path.next();
      if (step.done) {
        results[turn.index] = step.value;
        waiting.splice(waiting.indexOf(turn), 1);
      } else turn.pause = step.value;
    }
  } finally {
    for (const { task } of works) task.preemptible = false;
  }
  return results;
}
