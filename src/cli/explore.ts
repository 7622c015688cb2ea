/**
 * `hugewalk explore`: which interleaving of a scenario's tasks breaks something?
 */
import type { Found } from '../explore/explore.ts';
import { judgedWitness } from '../explore/judged.ts';
import { savedScenario } from '../explore/scenario/saved.ts';
import type { SequenceScene } from '../explore/scenario/sequence-scene.ts';
import { type Verdict, verdictOf } from '../explore/scenario/verdict.ts';
import type { Run } from '../explore/search/schedule.ts';
import { type Followed, passWords, printExploration, printFollowed, sceneOf, summary, svgOf } from './explore-print.ts';
import {
  type ExploredScene,
  type Known,
  type Searched,
  type SearchOptions,
  type Shard,
  searchScene,
} from './explore-search.ts';
import { EXIT, Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { readScenario } from './read-scenario.ts';
import {
  knownOf,
  readShard,
  type SearchedScene,
  type ShardFile,
  shardFileOf,
  writeShard,
  writeWhole,
} from './shard-file.ts';
import { count } from './text.ts';

/** The options of `explore`. */
export interface ExploreCliOptions {
  /** Most preemptions of an interleaving. */
  readonly preemptions?: number;
  /** Seconds for each sequence. */
  readonly seconds?: number;
  /** A line of JSON a sequence. */
  readonly json?: boolean;
  /** Threads that search. */
  readonly workers?: number;
  /** The part of the interleavings to search. */
  readonly shard?: Shard;
  /** Where to write what the shard has done. */
  readonly out?: string;
  /** The whole record of a finding, instead of lanes. */
  readonly trace?: boolean;
  /** Where to write the first finding, as a scenario with its schedule. */
  readonly save?: string;
  /** Where to draw it. */
  readonly svg?: string;
  /** So many executions by chance, instead of all. */
  readonly random?: number;
  readonly seed?: number;
  /** Files of shards: what they have learned and searched is known. */
  readonly known?: readonly string[];
}

/** Runs the command; resolves with the exit status. All files are read, and found right, before anything runs. */
export async function exploreFiles(
  paths: readonly string[],
  options: ExploreCliOptions,
  surroundings: Surroundings,
): Promise<number> {
  checkOptions(options);
  const scenes: ExploredScene[] = [];
  for (const path of paths) {
    const { scenario, text } = await readScenario(path, surroundings.progress);
    for (const [index, sequence] of scenario.sequences.entries()) {
      scenes.push({ scene: sceneOf(sequence), file: path, text, index });
    }
  }
  const known = await readKnown(options.known ?? [], scenes);
  const done: SearchedScene[] = [];
  const verdicts: Verdict[] = [];
  let kept = 0;
  for (const explored of scenes) {
    const { schedule } = explored.scene;
    if (schedule) {
      const followed = followedOf(explored.scene, schedule);
      await printFollowed(explored.scene, followed, options, surroundings);
      verdicts.push(followed.finding ? 'unexpected' : 'as expected: nothing');
      if (followed.finding && kept++ === 0) await keep(explored, { ...followed, finding: followed.finding }, options);
      continue;
    }
    const searched = await search(explored, searchOptions(options, known.get(explored)), surroundings);
    done.push({ explored, ...searched });
    const { found } = searched.exploration;
    const verdict = verdictOf(found?.finding, explored.scene.sequence.expectation);
    verdicts.push(verdict);
    await printExploration(explored.scene, searched.exploration, verdict, options, surroundings);
    if (found && kept++ === 0) await keep(explored, found, options);
    if (searched.interrupted) return EXIT.incomplete;
  }
  if (options.shard && options.out !== undefined) await writeShard(options.out, shardFileOf(options.shard, done));
  if (!options.json) surroundings.output.add(summary(verdicts));
  await surroundings.output.flush();
  return verdicts.every((verdict) => verdict.startsWith('as expected')) ? EXIT.done : EXIT.differences;
}

/** Runs a scene as its sequence says. */
function followedOf(scene: SequenceScene, schedule: readonly Run[]): Followed {
  try {
    return { schedule, finding: judgedWitness(scene, schedule).finding };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { schedule, finding: undefined, problem: `it cannot be followed (any more): ${error.message}` };
  }
}

/** Writes a finding where the options say. */
async function keep(
  { scene, text }: ExploredScene,
  found: Pick<Found, 'finding' | 'schedule'>,
  { save, svg }: ExploreCliOptions,
): Promise<void> {
  if (save !== undefined) await writeWhole(save, savedScenario(scene, text, found.finding, found.schedule));
  if (svg !== undefined) await writeWhole(svg, svgOf(scene, found));
}

/** By sequence: what shards know of it. */
async function readKnown(
  paths: readonly string[],
  scenes: readonly ExploredScene[],
): Promise<Map<ExploredScene, Known>> {
  const shards: ShardFile[] = [];
  const searched = scenes.filter(({ scene }) => !scene.schedule);
  const words = (sequences: readonly { readonly text: string; readonly index: number }[]): string =>
    JSON.stringify(sequences.map(({ text, index }) => [text, index]));
  for (const path of paths) {
    const shard = await readShard(path);
    const { scenarios, sequences } = shard;
    if (
      words(sequences.map(({ scenario, index }) => ({ text: scenarios[scenario]!.text, index }))) !== words(searched)
    ) {
      throw new Failure(`--known: expected a shard of the same scenarios, got ${path}`);
    }
    shards.push(shard);
  }
  const known = knownOf(shards);
  return new Map(searched.flatMap((scene, at) => (known[at] ? [[scene, known[at]]] : [])));
}

function searchOptions({ known: _, ...options }: ExploreCliOptions, known: Known | undefined): SearchOptions {
  return { ...options, ...(known && { known }) };
}

/** Searches until something is found, nothing is left, time is up, or Ctrl-C. */
async function search(
  explored: ExploredScene,
  { seconds = Number.POSITIVE_INFINITY, ...options }: SearchOptions & { readonly seconds?: number },
  { progress }: Surroundings,
): Promise<Searched & { readonly interrupted: boolean }> {
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  let interrupted = false;
  const onInterrupt = (): void => {
    interrupted = true;
  };
  process.once('SIGINT', onInterrupt);
  try {
    const isTimeUp = (): boolean => interrupted || elapsed() >= seconds;
    const searched = await searchScene(explored, options, isTimeUp, ({ executions, passes }) =>
      progress.report(() => {
        const rate = count(Math.round(executions / elapsed()));
        const { number } = explored.scene.sequence;
        return `exploring sequence ${number}: ${passWords(passes.at(-1)!)}, ${rate} executions a second`;
      }),
    );
    return { ...searched, interrupted };
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
}

/** Options that exclude each other, or need each other. */
function checkOptions({ preemptions, workers, shard, out, known, random, seed }: ExploreCliOptions): void {
  if (workers === 0) throw new Failure('--workers: expected 1 or more, got 0');
  if (random !== undefined && (workers !== undefined || shard || preemptions !== undefined)) {
    throw new Failure('--random: expected no --workers, --shard or --preemptions beside it');
  }
  if (random === undefined && seed !== undefined) throw new Failure('--seed: expected --random beside it');
  if (shard && out === undefined) throw new Failure('--shard: expected --out beside it, for what the shard has done');
  if (!shard && out !== undefined) throw new Failure('--out: expected --shard beside it');
  if (!shard && known) throw new Failure('--known: expected --shard beside it');
}
