/**
 * What a search needs of a program: tasks that take steps. It knows nothing of Linux.
 */
import type { Recorder } from './recorder.ts';

/** Tasks of a program at most: more cannot be searched in any time, and sets of them are bits of a number. */
export const MOST_TASKS = 16;

/**
 * A program that can be run again and again from one state. What it does depends on nothing but who takes the next step. A step goes from one
 * busy place to the next (`recorder.place`), and reports all it touches to the recorder.
 */
export interface Program<Finding> {
  /** 1 to {@link MOST_TASKS}. */
  readonly tasks: number;
  /** Back to the initial state: no task has taken a step. */
  reset(recorder: Recorder): void;
  /** The tasks that can take a step, a bit each. */
  ready(): number;
  /** The lock that a task's next step begins by taking, as an access of kind `acquireRead` or `acquireWrite`; -1 for none. */
  awaits(task: number): number;
  /** The place at which a task stands; 0 where it has not begun. */
  placeOf(task: number): number;
  /** Lets a task take its next step. Returns what was found wrong in it, if anything: the execution ends with that. */
  step(task: number): Finding | undefined;
  /** Called when no task can take a step. Returns what is wrong with that, or with the final state. */
  end(): Finding | undefined;
}
