/**
 * Faults of the search itself are noticed: by a final state that is not reached, or by executions that are run twice.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { Random } from '../../support/random.ts';
import { Cells } from './cells.ts';
import { every, finish } from './every.ts';
import { randomProgram } from './random-programs.ts';

const PROGRAMS = Array.from({ length: 60 }, (_, index) => {
  const random = new Random((index + 1) * 31);
  return randomProgram((n) => random.below(n), { tasks: 2, operations: 3, waits: true }).bodies;
});

/** What a search, of modules that are loaded anew, comes to, against every interleaving. */
async function compared(): Promise<{ lost: number; extra: number }> {
  const { OptimalSearch } = await import('../../../src/explore/search/optimal.ts');
  const { Driver } = await import('../../../src/explore/search/driver.ts');
  let lost = 0;
  let extra = 0;
  for (const bodies of PROGRAMS) {
    const program = new Cells(bodies);
    const whole = every(program, () => program.state, 500);
    if (!whole) continue;
    const again = new Cells(bodies);
    const found = finish(new OptimalSearch(new Driver(again)), again, 5 * whole.executions + 100);
    lost += [...whole.states].filter((state) => !found.states.has(state)).length;
    extra += Math.max(0, found.executions + found.asleep - found.impossible - whole.traces);
  }
  return { lost, extra };
}

afterEach(() => {
  vi.doUnmock('../../../src/explore/search/wakeup-tree.ts');
  vi.doUnmock('../../../src/explore/search/race.ts');
  vi.resetModules();
});

/** Loads the search with another function in the place of one of its own. */
function plant(module: string, change: (real: Record<string, never>) => object): void {
  vi.resetModules();
  vi.doMock(module, async (original) => {
    const real = await original<Record<string, never>>();
    return { ...real, ...change(real) };
  });
}

test('as it is, nothing is lost, and nothing is run twice', async () => {
  expect(await compared()).toEqual({ lost: 0, extra: 0 });
});

test('sleep sets that are not asked: orders are run twice', async () => {
  plant('../../../src/explore/search/wakeup-tree.ts', () => ({ isCovered: () => false }));
  expect((await compared()).extra).toBeGreaterThan(0);
});

test('a wakeup tree that takes every order for one that it has: final states are lost', async () => {
  plant('../../../src/explore/search/wakeup-tree.ts', () => ({ insert: () => undefined }));
  expect((await compared()).lost).toBeGreaterThan(0);
});

test('races for locks that are not looked for: final states are lost', async () => {
  plant('../../../src/explore/search/race.ts', ({ reversalsOf }) => ({
    reversalsOf: (execution: never, step: object) =>
      (reversalsOf as unknown as (...args: unknown[]) => unknown)(execution, { ...step, takers: [] }),
  }));
  expect((await compared()).lost).toBeGreaterThan(0);
});

test('a dependency that is not reported: final states are lost', async () => {
  class Silent extends Cells {
    override write(name: string, value: number): ReturnType<Cells['write']> {
      return this.writeUnseen(name, value);
    }
  }
  const { OptimalSearch } = await import('../../../src/explore/search/optimal.ts');
  const { Driver } = await import('../../../src/explore/search/driver.ts');
  let lost = 0;
  for (const bodies of PROGRAMS) {
    const program = new Cells(bodies);
    const whole = every(program, () => program.state, 500);
    if (!whole) continue;
    const silent = new Silent(bodies);
    const found = finish(new OptimalSearch(new Driver(silent)), silent, 5 * whole.executions + 100);
    lost += [...whole.states].filter((state) => !found.states.has(state)).length;
  }
  expect(lost).toBeGreaterThan(0);
});

/** States that a search in pieces of one execution does not come to, over programs of three tasks. */
async function lostInPieces(): Promise<number> {
  const { OptimalSearch } = await import('../../../src/explore/search/optimal.ts');
  const { Driver } = await import('../../../src/explore/search/driver.ts');
  const { inPieces, Searcher } = await import('./in-pieces.ts');
  let lost = 0;
  for (let index = 1; index <= 20; index++) {
    const random = new Random(index * 104_729 + 3);
    const { bodies } = randomProgram((n) => random.below(n), { tasks: 3, operations: 3, waits: false });
    const program = new Cells(bodies);
    const { states } = finish(new OptimalSearch(new Driver(program)), program, 300);
    const pieces = inPieces(new Searcher(bodies), undefined, 1);
    if (pieces.executions <= 300) lost += [...states].filter((state) => !pieces.states.has(state)).length;
  }
  return lost;
}

test('in pieces, as it is, nothing is lost', async () => {
  expect(await lostInPieces()).toBe(0);
});

test('in pieces, sleepers that are searched elsewhere taken for those that were: final states are lost', async () => {
  plant('../../../src/explore/search/wakeup-tree.ts', ({ isCovered }) => ({
    isCovered: (sequence: never, sleep: never) =>
      (isCovered as unknown as (...args: unknown[]) => boolean)(sequence, sleep, 0),
  }));
  expect(await lostInPieces()).toBeGreaterThan(0);
});

test('in pieces, races that ask for orders above a piece and are not handed on: final states are lost', async () => {
  plant('../../../src/explore/search/wakeup-tree.ts', ({ sequencesOf }) => ({
    sequencesOf: (tree: readonly never[]) =>
      (sequencesOf as unknown as (tree: readonly never[]) => unknown)(tree.slice(0, 1)),
  }));
  expect(await lostInPieces()).toBeGreaterThan(0);
});
