import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { outline } from '../../src/cli/outline.ts';
import { layOut, rowColumns } from '../../src/cli/picture.ts';
import { alike, COVERS, coverOf, join, LOST, mappedPages, type Range } from '../../src/cli/ranges.ts';
import { createPaint } from '../../src/cli/text.ts';

/** The number of pages there are: 2^64 / 4096. */
const PAGES = 2 ** 52;
const plain = createPaint(false, false, {});

function rangeOf(first: number, pages: number, cover: number, rights = 0): Range {
  const covered = new Array<number>(COVERS).fill(0);
  covered[cover] = pages;
  return { first, end: first + pages, pages: covered, all: rights, some: rights, pieces: 1, physical: -1 };
}

/** Lists of ranges as a scan gives them: ascending, apart or touching, near and far, small and huge. */
const lists = fc
  .array(
    fc.record({
      hole: fc.oneof(fc.constant(0), fc.nat(20), fc.nat(2 ** 20), fc.nat(2 ** 40)),
      pages: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 2 ** 30 })),
      cover: fc.integer({ min: 1, max: COVERS - 1 }),
      rights: fc.nat(7),
    }),
    { maxLength: 120 },
  )
  .map((steps) => {
    let at = 0;
    return steps.map(({ hole, pages, cover, rights }) => {
      const range = rangeOf(at + hole, pages, cover, rights);
      at = range.end;
      return range;
    });
  })
  .filter((ranges) => (ranges.at(-1)?.end ?? 0) <= PAGES);

describe('the picture', () => {
  test('has every range in one row, in order, and no more rows and cells than asked for', () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 30 }), fc.integer({ min: 2, max: 130 }), (ranges, rows, width) => {
        const picture = layOut(ranges, rows, width);
        expect(picture.length).toBeLessThanOrEqual(rows);
        expect(picture.flatMap((row) => ranges.slice(row.firstRange, row.lastRange))).toEqual(ranges);
        for (const { cells } of picture) expect(cells.length).toBeLessThanOrEqual(width);
      }),
    );
  });

  test('shows something in each cell where something lies, and a hole in each where nothing does', () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 2, max: 60 }), (ranges, width) => {
        for (const { firstRange, lastRange, origin, cellPages, cells } of layOut(ranges, 24, width)) {
          const held = ranges.slice(firstRange, lastRange);
          expect(cells.map(({ cover }) => cover !== 0)).toEqual(
            cells.map((_, i) => {
              const start = origin + i * cellPages;
              return held.some(({ first, end }) => first < start + cellPages && end > start);
            }),
          );
        }
      }),
    );
  });

  test('shows the page size that covers most of a cell, of two that cover the same the larger', () => {
    const sizes = (...ranges: Range[]): number[] => layOut(ranges, 1, 2)[0]!.cells.map(({ cover }) => cover);
    expect(sizes(rangeOf(0, 3, 1), rangeOf(3, 1, 2), rangeOf(4, 4, 3))).toEqual([1, 3]);
    expect(sizes(rangeOf(0, 2, 1), rangeOf(2, 2, 2), rangeOf(4, 2, 2), rangeOf(6, 2, 1))).toEqual([2, 2]);
    expect(sizes(rangeOf(0, 3, LOST), rangeOf(3, 1, 1), rangeOf(4, 4, LOST))).toEqual([1, LOST]);
  });

  test('takes cells that are a power of two of pages and begin at a multiple of that', () => {
    fc.assert(
      fc.property(lists, (ranges) => {
        for (const { origin, cellPages, first } of layOut(ranges, 24, 50)) {
          expect(Number.isInteger(Math.log2(cellPages))).toBe(true);
          expect(origin % cellPages).toBe(0);
          expect(origin).toBeLessThanOrEqual(first);
        }
      }),
    );
  });

  test('gives parts that are far apart rows of their own, and keeps the nearest together when rows are few', () => {
    const ranges = [0, 1000, 1_000_000, 2 ** 35, 2 ** 51].map((first) => rangeOf(first, 4, 1));
    const starts = (rows: number): number[] => layOut(ranges, rows, 50).map(({ first }) => first);
    expect(starts(24)).toEqual([0, 1000, 1_000_000, 2 ** 35, 2 ** 51]);
    expect(starts(4)).toEqual([0, 1_000_000, 2 ** 35, 2 ** 51]);
    expect(starts(2)).toEqual([0, 2 ** 51]);
  });

  test('says where a row starts, what it spans and what of that is mapped', () => {
    const [row] = layOut([rangeOf(16, 4, 1), rangeOf(20, 4, 2), rangeOf(26, 2, 3)], 1, 12);
    expect(rowColumns(row!, plain)).toEqual(['0x10000', '48 KiB', '40 KiB', '░░░░▒▒▒▒··██']);
  });

  test('reaches to the last page there is', () => {
    const [row] = layOut([rangeOf(PAGES - 8, 8, 1)], 24, 50);
    expect(rowColumns(row!, plain)).toEqual(['0xffffffffffff8000', '32 KiB', '32 KiB', '░░░░░░░░']);
  });
});

describe('the lines of the ranges', () => {
  const rows = fc.array(lists, { minLength: 1, maxLength: 6 }).map((all) => {
    let at = 0;
    return all.map((list) => {
      const moved = list.map((range) => ({ ...range, first: range.first + at, end: range.end + at }));
      at = moved.at(-1)?.end ?? at;
      return moved;
    });
  });

  test('are as few as asked for, and hold everything, in order', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 6, max: 50 }), (byRow, most) => {
        const lines = outline(byRow, most);
        const ranges = byRow.flat();
        expect(lines.length).toBeLessThanOrEqual(most);
        const sum = (of: (range: Range) => number, list: readonly Range[]): number =>
          list.reduce((total, range) => total + of(range), 0);
        expect(sum(mappedPages, lines)).toBe(sum(mappedPages, ranges));
        for (const [i, line] of lines.entries()) expect(line.first).toBeGreaterThanOrEqual(lines[i - 1]?.end ?? 0);
        for (const { first, end, all, some } of ranges) {
          const line = lines.find((candidate) => candidate.first <= first && candidate.end >= end)!;
          expect(line.all & all).toBe(line.all);
          expect(line.some & some).toBe(some);
        }
      }),
    );
  });

  test('are the ranges themselves where these are few enough', () => {
    fc.assert(
      fc.property(rows, (byRow) => {
        expect(outline(byRow, byRow.flat().length)).toEqual(byRow.flat());
      }),
    );
  });

  test('are not joined across rows', () => {
    const [a, b] = [rangeOf(0, 1, 1), rangeOf(2, 1, 1)];
    expect(outline([[a!], [b!]], 1)).toEqual([a, b]);
    expect(outline([[a!, b!]], 1)).toEqual([join(a!, b!)]);
  });

  test('gather ranges that are alike before they join others', () => {
    const ranges = [1, 1, 1, 2, 1, 1].map((cover, i) => rangeOf(i * 10, 2, cover));
    const lines = outline([ranges], 3);
    expect(lines.map(coverOf)).toEqual([1, 2, 1]);
    expect(lines.map(({ pieces }) => pieces)).toEqual([3, 1, 2]);
  });
});

test('ranges that touch and are alike are one piece', () => {
  const [a, b, c] = [rangeOf(0, 4, 1, 3), rangeOf(4, 4, 1, 3), rangeOf(8, 4, 1, 2)];
  expect([alike(a!, b!), alike(b!, c!)]).toEqual([true, false]);
  expect([join(a!, b!).pieces, join(b!, c!).pieces]).toEqual([1, 2]);
  expect(join(b!, c!)).toMatchObject({ all: 2, some: 3 });
});
