/**
 * `hugewalk explore merge`: what the shards of a search have found together.
 */

import { type Exploration, type Pass, withLockOrder } from '../explore/explore.ts';
import { together } from '../explore/kernel/lock-order.ts';
import { sumOf } from '../explore/round.ts';
import { type Verdict, verdictOf } from '../explore/scenario/verdict.ts';
import { parseScenario } from '../replay/scenario.ts';
import { printExploration, sceneOf, summary } from './explore-print.ts';
import { piecesOf, type Shard } from './explore-search.ts';
import { EXIT, Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { placesOf, readShard, type ShardFile, type ShardSequence } from './shard-file.ts';
import { counted } from './text.ts';

/** The options of `explore merge`. */
export interface MergeOptions {
  readonly json?: boolean;
  /** Only the numbers of the shards that are missing or are to be run again, as Slurm's --array takes them. */
  readonly missing?: boolean;
}

interface Part extends ShardFile {
  readonly path: string;
}

/** Runs the command; resolves with the exit status. */
export async function mergeShards(
  paths: readonly string[],
  { json = false, missing: onlyMissing = false }: MergeOptions,
  surroundings: Surroundings,
): Promise<number> {
  const { output } = surroundings;
  const parts: Part[] = [];
  for (const path of paths) parts.push({ ...(await readShard(path)), path });
  checkTogether(parts);
  const missing = missingOf(parts);
  if (onlyMissing) {
    output.add(missing.length > 0 ? `${missing.join(',')}\n` : '');
    await output.flush();
    return missing.length > 0 ? EXIT.incomplete : EXIT.done;
  }
  const verdicts: Verdict[] = [];
  const [first] = parts as [Part];
  const scenes = first.sequences.map(({ scenario, index }) => {
    const { file, text } = first.scenarios[scenario]!;
    return sceneOf(parseScenario(file, text).sequences[index]!);
  });
  for (const [at, scene] of scenes.entries()) {
    const exploration = withLockOrder(scene, merged(parts.map(({ sequences }) => sequences[at]!)));
    const verdict = verdictOf(exploration.found?.finding, scene.sequence.expectation);
    verdicts.push(verdict);
    await printExploration(scene, exploration, verdict, { json }, surroundings);
  }
  const { of } = first.shard;
  for (const number of missing) {
    const words = parts.some(({ shard }) => shard.number === number) ? 'is to be run again' : 'is missing';
    if (!json) output.add(`shard ${number}/${of} ${words}\n`);
  }
  if (!json) output.add(summary(verdicts));
  await output.flush();
  if (!verdicts.every((verdict) => verdict.startsWith('as expected'))) return EXIT.differences;
  return missing.length > 0 ? EXIT.incomplete : EXIT.done;
}

/** That all are shards of one search. */
function checkTogether([first, ...others]: readonly Part[]): void {
  const seen = new Map([[first!.shard.number, first!.path]]);
  const scenariosOf = ({ scenarios, sequences }: ShardFile): string =>
    sequences.map(({ scenario, index }) => `${scenarios[scenario]!.digest} ${index}`).join();
  for (const { path, shard, ...part } of others) {
    if (shard.of !== first!.shard.of) {
      throw new Failure(
        `${path}: expected one of ${counted(first!.shard.of, 'shard')}, as ${first!.path} is, found one of ${shard.of}`,
      );
    }
    if (scenariosOf({ shard, ...part }) !== scenariosOf(first!)) {
      throw new Failure(`${path}: expected a shard of the same scenarios as ${first!.path}, found others`);
    }
    const twin = seen.get(shard.number);
    if (twin !== undefined)
      throw new Failure(`${path}: expected each shard once, found ${shard.number}/${shard.of} in ${twin}, too`);
    seen.set(shard.number, path);
  }
}

/** Shards that are not there, were stopped before their end, or know fewer busy places than another: in ascending order. */
function missingOf(parts: readonly Part[]): number[] {
  const { of } = parts[0]!.shard;
  const all = placesOf(parts);
  const isDone = ({ shard, sequences }: Part): boolean =>
    sequences.every((sequence, at) => sequence.busyPlaces.length === all[at]!.size && isSearched(sequence, shard));
  const done = new Set(parts.filter(isDone).map(({ shard }) => shard.number));
  return Array.from({ length: of }, (_, index) => index + 1).filter((number) => !done.has(number));
}

function isSearched({ found, exhausted, pieces }: ShardSequence, shard: Shard): boolean {
  return found !== undefined || exhausted || pieces?.searched.length === piecesOf(pieces?.of ?? 0, shard).length;
}

/** What one search would tell. Of shards that know different places only those count that know most: the others' pieces are not the same. */
function merged(all: readonly ShardSequence[]): Exploration {
  const most = Math.max(...all.map(({ busyPlaces }) => busyPlaces.length));
  const shards = all.filter(({ busyPlaces }) => busyPlaces.length === most);
  const [first] = shards as [ShardSequence];
  const founds = all
    .filter(({ found }) => found && found.finding.kind !== 'lock order')
    .sort((one, other) => orderOf(one) - orderOf(other));
  const { found } = founds[0] ?? {};
  const passes = shards.some(({ pieces }) => pieces)
    ? [...first.passes.slice(0, -1), mergedPass(shards)]
    : first.passes;
  const executions = passes.reduce((sum, { counts }) => sum + counts.executions, 0);
  return {
    passes,
    executions,
    found: found && { ...found, preemptions: found.preemptions, executions },
    exhausted: !found && passes.at(-1)!.done && passes.at(-1)!.preemptions === undefined,
    busyPlaces: () => first.busyPlaces,
    nestings: () => together(all.map(({ nestings }) => nestings)),
  };
}

/** Findings before the pieces come first, then those of the piece with the lowest number. */
function orderOf({ pieces }: ShardSequence): number {
  return pieces?.found ?? -1;
}

function mergedPass(shards: readonly ShardSequence[]): Pass {
  const cut = shards.filter(({ pieces }) => pieces);
  const of = cut[0]!.pieces!.of;
  const done = new Set(cut.flatMap(({ pieces }) => pieces!.searched)).size;
  const counts = sumOf(cut.map(({ passes }) => passes.at(-1)!.counts));
  return { preemptions: undefined, counts, done: done === of, pieces: { done, of } };
}
