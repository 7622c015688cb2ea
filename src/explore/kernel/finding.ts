/**
 * What can be wrong with an execution.
 */
import { InvariantError } from '../../core/errors.ts';
import type { Lock } from '../../linux/base/lock.ts';
import { DeadEnd, type Pause } from '../../linux/base/task.ts';
import { StaleTranslation } from '../../linux/fault/processor-walk.ts';
import { WrongPage } from './gup-looks.ts';
import { FreedTableUse, LeakedLock, UnguardedWrite } from './kernel-watch.ts';
import { BrokenPin } from './pinned.ts';

/** The kinds of what is wrong. */
export type FindingKind =
  /** A page table was read or written that had been freed. */
  | 'freed table'
  /** An entry was written without its lock, or in a table that the process has not any more. */
  | 'unguarded write'
  /** A translation from a TLB was used that had to be flushed before. */
  | 'stale translation'
  /** GUP gives a page that was not mapped there. */
  | 'wrong page'
  /** A lock that nobody will release. */
  | 'leaked lock'
  /** Tasks wait for each other's locks. */
  | 'deadlock'
  /** Tasks take locks in orders that go round: they could wait for each other. */
  | 'lock order'
  /** A page that is pinned is not the one that the process has there, or will not be when it writes the next time. */
  | 'pinned page'
  /** A task sleeps for something that is there already. */
  | 'lost wake-up'
  /** A task sleeps, and holds a spin lock. */
  | 'sleep under a spin lock'
  /** A loop that no other task ends. */
  | 'livelock'
  /** The kernel comes to a BUG(), or to a loop without an end. */
  | 'dead end'
  /** A count is wrong, a lock is released that is not held, or another rule of the kernel's is broken. */
  | 'broken rule'
  /** A signal, a byte or a sleep that no order of the operations gives. */
  | 'outcome'
  /** An answer that is not what the scenario expects. */
  | 'answer';

/** Something that is wrong. */
export interface Finding {
  readonly kind: FindingKind;
  /** In words. */
  readonly what: string;
  /** In whose step; -1 for the final state. */
  readonly task: number;
  /** The locks that it is about, of a deadlock as far as a trace was kept. */
  readonly locks?: readonly LockUse[];
}

/** A task has a lock, or is about to take it. */
export interface LockUse {
  readonly task: string;
  /** In which operation: a line of the scenario; 0 where there is none. */
  readonly operation: number;
  readonly how: 'holds' | 'waits for' | 'takes';
  readonly lock: string;
  /** The kernel functions in which it was taken, or in which it is wanted, the outermost first. */
  readonly calls: readonly string[];
}

/** A task that cannot go on. */
export interface Waiting {
  readonly task: number;
  readonly name: string;
  readonly held: readonly Lock[];
  readonly pause: Pause;
  /** Where it has taken each of them, and where it waits; empty where no trace was kept. */
  readonly locks: readonly LockUse[];
}

/** What an error means that ended a step. @throws it, if it is none of the kernel's */
export function findingOf(error: unknown, task: number): Finding {
  if (error instanceof FreedTableUse) return { kind: 'freed table', what: error.message, task };
  if (error instanceof LeakedLock) return { kind: 'leaked lock', what: error.message, task };
  if (error instanceof WrongPage) return { kind: 'wrong page', what: error.message, task };
  if (error instanceof StaleTranslation) return { kind: 'stale translation', what: error.message, task };
  if (error instanceof BrokenPin) return { kind: 'pinned page', what: error.message, task };
  if (error instanceof UnguardedWrite) return { kind: 'unguarded write', what: error.message, task };
  if (error instanceof DeadEnd) return { kind: 'dead end', what: `${error.outcome}: ${error.message}`, task };
  if (error instanceof InvariantError) return { kind: 'broken rule', what: error.message, task };
  throw error;
}

/** Why no task can go on: who waits for whom. */
export function whyNobodyGoesOn(waiting: readonly Waiting[]): Finding {
  const words = waiting.map(({ name, held, pause }) => {
    const holds = held.length === 0 ? '' : `, and holds ${held.map((lock) => lock.name).join(', ')}`;
    return `${name} waits for ${pause.on.describe()}${holds}`;
  });
  const locks = waiting.flatMap((one) => one.locks);
  return { kind: 'deadlock', what: words.join('; '), task: -1, ...(locks.length > 0 && { locks }) };
}
