/**
 * Findings about locks, with the kernel functions in which each lock was taken. A search keeps no trace, which alone knows functions; so an execution in which it
 * happens is run once more with one.
 */
import type { Finding } from './kernel/finding.ts';
import type { Scene } from './kernel/kernel-program.ts';
import { cycleOf, orderFinding } from './kernel/lock-cycle.ts';
import { keyOf, type Nesting } from './kernel/lock-order.ts';
import type { Run } from './search/schedule.ts';
import { witness } from './witness.ts';

/** A finding, and an execution that leads to it. */
export interface Shown {
  readonly finding: Finding;
  readonly schedule: readonly Run[];
}

/** A finding of a search; a deadlock with the places where its locks were taken. */
export function located(scene: Scene, finding: Finding, schedule: readonly Run[]): Finding {
  if (finding.kind !== 'deadlock' || finding.locks) return finding;
  const { locks } = witness(scene, schedule).finding ?? {};
  return locks ? { ...finding, locks } : finding;
}

/** What is wrong with the order in which locks were taken, over all executions of a search; undefined where nothing is. */
export function foundOrder(scene: Scene, nestings: readonly Nesting[]): Shown | undefined {
  const cycle = cycleOf(nestings);
  if (!cycle) return undefined;
  const seen = cycle.map((nesting) => locatedNesting(scene, nesting));
  const schedules = cycle.map(({ schedule }) => schedule ?? []);
  /* Most of the cycle is seen in any execution; the longest schedule has what only some orders lead to. */
  const [schedule] = schedules.sort((one, other) => other.length - one.length) as [readonly Run[]];
  return { finding: orderFinding(seen), schedule };
}

function locatedNesting(scene: Scene, nesting: Nesting): Nesting {
  if (!nesting.schedule) return nesting;
  const key = keyOf(alone(nesting));
  const again = witness(scene, nesting.schedule).nestings.find((one) => keyOf(one) === key);
  return again ?? nesting;
}

/** Without what another execution has to do with it. */
function alone({ reverse: _, ...nesting }: Nesting): Nesting {
  return nesting;
}
