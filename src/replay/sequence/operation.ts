/**
 * What an operation is: its fields, and what it asks of the model.
 */
import { type Path, run } from '../../linux/base/task.ts';
import {
  type Context,
  type Fields,
  type OldNames,
  optional,
  type Refusal,
  threadNumber,
  type Values,
} from '../line/fields.ts';
import type { Answer } from '../stage/answer.ts';
import type { Caller } from '../stage/caller.ts';
import type { Stage } from '../stage/stage.ts';

/** What is wrong with fields that are right one by one. */
export interface Problem {
  readonly field: string;
  readonly refusal: Refusal;
}

/** What an operation does with the values of its fields. */
export interface Behaviour<V, S> {
  /** Told of by a signal (a touch), not by an errno (a system call). */
  readonly touches?: boolean;
  /** Walks page tables without a lock, as the processor of a touch does: GUP-fast. */
  readonly walks?: boolean;
  /** Asks how the operation of a thread has ended. */
  readonly waits?: boolean;
  /** Names that its fields had before. */
  readonly old?: OldNames;
  /** Fields that it finds, and is not given. */
  readonly found?: readonly string[];
  readonly problem?: (values: V, context: Context) => Problem | undefined;
  /** Who lives when the operation has succeeded, before `alive` did. */
  readonly lives?: (values: V, alive: Set<number>) => void;
  /** Which process ends with it, and with the process its threads. */
  readonly ends?: (values: V) => number;
  /** Which process must be there; default: `proc`, if there is such a field. */
  readonly needs?: (values: V) => number | undefined;
  readonly run: (stage: S, values: V) => Answer;
  /** What a thread, or a task, does; undefined if only a main thread does that. A thread does it only where there is a field for its number. */
  readonly path?: (stage: S, values: V, thread: Caller) => Path<Answer>;
  /** Takes back what the model did and the kernel did not, so that what follows can still be compared. */
  readonly undo?: (stage: S, values: V) => void;
}

/** An operation, whatever its fields. */
export interface Operation extends Behaviour<Readonly<Record<string, unknown>>, Stage> {
  /** Beside `op` and `result`, which all have. */
  readonly fields: Fields;
}

/** Joins fields with functions that know their types, and that of the stage that their format sets. */
export function operation<F extends Fields, S extends Stage = Stage>(
  fields: F,
  behaviour: Behaviour<Values<F>, S>,
): Operation {
  return { fields, ...(behaviour as unknown as Behaviour<Readonly<Record<string, unknown>>, Stage>) };
}

/** What an operation does, as a path. */
export interface Calls<V, S> extends Omit<Behaviour<V, S>, 'run' | 'path'> {
  /** @param caller the thread that makes the calls; without one, the main thread of whoever acts */
  readonly calls: (stage: S, values: V, caller: Caller | undefined) => Path<Answer>;
}

/** Like {@link operation}, of what any thread can do. */
export function calling<F extends Fields, S extends Stage = Stage>(fields: F, calls: Calls<Values<F>, S>): Operation {
  return tasking({ ...fields, thread: optional(threadNumber) } as F, calls);
}

/** Like {@link operation}, of what never waits for anybody, or belongs to the whole process: a task can do it, and no thread of a replay. */
export function tasking<F extends Fields, S extends Stage = Stage>(
  fields: F,
  { calls, ...behaviour }: Calls<Values<F>, S>,
): Operation {
  return operation(fields, {
    ...behaviour,
    run: (stage, values) => run(calls(stage, values, undefined)),
    path: (stage, values, thread) => calls(stage, values, thread),
  });
}
