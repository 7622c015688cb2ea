/**
 * Migrations that are stopped on the way.
 */
import { type Folio, type Migrated, type Process, Pte } from '../../../src/linux/index.ts';
import { pageAt } from '../support.ts';

/** A migration on its way: somebody else can act now. */
export interface Halfway {
  /** Goes on to the end. */
  finish(): Migrated;
}

/**
 * Begins to migrate a page, and stops when `reached`. Private pages are then locked, and nothing else is; of a file's page i_mmap_rwsem is
 * held, too. For machines without checks: counts need not fit on the way.
 */
export function halfway(by: Process, { pfn }: Folio, reached: () => boolean): Halfway {
  const { task, path } = ((thread) => ({ task: thread.task, path: thread.migrate(pfn) }))(by.thread());
  const go = (until: () => boolean): Migrated | undefined => {
    task.preemptible = true;
    for (let step = path.next(); ; step = path.next()) {
      if (step.done) {
        task.preemptible = false;
        return step.value;
      }
      if (until()) return undefined;
    }
  };
  const ended = go(reached);
  if (ended !== undefined) throw new Error(`the migration has ended: ${ended}`);
  return {
    finish() {
      return go(() => false)!;
    },
  };
}

/** The entry at an address is a page's that moves. */
export function isMoving(process: Process, at: number): boolean {
  const page = pageAt(process, at);
  return page !== undefined && Pte.from(page.entry).isMigration;
}
