/**
 * Whether locks are taken in an order that goes round: a deadlock that may come, though none has.
 *
 *   task 1:   page lock of a file's page ──▶ hugetlb_fault_mutex
 *   task 2:   hugetlb_fault_mutex ──▶ page lock of a file's page
 *
 * It is none where tasks on the way cannot be there at the same time: both hold a third lock, which only one can have (Havelund, "Using Runtime Analysis to
 * Guide Model Checking of Java Programs", SPIN 2000: gate locks). Classes do not say which lock that is; it counts only where it must be the same one.
 */
import type { Finding, LockUse } from './finding.ts';
import { isTheSame } from './lock-class.ts';
import { keyOf, type Nesting } from './lock-order.ts';

/** Tasks of a cycle at most: three of the kernel's paths at once are rare enough. */
const LONGEST = 4;

/**
 * The shortest cycle; of several, one between different operations, and the first by the names of its classes. Undefined where there is none.
 *
 * One operation may stand there twice: two tasks may do the same.
 */
export function cycleOf(nestings: readonly Nesting[]): readonly Nesting[] | undefined {
  const sorted = inOrder(nestings);
  const reversed = sorted.find(({ reverse }) => reverse);
  /* The one among the nestings has a schedule, too. */
  if (reversed) return [reversed, sorted.find((one) => keyOf(one) === keyOf(reversed.reverse!)) ?? reversed.reverse!];
  const graph = new Graph(sorted);
  for (let length = 2; length <= LONGEST; length++) {
    const cycle = graph.cycle(length, true) ?? graph.cycle(length, false);
    if (cycle) return cycle;
  }
  return undefined;
}

/** A cycle as a finding. */
export function orderFinding(cycle: readonly Nesting[]): Finding {
  const words = cycle.map(({ held, wanted, operation }) => `${held}, then ${wanted} (line ${operation})`);
  const locks = cycle.flatMap(({ held, wanted, task, operation, takenIn, wantedIn }): LockUse[] => [
    { task, operation, how: 'holds', lock: held, calls: takenIn },
    { task, operation, how: 'takes', lock: wanted, calls: wantedIn },
  ]);
  return { kind: 'lock order', what: words.join('; '), task: -1, locks };
}

function inOrder(nestings: readonly Nesting[]): Nesting[] {
  const keyed = nestings.map((nesting) => [keyOf(nesting), nesting] as const);
  return keyed.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, nesting]) => nesting);
}

/** The nestings of different classes, by what is held. */
class Graph {
  readonly #from = new Map<string, Nesting[]>();
  /** Classes that somebody wants alone: a reader waits there for a writer who waits himself. */
  readonly #written = new Set<string>();

  constructor(nestings: readonly Nesting[]) {
    for (const nesting of nestings) {
      const { held, wanted, wantedWrites, holds } = nesting;
      if (wantedWrites) this.#written.add(wanted);
      for (const { kind, writes } of holds) if (writes) this.#written.add(kind);
      if (held === wanted) continue;
      const from = this.#from.get(held) ?? [];
      this.#from.set(held, from);
      from.push(nesting);
    }
  }

  /** A cycle of so many tasks. @param differ whether all do different operations */
  cycle(length: number, differ: boolean): readonly Nesting[] | undefined {
    for (const from of this.#from.values()) {
      for (const first of from) {
        const cycle = this.#closed([first], length, differ);
        if (cycle) return cycle;
      }
    }
    return undefined;
  }

  #closed(way: readonly Nesting[], length: number, differ: boolean): readonly Nesting[] | undefined {
    const [first] = way as [Nesting];
    const last = way.at(-1)!;
    if (way.length === length) return last.wanted === first.held && this.#meet(last, first) ? way : undefined;
    for (const next of this.#from.get(last.wanted) ?? []) {
      if (way.some((one) => one.held === next.held || (differ && one.operation === next.operation))) continue;
      const cycle = this.#meet(last, next) && this.#closed([...way, next], length, differ);
      if (cycle) return cycle;
    }
    return undefined;
  }

  /** Whether who wants a lock waits for who holds it, and both can be there at once. */
  #meet(wants: Nesting, holder: Nesting): boolean {
    const at = wants.wanted;
    if (!wants.wantedWrites && !holder.heldWrites && !this.#written.has(at)) return false;
    const shared = [at, ...(holder.wanted === wants.held ? [wants.held] : [])];
    return !wants.holds.some(({ kind, writes }) =>
      holder.holds.some(
        (other) => other.kind === kind && (writes || other.writes) && shared.some((met) => isTheSame(kind, met)),
      ),
    );
  }
}
