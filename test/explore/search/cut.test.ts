import { describe, expect, test } from 'vitest';
import { type Root, rootsOf } from '../../../src/explore/search/cut.ts';
import { Driver } from '../../../src/explore/search/driver.ts';
import { OptimalSearch } from '../../../src/explore/search/optimal.ts';
import { Random } from '../../support/random.ts';
import { Cells, type Task } from './cells.ts';
import { finish } from './every.ts';
import { randomProgram } from './random-programs.ts';

interface Searched {
  readonly states: Set<string>;
  executions: number;
  asleep: number;
  readonly roots: readonly Root[];
}

/** Searches below each root, one after the other; each piece learns for itself, as on a machine of its own. */
function inPieces(bodies: readonly Task[], least: number): Searched {
  const program = new Cells(bodies);
  const driver = new Driver(program);
  for (;;) {
    const searched: Searched = { states: new Set(), executions: 0, asleep: 0, roots: rootsOf(driver, least) };
    const isDone = searched.roots.every((root) => {
      driver.recorder.forget();
      const search = new OptimalSearch(driver, root);
      const { states, executions, asleep } = finish(search, program);
      for (const state of states) searched.states.add(state);
      searched.executions += executions;
      searched.asleep += asleep;
      return !search.isOutgrown;
    });
    if (isDone) return searched;
  }
}

const programs = (tasks: number, waits: boolean) =>
  Array.from({ length: tasks === 2 ? 150 : 60 }, (_, index) => {
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

  test.each([2, 8, 40])('at least %i pieces come to the same final states, and run no order twice', (least) => {
    const sums = { whole: 0, pieces: 0, asleep: 0 };
    for (const { bodies, text, whole } of small) {
      const pieces = inPieces(bodies, least);
      expect(pieces.states, text).toEqual(whole.states);
      sums.whole += whole.executions;
      sums.pieces += pieces.executions;
      sums.asleep += pieces.asleep;
    }
    expect(sums.whole).toBeGreaterThan(100);
    expect(sums.pieces).toBeLessThanOrEqual(1.02 * sums.whole);
    expect(sums.asleep).toBeLessThanOrEqual(0.4 * sums.whole);
  });
});

describe('roots', () => {
  const writers = (n: number): Task[] =>
    new Array<Task>(n).fill(function* (cells, task) {
      yield* cells.write('x', task);
      yield* cells.write('y', task);
    });

  test('there are as many as were asked for, and none is below another', () => {
    const { roots } = inPieces(writers(3), 10);
    expect(roots.length).toBeGreaterThanOrEqual(10);
    const paths = roots.map(({ path }) => `${path.join(' ')} `);
    expect(new Set(paths).size).toBe(paths.length);
    for (const path of paths) expect(paths.filter((other) => other.startsWith(path))).toEqual([path]);
  });

  test('a space that has no more is cut into single executions', () => {
    const { roots, executions } = inPieces(writers(2), 1000);
    expect(executions).toBe(4);
    expect(roots.length).toBe(4);
  });

  test('they are the same whatever was learned before, if the busy places are', () => {
    const program = new Cells(writers(3));
    const [one, other] = [new Driver(new Cells(writers(3))), new Driver(program)];
    const roots = rootsOf(one, 10);
    finish(new OptimalSearch(other), program);
    expect(rootsOf(other, 10)).toEqual(roots);
    expect(other.recorder.busyPlaces).toBe(one.recorder.busyPlaces);
  });

  test('a piece that learns of a busy place is given up, and says so', () => {
    const program = new Cells(writers(2));
    const driver = new Driver(program);
    const none = [undefined, undefined];
    const search = new OptimalSearch(driver, { path: [0], sleep: none });
    expect(finish(search, program).executions).toBe(1);
    expect(search.isOutgrown).toBe(true);
    driver.recorder.forget();
    const again = new OptimalSearch(driver, { path: [0], sleep: none });
    finish(again, program);
    expect(again.isOutgrown).toBe(false);
  });
});
