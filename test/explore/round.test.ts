import { describe, expect, test } from 'vitest';
import type { PieceResult } from '../../src/explore/pieces.ts';
import { Round } from '../../src/explore/round.ts';

const searched = (piece: number, executions = 10): PieceResult => ({
  piece,
  counts: { executions, asleep: 1, impossible: 0, discarded: 0 },
  nestings: [],
});
const found = (piece: number): PieceResult => ({
  ...searched(piece, 3),
  found: { finding: { kind: 'deadlock', what: `in ${piece}`, task: -1 }, schedule: [{ task: 0, places: piece }] },
});

/** Hands pieces out to so many, of whom one that `pick` names is done next. */
function play(results: readonly PieceResult[], workers: number, pick: (n: number) => number): Round {
  const round = new Round(results.length);
  const busy: number[] = [];
  while (!round.isOver) {
    while (busy.length < workers) {
      const piece = round.next();
      if (piece === undefined) break;
      busy.push(piece);
    }
    const [piece] = busy.splice(pick(busy.length), 1);
    round.take(results[piece!]!);
  }
  return round;
}

describe('what comes out of a round does not depend on who is done when', () => {
  const results = [0, 1, 2, 3, 4, 5, 6, 7].map((piece) =>
    piece === 3 || piece === 5 ? found(piece) : searched(piece),
  );
  test.each([
    { who: 'one, in order', workers: 1, pick: () => 0 },
    { who: 'three, the last first', workers: 3, pick: (n: number) => n - 1 },
    { who: 'eight, the last first', workers: 8, pick: (n: number) => n - 1 },
  ])('$who', ({ workers, pick }) => {
    const round = play(results, workers, pick);
    expect(round.outcome).toBe(results[3]);
    expect(round.searched).toEqual([0, 1, 2]);
    expect(round.pass()).toEqual({
      preemptions: undefined,
      counts: { executions: 33, asleep: 4, impossible: 0, discarded: 0 },
      done: false,
      pieces: { done: 3, of: 8 },
    });
  });
});

test('pieces behind the one that decides are not handed out', () => {
  const round = new Round(4);
  expect(round.next()).toBe(0);
  expect(round.next()).toBe(1);
  round.take(found(1));
  expect(round.next()).toBeUndefined();
  expect(round.isOver).toBe(false);
  expect(round.outcome).toBeUndefined();
  round.take(searched(0));
  expect(round.outcome?.piece).toBe(1);
});

test('a piece that learns of a busy place decides as one with a finding does: the lower number counts', () => {
  const grown = { ...searched(1), grown: ['mmap_lock of process 0'] };
  expect(play([searched(0), grown, found(2)], 3, (n) => n - 1).outcome).toBe(grown);
  expect(play([found(0), grown, searched(2)], 3, (n) => n - 1).outcome?.found).toBeDefined();
});

test('a part of the pieces is over when those are, and is not all', () => {
  const round = new Round(4, [1, 3]);
  expect([round.next(), round.next(), round.next()]).toEqual([1, 3, undefined]);
  round.take(searched(1));
  round.take(searched(3));
  expect(round.isOver).toBe(true);
  expect(round.pass(5)).toMatchObject({ done: false, counts: { executions: 25 }, pieces: { done: 2, of: 4 } });
});
