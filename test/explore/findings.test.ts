/**
 * What a search notices that no scenario of Linux's shows: rules that the kernel's paths keep, broken by paths that were made for it.
 */
import { expect, test } from 'vitest';
import { type Exploration, explore } from '../../src/explore/explore.ts';
import { Lock, LockRank } from '../../src/linux/base/lock.ts';
import { type Path, sleepUntil, type Task } from '../../src/linux/base/task.ts';
import { Machine } from '../../src/linux/machine/machine.ts';

/** What is found where one task does something. */
function found(does: (task: Task) => Path<void>): Exploration['found'] {
  const scene = {
    tasks: 1,
    stand: () => {
      const machine = new Machine({ tables: 2 ** 20 });
      const { task } = machine.createProcess().thread();
      return { machine, tasks: [{ task, path: does(task) }], judge: () => undefined };
    },
    observe: () => [],
  };
  const search = explore(scene);
  for (;;) {
    const { value, done } = search.next();
    if (done) return value.found;
  }
}

test('a sleep under a spin lock; under a mutex it is none', () => {
  const sleepsUnder = (rank: LockRank) =>
    found(function* (task) {
      const lock = new Lock('the lock', rank);
      yield* lock.write(task);
      yield* sleepUntil(task, 'a message', task, () => false);
    });
  expect(sleepsUnder(LockRank.pageTable)?.finding).toMatchObject({
    kind: 'sleep under a spin lock',
    what: expect.stringContaining('holds the lock'),
  });
  expect(sleepsUnder(LockRank.faultMutex)).toBeUndefined();
});

test('a lost wake-up: what the sleeper waits for is there; a sleep for what is not there is none', () => {
  const sleepsFor = (isOver: boolean) =>
    found((task) =>
      sleepUntil(
        task,
        'a message',
        task,
        () => false,
        () => isOver,
      ),
    );
  expect(sleepsFor(true)?.finding).toMatchObject({ kind: 'lost wake-up', what: expect.stringContaining('a message') });
  expect(sleepsFor(false)).toBeUndefined();
});

test('a livelock: a path that comes by its places for ever', () => {
  const round = found(function* (task) {
    const lock = new Lock('the lock', LockRank.faultMutex);
    for (;;) {
      yield* lock.write(task);
      lock.unlock(task);
    }
  });
  expect(round?.finding).toMatchObject({ kind: 'livelock' });
});
