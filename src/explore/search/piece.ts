/**
 * A piece of the space: a search that was left on its way, and can go on elsewhere, in another thread or on another machine. It is the way from the initial
 * state, with what is to be run from the states there.
 *
 *   states  | 0 | 1 | ... | above - 1 | above | ... |
 *             of the way: others       this piece's own: what is pending
 *             see to what is           there is to be run
 *             pending there
 *
 * What races of a piece ask to be run from a state of the way is pending there when the piece is left: its owner is told (frontier.ts).
 */
import type { Accesses } from './access.ts';
import type { Sleep } from './sleep.ts';
import type { WakeupNode } from './wakeup-tree.ts';

/** A state of the search of every interleaving (optimal.ts). */
export interface LeftState {
  /** Whose step was run from here last; -1 for none. */
  readonly task: number;
  /** What that touched. */
  readonly accesses: Accesses;
  readonly sleep: Sleep;
  /** Of those who sleep, a bit each: who was handed out to others at a state before, and may not be searched yet. */
  readonly elsewhere: number;
  /** What else is to be run from here. */
  readonly pending: readonly WakeupNode[];
}

/** A choice of the search with few preemptions (bounded.ts). */
export interface LeftChoice {
  readonly task: number;
  readonly preemptions: number;
  /** What else is to be chosen here, a bit a task. */
  readonly left: number;
  readonly cost: 0 | 1;
  readonly places: number;
}

/** A piece of the pass over all interleavings. */
export interface PieceOfAll {
  readonly states: readonly LeftState[];
  readonly above: number;
  /** Nothing was run of it: what is to be run behind the way, or anything if there is nothing in it. */
  readonly follows?: readonly WakeupNode[];
}

/** A piece of a pass with few preemptions: nothing is ever to be run from the way. */
export interface PieceOfFew {
  readonly choices: readonly LeftChoice[];
  readonly above: number;
}

export type Piece = PieceOfAll | PieceOfFew;
