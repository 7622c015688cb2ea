/**
 * Measures several things that shall be compared: turn by turn, so that whatever else the machine does hits them all.
 */
import { Bench } from 'tinybench';

/** One of the things that are compared. */
export interface Side {
  readonly name: string;
  /** One repetition. Answers with milliseconds an operation: a repetition is many operations, and times itself. */
  readonly repeat: () => number | Promise<number>;
}

/** Milliseconds an operation, over all repetitions. */
export interface Times {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly repetitions: number;
}

const WARM_UPS = 2;

/**
 * Measures all sides: first repetition of each, second of each, and so on, after some that do not count.
 *
 * @returns times by name
 * @throws what a side throws
 */
export async function measureInTurn(sides: readonly Side[], repetitions: number): Promise<Map<string, Times>> {
  const turns = new Turns(sides.length);
  const failures: unknown[] = [];
  const bench = new Bench({
    concurrency: 'bench',
    time: 0,
    iterations: repetitions,
    warmupTime: 0,
    warmupIterations: WARM_UPS,
    throws: true,
  });
  for (const [seat, { name, repeat }] of sides.entries()) {
    const turn = async () => {
      await turns.mine(seat);
      try {
        /* After a failure the others still take their turns, or they would wait for ever. */
        const overriddenDuration = failures.length ? 0 : await repeat();
        return { overriddenDuration };
      } catch (failure) {
        failures.push(failure);
        return { overriddenDuration: 0 };
      } finally {
        turns.pass();
      }
    };
    bench.add(name, turn, { async: true });
  }
  await bench.run();
  if (failures.length) throw failures[0];
  return new Map(
    bench.tasks.map(({ name, result }) => {
      if (result.state !== 'completed') throw new Error(`${name}: ${result.state}`);
      const { p50: median, min, max, samplesCount } = result.latency;
      return [name, { median, min, max, repetitions: samplesCount }];
    }),
  );
}

/** Seats around a table: each waits until its turn has come. */
class Turns {
  readonly #seats: number;
  #turn = 0;
  readonly #waiting = new Map<number, () => void>();

  constructor(seats: number) {
    this.#seats = seats;
  }

  async mine(seat: number): Promise<void> {
    if (this.#turn !== seat) await new Promise<void>((resolve) => this.#waiting.set(seat, resolve));
  }

  pass(): void {
    this.#turn = (this.#turn + 1) % this.#seats;
    const next = this.#waiting.get(this.#turn);
    this.#waiting.delete(this.#turn);
    next?.();
  }
}
