/**
 * How `explore` searches a scene: alone, from one end to the other; or in pieces, those of a shard, or all, in this thread or in several.
 */
import { type Exploration, explore, withLockOrder } from '../explore/explore.ts';
import type { Place } from '../explore/kernel/kernel-watch.ts';
import { together } from '../explore/kernel/lock-order.ts';
import { Pieces } from '../explore/pieces.ts';
import { Round } from '../explore/round.ts';
import type { SequenceScene } from '../explore/scenario/sequence-scene.ts';

/** A part of several that are searched apart. */
export interface Shard {
  /** From 1. */
  readonly number: number;
  readonly of: number;
}

/** A scene, and where it comes from. */
export interface ExploredScene {
  readonly scene: SequenceScene;
  readonly file: string;
  /** All of the file. */
  readonly text: string;
  /** The sequence, among those of the file. */
  readonly index: number;
}

/** How to search it. */
export interface SearchOptions {
  readonly preemptions?: number;
  readonly workers?: number;
  /** Executions by chance, instead of all. */
  readonly random?: number;
  readonly seed?: number;
  readonly shard?: Shard;
  /** Places that are known to be busy. */
  readonly busyPlaces?: readonly Place[];
}

/** Whoever waits for a search. */
export interface Watching {
  readonly isTimeUp: () => boolean;
  /** @param underWay executions of pieces that are being searched */
  readonly report: (underWay: number) => void;
}

/** All that a thread has to know to find the pieces. */
export interface PiecesOf extends Omit<ExploredScene, 'scene'> {
  readonly busyPlaces: readonly Place[];
  readonly least: number;
}

/** How far a search has come. */
export interface Searched {
  readonly exploration: Exploration;
  /** The pieces that were searched to their end, and in which something was found; undefined where the scene was not cut. */
  readonly pieces?: { readonly of: number; readonly searched: readonly number[]; readonly found?: number };
}

/** Pieces at least, and for each shard: enough that whoever is done first finds another. */
const LEAST = 128;
const LEAST_OF_SHARD = 8;
/** A space that is smaller is not cut. */
const SMALL = 500;

/**
 * Searches a scene until something is found, nothing is left, or time is up.
 *
 * @param onProgress called every now and then
 */
export async function searchScene(
  explored: ExploredScene,
  { preemptions, workers = 0, shard, busyPlaces = [], random, seed = 1 }: SearchOptions,
  isTimeUp: () => boolean,
  onProgress: (exploration: Exploration) => void,
): Promise<Searched> {
  const isCut = workers > 0 || shard !== undefined;
  const search = explore(explored.scene, {
    ...(preemptions !== undefined && { preemptions }),
    ...(isCut && { most: SMALL }),
    ...(random !== undefined && { random: { executions: random, seed } }),
    busyPlaces,
  });
  for (;;) {
    const { value: exploration, done } = search.next();
    if (done && isCut && !exploration.found && !exploration.exhausted && preemptions === undefined && isCut) {
      return searchPieces(explored, exploration, { workers, ...(shard && { shard }) }, isTimeUp, onProgress);
    }
    if (done || isTimeUp()) return { exploration: withLockOrder(explored.scene, exploration) };
    onProgress(exploration);
    await new Promise(setImmediate);
  }
}

/** The pass over all interleavings, in pieces. @param before what was searched before, and which places were learned to be busy */
async function searchPieces(
  { scene, ...explored }: ExploredScene,
  before: Exploration,
  { workers, shard }: { readonly workers: number; readonly shard?: Shard },
  isTimeUp: () => boolean,
  onProgress: (exploration: Exploration) => void,
): Promise<Searched> {
  const least = Math.max(LEAST, LEAST_OF_SHARD * (shard?.of ?? 1));
  let busyPlaces = before.busyPlaces();
  let discarded = before.passes.at(-1)!.counts.executions;
  for (;;) {
    const pieces = new Pieces(scene, busyPlaces, least);
    ({ busyPlaces } = pieces);
    const round = new Round(pieces.count, piecesOf(pieces.count, shard));
    let now = explorationOf(before, round, busyPlaces, discarded);
    const watching = {
      isTimeUp,
      report: (underWay: number) => {
        now = explorationOf(before, round, busyPlaces, discarded, underWay);
        onProgress(now);
      },
    };
    if (workers > 0) {
      const { searchInThreads } = await import('./explore-threads.ts');
      await searchInThreads({ ...explored, busyPlaces, least }, round, workers, watching);
    } else await searchAlone(pieces, round, watching);
    if (round.isOver) now = explorationOf(before, round, busyPlaces, discarded);
    const grown = round.outcome?.grown;
    if (!grown) {
      const found = now.found && round.outcome!.piece;
      const { searched } = round;
      /* A shard knows a part of the order alone: whoever merges them looks at the whole. */
      const exploration = shard ? now : withLockOrder(scene, now);
      return { exploration, pieces: { of: pieces.count, searched, ...(found !== undefined && { found }) } };
    }
    discarded += round.pass().counts.executions;
    busyPlaces = grown;
  }
}

/** The pieces of a shard: every so manieth. */
export function piecesOf(count: number, shard: Shard | undefined): number[] {
  const all = Array.from({ length: count }, (_, piece) => piece);
  return shard ? all.filter((piece) => piece % shard.of === shard.number - 1) : all;
}

async function searchAlone(pieces: Pieces, round: Round, { isTimeUp, report }: Watching): Promise<void> {
  for (let piece = round.next(); piece !== undefined; piece = round.next()) {
    const search = pieces.search(piece);
    for (;;) {
      const { value, done } = search.next();
      if (done) round.take(value);
      report(done ? 0 : value.executions);
      if (isTimeUp()) return;
      await new Promise(setImmediate);
      if (done) break;
    }
  }
}

function explorationOf(
  before: Exploration,
  round: Round,
  busyPlaces: readonly Place[],
  discarded: number,
  underWay = 0,
): Exploration {
  const pass = round.pass(underWay);
  const passes = [
    ...before.passes.slice(0, -1),
    { ...pass, counts: { ...pass.counts, discarded: pass.counts.discarded + discarded } },
  ];
  const executions = passes.reduce((sum, { counts }) => sum + counts.executions, 0);
  const found = round.outcome?.found;
  return {
    passes,
    executions,
    found: found && { ...found, preemptions: undefined, executions },
    exhausted: pass.done,
    busyPlaces: () => busyPlaces,
    nestings: () => together([before.nestings(), round.nestings]),
  };
}
