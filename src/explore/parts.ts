/**
 * A pass cut into parts for threads and machines. Everybody finds the same parts: the space is searched in small pieces (search/frontier.ts) until so many are open;
 * each of those is a part, told by its number. Who searches a part cuts it into pieces again, for as many threads as there are.
 *
 *   pass     | piece 0 | piece 1 | ... |  part 57  |  part 58  | ...       what pieces became: the first by everybody
 *                                      | 0 | 1 | 2 ...                     a part's own pieces: by whoever has it
 *
 * A part that was searched may ask for orders that are to be run from states above it: those are further parts, as soon as all before it are searched, too.
 */

import type { Pass } from './explore.ts';
import type { Finding } from './kernel/finding.ts';
import { type Nesting, together } from './kernel/lock-order.ts';
import type { PieceResult, PieceSearcher } from './pieces.ts';
import { ALL, ALL_OF_FEW, Frontier, type PieceOutcome } from './search/frontier.ts';
import { type NamedPiece, NameTable, named, unnamed } from './search/named.ts';
import type { Run } from './search/schedule.ts';
import { addCounts, type SearchCounts } from './search/search.ts';

/** Executions of a piece before parts are made: what has no more is not worth handing out. */
const PROBE = 16;
/** Executions of a part's first piece, and by how many each further one has more: so the pieces that are open stay few, however large the space is. */
const FIRST = 128;
const MORE = 8;

/** A piece of a part, to be searched. */
export interface Job {
  readonly part: number;
  readonly number: number;
  readonly piece: NamedPiece;
  readonly executions: number;
}

/** A part that was searched. */
export interface PartResult extends Omit<PieceResult, 'grown'> {
  readonly part: number;
}

type Outcome = PieceOutcome & Omit<PieceResult, 'left'>;

/** A part that is being searched. */
interface PartUnderWay {
  readonly pieces: Frontier<Outcome>;
  nestings: readonly Nesting[];
}

/** All parts of a pass. */
export class Parts {
  readonly #names = new NameTable();
  readonly #pass: Frontier<Outcome>;
  readonly #preemptions: number | undefined;
  readonly #mine: (part: number) => boolean;
  readonly #known: ReadonlyMap<number, PartResult>;
  /** The parts that are being searched, in ascending order. */
  readonly #active = new Map<number, PartUnderWay>();
  readonly #results = new Map<number, PartResult>();
  /** Those of pieces that count, in their order. */
  #nestings: readonly Nesting[] = [];
  /** Pieces that were searched before there were parts. */
  #probes = 0;

  /**
   * @param preemptions most of them; undefined: all interleavings that matter
   * @param mine which parts are to be searched here
   * @param known parts that were searched before, or elsewhere
   */
  constructor(
    preemptions: number | undefined,
    mine: (part: number) => boolean = () => true,
    known: readonly PartResult[] = [],
  ) {
    this.#preemptions = preemptions;
    this.#mine = mine;
    this.#known = new Map(known.map((result) => [result.part, result]));
    this.#pass = new Frontier<Outcome>(preemptions === undefined ? ALL : ALL_OF_FEW, ({ nestings }) => {
      this.#nestings = together([this.#nestings, nestings]);
    });
  }

  /**
   * Searches pieces until there are so many parts, or nothing is left; it pauses after each.
   *
   * @param apart whether those who search parts do not hear of each other: then there are parts for all that races might ask for above them
   */
  *probe(searcher: PieceSearcher, least: number, apart = false): Generator<void, void, void> {
    while (this.#pass.open < least) {
      const next = this.#pass.next();
      if (!next) break;
      const { number, piece } = next;
      this.#pass.take(number, this.#outcomeOf(finished(searcher.search(named(piece, this.#names), PROBE))));
      this.#probes = number + 1;
      yield;
    }
    if (apart && !this.#pass.isOver) this.#pass.complete((way) => searcher.stepsFrom(way, this.#names));
  }

  /** The next piece to search; undefined where there is none, or none yet. */
  next(): Job | undefined {
    for (;;) {
      for (const [part, { pieces }] of this.#active) {
        const next = pieces.next();
        if (!next) continue;
        const { number, piece } = next;
        return { part, number, piece: named(piece, this.#names), executions: FIRST + MORE * number };
      }
      if (!this.#begin()) return undefined;
    }
  }

  /** Takes what became of a piece. */
  take({ part, number }: Job, result: PieceResult): void {
    const underWay = this.#active.get(part);
    if (!underWay || underWay.pieces.isOver) return;
    const { pieces } = underWay;
    pieces.take(number, this.#outcomeOf(result));
    if (!pieces.isOver) return;
    this.#active.delete(part);
    const { counts, decided } = pieces;
    const { nestings } = underWay;
    const outcome: Outcome = decided
      ? { ...decided.outcome, counts, nestings }
      : { counts, nestings, left: pieces.left };
    if (!outcome.grown) {
      const left = outcome.left && named(outcome.left, this.#names);
      this.#results.set(part, {
        part,
        counts,
        nestings,
        ...(outcome.found && { found: outcome.found }),
        ...(left && { left }),
      });
    }
    this.#pass.take(part, outcome);
    for (const other of this.#active.keys()) if (!this.#pass.isNeeded(other)) this.#active.delete(other);
  }

  /** Begins another part, if there is one to be searched here. */
  #begin(): boolean {
    for (let next = this.#pass.next(); next; next = this.#pass.next()) {
      const { number, piece } = next;
      const known = this.#known.get(number);
      if (known) {
        this.#results.set(number, known);
        this.#pass.take(number, this.#outcomeOf(known));
      } else if (this.#mine(number)) {
        const underWay: PartUnderWay = {
          pieces: new Frontier<Outcome>(piece, ({ nestings }) => {
            underWay.nestings = together([underWay.nestings, nestings]);
          }),
          nestings: [],
        };
        this.#active.set(number, underWay);
        return true;
      }
    }
    return false;
  }

  #outcomeOf({ left, ...result }: PieceResult | PartResult): Outcome {
    return { ...result, ...(left && { left: unnamed(left, this.#names) }) };
  }

  /** Whether nothing is left to search here. */
  get isOver(): boolean {
    return this.#pass.isOver || (this.#active.size === 0 && !this.#begin());
  }

  /** What decided, as soon as it is sure: nothing before it is left to search. */
  get decided(): PieceResult | undefined {
    const { found, grown, counts, nestings } = this.#pass.decided?.outcome ?? {};
    return counts && nestings && { counts, nestings, ...(found && { found }), ...(grown && { grown }) };
  }

  /** What was found in the first part of those that were searched; also where others before it are not. */
  get found(): { readonly finding: Finding; readonly schedule: readonly Run[] } | undefined {
    if (this.#pass.decided) return this.#pass.decided.outcome.found;
    const [first] = [...this.#results.values()]
      .filter(({ found }) => found)
      .sort((one, other) => one.part - other.part);
    return first?.found;
  }

  /** Which locks were taken while others were held, in all pieces that count. */
  get nestings(): readonly Nesting[] {
    const later = this.results.filter(({ part }) => part >= this.#pass.taken);
    return together([this.#nestings, ...later.map(({ nestings }) => nestings)]);
  }

  /** The parts that were searched here, or were known. */
  get results(): readonly PartResult[] {
    return [...this.#results.values()].sort((one, other) => one.part - other.part);
  }

  /** Parts that nobody has searched, of those that are known so far and decide. */
  get missing(): readonly number[] {
    this.#begin();
    const parts = Array.from({ length: this.#pass.count - this.#probes }, (_, index) => this.#probes + index);
    if (this.#pass.isOver) return [];
    return parts.filter((part) => !this.#results.has(part) && this.#pass.isNeeded(part));
  }

  /** All that was done. @param underWay executions of pieces that are being searched */
  pass(underWay = 0): Pass {
    const counts: SearchCounts = { ...this.#pass.counts };
    const { decided, taken } = this.#pass;
    if (!decided) {
      for (const result of this.#results.values()) if (result.part >= taken) addCounts(counts, result.counts);
      for (const { pieces } of this.#active.values()) addCounts(counts, pieces.counts);
      counts.executions += underWay;
    }
    const done = decided ? taken - 1 - this.#probes : this.#results.size;
    return {
      preemptions: this.#preemptions,
      counts,
      done: this.#pass.isOver && !decided,
      pieces: { done: Math.max(0, done), of: this.#pass.count - this.#probes },
    };
  }
}

function finished<Result>(search: Generator<unknown, Result, void>): Result {
  for (;;) {
    const { value, done } = search.next();
    if (done) return value;
  }
}
