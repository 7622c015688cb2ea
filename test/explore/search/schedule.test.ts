import { expect, test } from 'vitest';
import { Driver } from '../../../src/explore/search/driver.ts';
import { OptimalSearch } from '../../../src/explore/search/optimal.ts';
import { follow, type Run, scheduleOf } from '../../../src/explore/search/schedule.ts';
import { Random } from '../../support/random.ts';
import { Cells, type Task } from './cells.ts';
import { randomProgram } from './random-programs.ts';

const increments = new Array<Task>(2).fill(function* (cells) {
  yield* cells.write('x', (yield* cells.read('x')) + 1);
});
const isLost = (cells: Cells): string | undefined => (cells.value('x') === 1 ? 'an increment is lost' : undefined);

/** Searches until something is found. */
function found(): Run[] {
  const search = new OptimalSearch(new Driver(new Cells(increments, isLost)));
  while (search.next()) if (search.driver.finding) return scheduleOf(search.driver.steps);
  throw new Error('nothing was found');
}

/** What a schedule comes to in a search that has learned nothing. */
function followed(schedule: readonly Run[]) {
  const program = new Cells(increments, isLost);
  const driver = new Driver(program);
  const tasks: number[] = [];
  follow(driver, schedule, ({ task }) => tasks.push(task));
  return { finding: driver.finding, tasks, x: program.value('x') };
}

test('a schedule comes to the same, whatever is known of busy places', () => {
  const schedule = found();
  expect(followed(schedule)).toEqual({
    finding: 'an increment is lost',
    tasks: schedule.map(({ task }) => task),
    x: 1,
  });
});

test('what a schedule leaves over is run behind it, task by task', () => {
  expect(followed([{ task: 1, places: 1 }])).toEqual({ finding: undefined, tasks: [1, 0, 1], x: 2 });
  expect(followed([])).toEqual({ finding: undefined, tasks: [0, 1], x: 2 });
});

test('a schedule in which a task is to run that cannot go on is refused', () => {
  const over = { task: 0, places: 9 };
  expect(() => followed([over, over])).toThrow(/^schedule\[1\]: expected a task that can go on, got 0/);
});

test.each([2, 3])(
  'random programs of %i tasks, which wait and sleep: every execution comes to its state again',
  (tasks) => {
    let followed = 0;
    for (let index = 0; index < 40; index++) {
      const random = new Random((index + 1) * 31_337 + tasks);
      const { bodies, text } = randomProgram((n) => random.below(n), { tasks, operations: 3, waits: true });
      const program = new Cells(bodies);
      const search = new OptimalSearch(new Driver(program));
      for (let run = 0; run < 40; run++) {
        const ended = search.next();
        if (!ended) break;
        if (ended !== 'complete') continue;
        const schedule = scheduleOf(search.driver.steps);
        const again = new Cells(bodies);
        const driver = new Driver(again);
        follow(driver, schedule);
        expect(`${again.state} ${driver.finding}`, `${text} ${JSON.stringify(schedule)}`).toBe(
          `${program.state} ${search.driver.finding}`,
        );
        followed++;
      }
    }
    expect(followed).toBeGreaterThan(100);
  },
);
