/**
 * Batches over one shared memory, each worker's its own: `one` worker, and `two` at the same time. A figure counts the
 * walks of all of them. `two-apart`: each over a memory of its own, so that they share nothing but the machine, whose
 * processors may be two threads of one core, or wanted by others.
 */
import { Worker } from 'node:worker_threads';
import { FlatMemory, Mmu } from '../../src/index.ts';
import { type Benchmark, type Effort, type Measured, type Plan, sizeName } from '../benchmark.ts';
import { flatMemoryOf, type Image, type Shape } from '../images.ts';
import { addressCount, addressesOf, type Pattern } from '../patterns.ts';
import type { Side } from '../rounds.ts';
import { BatchSide } from './walk.ts';

import type { Repetition, WorkerJob, WorkerStart } from './walker.worker.ts';

const WORKERS = 2;
/** Room for a worker's table cache, of which a batch takes a quarter at most, next to that for its addresses. */
const CACHE_ROOM = 2 ** 25;
/** So many times as long as elsewhere: the system takes some milliseconds to give each worker a processor of its own. */
const LONGER = 16;
/** The worker as the compiler leaves it beside this file. */
const SCRIPT = new URL('./walker.worker.js', import.meta.url);

export function workersRow(shape: Shape, tableBytes: number, pattern: Pattern): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const together = await Walkers.start(image, pattern, bench.effort);
    try {
      const apart = await Walkers.start(image, pattern, bench.effort, { apart: true });
      try {
        const sides = [together.side('one', 1), together.side('two', WORKERS), apart.side('two-apart', WORKERS)];
        return { image, figures: await bench.compare(sides) };
      } finally {
        await apart.stop();
      }
    } finally {
      await together.stop();
    }
  };
  return { name: `workers/${shape}/${sizeName(tableBytes)}/${pattern}`, measure };
}

/** Workers with a batch each, ready to run it. */
export class Walkers {
  readonly #workers: readonly Worker[];
  readonly #walks: number;
  readonly #gate: Int32Array;

  private constructor(workers: readonly Worker[], walks: number, gate: Int32Array) {
    this.#workers = workers;
    this.#walks = walks;
    this.#gate = gate;
  }

  /**
   * Over one memory, or `apart`: each over its own. `script`: where the compiled worker is.
   *
   * @throws Error when a worker cannot be started, or finds other outcomes than this thread
   */
  static async start(
    image: Image,
    pattern: Pattern,
    effort: Effort,
    { apart = false, script = SCRIPT }: { apart?: boolean; script?: URL } = {},
  ): Promise<Walkers> {
    const shared = sharedMemoryOf(image);
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const count = addressCount(image);
    const bytes = count * 16 + CACHE_ROOM;
    const plain = new Mmu(flatMemoryOf(image), image.registers);
    const passes = Math.ceil((effort.walks * LONGER) / count);
    const workers: Worker[] = [];
    const ready: Promise<unknown>[] = [];
    for (let i = 0; i < WORKERS; i++) {
      const addresses = addressesOf(image, pattern, count, 2 + i);
      const memory = apart ? sharedMemoryOf(image) : shared;
      const { checksum } = new BatchSide('batch', plain, addresses, effort);
      const job: WorkerJob = {
        memory: { memory: memory.wasm, base: memory.base, bytes: memory.bytes },
        scratch: { at: memory.arena.allocate(bytes), bytes },
        registers: image.registers,
        addresses,
        passes,
        checksum,
        gate,
      };
      const worker = new Worker(script, { workerData: job });
      workers.push(worker);
      ready.push(nextMessage(worker));
    }
    try {
      await Promise.all(ready);
    } catch (failure) {
      await Promise.all(workers.map((worker) => worker.terminate()));
      throw failure;
    }
    return new Walkers(workers, passes * count, gate);
  }

  /** So many of the workers at the same time, with their batches. */
  side(name: string, workers: number): Side {
    return { name, repeat: () => this.#repeat(this.#workers.slice(0, workers)) };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  /** From the first one's start to the last one's end. */
  async #repeat(workers: readonly Worker[]): Promise<number> {
    Atomics.store(this.#gate, 0, 0);
    const start: WorkerStart = { workers: workers.length };
    const repetitions = await Promise.all(
      workers.map((worker) => {
        const answer = nextMessage(worker);
        worker.postMessage(start);
        return answer as Promise<Repetition>;
      }),
    );
    const starts = repetitions.map(({ from }) => from).sort((a, b) => (a < b ? -1 : 1));
    const ends = repetitions.map(({ to }) => to).sort((a, b) => (a < b ? -1 : 1));
    return Number(ends.at(-1)! - starts[0]!) / 1e6 / (this.#walks * workers.length);
  }
}

function sharedMemoryOf(image: Image): FlatMemory {
  const memory = new FlatMemory({ bytes: image.bytes.length, shared: true });
  memory.view().set(image.bytes);
  return memory;
}

/** @throws what ends the worker */
function nextMessage(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const forget = (): void => {
      worker.off('message', answered);
      worker.off('error', failed);
    };
    const answered = (message: unknown): void => {
      forget();
      resolve(message);
    };
    const failed = (failure: Error): void => {
      forget();
      reject(failure);
    };
    worker.on('message', answered);
    worker.on('error', failed);
  });
}
