/**
 * A space in pieces: however it is cut, and whoever searches which piece when, it is the same space.
 */
import { describe, expect, test } from 'vitest';
import { BoundedSearch } from '../../../src/explore/search/bounded.ts';
import { Driver } from '../../../src/explore/search/driver.ts';
import { ALL, ALL_OF_FEW, Frontier } from '../../../src/explore/search/frontier.ts';
import { OptimalSearch } from '../../../src/explore/search/optimal.ts';
import { addCounts, noCounts } from '../../../src/explore/search/search.ts';
import { Random } from '../../support/random.ts';
import { Cells, type Task } from './cells.ts';
import { finish } from './every.ts';
import { inParts, inPieces, type Outcome, type Searched, Searcher } from './in-pieces.ts';
import { randomProgram } from './random-programs.ts';

const programs = (tasks: number, waits: boolean) =>
  Array.from({ length: tasks === 2 ? 100 : 40 }, (_, index) => {
    const random = new Random((index + 1) * 104_729 + tasks);
    return randomProgram((n) => random.below(n), { tasks, operations: 3, waits });
  });

describe.each([
  { what: '2 tasks', tasks: 2, waits: false },
  { what: '2 tasks that wait for each other, and try locks', tasks: 2, waits: true },
  { what: '3 tasks', tasks: 3, waits: false },
  { what: '3 tasks that wait for each other, and try locks', tasks: 3, waits: true },
])('random programs, $what', ({ tasks, waits }) => {
  const small = programs(tasks, waits).flatMap(({ bodies, text }) => {
    const program = new Cells(bodies);
    const search = new OptimalSearch(new Driver(program));
    const whole = finish(search, program);
    return whole.executions <= 400 ? [{ bodies, text, whole }] : [];
  });
  /** Compares with searches in one go. */
  const compared = (search: (bodies: readonly Task[]) => Searched): void => {
    const [whole, pieces] = [noCounts(), noCounts()];
    for (const one of small) {
      const searched = search(one.bodies);
      expect(searched.states, one.text).toEqual(one.whole.states);
      addCounts(whole, one.whole);
      addCounts(pieces, searched);
    }
    expect(whole.executions).toBeGreaterThan(400);
    expect(pieces.executions).toBeLessThanOrEqual(1.01 * whole.executions);
    expect(pieces.asleep).toBeLessThanOrEqual(whole.asleep + 0.03 * whole.executions);
  };

  test.each([1, 4, 16])(
    'pieces of %i executions come to the same final states, and run no order twice',
    (executions) => {
      compared((bodies) => inPieces(new Searcher(bodies), undefined, executions));
    },
  );

  test('so do parts that are searched apart, whose races ask for orders above them', () => {
    compared((bodies) => inParts(new Searcher(bodies), 3));
  });

  test.each([0, 2])('up to %i preemptions, pieces have the executions that one search has', (bound) => {
    for (const { bodies, text } of small.slice(0, 15)) {
      const program = new Cells(bodies);
      const whole = finish(new BoundedSearch(new Driver(program), bound), program);
      const pieces = inPieces(new Searcher(bodies, bound), bound, 3);
      expect(pieces.states, text).toEqual(whole.states);
      expect(pieces.executions, text).toBe(whole.executions);
    }
  });
});

/** Three tasks that write two cells each. */
const writers: Task[] = new Array<Task>(3).fill(function* (cells, task) {
  yield* cells.write('x', task + 1);
  yield* cells.write('y', task + 1);
});

describe('what comes out does not depend on who searches which piece when', () => {
  const wrong = (cells: Cells): string | undefined =>
    cells.value('x') === 1 && cells.value('y') === 3 ? 'wrong' : undefined;
  const orders = [
    { who: 'one, in order', workers: 1, pick: () => 0 },
    { who: 'three, the last first', workers: 3, pick: (n: number) => n - 1 },
    { who: 'eight, one from the middle', workers: 8, pick: (n: number) => n >> 1 },
  ];

  test.each([
    { bound: undefined, pass: 'all interleavings' },
    { bound: 2, pass: 'up to 2 preemptions' },
  ])('$pass: as many pieces and executions, and the same finding', ({ bound }) => {
    for (const judge of [undefined, wrong]) {
      const all = orders.map(({ workers, pick }) => {
        const { states: _, ...searched } = inPieces(new Searcher(writers, bound, judge), bound, 2, pick, workers);
        return searched;
      });
      expect(all[0]!.pieces).toBeGreaterThan(5);
      expect(all[0]!.found === undefined).toBe(judge === undefined);
      for (const other of all) expect(other).toEqual(all[0]);
    }
  });
});

describe('a frontier', () => {
  const outcome = (found?: string): Outcome => ({
    counts: { ...noCounts(), executions: 1 },
    states: new Set(),
    ...(found && { found }),
  });
  /** A piece that became so many. */
  const three = (): Frontier<Outcome> => {
    const frontier = new Frontier<Outcome>(ALL_OF_FEW);
    const choice = { task: 0, preemptions: 0, left: 0b1110, cost: 0, places: 1 } as const;
    frontier.next();
    frontier.take(0, { ...outcome(), left: { choices: [choice], above: 0 } });
    return frontier;
  };

  test('hands each piece out once', () => {
    const frontier = three();
    expect([1, 2, 3, 4].map(() => frontier.next()?.number)).toEqual([1, 2, 3, undefined]);
  });

  test('does not hand out what is behind a finding, and decides when all before it is searched', () => {
    const frontier = three();
    for (const number of [1, 2]) expect(frontier.next()?.number).toBe(number);
    frontier.take(2, outcome('here'));
    expect(frontier.next()).toBeUndefined();
    expect([frontier.isOver, frontier.decided]).toEqual([false, undefined]);
    frontier.take(1, outcome());
    expect([frontier.isOver, frontier.decided?.number, frontier.decided?.outcome.found]).toEqual([true, 2, 'here']);
    expect(frontier.counts.executions).toBe(3);
  });

  test('of two findings the one in the lower piece decides, though it comes later', () => {
    const frontier = three();
    for (const _ of [1, 2, 3]) frontier.next();
    frontier.take(3, outcome('three'));
    frontier.take(2, outcome('two'));
    frontier.take(1, outcome());
    expect(frontier.decided?.outcome.found).toBe('two');
  });
});

test('a piece that learns of a busy place is given up, and says so; one that learns of none is searched to its end', () => {
  const searcher = new Searcher(writers.slice(1));
  expect(searcher.search(ALL, 100).grown).toBe(true);
  expect(searcher.search(ALL, 100)).toMatchObject({ counts: { executions: 4 }, left: { states: [] } });
});
