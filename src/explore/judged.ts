/**
 * Runs a schedule once more, and judges what comes of it as a search does.
 */
import type { Scene } from './kernel/kernel-program.ts';
import { LockOrder, together } from './kernel/lock-order.ts';
import { foundOrder } from './located.ts';
import type { Run } from './search/schedule.ts';
import { SerialOutcomes } from './serial.ts';
import { type Witness, witness } from './witness.ts';

/**
 * Follows a schedule. The order of locks is that of this execution, and of the operations one after the other.
 *
 * @throws RangeError for a schedule of another scene
 */
export function judgedWitness(scene: Scene, schedule: readonly Run[]): Witness {
  const order = new LockOrder();
  const serial = new SerialOutcomes(scene, order);
  const seen = witness(scene, schedule);
  const finding = seen.finding ?? serial.judge(scene.observe());
  if (finding) return { ...seen, finding };
  const here = seen.nestings.map((nesting) => ({ ...nesting, schedule }));
  return { ...seen, finding: foundOrder(scene, together([here, order.nestings]))?.finding };
}
