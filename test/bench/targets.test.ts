/**
 * What the benchmark wants of its rows, and what it says of a row that has it, or not.
 */
import { describe, expect, test } from 'vitest';
import type { Row } from '../../bench/benchmark.ts';
import { planRows } from '../../bench/cells.ts';
import { lineOf, summaryOf } from '../../bench/table.ts';
import { targetsOf, verdictsOf } from '../../bench/targets.ts';

/** A row with made-up figures, in millions a second. */
function rowOf(name: string, speeds: Record<string, number>): Row {
  const figures = Object.entries(speeds).map(([figure, speed]) => {
    const median = 1e-3 / speed;
    return [figure, { median, min: median, max: median, repetitions: 1 }] as const;
  });
  return { name, figures: new Map(figures) };
}

const statesOf = (name: string, speeds: Record<string, number>) =>
  verdictsOf(rowOf(name, speeds)).map(({ state }) => state);

test('every row has a target but listings of dumps and calls that miss the caches', () => {
  const without = planRows(false).filter(({ name }) => targetsOf(name).length === 0 && !name.startsWith('v86/'));
  expect(without.map(({ name }) => name)).toEqual(['call/4k/8MiB/random', 'list/linux-6.1-4level']);
});

test.each([
  ['walk/4k/32KiB/random', 1.3],
  ['walk/1g/512KiB/random', 1.3],
  ['walk/2m/8MiB/random', 1],
  ['walk/mixed/128MiB/random', 1],
  ['walk/4k/128MiB/page', 1.5],
  ['walk/4k/32KiB/line', 1.5],
])('%s makes %f times the walks of the native walker', (name, ratio) => {
  expect(statesOf(name, { batch: 100 * ratio + 0.1, native: 100 })).toEqual(['met']);
  expect(statesOf(name, { batch: 100 * ratio - 0.1, native: 100 })).toEqual(['missed']);
  expect(statesOf(name, { batch: 1000 })).toEqual(['undecided']);
});

test('hits are many, or twice as many as native walks', () => {
  expect(statesOf('tlb/4k/random', { hits: 401, native: 300 })).toEqual(['met']);
  expect(statesOf('tlb/4k/random', { hits: 399, native: 199 })).toEqual(['met']);
  expect(statesOf('tlb/4k/random', { hits: 399, native: 200 })).toEqual(['missed']);
  expect(statesOf('tlb/4k/random', { hits: 401 })).toEqual(['met']);
  expect(statesOf('tlb/4k/random', { hits: 399 })).toEqual(['undecided']);
});

test('calls have a target for each way', () => {
  expect(statesOf('call/4k/32KiB/random', { translate: 11, word: 9, number: 51, many: 1 })).toEqual([
    'met',
    'missed',
    'met',
  ]);
});

test.each([
  ['marks/4k/8MiB/random/anew', { probe: 150 }, { access: 101 }, { access: 99 }],
  ['sparse/mixed/8MiB/random', { flat: 130 }, { sparse: 101 }, { sparse: 99 }],
  ['workers/4k/8MiB/random', { one: 10 }, { two: 19.1 }, { two: 18.9 }],
  ['list/2m/8MiB', {}, { blocks: 101 }, { blocks: 99 }],
])('%s', (name, yardstick, enough, tooFew) => {
  expect(statesOf(name, { ...yardstick, ...enough })).toEqual(['met']);
  expect(statesOf(name, { ...yardstick, ...tooFew })).toEqual(['missed']);
});

describe('what is printed', () => {
  const good = rowOf('walk/4k/32KiB/random', { batch: 200, native: 100 });
  const bad = rowOf('walk/4k/8MiB/random', { batch: 95, native: 100 });
  const unknown = rowOf('walk/4k/512KiB/random', { batch: 95 });

  test('a line ends with the targets that it misses', () => {
    expect(lineOf(good)).toMatch(/ 2\.00$/);
    expect(lineOf(unknown)).toMatch(/ -$/);
    expect(lineOf(bad)).toMatch(/ 0\.95 {2}MISSED: batch\/native 0\.95, wanted 1\.00$/);
    expect(lineOf(bad, false)).toMatch(/ 0\.95$/);
  });

  test('a summary counts, and lists the misses', () => {
    const lines = summaryOf([good, bad, unknown]).split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toBe('1 of 3 targets met');
    expect(lines[1]).toMatch(/^ {2}missed {2}walk\/4k\/8MiB\/random +batch\/native 0\.95, wanted 1\.00$/);
    expect(lines[2]).toBe('  undecided: 1, for want of a native walker');
  });
});
