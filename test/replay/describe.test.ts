import { describe, expect, test } from 'vitest';
import { describeDifference } from '../../src/replay/describe.ts';
import type { PageEntry } from '../../src/replay/hugetlb/pages.ts';

const NAME = 'pages (proc, slot, page, class, mapcount, flags)';
const a: PageEntry = [0, 0, 0, 0, 1, 1];
const b: PageEntry = [0, 0, 1, 1, 2, 0];
const c: PageEntry = [1, 0, 1, 1, 2, 0];

/** The lines about two lists of pages, without what they all begin with. */
function pages(kernel: readonly PageEntry[], model: readonly PageEntry[]): string[] {
  return describeDifference({ what: 'pages', kernel, model }).map((line) => line.slice(`${NAME}: `.length));
}

describe('a difference in words', () => {
  test('has what the kernel did, and what the model did', () => {
    expect(describeDifference({ what: 'result', kernel: 'SIGBUS', model: 'OK' })).toEqual([
      'result: kernel SIGBUS, model OK',
    ]);
    expect(describeDifference({ what: 'found', field: 'done', kernel: 7, model: 0 })).toEqual([
      'done: kernel 7, model 0',
    ]);
    expect(describeDifference({ what: 'hang', kernel: 'HANG', model: 'OK' })).toEqual(['hang: kernel hangs, model OK']);
    expect(describeDifference({ what: 'invariant', kernel: '', model: 'a count is wrong' })).toEqual([
      'invariant: the model broke a rule of its own, and its sequence is left here: a count is wrong',
    ]);
  });

  test('names the counts of the pool', () => {
    const sides = { kernel: [9, 8, 1, 0], model: [9, 7, 1, 0] } as const;
    expect(describeDifference({ what: 'pool', ...sides })).toEqual([
      'pool (total, free, reserved, surplus): kernel [9,8,1,0], model [9,7,1,0]',
    ]);
    expect(describeDifference({ what: 'end', ...sides })).toEqual([
      'pool at the end (total, free, reserved, surplus): kernel [9,8,1,0], model [9,7,1,0]',
    ]);
  });

  test('has only the pages that differ, in their order', () => {
    expect(pages([a, b, c], [a, [0, 0, 1, 1, 2, 1], c])).toEqual(['kernel [0,0,1,1,2,0], model [0,0,1,1,2,1]']);
    expect(pages([a, c], [a, b])).toEqual(['kernel absent, model [0,0,1,1,2,0]', 'kernel [1,0,1,1,2,0], model absent']);
    expect(describeDifference({ what: 'pages', kernel: [a], model: [] })).toEqual([
      `${NAME}: kernel [0,0,0,0,1,1], model absent`,
    ]);
  });

  test('takes classes that are only counted from another number for the same', () => {
    expect(
      pages(
        [a, b, c],
        [
          [0, 0, 1, 0, 2, 0],
          [1, 0, 1, 0, 2, 0],
        ],
      ),
    ).toEqual(['kernel [0,0,0,0,1,1], model absent']);
    expect(pages([a, b, c], [a, b, [1, 0, 1, 2, 2, 0]])).toEqual(['kernel [1,0,1,1,2,0], model [1,0,1,2,2,0]']);
    expect(pages([a, [0, 0, 1, -1, 0, 2]], [a, [0, 0, 1, 1, 0, 2]])).toEqual([
      'kernel [0,0,1,-1,0,2], model [0,0,1,1,0,2]',
    ]);
  });

  test('has classes as they are where nothing else differs, and all pages where only their order does', () => {
    expect(pages([[0, 0, 0, 5, 1, 1]], [a])).toEqual(['kernel [0,0,0,5,1,1], model [0,0,0,0,1,1]']);
    expect(pages([b, a], [a, b])).toEqual([
      'kernel [[0,0,1,1,2,0],[0,0,0,0,1,1]], model [[0,0,0,0,1,1],[0,0,1,1,2,0]]',
    ]);
  });
});
