/**
 * Measures how many executions a second the search of interleavings runs, and how long one search takes: of scenarios, each to its end, again and again,
 * on one processor. A search has executions that are not counted, before it knows all busy places. And how much sooner two threads are done, of two scenarios with thousands of
 * executions: that needs a built package, and two processors at rest.
 *
 *   npm run bench:explore
 */
import { readFileSync } from 'node:fs';
import type { ExploredScene } from '../src/cli/explore-search.ts';
import { explore } from '../src/explore/explore.ts';
import { SequenceScene } from '../src/explore/scenario/sequence-scene.ts';
import { parseScenario } from '../src/replay/scenario.ts';

const SECONDS = 3;
const SCENARIOS = [
  'fault-against-fault-file',
  'fork-against-migration',
  'mprotect-against-gup-fast',
  'hole-punch-against-fault',
  'hgm-collapse-against-gup',
];

console.log('| scenario | executions of one search | ms | executions a second |\n| --- | ---: | ---: | ---: |');
for (const name of SCENARIOS) {
  const scene = sceneOf(name);
  /* What is compiled, and which places are busy. */
  const executions = searched(scene);
  const begin = process.cpuUsage();
  let searches = 0;
  for (; spent(begin) < SECONDS; searches++) searched(scene);
  const each = spent(begin) / searches;
  console.log(`| ${name} | ${executions} | ${(each * 1e3).toFixed(2)} | ${Math.round(executions / each)} |`);
}

/** First touches of a file's pages: two tasks in opposite order, and one that hardly meets two others. */
const LARGE = {
  'two tasks': [
    ...[0, 1, 2].map((page) => ({ op: 'write', page, value: 1, task: 0 })),
    ...[1, 0, 2].map((page) => ({ op: 'write', page, value: 2, task: 1 })),
  ],
  'three tasks': [
    { op: 'write', page: 0, value: 1 },
    { op: 'read', page: 1, task: 0 },
    { op: 'write', page: 1, value: 3, task: 1 },
    { op: 'migrate', page: 0, task: 2 },
    { op: 'read', page: 0, task: 2 },
  ],
};
const RUNS = 3;

/** A module of the built package, which has the threads' file, too. */
const built = (module: string): Promise<unknown> => import(new URL(`file://${process.cwd()}/dist/${module}.js`).href);
const { searchScene } = (await built('cli/explore-search')) as typeof import('../src/cli/explore-search.ts');
const scenes = (await built(
  'explore/scenario/sequence-scene',
)) as typeof import('../src/explore/scenario/sequence-scene.ts');
const texts = (await built('replay/scenario')) as typeof import('../src/replay/scenario.ts');
console.log(
  '\n| scenario | executions | one thread, seconds | --workers 1 | --workers 2 |\n| --- | ---: | ---: | ---: | ---: |',
);
for (const [name, operations] of Object.entries(LARGE)) {
  const text = [
    { seq: 1, pool: 6, files: [4] },
    { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 4, prot: 'rw' },
    ...operations.map((operation) => ({ ...operation, proc: 0, slot: 0 })),
    { end: 1 },
  ]
    .map((line) => JSON.stringify(line))
    .join('\n');
  const explored = {
    scene: new scenes.SequenceScene(texts.parseScenario(name, text).sequences[0]!),
    file: name,
    text,
    index: 0,
  };
  /* In turn, so that whatever else the machine does meets all of them. */
  const seconds = [0, 1, 2].map(() => [] as number[]);
  let executions = 0;
  for (let run = 0; run < RUNS; run++) {
    for (const [workers, times] of seconds.entries()) {
      const begin = performance.now();
      executions = await searchedBy(explored, workers);
      times.push((performance.now() - begin) / 1000);
    }
  }
  const best = seconds.map((times) => Math.min(...times).toFixed(2));
  console.log(`| ${name} | ${executions} | ${best.join(' | ')} |`);
}

async function searchedBy(explored: ExploredScene, workers: number): Promise<number> {
  const { exploration } = await searchScene(
    explored,
    { workers },
    () => false,
    () => undefined,
  );
  return exploration.passes.at(-1)!.counts.executions;
}

function sceneOf(name: string): SequenceScene {
  const file = `scenarios/${name}.jsonl`;
  return new SequenceScene(parseScenario(file, readFileSync(file, 'utf8')).sequences[0]!);
}

/** Executions of a search from its beginning to its end. */
function searched(scene: SequenceScene): number {
  const search = explore(scene);
  for (;;) {
    const { value, done } = search.next();
    if (done) return value.executions;
  }
}

/** Seconds of this process. */
function spent(since: NodeJS.CpuUsage): number {
  return process.cpuUsage(since).user / 1e6;
}
