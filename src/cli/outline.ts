/**
 * Many ranges in few lines: ranges that are alike are gathered over the holes between them, then the smallest ones are
 * joined with their neighbours. Nothing is left out, and nothing is joined across the rows of the picture.
 */
import { alike, join, mappedPages, type Range } from './ranges.ts';

/**
 * At most `most` lines, or one a row if there are more rows.
 *
 * @param rows the ranges, row by row
 */
export function outline(rows: readonly (readonly Range[])[], most: number): Range[] {
  if (lengthOf(rows) <= most) return rows.flat();
  const gathered = rows.map(gather);
  if (lengthOf(gathered) <= most) return gathered.flat();
  const bySize = gathered.flat().sort((a, b) => mappedPages(b) - mappedPages(a));
  /* The more of the largest are kept apart, the more lines there are: find how many fit. */
  let fits = 0;
  let tooMany = bySize.length;
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    const kept = new Set(bySize.slice(0, middle));
    if (lengthOf(gathered.map((row) => joinOthers(row, kept))) <= most) fits = middle;
    else tooMany = middle;
  }
  const kept = new Set(bySize.slice(0, fits));
  return gathered.flatMap((row) => joinOthers(row, kept));
}

function lengthOf(rows: readonly (readonly Range[])[]): number {
  return rows.reduce((sum, { length }) => sum + length, 0);
}

function gather(row: readonly Range[]): Range[] {
  const gathered: Range[] = [];
  for (const range of row) {
    const last = gathered.at(-1);
    if (last && alike(last, range)) gathered[gathered.length - 1] = join(last, range);
    else gathered.push(range);
  }
  return gathered;
}

function joinOthers(row: readonly Range[], kept: ReadonlySet<Range>): Range[] {
  const joined: Range[] = [];
  let joins = false;
  for (const range of row) {
    const others = !kept.has(range);
    if (joins && others) joined[joined.length - 1] = join(joined.at(-1)!, range);
    else joined.push(range);
    joins = others;
  }
  return joined;
}
