/**
 * Pieces of a scene in threads. Node's own, without a pool's package: a thread keeps a machine and its pieces from one piece to the next, and is told
 * nothing but their numbers; and the package depends on no other, whose worker files could not be bundled.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Round } from '../explore/round.ts';
import type { PiecesOf, Watching } from './explore-search.ts';
import type { FromWorker } from './explore-worker.ts';

/** Milliseconds between two looks at the clock. */
const PACE = 50;

/** Searches the pieces of a round in threads, until it is over or time is up. */
export async function searchInThreads(
  pieces: PiecesOf,
  round: Round,
  workers: number,
  { isTimeUp, report }: Watching,
): Promise<void> {
  const threads: Thread[] = [];
  let underWay = 0;
  try {
    for (let worker = 0; worker < workers && !round.isOver; worker++) threads.push(new Thread(pieces, round));
    while (!round.isOver && !isTimeUp()) {
      for (const { failure } of threads) if (failure) throw failure.error;
      underWay = threads.reduce((sum, thread) => sum + thread.executions, 0);
      report(underWay);
      await Promise.race([delay(PACE), ...threads.map(({ news }) => news)]);
    }
    report(underWay);
  } finally {
    await Promise.all(threads.map((thread) => thread.stop()));
  }
}

/** A thread that takes one piece of a round after the other. */
class Thread {
  readonly #worker: Worker;
  /** Executions of the piece that is being searched. */
  executions = 0;
  failure: { readonly error: unknown } | undefined = undefined;
  /** Resolves with what it does next. */
  news: Promise<void>;
  #tell: () => void = () => undefined;

  constructor(pieces: PiecesOf, round: Round) {
    this.#worker = new Worker(new URL('./explore-worker.js', import.meta.url), { workerData: pieces });
    this.news = this.#next();
    this.#worker.on('error', (error) => {
      this.failure = { error };
      this.#tell();
    });
    this.#worker.on('message', (message: FromWorker) => {
      if ('executions' in message) this.executions = message.executions;
      else {
        this.executions = 0;
        round.take(message.result);
        this.#ask(round);
        this.#tell();
        this.news = this.#next();
      }
    });
    this.#ask(round);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      this.#tell = resolve;
    });
  }

  #ask(round: Round): void {
    const piece = round.next();
    if (piece !== undefined) this.#worker.postMessage(piece);
  }
}
