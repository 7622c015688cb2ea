/**
 * A picture of an address space: a row for each part that holds something, far from the next; a row is a bar of cells,
 * and a cell shows which page size covers most of it.
 */
import { AGAIN, COVERS, coverOf, LOST, mappedPages, type Range } from './ranges.ts';
import { hexOfPage, type Paint, paintLevel, sizeOfPages } from './text.ts';

/** A row. */
export interface Row {
  /** Its ranges: from this one up to, not including, `lastRange`. */
  readonly firstRange: number;
  readonly lastRange: number;
  /** Number of its first page, and of the page after its last. */
  readonly first: number;
  readonly end: number;
  /** How many of its pages leaves map. */
  readonly mapped: number;
  /** Number of the first page of its first cell: a multiple of `cellPages`. */
  readonly origin: number;
  /** 4 KiB pages a cell stands for: a power of two. */
  readonly cellPages: number;
  readonly cells: readonly Cell[];
}

/** What a cell shows. */
export interface Cell {
  /** What covers most of it: 0 nothing, else as in ranges.ts. */
  readonly cover: number;
  /** Whether less than half of it is covered. */
  readonly sparse: boolean;
}

/** The glyphs by cover: the larger the page, the fuller. */
export const GLYPHS: readonly string[] = ['·', '░', '▒', '█', '≡', '×'];

/** A hole is worth a row's end if it is more than this part of the row. */
const WORTHY = 1 / 8;

/** Lays out at most `mostRows` rows of at most `width` cells. */
export function layOut(ranges: readonly Range[], mostRows: number, width: number): Row[] {
  return clusters(ranges, mostRows).map(([from, to]) => layOutRow(ranges, from, to, width));
}

/** Cuts a list at its largest holes, as long as a hole is worth it: index of the first range and of the one after the last. */
function clusters(ranges: readonly Range[], most: number): [number, number][] {
  if (ranges.length === 0) return [];
  const found = [clusterOf(ranges, 0, ranges.length)];
  while (found.length < most) {
    const worthy = found.filter(({ hole, span }) => hole > span * WORTHY);
    if (worthy.length === 0) break;
    const widest = worthy.reduce((a, b) => (b.hole > a.hole ? b : a));
    const { from, cut, to } = widest;
    found.splice(found.indexOf(widest), 1, clusterOf(ranges, from, cut), clusterOf(ranges, cut, to));
  }
  return found.map(({ from, to }) => [from, to]);
}

interface Cluster {
  readonly from: number;
  readonly to: number;
  readonly span: number;
  /** Pages of the largest hole, and the index of the range after it. */
  readonly hole: number;
  readonly cut: number;
}

function clusterOf(ranges: readonly Range[], from: number, to: number): Cluster {
  let hole = 0;
  let cut = from;
  for (let i = from + 1; i < to; i++) {
    const before = ranges[i]!.first - ranges[i - 1]!.end;
    if (before <= hole) continue;
    hole = before;
    cut = i;
  }
  return { from, to, span: ranges[to - 1]!.end - ranges[from]!.first, hole, cut };
}

function layOutRow(ranges: readonly Range[], firstRange: number, lastRange: number, width: number): Row {
  const first = ranges[firstRange]!.first;
  const end = ranges[lastRange - 1]!.end;
  let cellPages = 1;
  while (Math.ceil(end / cellPages) - Math.floor(first / cellPages) > width) cellPages *= 2;
  const origin = Math.floor(first / cellPages) * cellPages;
  const covered = Array.from({ length: Math.ceil((end - origin) / cellPages) }, () => new Float64Array(COVERS));
  let mapped = 0;
  for (let i = firstRange; i < lastRange; i++) {
    const range = ranges[i]!;
    mapped += mappedPages(range);
    const cover = coverOf(range);
    for (let at = range.first; at < range.end; ) {
      const cell = Math.floor((at - origin) / cellPages);
      const next = Math.min(range.end, origin + (cell + 1) * cellPages);
      covered[cell]![cover]! += next - at;
      at = next;
    }
  }
  return {
    firstRange,
    lastRange,
    first,
    end,
    mapped,
    origin,
    cellPages,
    cells: covered.map((pages) => cellOf(pages, cellPages)),
  };
}

/** Leaves go before whatever else is in a cell, larger pages before smaller ones that cover as much. */
function cellOf(pages: Float64Array, cellPages: number): Cell {
  let cover = 0;
  for (const candidate of [LOST, AGAIN]) if (pages[candidate]! > 0) cover = candidate;
  let most = 0;
  for (let level = 1; level <= 3; level++) {
    if (pages[level]! > 0 && pages[level]! >= most) {
      most = pages[level]!;
      cover = level;
    }
  }
  return { cover, sparse: pages.reduce((sum, n) => sum + n, 0) * 2 < cellPages };
}

/** A row's columns: where it starts, how much it spans, how much of that is mapped, the cells. */
export function rowColumns({ first, end, mapped, cells }: Row, paint: Paint): string[] {
  return [hexOfPage(first), sizeOfPages(end - first), sizeOfPages(mapped), bar(cells, paint)];
}

/** Equal cells are coloured together: a few escapes a row. */
function bar(cells: readonly Cell[], paint: Paint): string {
  let text = '';
  for (let i = 0; i < cells.length; ) {
    const { cover, sparse } = cells[i]!;
    let same = i + 1;
    while (same < cells.length && cells[same]!.cover === cover && cells[same]!.sparse === sparse) same++;
    text += paintCover(paint, cover, GLYPHS[cover]!.repeat(same - i), sparse);
    i = same;
  }
  return text;
}

/** A glyph in the colour of what it stands for. */
export function paintCover(paint: Paint, cover: number, text: string, sparse: boolean = false): string {
  if (cover === 0) return paint.dim(text);
  const coloured =
    cover === LOST ? paint.red(text) : cover === AGAIN ? paint.blue(text) : paintLevel(paint, cover, text);
  return sparse ? paint.dim(coloured) : coloured;
}
