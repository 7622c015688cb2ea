/**
 * Measures how many executions a second the search of interleavings runs, and how long one search takes: of scenarios, each to its end, again and again,
 * on one processor. A search has executions that are not counted, before it knows all busy places.
 *
 *   npm run bench:explore
 */
import { readFileSync } from 'node:fs';
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
