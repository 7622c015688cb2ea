/**
 * Simulated time. It stands still as long as anybody can do something, and then goes on to the next moment at which somebody
 * wanted to be called. So what the kernel and the programs do takes no time at all; waiting for the network does.
 */
import { interleave, type Path, type Work } from 'hugewalk/linux';
import type { Random } from '../support/random.ts';

/** A clock, in microseconds from 0 on. */
export class Clock {
  #now = 0;
  /** Moments that somebody waits for, the next one last. */
  readonly #alarms: number[] = [];

  /** Microseconds. */
  get now(): number {
    return this.#now;
  }

  /** Waits for a moment. */
  *until(moment: number): Path<void> {
    if (moment <= this.#now) return;
    let place = this.#alarms.length;
    while (place > 0 && this.#alarms[place - 1]! < moment) place--;
    this.#alarms.splice(place, 0, moment);
    yield* waitFor(`the time ${moment.toFixed(1)}`, () => this.#now >= moment);
  }

  /** Goes on when nobody else can; ends when `over` says that nobody is left. */
  *#run(over: () => boolean): Path<void> {
    while (!over()) {
      this.#now = this.#alarms.pop() ?? this.#now;
      if (!over()) yield { on: { isFreeFor: () => true, describe: () => 'nothing' }, mode: 'wait' };
    }
  }

  /**
   * Runs threads to their ends, with this clock.
   *
   * @param random chooses whose turn it is
   */
  interleave(threads: readonly Work<void>[], clock: Work<void>['task'], random: Random): void {
    let left = threads.length;
    function* counted(path: Path<void>): Path<void> {
      yield* path;
      left--;
    }
    const works = threads.map(({ task, path }) => ({ task, path: counted(path) }));
    const time = { task: clock, path: this.#run(() => left === 0) };
    /* The clock can always go on, and stands last: it is chosen when there is nobody else. */
    interleave([...works, time], (ready) => (ready === 1 ? 0 : random.below(ready - 1)));
  }
}

/** Waits until something holds. @param what in words, for the message of a deadlock */
export function* waitFor(what: string, holds: () => boolean): Path<void> {
  while (!holds()) yield { on: { isFreeFor: holds, describe: () => what }, mode: 'wait' };
}
