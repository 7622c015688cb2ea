/**
 * Threads that search pieces of a scene. Node's own, without a pool's package: a thread keeps its machine from one piece to the next, and is told
 * nothing but the pieces; and the package depends on no other, whose worker files could not be bundled.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Job, Parts } from '../explore/parts.ts';
import type { CutPass, PieceResult } from '../explore/pieces.ts';
import type { PartsWatching, SceneSource } from './explore-search.ts';
import type { FromWorker, ToWorker } from './explore-worker.ts';

/** Milliseconds between two looks at the clock. */
const PACE = 50;

/** Pieces that a thread has been given and not told of yet: it need not wait for the next. */
const AHEAD = 2;

/** As many threads as were asked for. */
export class Threads {
  readonly #source: SceneSource;
  readonly #workers: number;
  readonly #threads: Thread[] = [];
  /** Which pass, in which round, the threads are told of: results of others are of no use. */
  #round = 0;

  constructor(source: SceneSource, workers: number) {
    this.#source = source;
    this.#workers = workers;
  }

  /** Searches the parts of a pass, until they are over or time is up. */
  async search(parts: Parts, pass: CutPass, { isTimeUp, report }: PartsWatching): Promise<void> {
    this.#round++;
    while (this.#threads.length < this.#workers && !parts.isOver) this.#threads.push(new Thread(this.#source));
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    const hand = (): void => {
      for (let nth = 1; nth <= AHEAD; nth++) {
        for (const thread of this.#threads) if (thread.waiting < nth) thread.ask(parts);
      }
      if (parts.isOver) end();
    };
    for (const thread of this.#threads) thread.begin(this.#round, pass, parts, hand);
    hand();
    while (!parts.isOver && !isTimeUp()) {
      for (const { failure } of this.#threads) if (failure) throw failure.error;
      report(this.#underWay);
      await Promise.race([delay(PACE), over, ...this.#threads.map(({ fails }) => fails)]);
    }
    report(this.#underWay);
  }

  get #underWay(): number {
    return this.#threads.reduce((sum, { executions }) => sum + executions, 0);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }
}

/** A thread that takes one piece after the other. */
class Thread {
  readonly #worker: Worker;
  #round = 0;
  #jobs: Job[] = [];
  #taken: (job: Job, result: PieceResult) => void = () => undefined;
  /** Executions of the piece that is being searched. */
  executions = 0;
  failure: { readonly error: unknown } | undefined = undefined;
  /** Resolves when it fails. */
  readonly fails: Promise<void>;

  constructor(source: SceneSource) {
    this.#worker = new Worker(new URL('./explore-worker.js', import.meta.url), { workerData: source });
    this.fails = new Promise((resolve) => {
      this.#worker.on('error', (error) => {
        this.failure = { error };
        resolve();
      });
    });
    this.#worker.on('message', (message: FromWorker) => {
      if (message.round !== this.#round) return;
      this.executions = 'result' in message ? 0 : message.executions;
      if ('result' in message) this.#taken(this.#jobs.shift()!, message.result);
    });
  }

  /** A round begins. @param taken called after each piece */
  begin(round: number, pass: CutPass, parts: Parts, taken: () => void): void {
    this.#round = round;
    this.#jobs = [];
    this.executions = 0;
    this.#taken = (job, result) => {
      parts.take(job, result);
      taken();
    };
    this.#tell({ round, pass });
  }

  /** How many pieces it has. */
  get waiting(): number {
    return this.#jobs.length;
  }

  /** Gives it another piece, if there is one. */
  ask(parts: Parts): void {
    const job = parts.next();
    if (!job) return;
    this.#jobs.push(job);
    this.#tell({ round: this.#round, job });
  }

  #tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
