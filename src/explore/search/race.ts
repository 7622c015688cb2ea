/**
 * Which steps of an execution might have come in the other order. Abdulla, Aronsson, Jonsson and Sagonas, "Source Sets: A Foundation for Optimal
 * Dynamic Partial Order Reduction" (J. ACM 64, 2017), section 3: reversible races.
 *
 * A race is a step and a later one of another task that depends on it directly: nothing stands between that depends on the first and on which the
 * second depends. To see the other order, the search runs what does not depend on the first step, then the second task's.
 *
 *   executed     . . . e . x . y . e'           x depends on e, y does not
 *   to be run    . . . y . e'                   from where e was taken
 *
 * A task that had to wait for a lock races with who *took* it, not with who released it: before the lock was taken, it could have had it.
 */
import type { Accesses } from './access.ts';
import { type Execution, isBefore, type Step } from './execution.ts';

/** A step of a sequence that is to be run: whose, and what it touched when it was seen. */
export interface Planned {
  readonly task: number;
  readonly accesses: Accesses;
}

/** Another order: what to run from where a step was taken. */
export interface Reversal {
  /** The step's index: so many steps are the same. */
  readonly at: number;
  readonly sequence: readonly Planned[];
}

/** The races of a step with those before it, as orders to run. */
export function reversalsOf(execution: Execution, step: Step): Reversal[] {
  const reversals: Reversal[] = [];
  for (const taker of step.takers) {
    if (!isBefore(taker, step.before)) reversals.push(reversal(execution, taker, step));
  }
  for (const cause of step.causes) {
    if (step.takers.includes(cause) || !isDirect(cause, step) || !couldGoFirst(cause, step)) continue;
    reversals.push(reversal(execution, cause, step));
  }
  return reversals;
}

/** The races of a task that waits for a lock for ever with those who took it. @param awaited the lock, as an access */
export function reversalsOfBlocked(execution: Execution, task: number, awaited: number): Reversal[] {
  const clock = execution.clockOf(task);
  return execution
    .takersOf(awaited, task)
    .filter((taker) => !isBefore(taker, clock))
    .map((taker) => ({
      at: taker.index,
      sequence: [...independentOf(execution, taker), { task, accesses: [awaited] }],
    }));
}

/** Whether nothing stands between. */
function isDirect(cause: Step, step: Step): boolean {
  return !isBefore(cause, step.before) && !step.causes.some((other) => other !== cause && isBefore(cause, other.clock));
}

/** Whether the step's task could go on where the cause was taken: not if the cause, or what depends on it, is what made it ready. */
function couldGoFirst(cause: Step, { enabler }: Step): boolean {
  return !enabler || !isBefore(cause, enabler.clock);
}

function reversal(execution: Execution, first: Step, second: Step): Reversal {
  return { at: first.index, sequence: [...independentOf(execution, first, second), second] };
}

/** The steps after one, up to another, that do not depend on it. */
function independentOf({ steps }: Execution, first: Step, before?: Step): Step[] {
  return steps.slice(first.index + 1, before?.index).filter(({ clock }) => !isBefore(first, clock));
}
