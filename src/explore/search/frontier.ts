/**
 * The pieces of a space that are still to be searched, by number. Whoever has time takes one, searches so many executions of it, and gives back what is left of it, which
 * becomes further pieces.
 *
 * Results are taken in the order of the numbers, whenever they come in. So the pieces and their numbers depend on nothing but the program: however
 * many search, and however fast, what comes out is the same. The piece with the lowest number in which something was found, or another busy place was learned
 * of, decides; those behind it need not be searched.
 */
import type { Accesses } from './access.ts';
import { Branches } from './branches.ts';
import type { LeftChoice, Piece, PieceOfAll, PieceOfFew } from './piece.ts';
import { addCounts, noCounts, type SearchCounts } from './search.ts';

/** What became of a piece. */
export interface PieceOutcome {
  readonly counts: Readonly<SearchCounts>;
  /** What was found: the piece was given up with that. */
  readonly found?: unknown;
  /** What was learned, so that all begin anew: the piece was given up with that. */
  readonly grown?: unknown;
  /** Otherwise, what is left. */
  readonly left?: Piece;
}

/** A piece to be searched. */
export interface NumberedPiece {
  readonly number: number;
  readonly piece: Piece;
}

/** All pieces that a piece becomes, itself the first. */
export class Frontier<Outcome extends PieceOutcome> {
  readonly #branches: Branches | undefined;
  /** By number; those that were taken are forgotten. */
  readonly #pieces: (Piece | undefined)[];
  readonly #outcomes = new Map<number, Outcome>();
  readonly #onTaken: (outcome: Outcome) => void;
  #handedOut = 0;
  #taken = 0;
  #lowestDeciding = Number.POSITIVE_INFINITY;
  #decided: { readonly number: number; readonly outcome: Outcome } | undefined;
  readonly #counts = noCounts();

  /** @param taken called with each outcome that counts, in their order */
  constructor(root: Piece, taken: (outcome: Outcome) => void = () => undefined) {
    this.#onTaken = taken;
    this.#branches = 'states' in root ? new Branches(root) : undefined;
    this.#pieces = [root];
  }

  /** The next piece to search; undefined where there is none, or none yet. */
  next(): NumberedPiece | undefined {
    const number = this.#handedOut;
    const piece = this.#pieces[number];
    if (!piece || number > this.#lowestDeciding) return undefined;
    this.#handedOut++;
    return { number, piece };
  }

  take(number: number, outcome: Outcome): void {
    this.#outcomes.set(number, outcome);
    if (decides(outcome)) this.#lowestDeciding = Math.min(this.#lowestDeciding, number);
    for (let next = this.#outcomes.get(this.#taken); next && !this.#decided; next = this.#outcomes.get(this.#taken)) {
      this.#takeInOrder(next);
    }
  }

  #takeInOrder(outcome: Outcome): void {
    const number = this.#taken++;
    this.#outcomes.delete(number);
    this.#pieces[number] = undefined;
    addCounts(this.#counts, outcome.counts);
    this.#onTaken(outcome);
    if (decides(outcome)) this.#decided = { number, outcome };
    else if (outcome.left) this.#pieces.push(...this.#spread(outcome.left));
  }

  /** Adds pieces, so that no race of any asks for another one above it: see `Branches.complete`. */
  complete(stepsFrom: (way: readonly number[]) => readonly (Accesses | undefined)[]): void {
    if (this.#branches) this.#pieces.push(...this.#branches.complete(stepsFrom));
  }

  #spread(left: Piece): Piece[] {
    return 'states' in left ? this.#branches!.spread(left) : spreadOfFew(left);
  }

  /** What decided, as soon as it is sure, and in which piece. */
  get decided(): { readonly number: number; readonly outcome: Outcome } | undefined {
    return this.#decided;
  }

  /** Whether a piece is before all that decide, as far as is known. */
  isNeeded(number: number): boolean {
    return number <= this.#lowestDeciding;
  }

  /** Whether nothing is left to search. */
  get isOver(): boolean {
    return this.#decided !== undefined || this.#taken === this.#pieces.length;
  }

  /** Pieces that are not searched yet. */
  get open(): number {
    return this.#pieces.length - this.#taken;
  }

  /** Pieces whose outcome was taken, the first of all. */
  get taken(): number {
    return this.#taken;
  }

  /** Pieces there were so far. */
  get count(): number {
    return this.#pieces.length;
  }

  /** All that was done in pieces that were taken. */
  get counts(): Readonly<SearchCounts> {
    return this.#counts;
  }

  /** When it is over: what is left of the piece that all came from, which is what races ask to be run from its way. */
  get left(): Piece {
    return this.#branches ? this.#branches.left : ALL_OF_FEW;
  }
}

function decides({ found, grown }: PieceOutcome): boolean {
  return found !== undefined || grown !== undefined;
}

/** Choices do not ask for others: what is left is the rest, and what else is to be chosen at the highest choice. */
function spreadOfFew({ choices, above }: PieceOfFew): PieceOfFew[] {
  const own = choices.findIndex(({ left }, at) => at >= above && left !== 0);
  if (own < 0) return [];
  const choice = choices[own]!;
  const pieces: PieceOfFew[] = [];
  const chosen = (left: number): LeftChoice => ({ ...choice, left });
  if (choices.some(({ left }, at) => at > own && left !== 0)) {
    pieces.push({ choices: [...choices.slice(0, own), chosen(0), ...choices.slice(own + 1)], above: own + 1 });
  }
  for (let task = 0; choice.left >> task !== 0; task++) {
    const left = choice.left & (1 << task);
    if (left !== 0) pieces.push({ choices: [...choices.slice(0, own), chosen(left)], above: own });
  }
  return pieces;
}

/** The whole space, as a piece. */
export const ALL: PieceOfAll = { states: [], above: 0 };
/** The whole space of a pass with few preemptions. */
export const ALL_OF_FEW: PieceOfFew = { choices: [], above: 0 };
