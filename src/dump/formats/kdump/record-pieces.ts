/**
 * Records that were written one after the other, some over others: what is to be seen of each in the end.
 */

/** So many bytes of a file, from there on, belong here. */
export interface Record {
  readonly to: number;
  readonly length: number;
  readonly from: number;
}

/** A record, or what is left of one. */
export type Piece = Record;

/** Pieces in order of where they belong, without overlap: where records overlap, the later one counts. */
export function piecesOf(records: readonly Record[]): Piece[] {
  const order = records.map((_, i) => i).sort((a, b) => records[a]!.to - records[b]!.to || b - a);
  const pieces: Piece[] = [];
  /* Records that have begun and may not have ended, the latest on top. */
  const begun = new LargestFirst();
  let at = 0;
  const advance = (limit: number): void => {
    while (at < limit && begun.largest !== undefined) {
      const { to, length, from } = records[begun.largest]!;
      const end = Math.min(to + length, limit);
      if (at < end) {
        pieces.push({ to: at, length: end - at, from: from + (at - to) });
        at = end;
      }
      if (to + length <= at) begun.drop();
    }
    at = limit;
  };
  for (const index of order) {
    advance(records[index]!.to);
    begun.add(index);
  }
  advance(Number.POSITIVE_INFINITY);
  return merged(pieces);
}

/** Joins what was cut where another record began and nothing came of it. */
function merged(pieces: readonly Piece[]): Piece[] {
  const result: { to: number; length: number; from: number }[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if (last && last.to + last.length === piece.to && last.from + last.length === piece.from)
      last.length += piece.length;
    else result.push({ ...piece });
  }
  return result;
}

/** A heap of numbers. */
class LargestFirst {
  readonly #heap: number[] = [];

  get largest(): number | undefined {
    return this.#heap[0];
  }

  add(value: number): void {
    const heap = this.#heap;
    let at = heap.length;
    for (let above = (at - 1) >> 1; at > 0 && heap[above]! < value; above = (at - 1) >> 1) {
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = value;
  }

  drop(): void {
    const heap = this.#heap;
    const value = heap.pop();
    if (value === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below + 1 < heap.length && heap[below + 1]! > heap[below]!) below++;
      if (below >= heap.length || heap[below]! <= value) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = value;
  }
}
