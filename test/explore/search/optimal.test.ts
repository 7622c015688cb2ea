import { describe, expect, test } from 'vitest';
import { Driver } from '../../../src/explore/search/driver.ts';
import { OptimalSearch } from '../../../src/explore/search/optimal.ts';
import { Cells, type Task } from './cells.ts';
import { every, finish } from './every.ts';

function reduced(program: Cells) {
  return finish(new OptimalSearch(new Driver(program)), program);
}

/** One writer, the others read: n reads, each before or after the write. */
const readers = (n: number): Task[] => [
  (cells) => cells.write('x', 1),
  ...new Array<Task>(n).fill(function* (cells) {
    yield* cells.read('x');
  }),
];

/** Flanagan and Godefroid's indexer, small: tasks enter words into a hash table by compare and swap. */
const indexer = (tasks: number, size: number, words: number): Task[] =>
  new Array<Task>(tasks).fill(function* (cells, task) {
    for (let word = 0; word < words; word++) {
      const w = word * 11 + task + 1;
      let at = (w * 7) % size;
      while ((yield* cells.read(`table${at}`)) !== 0) at = (at + 1) % size;
      yield* cells.write(`table${at}`, w);
    }
  });

/** The source-set paper's last zero: one looks for the last 0 of an array whose parts others increment. */
const lastZero = (n: number): Task[] => [
  function* (cells) {
    let at = n;
    while ((yield* cells.read(`array${at}`)) !== 0) at--;
  },
  ...Array.from(
    { length: n },
    (_, i): Task =>
      function* (cells) {
        const value = yield* cells.read(`array${i}`);
        yield* cells.write(`array${i + 1}`, value + 1);
      },
  ),
];

const philosophers = (n: number): Task[] =>
  Array.from(
    { length: n },
    (_, i): Task =>
      function* (cells) {
        yield* cells.lock(`fork${i}`);
        yield* cells.lock(`fork${(i + 1) % n}`);
        cells.unlock(`fork${(i + 1) % n}`);
        cells.unlock(`fork${i}`);
      },
  );

const counters = (n: number): Task[] =>
  new Array<Task>(n).fill(function* (cells, task) {
    yield* cells.lock('L');
    cells.touch('x', task + 1);
    cells.unlock('L');
  });

describe('classic puzzles: one execution a trace', () => {
  test.each([
    { name: 'readers(3)', tasks: readers(3), traces: 8 },
    { name: 'readers(8)', tasks: readers(8), traces: 256 },
    { name: 'lastzero(5)', tasks: lastZero(5), traces: 64 },
    { name: 'lastzero(7)', tasks: lastZero(7), traces: 320 },
    { name: 'counters under a lock (4)', tasks: counters(4), traces: 24 },
  ])('$name has $traces', ({ tasks, traces }) => {
    const { executions, asleep, impossible } = reduced(new Cells(tasks));
    expect({ executions, asleep, impossible }).toEqual({ executions: traces, asleep: 0, impossible: 0 });
  });

  test.each([
    { name: 'indexer', tasks: indexer(2, 4, 2) },
    { name: 'philosophers(3)', tasks: philosophers(3) },
    { name: 'lastzero(3)', tasks: lastZero(3) },
  ])('$name: as many as all interleavings have', ({ tasks }) => {
    const program = new Cells(tasks);
    const all = every(program, () => program.state)!;
    const { executions, asleep, states } = reduced(new Cells(tasks));
    expect(states).toEqual(all.states);
    expect(executions + asleep).toBe(all.traces);
  });
});
