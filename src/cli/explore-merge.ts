/**
 * `hugewalk explore merge`: what the shards of a search have found together.
 */

import { type Exploration, type Found, type Pass, withLockOrder } from '../explore/explore.ts';
import { together } from '../explore/kernel/lock-order.ts';
import { Parts } from '../explore/parts.ts';
import { PieceSearcher } from '../explore/pieces.ts';
import type { SequenceScene } from '../explore/scenario/sequence-scene.ts';
import { type Verdict, verdictOf } from '../explore/scenario/verdict.ts';
import { parseScenario } from '../replay/scenario.ts';
import { printExploration, sceneOf, summary } from './explore-print.ts';
import { knownParts, leastParts, type SearchedPass, shardOf, withDiscarded } from './explore-search.ts';
import { EXIT, Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { readShard, type ShardFile, type ShardSequence } from './shard-file.ts';
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
  const [first] = parts as [Part];
  const merged = first.sequences.map(({ scenario, index }, at) => {
    const { file, text } = first.scenarios[scenario]!;
    const scene = sceneOf(parseScenario(file, text).sequences[index]!);
    return {
      scene,
      ...merge(
        scene,
        parts.map(({ sequences }) => sequences[at]!),
        first.shard.of,
      ),
    };
  });
  const missing = [...new Set(merged.flatMap((sequence) => sequence.missing))].sort((one, other) => one - other);
  if (onlyMissing) {
    output.add(missing.length > 0 ? `${missing.join(',')}\n` : '');
    await output.flush();
    return missing.length > 0 ? EXIT.incomplete : EXIT.done;
  }
  const verdicts: Verdict[] = [];
  for (const { scene, exploration } of merged) {
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

interface Merged {
  readonly exploration: Exploration;
  /** Shards that are to be run for that: those that are not there, were stopped before their end, or have to search further parts. */
  readonly missing: readonly number[];
}

/** What one search would tell of a sequence. */
function merge(scene: SequenceScene, sequences: readonly ShardSequence[], of: number): Merged {
  const longest = sequences.toSorted((one, other) => other.passes.length - one.passes.length)[0]!;
  const passes: Pass[] = [];
  const missing = new Set<number>();
  let found: Pick<Found, 'finding' | 'schedule' | 'preemptions'> | undefined;
  for (const pass of longest.passes) {
    const { preemptions } = pass;
    const cut = cutOf(preemptions, sequences);
    if (!cut) passes.push(pass);
    else {
      const parts = partsOf(scene, cut, sequences, of);
      for (const part of parts.missing) missing.add(shardOf(part, of));
      passes.push(withDiscarded(parts.pass(), pass.counts.discarded));
      found = parts.found && { ...parts.found, preemptions };
    }
    if (found) break;
  }
  /* The order of locks is looked at in all shards together. */
  const isFound = (sequence: ShardSequence): boolean =>
    !!sequence.found && sequence.found.finding.kind !== 'lock order';
  found ??= sequences.find(isFound)?.found as typeof found;
  if (!found && !sequences.some(({ ended }) => ended)) {
    for (let number = 1; number <= of; number++) missing.add(number);
  }
  const executions = passes.reduce((sum, { counts }) => sum + counts.executions, 0);
  const last = passes.at(-1)!;
  const exploration = {
    passes,
    executions,
    found: found && { ...found, executions },
    exhausted: !found && last.done && last.preemptions === undefined,
    busyPlaces: () => longest.busyPlaces,
    nestings: () => together(sequences.map(({ nestings }) => nestings)),
  };
  return { exploration: withLockOrder(scene, exploration), missing: [...missing] };
}

/** A pass as it was cut, by those who knew most busy places; undefined where nobody has cut it. */
function cutOf(preemptions: number | undefined, sequences: readonly ShardSequence[]): SearchedPass | undefined {
  const cuts = sequences.flatMap(({ cut }) => cut.filter((pass) => pass.preemptions === preemptions));
  return cuts.sort((one, other) => other.busyPlaces.length - one.busyPlaces.length)[0];
}

/** The parts of a pass, as far as shards have searched them. Those of shards that knew other busy places are others. */
function partsOf(scene: SequenceScene, cut: SearchedPass, sequences: readonly ShardSequence[], of: number): Parts {
  const known = knownParts(
    sequences.flatMap((sequence) => sequence.cut),
    cut,
  );
  const parts = new Parts(cut.preemptions, () => false, known);
  for (const _ of parts.probe(new PieceSearcher(scene, cut), leastParts(of), of > 1));
  return parts;
}
