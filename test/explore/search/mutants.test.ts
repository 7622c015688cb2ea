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
  plant('../../../src/explore/search/wakeup-tree.ts', () => ({ mayBegin: () => false }));
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
