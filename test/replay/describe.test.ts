import { describe, expect, test } from 'vitest';
import { describeDifference } from '../../src/replay/describe.ts';
import type { CacheEntry, MapRun, PageEntry, SlotMap } from '../../src/replay/line/states.ts';

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

  test('says where the line tells no answer, or only that the kernel died', () => {
    expect(describeDifference({ what: 'result', kernel: undefined, model: 'no pages in list 0' })).toEqual([
      'result: kernel not told, model no pages in list 0',
    ]);
    expect(describeDifference({ what: 'hang', kernel: undefined, model: 'HANG' })).toEqual([
      'hang: kernel not told, model hangs',
    ]);
    expect(describeDifference({ what: 'result', kernel: 'BUG or HANG', model: 'OK' })).toEqual([
      'result: kernel died (not told of what), model OK',
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

describe('a difference of a state of high-granularity mapping', () => {
  const free: MapRun = [3, 509, 1, -1, -1, '-'];
  const pieces: MapRun = [0, 3, 1, 0, 0, 'wd'];

  test('has only the runs of entries that differ, each with its process and slot', () => {
    const name = 'maps (proc, slot, page, count, size, file, filepage, flags)';
    const kernel: SlotMap[] = [
      [0, 0, [pieces, free]],
      [0, 1, [pieces]],
    ];
    const model: SlotMap[] = [
      [0, 0, [[0, 3, 1, 0, 0, 'rdu'], free]],
      [0, 1, [pieces]],
      [1, 0, [pieces]],
    ];
    expect(describeDifference({ what: 'maps', kernel, model })).toEqual([
      `${name}: kernel [0,0,0,3,1,0,0,"wd"], model [0,0,0,3,1,0,0,"rdu"]`,
      `${name}: kernel absent, model [1,0,0,3,1,0,0,"wd"]`,
    ]);
  });

  test('has only the huge pages of files that differ', () => {
    const name = 'cache (file, huge page, mapcount, refcount, mapcounts of its pages)';
    const kernel: CacheEntry[] = [
      [
        0,
        0,
        0,
        4,
        [
          [0, 3, 1],
          [3, 509, 0],
        ],
      ],
      [0, 1, 0, 1, [[0, 512, 0]]],
    ];
    const model: CacheEntry[] = [[0, 0, 0, 4, [[0, 512, 0]]], kernel[1]!, [1, 0, 0, 1, [[0, 512, 0]]]];
    expect(describeDifference({ what: 'cache', kernel, model })).toEqual([
      `${name}: kernel [0,0,0,4,[[0,3,1],[3,509,0]]], model [0,0,0,4,[[0,512,0]]]`,
      `${name}: kernel absent, model [1,0,0,1,[[0,512,0]]]`,
    ]);
  });

  test('has only the processes whose usage differs', () => {
    const name = 'usage (proc, 4 KiB pages)';
    const differs = describeDifference({
      what: 'usage',
      kernel: [
        [0, 3],
        [1, 512],
      ],
      model: [
        [0, 3],
        [1, 511],
      ],
    });
    expect(differs).toEqual([`${name}: kernel [1,512], model [1,511]`]);
  });

  test('has everything where only the order differs', () => {
    const [kernel, model] = [
      [
        [0, 3],
        [1, 3],
      ],
      [
        [1, 3],
        [0, 3],
      ],
    ] as const;
    expect(describeDifference({ what: 'usage', kernel, model })).toEqual([
      'usage (proc, 4 KiB pages): kernel [[0,3],[1,3]], model [[1,3],[0,3]]',
    ]);
  });

  test('has a list that was found as the scenario has it', () => {
    expect(describeDifference({ what: 'found', field: 'entries', kernel: [[1, 0]], model: 'nothing' })).toEqual([
      'entries: kernel [[1,0]], model nothing',
    ]);
  });
});
