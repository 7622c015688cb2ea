/**
 * Workers for tests that run in Node and in the browser.
 */

/** A worker that does one job after the other. */
export interface TestWorker {
  /** Posts a job and waits for its result. */
  run<Result>(job: object): Promise<Result>;
  stop(): void;
}

/** Starts a worker with the jobs of race.worker.mjs. */
export async function startWorker(): Promise<TestWorker> {
  const url = new URL('./race.worker.mjs', import.meta.url);
  if (typeof window !== 'undefined') {
    const worker = new Worker(url, { type: 'module' });
    return {
      run: (job) =>
        new Promise((resolve, reject) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = ({ message }) => reject(new Error(message));
          worker.postMessage(job);
        }),
      stop: () => worker.terminate(),
    };
  }
  const { Worker: NodeWorker } = await import('node:worker_threads');
  const worker = new NodeWorker(url);
  return {
    run: (job) =>
      new Promise((resolve, reject) => {
        worker.removeAllListeners('error').once('error', reject);
        worker.once('message', resolve);
        worker.postMessage(job);
      }),
    stop: () => void worker.terminate(),
  };
}
