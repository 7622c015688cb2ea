/**
 * The states from which pieces of the pass over all interleavings begin, and the orders that are run from each: a piece that was left becomes several, and what its races ask to
 * be run from a state of its way begins a piece of its own, unless it has been handed out already.
 *
 *   states of the way    s0 -- s1 -- s2 ...      each knows whose steps have been handed out there: those sleep in what is handed out later
 *                         \     \
 *   pieces                 p     q, r
 *
 * That is what the search does on its stack; here a branch counts as run as soon as it is handed out. It will be searched to its end, and by whoever:
 * so an order that may begin with its step is covered there.
 */
import { InvariantError } from '../../core/errors.ts';
import type { Accesses } from './access.ts';
import type { LeftState, PieceOfAll } from './piece.ts';
import { insert, isCovered, sequencesOf, type WakeupNode } from './wakeup-tree.ts';

/** A state below which pieces are still to be searched. */
interface OpenState {
  /** By task: what its next step touches, where that was run or handed out, here or before. */
  readonly sleep: (Accesses | undefined)[];
  /** See `LeftState`. */
  readonly elsewhere: number;
  /** Whose steps were handed out from here, a bit each. */
  handedOut: number;
  /** What is to be run from here, where that is the business of somebody else. */
  readonly returned: WakeupNode[];
  /** By task: the state behind its step. */
  readonly below: (OpenState | undefined)[];
  /** Pieces whose way it is of. */
  pieces: number;
}

/** The branches below the root of a piece. */
export class Branches {
  readonly #first: OpenState;
  readonly #root: PieceOfAll;

  constructor(root: PieceOfAll) {
    this.#root = root;
    this.#first = opened(root.states[0]);
    this.#count(this.#wayTo(root.states, root.above), 1);
  }

  /** What becomes of a piece that was left: what it has still to run, and what its races ask for elsewhere. In the order in which a search would run it. */
  spread({ states, above }: PieceOfAll): PieceOfAll[] {
    const own = states.findIndex(({ pending }, at) => at >= above && pending.length > 0);
    const way = this.#wayTo(states, Math.max(above, own + 1));
    const pieces: PieceOfAll[] = [];
    const goesOn = own >= 0 && states.some(({ pending }, at) => at > own && pending.length > 0);
    for (let at = above; at <= own; at++) {
      const { task, accesses } = states[at]!;
      if (task < 0) continue;
      way[at]!.sleep[task] = accesses;
      if (goesOn || at < own) way[at]!.handedOut |= 1 << task;
    }
    if (goesOn) pieces.push({ states: [...wayOf(states, way, own + 1), ...states.slice(own + 1)], above: own + 1 });
    for (let at = Math.max(own, above - 1); at >= 0; at--) pieces.push(...this.#branch(states, way, at));
    for (const piece of pieces) this.#count(way.slice(0, piece.above), 1);
    this.#count(way.slice(0, above), -1);
    this.#prune(states, way);
    return pieces;
  }

  /**
   * Branches at every open state for every task that can go on there and does not sleep, asked for by a race or not: then no race asks for more.
   *
   * @param stepsFrom by task, what its next step touches behind a way; undefined where it cannot go on
   */
  complete(stepsFrom: (way: readonly number[]) => readonly (Accesses | undefined)[]): PieceOfAll[] {
    const pieces: PieceOfAll[] = [];
    const visit = (open: readonly OpenState[], way: readonly LeftState[]): void => {
      const state = open.at(-1)!;
      const { sleep, elsewhere } = state;
      const at = (task: number, accesses: Accesses): LeftState => ({
        task,
        accesses,
        sleep: [...sleep],
        elsewhere: elsewhere | state.handedOut,
        pending: [],
      });
      const below = state.below.flatMap((next, task) => (next ? [{ next, here: at(task, sleep[task] ?? []) }] : []));
      for (const [task, accesses] of stepsFrom(way.map((above) => above.task)).entries()) {
        if (!accesses || sleep[task]) continue;
        pieces.push({ states: [...way, at(task, accesses)], above: way.length + 1, follows: [] });
        sleep[task] = accesses;
        state.handedOut |= 1 << task;
        this.#count(open, 1);
      }
      for (const { next, here } of below) visit([...open, next], [...way, here]);
    };
    visit([this.#first], []);
    return pieces;
  }

  /** The root, when all below it was searched: what races ask to be run from the states of its way. */
  get left(): PieceOfAll {
    const { states, above } = this.#root;
    const way = this.#wayTo(states, above);
    return {
      states: wayOf(states, way, above).map((state, at) => ({ ...state, pending: way[at]!.returned })),
      above,
    };
  }

  /** Hands out what is to be run from a state, and not yet covered. */
  #branch(states: readonly LeftState[], way: readonly OpenState[], at: number): PieceOfAll[] {
    const state = way[at]!;
    const { sleep, elsewhere, returned } = state;
    const isElsewhere = at < this.#root.above;
    const fresh = isElsewhere ? returned : [];
    for (const sequence of sequencesOf(states[at]!.pending)) {
      if (!isCovered(sequence, sleep, elsewhere)) insert(fresh, sequence);
    }
    if (isElsewhere) return [];
    return fresh.map(({ task, accesses, children }) => {
      const begun = { task, accesses, sleep: [...sleep], elsewhere: elsewhere | state.handedOut, pending: [] };
      sleep[task] = accesses;
      state.handedOut |= 1 << task;
      return { states: [...wayOf(states, way, at), begun], above: at + 1, follows: children };
    });
  }

  /** The first states of a piece. Those of its way are open; others are opened. */
  #wayTo(states: readonly LeftState[], end: number): OpenState[] {
    const way: OpenState[] = [];
    for (let at = 0; at < end; at++) {
      const { task } = states[at - 1] ?? { task: -1 };
      const before = way[at - 1];
      if (before && !before.below[task]) before.below[task] = opened(states[at]);
      way.push(before ? before.below[task]! : this.#first);
    }
    return way;
  }

  #count(way: readonly OpenState[], pieces: number): void {
    for (const state of way) {
      state.pieces += pieces;
      if (state.pieces < 0) throw new InvariantError('Branches: a piece was left twice');
    }
  }

  /** Forgets states without a piece below them: no race will ask for them any more. */
  #prune(states: readonly LeftState[], way: readonly OpenState[]): void {
    for (let at = Math.max(1, this.#root.above); at < way.length; at++) {
      if (way[at]!.pieces > 0) continue;
      way[at - 1]!.below[states[at - 1]!.task] = undefined;
      return;
    }
  }
}

function opened(state: LeftState | undefined): OpenState {
  return {
    sleep: [...(state?.sleep ?? [])],
    elsewhere: state?.elsewhere ?? 0,
    handedOut: 0,
    returned: [],
    below: [],
    pieces: 0,
  };
}

/** The way of a piece, as it is known best: what was handed out meanwhile need not be asked for. */
function wayOf(states: readonly LeftState[], way: readonly OpenState[], end: number): LeftState[] {
  return states.slice(0, end).map(({ task, accesses }, at) => {
    const { sleep, elsewhere } = way[at]!;
    return { task, accesses, sleep: [...sleep], elsewhere, pending: [] };
  });
}
