/**
 * Hands out the pieces of a scene, and takes what became of them. However many search, and however fast, what comes out is the same: the piece with the
 * lowest number in which something was found, or another busy place was learned of, decides. Pieces behind it need not be searched.
 */
import type { Pass } from './explore.ts';
import type { Nesting } from './kernel/lock-order.ts';
import type { PieceResult } from './pieces.ts';
import { noCounts, type SearchCounts } from './search/search.ts';

/** One round: until all pieces are searched, or all have to begin anew. */
export class Round {
  readonly #pieces: readonly number[];
  readonly #of: number;
  readonly #results = new Map<number, PieceResult>();
  #handedOut = 0;
  #deciding: PieceResult | undefined;

  /**
   * @param of all pieces that there are
   * @param pieces those to be searched, in ascending order; default: all
   */
  constructor(of: number, pieces: readonly number[] = Array.from({ length: of }, (_, piece) => piece)) {
    this.#of = of;
    this.#pieces = pieces;
  }

  /** The next piece to search; undefined where none is left. */
  next(): number | undefined {
    const piece = this.#pieces[this.#handedOut];
    if (piece === undefined || (this.#deciding && piece > this.#deciding.piece)) return undefined;
    this.#handedOut++;
    return piece;
  }

  take(result: PieceResult): void {
    this.#results.set(result.piece, result);
    if ((result.found || result.grown) && !(this.#deciding && this.#deciding.piece < result.piece)) {
      this.#deciding = result;
    }
  }

  /** The pieces that were searched to their end, without a finding; of those before the one that decides. */
  get searched(): readonly number[] {
    return this.#counted.flatMap(({ piece, found, grown }) => (found || grown ? [] : [piece])).sort((a, b) => a - b);
  }

  /** Whether everything that decides has come in. */
  get isOver(): boolean {
    const last = this.#deciding?.piece ?? Number.POSITIVE_INFINITY;
    return this.#pieces.every((piece) => piece > last || this.#results.has(piece));
  }

  /** What decided, as soon as it is sure. */
  get outcome(): PieceResult | undefined {
    return this.isOver ? this.#deciding : undefined;
  }

  /** Which locks were taken while others were held, in the pieces that count. */
  get nestings(): readonly Nesting[] {
    return this.#counted.flatMap(({ nestings }) => nestings);
  }

  /** All that was done, as a pass. @param underWay executions of pieces that are being searched */
  pass(underWay = 0): Pass {
    const counts = sumOf(this.#counted.map(({ counts }) => counts));
    counts.executions += underWay;
    const { length } = this.searched;
    return { preemptions: undefined, counts, done: length === this.#of, pieces: { done: length, of: this.#of } };
  }

  get #counted(): PieceResult[] {
    const last = this.#deciding?.piece ?? Number.POSITIVE_INFINITY;
    return [...this.#results.values()].filter(({ piece }) => piece <= last);
  }
}

/** Counts, added up. */
export function sumOf(all: readonly Readonly<SearchCounts>[]): SearchCounts {
  const sum = noCounts();
  for (const counts of all) {
    sum.executions += counts.executions;
    sum.asleep += counts.asleep;
    sum.impossible += counts.impossible;
    sum.discarded += counts.discarded;
  }
  return sum;
}
