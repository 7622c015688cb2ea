/**
 * Searches small programs in pieces, for the tests.
 */
import { BoundedSearch } from '../../../src/explore/search/bounded.ts';
import { Driver } from '../../../src/explore/search/driver.ts';
import { ALL, ALL_OF_FEW, Frontier, type PieceOutcome } from '../../../src/explore/search/frontier.ts';
import { OptimalSearch } from '../../../src/explore/search/optimal.ts';
import type { Piece } from '../../../src/explore/search/piece.ts';
import type { SearchCounts } from '../../../src/explore/search/search.ts';
import { Cells, type Task } from './cells.ts';

export interface Outcome extends PieceOutcome {
  readonly found?: string;
  readonly states: ReadonlySet<string>;
}

/** Searches pieces of a program, each for itself, as on a machine of its own. */
export class Searcher {
  readonly #program: Cells;
  readonly #driver: Driver<string>;
  readonly #bound: number | undefined;

  constructor(bodies: readonly Task[], bound?: number, judge?: (cells: Cells) => string | undefined) {
    this.#program = new Cells(bodies, judge);
    this.#driver = new Driver(this.#program);
    this.#bound = bound;
  }

  /** Runs so many executions of a piece. */
  search(piece: Piece, executions: number): Outcome {
    this.#driver.recorder.forget();
    const search =
      'states' in piece ? new OptimalSearch(this.#driver, piece) : new BoundedSearch(this.#driver, this.#bound!, piece);
    const states = new Set<string>();
    const { counts } = search;
    for (let run = 0; run < executions; run++) {
      const ended = search.next();
      if (!ended) break;
      if (search.isOutgrown) return { counts, states, grown: true };
      if (ended !== 'complete') continue;
      states.add(`${this.#program.state} ${this.#driver.finding}`);
      if (this.#driver.finding === 'wrong') return { counts, states, found: [...states].at(-1)! };
    }
    const left = search.left();
    return search.isOutgrown ? { counts, states, grown: true } : { counts, states, left };
  }
}

export interface Searched extends SearchCounts {
  readonly states: Set<string>;
  readonly pieces: number;
  readonly found: string | undefined;
}

/**
 * Searches all in pieces.
 *
 * @param pick of so many that are under way, which is done next
 */
export function inPieces(
  searcher: Searcher,
  bound: number | undefined,
  executions: number,
  pick: (n: number) => number = () => 0,
  workers = 1,
): Searched {
  for (;;) {
    const frontier = new Frontier<Outcome>(bound === undefined ? ALL : ALL_OF_FEW);
    const states = new Set<string>();
    const underWay: { number: number; outcome: Outcome }[] = [];
    while (!frontier.isOver) {
      while (underWay.length < workers) {
        const next = frontier.next();
        if (!next) break;
        underWay.push({ number: next.number, outcome: searcher.search(next.piece, executions) });
      }
      const [{ number, outcome }] = underWay.splice(pick(underWay.length), 1) as [(typeof underWay)[0]];
      for (const state of outcome.states) states.add(state);
      frontier.take(number, outcome);
    }
    if (frontier.decided?.outcome.grown) continue;
    return { ...frontier.counts, states, pieces: frontier.count, found: frontier.decided?.outcome.found };
  }
}

/** The same, and each of the first pieces is searched to its end by a frontier of its own. */
export function inParts(searcher: Searcher, executions: number): Searched {
  for (;;) {
    const outer = new Frontier<Outcome>(ALL);
    const states = new Set<string>();
    let isGrown = false;
    for (let next = outer.next(); next; next = outer.next()) {
      const { number, piece } = next;
      if (number < 5) {
        const outcome = searcher.search(piece, 2);
        outer.take(number, outcome);
        for (const state of outcome.states) states.add(state);
        continue;
      }
      const inner = new Frontier<Outcome>(piece);
      for (let one = inner.next(); one; one = inner.next()) {
        const outcome = searcher.search(one.piece, executions);
        inner.take(one.number, outcome);
        for (const state of outcome.states) states.add(state);
      }
      isGrown ||= inner.decided !== undefined;
      outer.take(
        number,
        inner.decided ? inner.decided.outcome : { counts: inner.counts, states: new Set(), left: inner.left },
      );
    }
    if (outer.decided || isGrown) continue;
    if (!outer.isOver) throw new Error('inParts: parts are left that nobody can take');
    return { ...outer.counts, states, pieces: outer.count, found: undefined };
  }
}
