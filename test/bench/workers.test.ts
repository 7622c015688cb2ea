/**
 * Workers that walk at the same time, and one that finds something else.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildImage } from '../../bench/images.ts';
import type { WorkerJob } from '../../bench/rows/walker.worker.ts';
import { Walkers } from '../../bench/rows/workers.ts';
import { FlatMemory, Mmu } from '../../src/index.ts';

const EFFORT = { repetitions: 2, walks: 2 ** 16 };

let folder: string;
let script: URL;

/* The compiler leaves the worker beside the row; here it is bundled. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hugewalk-workers-'));
  const outfile = join(folder, 'walker.worker.mjs');
  const source = fileURLToPath(new URL('../../bench/rows/walker.worker.ts', import.meta.url));
  await build({ entryPoints: [source], outfile, bundle: true, platform: 'node', format: 'esm' });
  script = pathToFileURL(outfile);
});

afterAll(() => rmSync(folder, { recursive: true }));

test.each([false, true])('one and two of them tell how long a walk takes (apart: %s)', async (apart) => {
  const image = buildImage({ shape: 'mixed', tableBytes: 2 ** 15 });
  const walkers = await Walkers.start(image, 'random', EFFORT, { apart, script });
  try {
    for (const side of [walkers.side('one', 1), walkers.side('two', 2)]) {
      const milliseconds = await side.repeat();
      expect(milliseconds).toBeGreaterThan(0);
      expect(milliseconds).toBeLessThan(0.1);
    }
  } finally {
    await walkers.stop();
  }
});

test('a worker that finds other outcomes than it should fails', async () => {
  const memory = new FlatMemory({ bytes: 65536, shared: true });
  const { registers } = new Mmu(memory, { cr3: 0n });
  const job: WorkerJob = {
    memory: { memory: memory.wasm, base: memory.base, bytes: memory.bytes },
    scratch: { at: memory.arena.allocate(65536), bytes: 65536 },
    registers,
    addresses: BigUint64Array.of(0x1000n),
    passes: 1,
    checksum: 1,
    gate: new Int32Array(new SharedArrayBuffer(4)),
  };
  const failure = await new Promise<Error>((resolve) => new Worker(script, { workerData: job }).once('error', resolve));
  expect(failure.message).toMatch(/expected outcomes with checksum 1, got a worker's \d+/);
});

test('a worker that cannot be started is reported', async () => {
  const missing = pathToFileURL(join(folder, 'missing.mjs'));
  const image = buildImage({ shape: '4k', tableBytes: 2 ** 15 });
  await expect(Walkers.start(image, 'random', EFFORT, { script: missing })).rejects.toThrow('missing.mjs');
});
