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
import type { Sleep } from './sleep.ts';

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

/**
 * Whether an order is run where one of those who sleep goes first.
 *
 * A sleeper that commutes with all of the sequence counts, too, though it is not in it: where its step was run, a race with what comes later has asked for the sequence and
 * that, before the present branch was begun. Not so for one that is searched elsewhere, at the same time: it counts if it is in the sequence.
 *
 * @param elsewhere those, a bit each
 */
export function isCovered(sequence: readonly Planned[], sleep: Sleep, elsewhere: number): boolean {
  return sleep.some((accesses, task) => {
    if (!accesses || !without(sequence, { task, accesses })) return false;
    return !((elsewhere >> task) & 1) || sequence.some((step) => step.task === task);
  });
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

/** The sequences of a tree, in order. */
export function* sequencesOf(children: readonly WakeupNode[]): Generator<readonly Planned[], void, void> {
  for (const child of children) {
    if (child.children.length === 0) yield [child];
    for (const rest of sequencesOf(child.children)) yield [child, ...rest];
  }
}
