/**
 * How an operation ended.
 */

/** What an operation may find: a byte, a count, a hash, whether something is so, or a list of such. */
export type Found = number | boolean | string | readonly Found[];

/** How an operation ended: OK, an errno, a signal, BLOCKED, HANG, BUG; and what it found. */
export interface Answer {
  readonly result: string;
  /** The byte that was read, or -1 where none could be; bytes transferred, and their hash. By the names of the fields. */
  readonly found?: Readonly<Record<string, Found>>;
  /** It could not be begun: what it names is not there, as the result says in words. */
  readonly impossible?: true;
}

/** A result of a thread that sleeps until another one wakes it. */
export const BLOCKED = 'BLOCKED';

/** That an operation cannot be begun. @param why in words */
export function impossible(why: string): Answer {
  return { result: why, impossible: true };
}
