/**
 * When the benchmark's check says that something became worse, and that the baseline fits the rows that there are.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type Baseline,
  ratiosOf,
  unmatchedRatios,
  worseBytes,
  worseCounts,
  worseRatios,
} from '../../bench/baseline.ts';
import { planRows } from '../../bench/cells.ts';
import { WAYS } from '../../bench/counting.ts';
import { SHAPES } from '../../bench/images.ts';
import { projectRoot } from '../../bench/native.ts';

const times = (min: number) => ({ median: min + 1, min, max: min * 9, repetitions: 1 });

test('a ratio is that of the fastest repetitions, named by row, figure and yardstick', () => {
  const figures = new Map([
    ['probe', times(2)],
    ['access', times(4)],
    ['native', times(6)],
  ]);
  expect(ratiosOf({ name: 'marks/4k/8MiB/random', figures })).toEqual({
    'marks/4k/8MiB/random/access:probe': 0.5,
  });
});

test('a ratio is worse when it is less than two thirds of what it was', () => {
  expect(worseRatios({ a: 3, b: 3, c: 3 }, { a: 2, b: 1.99, d: 0 })).toEqual([
    'b: 1.99, at least 2 expected (3 in the baseline)',
  ]);
});

test('what is measured and what is expected must be the same, but for what needs a C compiler', () => {
  const baseline = { 'a/batch:native': 1, 'b/access:probe': 1 };
  expect(unmatchedRatios(baseline, baseline, true)).toEqual([]);
  expect(unmatchedRatios(baseline, { 'b/access:probe': 9 }, false)).toEqual([]);
  expect(unmatchedRatios(baseline, { 'b/access:probe': 9 }, true)).toEqual([
    'a/batch:native: in the baseline, but not measured any more',
  ]);
  expect(unmatchedRatios(baseline, { 'c/access:probe': 9 }, false)).toEqual([
    'b/access:probe: in the baseline, but not measured any more',
    'c/access:probe: measured, but not in the baseline',
  ]);
});

test('a count may not grow at all, a core a little', () => {
  expect(worseCounts({ a: 100, b: 100 }, { a: 100, b: 101 })).toEqual(['b: 101, at most 100 expected']);
  expect(worseBytes({ a: 100, b: 100 }, { a: 102, b: 103 })).toEqual(['b: 103, at most 102 expected']);
  expect(worseCounts({ a: 1 }, { b: 1 })).toEqual([
    'a: nothing found, 1 in the baseline',
    'b: 1 found, nothing in the baseline',
  ]);
});

test('the baseline names rows and counts that there are', () => {
  const { ratios, counts, bytes }: Baseline = JSON.parse(
    readFileSync(join(projectRoot(), 'bench/baseline.json'), 'utf8'),
  );
  const rows = planRows(true).map(({ name }) => name);
  for (const name of Object.keys(ratios)) expect(rows).toContain(name.replace(/\/[^/]+$/, ''));
  expect(Object.keys(counts)).toHaveLength(WAYS.length * SHAPES.length * 2);
  expect(Object.keys(bytes)).toEqual(['flat', 'sparse', 'threads']);
});
