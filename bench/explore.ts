/**
 * Measures how many executions a second the search of interleavings runs: of scenarios, each to its end, again and again, on one processor.
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

console.log('| scenario | executions of one search | executions a second |\n| --- | ---: | ---: |');
for (const name of SCENARIOS) {
  const scene = sceneOf(name);
  /* What is compiled, and which places are busy. */
  const executions = searched(scene);
  const begin = process.cpuUsage();
  let all = 0;
  while (spent(begin) < SECONDS) all += searched(scene);
  console.log(`| ${name} | ${executions} | ${Math.round(all / spent(begin))} |`);
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
