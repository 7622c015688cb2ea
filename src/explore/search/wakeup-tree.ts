/**
 * Which orders are still to be run from a state: a wakeup tree. Abdulla, Aronsson, Jonsson and Sagonas, "Source Sets: A Foundation for Optimal Dynamic
 * Partial Order Reduction" (J. ACM 64, 2017), section 6.
 *
 * A node is the next step of a task; a path from the root is a sequence of steps. Sequences that differ only in the order of steps that commute are in
 * the tree once, so no two executions of one trace are run.
 *
 *          (state)
 *          /     \
 *        t0       t1        first t0; if that is done, t1, then t2, and after that whatever the search likes
 *                  |
 *                 t2
 */
import { conflicts } from './access.ts';
import type { Planned } from './race.ts';

/** A step to be run, and what may follow; without children: anything. */
export interface WakeupNode extends Planned {
  readonly children: WakeupNode[];
}

/** A sequence in which a task's first step may come first of all, without that step; undefined where it may not. */
function without(sequence: readonly Planned[], { task, accesses }: Planned): readonly Planned[] | undefined {
  const at = sequence.findIndex((step) => step.task === task);
  if (at < 0) return sequence.some((step) => conflicts(step.accesses, accesses)) ? undefined : sequence;
  const first = sequence[at]!;
  for (let index = 0; index < at; index++) {
    if (conflicts(sequence[index]!.accesses, first.accesses)) return undefined;
  }
  return sequence.toSpliced(at, 1);
}

/** Whether an execution that begins with a task's step is one of this sequence: then the sequence has been run, or will be. */
export function mayBegin(sequence: readonly Planned[], step: Planned): boolean {
  return without(sequence, step) !== undefined;
}

/** Adds a sequence to what is to be run from a state, unless an order that is there already comes to the same. */
export function insert(children: WakeupNode[], sequence: readonly Planned[]): void {
  let rest = sequence;
  let siblings = children;
  descend: for (;;) {
    for (const child of siblings) {
      const remaining = without(rest, child);
      if (!remaining) continue;
      if (child.children.length === 0 || remaining.length === 0) return;
      rest = remaining;
      siblings = child.children;
      continue descend;
    }
    break;
  }
  for (const { task, accesses } of rest) {
    const node: WakeupNode = { task, accesses, children: [] };
    siblings.push(node);
    siblings = node.children;
  }
}
