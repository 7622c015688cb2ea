/**
 * Looking again. Who finds an entry other than it was a moment ago goes back and reads it anew, as the kernel's walks do
 * everywhere: no lock is held between looking and taking the lock.
 */
import { DeadEnd, type Task } from '../base/task.ts';
import type { Tables } from './tables.ts';

/**
 * Another task has changed what was just looked at: the caller looks again. Where it sees the same again, no entry was written since, and no
 * other task is there to write one, the caller would look again for ever. Once alone is not enough: the other may have ended meanwhile.
 *
 * @param where the kernel's function
 * @throws DeadEnd
 */
export function raced(task: Task, { changes }: Tables, where: string): void {
  if (!task.preemptible && task.racedAt === changes)
    throw new DeadEnd(task, 'HANG', `${where}: a table where a leaf should be, for ever`);
  task.racedAt = changes;
}
