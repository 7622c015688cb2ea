/**
 * `_mapcount` of each 4 KiB page of a huge page: how many entries smaller than the huge page map it.
 */
import { type Checkpoint, type Kept, type PutBack, WrittenPieces } from '../base/checkpoint.ts';

/** Counts that are kept together: those of 2 MiB. */
const PIECE = 512;

/** The map counts of a huge page's 4 KiB pages, each by its index in the huge page. */
export class PieceCounts implements Kept {
  readonly #counts: Int32Array;
  readonly #written = new WrittenPieces();

  /** @param pages 4 KiB pages of the huge page */
  constructor(pages: number) {
    this.#counts = new Int32Array(pages);
  }

  /** The count of one. */
  of(page: number): number {
    return this.#counts[page]!;
  }

  /** So many more for each of [from, to). */
  add(from: number, to: number, more: number): void {
    for (let piece = Math.floor(from / PIECE); piece * PIECE < to; piece++) this.#written.mark(piece);
    const counts = this.#counts;
    for (let page = from; page < to; page++) counts[page]! += more;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    const counts = this.#counts;
    const pieces = Array.from({ length: counts.length / PIECE }, (_, piece) => piece);
    const kept = pieces.map((piece) => counts.slice(piece * PIECE, (piece + 1) * PIECE));
    const putBack = (piece: number): void => counts.set(kept[piece]!, piece * PIECE);
    return () => this.#written.putBack(checkpoint, pieces, putBack);
  }
}
