/**
 * The example's network and clock: what is sent when.
 */
import { Machine, type Path, type Syscalls } from 'hugewalk/linux';
import { expect, test } from 'vitest';
import { Clock, waitFor } from '../../examples/post-copy/clock.ts';
import { Network } from '../../examples/post-copy/network.ts';
import { Random } from '../../examples/support/random.ts';

/** A unit of 1,250 bytes takes 1 µs at 10 Gbit/s. */
const BYTES = 1250;
const link = { latency: 10, bandwidth: 10 };

/** Runs paths with a clock, each on a thread of its own. */
function simulate(clock: Clock, ...paths: Path<void>[]): void {
  const process = new Machine().createProcess();
  const thread = (): Syscalls['task'] => process.thread().task;
  clock.interleave(
    paths.map((path) => ({ task: thread(), path })),
    thread(),
    new Random(1),
  );
}

/** What arrives, and when, if units are asked for at certain times. */
function arrivals(units: number, requests: readonly { readonly at: number; readonly unit: number }[]): number[][] {
  const clock = new Clock();
  const network = new Network(clock, link, units, () => BYTES);
  const arrived: number[][] = [];
  function* receive(): Path<void> {
    for (let left = units; left > 0; left--) arrived.push([yield* network.receive(), clock.now]);
  }
  function* ask(): Path<void> {
    for (const { at, unit } of requests) {
      yield* clock.until(at);
      network.request(unit);
    }
  }
  simulate(clock, network.send(), receive(), ask());
  return arrived;
}

test('nobody asks: one unit after the other, and the latency once', () => {
  expect(arrivals(3, [])).toEqual([
    [0, 11],
    [1, 12],
    [2, 13],
  ]);
});

test('what was asked for goes first when the request has arrived, and does not interrupt what is on the link', () => {
  /* Asked for at 0.5, known at 10.5, sent from 11 to 12, here at 22. */
  const all = arrivals(30, [{ at: 0.5, unit: 29 }]);
  expect(all[11]).toEqual([29, 22]);
  expect(all[12]).toEqual([11, 23]);
});

test('requests are met in their order, and each unit is sent once', () => {
  const all = arrivals(30, [
    { at: 0, unit: 25 },
    { at: 0, unit: 20 },
    { at: 0, unit: 25 },
    { at: 0, unit: 3 },
  ]);
  expect(all.slice(9, 13).map(([unit]) => unit)).toEqual([9, 25, 20, 10]);
  expect(all.map(([unit]) => unit).sort((a, b) => a! - b!)).toEqual(Array.from({ length: 30 }, (_, unit) => unit));
});

test('time goes from one moment that somebody waits for to the next, and never back', () => {
  const clock = new Clock();
  const seen: number[] = [];
  function* sleeper(moments: readonly number[]): Path<void> {
    for (const moment of moments) {
      yield* clock.until(moment);
      seen.push(clock.now);
    }
  }
  simulate(clock, sleeper([5, 3, 8]), sleeper([1, 7]), sleeper([4]));
  expect(seen).toEqual([1, 4, 5, 5, 7, 8]);
});

test('who waits for what never comes is named', () => {
  const forever = waitFor('a letter', () => false);
  expect(() => simulate(new Clock(), forever)).toThrow(/goes round for ever: .* waits for a letter/);
});
