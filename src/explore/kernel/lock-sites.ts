/**
 * In which operation, and in which kernel functions, tasks have taken the locks that they hold. Kernel functions are known where a trace is kept; without one
 * nothing is noted.
 */
import type { Lock } from '../../linux/base/lock.ts';
import type { Task } from '../../linux/base/task.ts';

/** Where a lock was taken. */
export interface LockSite {
  readonly operation: number;
  /** The outermost first. */
  readonly calls: readonly string[];
}

const NOWHERE: LockSite = { operation: 0, calls: [] };

/** The places of one execution. */
export class LockSites {
  readonly #sites = new Map<Lock, Map<Task, LockSite>>();

  clear(): void {
    this.#sites.clear();
  }

  taken(task: Task, operation: number, lock: Lock): void {
    if (!task.machine.trace) return;
    const by = this.#sites.get(lock) ?? new Map<Task, LockSite>();
    this.#sites.set(lock, by);
    by.set(task, { operation, calls: [...task.calls] });
  }

  of(task: Task, lock: Lock): LockSite {
    return this.#sites.get(lock)?.get(task) ?? NOWHERE;
  }
}
