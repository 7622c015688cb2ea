/**
 * A worker of the rows `workers`: holds a batch over a shared memory, and runs it whenever it is asked, at the same moment
 * as the others that are asked.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { FlatMemory, type LinearRange, Mmu, type Registers } from '../../src/index.ts';
import { BENCH_ACCESS } from '../images.ts';
import { checksumOf } from '../job.ts';

/** What a worker is given once. */
export interface WorkerJob {
  /** The shared memory, and the physical memory in it. */
  readonly memory: { readonly memory: WebAssembly.Memory; readonly base: number; readonly bytes: number };
  /** The worker's own part of it. */
  readonly scratch: LinearRange;
  readonly registers: Pick<Registers, 'cr3' | 'cr4'>;
  readonly addresses: BigUint64Array;
  /** How often it runs the batch in a repetition. */
  readonly passes: number;
  /** Of the outcomes that it has to find. */
  readonly checksum: number;
  /** One number, shared: how many workers stand ready. */
  readonly gate: Int32Array;
}

/** What asks for a repetition. */
export interface WorkerStart {
  /** How many workers take part. */
  readonly workers: number;
}

/** When a repetition began and ended, in nanoseconds of the clock that all threads of a process share. */
export interface Repetition {
  readonly from: bigint;
  readonly to: bigint;
}

const job: WorkerJob = workerData;
const { addresses, passes, gate } = job;
const mmu = new Mmu(new FlatMemory({ ...job.memory, scratch: job.scratch }), job.registers);
const batch = mmu.batch(addresses.length);
batch.addresses.set(addresses);
run();
const found = checksumOf(batch.outcomes.slice());
if (found !== job.checksum) throw new Error(`expected outcomes with checksum ${job.checksum}, got a worker's ${found}`);

parentPort!.on('message', ({ workers }: WorkerStart) => {
  run();
  Atomics.add(gate, 0, 1);
  /* It spins rather than sleeps: waking up takes longer than the others may wait. */
  while (Atomics.load(gate, 0) < workers);
  const from = process.hrtime.bigint();
  for (let i = 0; i < passes; i++) run();
  const repetition: Repetition = { from, to: process.hrtime.bigint() };
  parentPort!.postMessage(repetition);
});
parentPort!.postMessage('ready');

function run(): void {
  batch.run(addresses.length, BENCH_ACCESS);
}
