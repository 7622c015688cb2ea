/**
 * What a shard has done, as a file: one line of JSON. Whoever merges such files asks whether they belong together.
 */
import { createHash } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Pass } from '../explore/explore.ts';
import type { Finding } from '../explore/kernel/finding.ts';
import type { Place } from '../explore/kernel/kernel-watch.ts';
import type { Nesting } from '../explore/kernel/lock-order.ts';
import type { Run } from '../explore/search/schedule.ts';
import type { ExploredScene, Known, Searched, SearchedPass, Shard } from './explore-search.ts';
import { Failure } from './failure.ts';
import { version } from './version.ts';

/** A file that was explored. */
export interface ShardScenario {
  readonly file: string;
  /** SHA-256 of the text, in hexadecimal. */
  readonly digest: string;
  readonly text: string;
}

/** What became of a sequence. */
export interface ShardSequence {
  /** The file, among the scenarios. */
  readonly scenario: number;
  /** The sequence, among those of the file. */
  readonly index: number;
  readonly passes: readonly Pass[];
  readonly exhausted: boolean;
  readonly found?: {
    readonly finding: Finding;
    readonly schedule: readonly Run[];
    readonly preemptions?: number | undefined;
  };
  /** Whether it came to its end before time was up. */
  readonly ended: boolean;
  /** The passes that were cut, with the parts that were searched. */
  readonly cut: readonly SearchedPass[];
  readonly busyPlaces: readonly Place[];
  /** Which locks were taken while others were held. */
  readonly nestings: readonly Nesting[];
}

/** The whole file. */
export interface ShardFile {
  /** The version that has searched. */
  readonly hugewalk: string;
  readonly shard: Shard;
  readonly scenarios: readonly ShardScenario[];
  readonly sequences: readonly ShardSequence[];
}

/** A sequence and what became of it. */
export interface SearchedScene extends Searched {
  readonly explored: ExploredScene;
}

/** What a shard has done. */
export function shardFileOf(shard: Shard, searched: readonly SearchedScene[]): ShardFile {
  const texts = new Map(searched.map(({ explored: { file, text } }) => [file, text]));
  const scenarios = [...texts].map(([file, text]) => ({ file, digest: digestOf(text), text }));
  const sequences = searched.map(({ explored, exploration, cut, ended }) => {
    const { passes, exhausted, found, busyPlaces, nestings } = exploration;
    return {
      scenario: scenarios.findIndex(({ file }) => file === explored.file),
      index: explored.index,
      passes,
      exhausted,
      ended,
      ...(found && { found }),
      cut,
      busyPlaces: busyPlaces(),
      nestings: nestings(),
    };
  });
  return { hugewalk: version(), shard, scenarios, sequences };
}

/** Writes what a shard has done. One that is killed leaves no file. */
export function writeShard(path: string, shard: ShardFile): Promise<void> {
  return writeWhole(path, `${JSON.stringify(shard)}\n`);
}

/** Writes a file as a whole or not at all. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(beside, text);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw new Failure(`${path}: expected to write it, found ${(error as Error).message}`);
  }
}

/** Reads a file. Its version and its scenarios' digests are looked at, and whether it has the fields of a shard. */
export async function readShard(path: string): Promise<ShardFile> {
  let shard: ShardFile;
  try {
    shard = JSON.parse(await readFile(path, 'utf8')) as ShardFile;
  } catch (error) {
    throw new Failure(`${path}: expected a file that explore --shard wrote, found ${(error as Error).message}`);
  }
  if (!isShard(shard)) throw new Failure(`${path}: expected a file that explore --shard wrote, found other JSON`);
  if (shard.hugewalk !== version()) {
    throw new Failure(
      `${path}: expected hugewalk ${version()} to have written it, found ${shard.hugewalk}: run it again`,
    );
  }
  for (const { file, digest, text } of shard.scenarios) {
    if (digestOf(text) !== digest)
      throw new Failure(`${path}: expected the text of ${file} to have its digest, found another`);
  }
  return shard;
}

/** By sequence: all busy places that any shard knows. */
export function placesOf(parts: readonly ShardFile[]): Set<Place>[] {
  const [first] = parts;
  return (first?.sequences ?? []).map((_, at) => new Set(parts.flatMap(({ sequences }) => sequences[at]!.busyPlaces)));
}

/** By sequence: what shards know of it, all together. */
export function knownOf(parts: readonly ShardFile[]): Known[] {
  return placesOf(parts).map((places, at) => ({
    busyPlaces: [...places],
    passes: parts.flatMap(({ sequences }) => sequences[at]!.cut),
  }));
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function isShard(value: unknown): value is ShardFile {
  if (typeof value !== 'object' || value === null) return false;
  const { hugewalk, shard, scenarios, sequences } = value as Partial<ShardFile>;
  return (
    typeof hugewalk === 'string' &&
    Number.isInteger(shard?.number) &&
    Number.isInteger(shard?.of) &&
    Array.isArray(scenarios) &&
    scenarios.every(({ file, digest, text }) => [file, digest, text].every((field) => typeof field === 'string')) &&
    Array.isArray(sequences) &&
    sequences.every(
      ({ scenario, index, passes, cut, busyPlaces, nestings }) =>
        Number.isInteger(index) &&
        scenarios[scenario] &&
        [passes, busyPlaces, nestings, cut].every(Array.isArray) &&
        cut.every((pass: Partial<SearchedPass>) => Array.isArray(pass.parts) && Array.isArray(pass.busyPlaces)),
    )
  );
}
