/**
 * What an operation is: its fields, and what it asks of the model.
 */
import type { Context, Fields, Refusal, Values } from './fields.ts';
import type { Stage } from './stage.ts';

/** What an operation may find: a byte, a count, a hash, whether something is so, or a list of such. */
export type Found = number | boolean | string | readonly Found[];

/** How an operation ended: OK, an errno, a signal, HANG, BUG; and what it found. */
export interface Answer {
  readonly result: string;
  /** The byte that was read, or -1 where none could be; bytes transferred, and their hash. By the names of the fields. */
  readonly found?: Readonly<Record<string, Found>>;
}

/** What is wrong with fields that are right one by one. */
export interface Problem {
  readonly field: string;
  readonly refusal: Refusal;
}

/** What an operation does with the values of its fields. */
export interface Behaviour<V, S> {
  /** Told of by a signal (a touch), not by an errno (a system call). */
  readonly touches?: boolean;
  /** Fields that it finds, and is not given. */
  readonly found?: readonly string[];
  readonly problem?: (values: V, context: Context) => Problem | undefined;
  /** Who lives when the operation has succeeded, before `alive` did. */
  readonly lives?: (values: V, alive: Set<number>) => void;
  /** Which process must be there; default: `proc`, if there is such a field. */
  readonly needs?: (values: V) => number | undefined;
  readonly run: (stage: S, values: V) => Answer;
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
