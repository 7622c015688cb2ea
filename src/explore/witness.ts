/**
 * Runs a schedule once more, to see what happens in it.
 */
import type { TraceEvent } from '../linux/base/trace.ts';
import type { Finding } from './kernel/finding.ts';
import { KernelProgram, type Scene } from './kernel/kernel-program.ts';
import type { Nesting } from './kernel/lock-order.ts';
import { Driver } from './search/driver.ts';
import { follow, type Run } from './search/schedule.ts';
import type { LaneRun } from './show/lanes.ts';

/** What a schedule led to. */
export interface Witness {
  readonly finding: Finding | undefined;
  /** What each run of the schedule did. */
  readonly runs: readonly LaneRun[];
  /** Whether several tasks touched what has this name, in ways that do not commute. */
  readonly isShared: (name: string) => boolean;
  /** Which locks were taken while others were held, with the kernel functions. */
  readonly nestings: readonly Nesting[];
}

/**
 * Follows a schedule.
 *
 * @throws RangeError for a schedule of another scene
 */
export function witness(scene: Scene, schedule: readonly Run[]): Witness {
  const trace: TraceEvent[] = [];
  const program = new KernelProgram({
    tasks: scene.tasks,
    observe: () => scene.observe(),
    stand: () => {
      const stand = scene.stand();
      stand.machine.trace = trace;
      return stand;
    },
  });
  const driver = new Driver(program);
  const runs: LaneRun[] = [];
  let seen = 0;
  follow(driver, schedule, ({ task }) => {
    runs.push({ task, events: trace.slice(seen) });
    seen = trace.length;
  });
  const { finding } = driver;
  return { finding, runs, isShared: (name) => program.isShared(name), nestings: program.order.nestings };
}
