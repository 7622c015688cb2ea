/**
 * Which places the recorder finds busy, and how consecutive places are passed at once.
 */
import { expect, test } from 'vitest';
import { Access } from '../../../src/explore/search/access.ts';
import { Recorder } from '../../../src/explore/search/recorder.ts';

/** Objects of a recorder for two tasks: those of ten neighbouring entries, a lock, and a count. */
function recorded() {
  const recorder = new Recorder(2);
  const entries = recorder.newObjects(10);
  const [lock, count] = [recorder.newObject(), recorder.newObject()];
  const busy = (): number[] =>
    Array.from({ length: 10 }, (_, entry) => entry).filter((entry) => recorder.isBusy(entries + entry));
  /** A task's step, from the place where it begins to its end. */
  const step = (task: number, run: () => void): void => {
    recorder.begin(task, 0);
    run();
    recorder.end();
  };
  /** A step that comes to an entry, and touches something there. */
  const at = (entry: number, object: number, kind: Access) => () => {
    recorder.place(entries + entry);
    recorder.access(object, kind);
  };
  /** A step that passes entries at once. */
  const pass = (first: number, many: number, kind: Access, then: () => void = () => undefined) => {
    return () => {
      recorder.passAll(entries + first, many);
      recorder.accessEach(kind);
      then();
      recorder.passedAll();
    };
  };
  return { recorder, entries, lock, count, busy, step, at, pass };
}

test('places at which several tasks only read are not busy; the one where another reads what was written is', () => {
  const { count, busy, step, at } = recorded();
  step(0, at(1, count, Access.read));
  step(1, at(2, count, Access.read));
  expect(busy()).toEqual([]);
  step(1, at(3, count, Access.write));
  expect(busy()).toEqual([1, 3]);
});

test('a place is busy if an access there meets one that another task has made before', () => {
  const { count, busy, step, at } = recorded();
  step(0, at(1, count, Access.write));
  step(1, at(2, count, Access.read));
  step(1, at(3, count, Access.read));
  expect(busy()).toEqual([1, 2, 3]);
});

test('of entries that a task passes at once, only those become busy that another touches', () => {
  const { recorder, entries, busy, step, at, pass } = recorded();
  step(0, pass(0, 9, Access.write));
  expect(recorder.busyPlaces).toBe(0);
  step(1, at(9, entries + 4, Access.read));
  expect(busy()).toEqual([4, 9]);
});

test('the same the other way round: they become busy as they are passed', () => {
  const { entries, busy, step, at, pass } = recorded();
  step(1, at(9, entries + 4, Access.write));
  step(0, pass(0, 9, Access.read));
  expect(busy()).toEqual([4, 9]);
});

test('what is touched while entries are passed is touched at each of them', () => {
  const { recorder, count, busy, step, at, pass } = recorded();
  step(
    0,
    pass(2, 3, Access.read, () => recorder.access(count, Access.write)),
  );
  step(1, at(9, count, Access.read));
  expect(busy()).toEqual([2, 3, 4, 9]);
});

test('what is touched behind them, at the last one', () => {
  const { recorder, count, busy, step, at, pass } = recorded();
  step(0, () => {
    pass(2, 3, Access.read)();
    recorder.access(count, Access.write);
  });
  step(1, at(9, count, Access.read));
  expect(busy()).toEqual([4, 9]);
});

test('entries are passed as far as none is busy, and never as far as where a step is to end', () => {
  const { recorder, entries, step } = recorded();
  recorder.expectBusy(entries + 6);
  step(0, () => {
    expect(recorder.quiet(entries, 10)).toBe(6);
    expect(recorder.quiet(entries + 6, 4)).toBe(0);
    expect(recorder.quiet(entries + 7, 3)).toBe(3);
  });
  recorder.begin(0, 0, 4);
  expect(recorder.quiet(entries, 10)).toBe(3);
  recorder.passAll(entries, 3);
  recorder.passedAll();
  expect(recorder.quiet(entries + 3, 10)).toBe(0);
  expect(recorder.place(entries + 3)).toBe(true);
});

test('passed places count like others', () => {
  const { recorder, step, pass } = recorded();
  step(0, pass(0, 10, Access.read));
  /* And the end of the step. */
  expect(recorder.places).toBe(11);
});

test('what was forgotten meets nobody; what is busy stays so', () => {
  const { recorder, entries, count, busy, step, at, pass } = recorded();
  step(0, at(1, count, Access.write));
  step(1, at(2, count, Access.write));
  step(0, pass(3, 5, Access.write));
  recorder.forget();
  expect(recorder.isContended(count)).toBe(false);
  step(1, at(5, entries + 5, Access.write));
  step(1, at(8, count, Access.write));
  expect(busy()).toEqual([1, 2]);
});

test('who says where steps end has nothing recorded', () => {
  const recorder = new Recorder(2, (place) => place === 1);
  const [one, other] = [recorder.newObject(), recorder.newObject()];
  for (const task of [0, 1]) {
    recorder.begin(task, 0);
    expect(recorder.place(other)).toBe(false);
    recorder.access(other, Access.write);
    expect(recorder.place(one)).toBe(true);
    recorder.end();
    expect(recorder.accesses).toEqual([]);
  }
  expect(recorder.busyPlaces).toBe(0);
});
