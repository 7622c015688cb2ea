/**
 * A search takes no more memory the longer it lasts.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { KernelProgram } from '../../src/explore/kernel/kernel-program.ts';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { Driver } from '../../src/explore/search/driver.ts';
import { OptimalSearch } from '../../src/explore/search/optimal.ts';
import { RandomSearch } from '../../src/explore/search/random.ts';
import type { Search } from '../../src/explore/search/search.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { THOROUGH } from '../support/thorough.ts';
import { Cells } from './search/cells.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** Bytes that are in use once all garbage is gone: of the JS heap, and of arrays beside it. */
function used(): number {
  for (let i = 0; i < 3; i++) collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** By how much memory grows while a search goes on that has run so many executions. */
function growth(search: Search<unknown>, first: number, more: number): number {
  for (let i = 0; i < first; i++) expect(search.next()).toBeDefined();
  const before = used();
  for (let i = 0; i < more; i++) if (search.next() === undefined) throw new Error('the search has ended');
  return used() - before;
}

const KIB = 1024;

for (const [executions, options] of [
  [4_000, {}],
  [40_000, THOROUGH],
] as const) {
  test(`the kernel model, run ${executions} times`, options, () => {
    const file = fileURLToPath(new URL('../../scenarios/fork-against-migration.jsonl', import.meta.url));
    const scene = new SequenceScene(parseScenario(file, readFileSync(file, 'utf8')).sequences[0]!);
    const driver = new Driver(new KernelProgram(scene));
    const search = new RandomSearch(driver, { seed: 1, executions: executions + 3_000, depth: 3 });
    expect(growth(search, 2_000, executions)).toBeLessThan(512 * KIB);
  });

  test(`a search with wakeup trees, of ${executions} executions`, options, () => {
    const body = function* (cells: Cells) {
      for (const name of ['a', 'b', 'c', 'd']) yield* cells.write(name, (yield* cells.read(name)) + 1);
    };
    const search = new OptimalSearch(new Driver(new Cells([body, body, body])));
    expect(growth(search, 2_000, executions)).toBeLessThan(512 * KIB);
  });
}
