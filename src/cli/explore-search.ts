/**
 * How `explore` searches a scene: alone, from one end to the other; or its long passes in parts, those of a shard, or all, in this thread or in several.
 */
import { type Exploration, explore, type Pass, type PassInPieces, withLockOrder } from '../explore/explore.ts';
import type { Place } from '../explore/kernel/kernel-watch.ts';
import { together } from '../explore/kernel/lock-order.ts';
import { type PartResult, Parts } from '../explore/parts.ts';
import { type CutPass, PieceSearcher } from '../explore/pieces.ts';
import type { SequenceScene } from '../explore/scenario/sequence-scene.ts';
import { SerialOutcomes } from '../explore/serial.ts';
import type { Threads } from './explore-threads.ts';

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
  /** What shards have learned and searched before. */
  readonly known?: Known;
}

/** What is known of a scene. */
export interface Known {
  readonly busyPlaces: readonly Place[];
  /** The passes that were cut, in order; those of several shards. */
  readonly passes: readonly SearchedPass[];
}

/** A pass that was cut, and the parts of it that were searched to their end. What they are depends on the busy places. */
export interface SearchedPass extends CutPass {
  readonly parts: readonly PartResult[];
}

/** All that a thread has to know to make the scene. */
export type SceneSource = Omit<ExploredScene, 'scene'>;

/** How far a search has come. */
export interface Searched {
  readonly exploration: Exploration;
  /** The passes that were cut. */
  readonly cut: readonly SearchedPass[];
  /** Whether it came to its end before time was up; of a shard: to that of its parts. */
  readonly ended: boolean;
}

/** Whoever waits for a search. */
interface Watching {
  readonly isTimeUp: () => boolean;
  readonly onProgress: (exploration: Exploration) => void;
}

/** Parts at least, and for each shard: enough that whoever is done first finds another. */
const LEAST = 16;
const LEAST_OF_SHARD = 4;
/** A pass that has no more executions is not cut. */
const SMALL = 500;

/** Parts that a pass is cut into at least for so many shards, if it has so many. */
export function leastParts(shards: number): number {
  return Math.max(LEAST, LEAST_OF_SHARD * shards);
}

/** Whose a part is: a shard has every so manieth. */
export function shardOf(part: number, shards: number): number {
  return (part % shards) + 1;
}

/**
 * Searches a scene until something is found, nothing is left, or time is up.
 *
 * @param onProgress called every now and then
 */
export async function searchScene(
  explored: ExploredScene,
  options: SearchOptions,
  isTimeUp: () => boolean,
  onProgress: (exploration: Exploration) => void,
): Promise<Searched> {
  const { preemptions, workers = 0, shard, known, random, seed = 1 } = options;
  const search = explore(explored.scene, {
    ...(preemptions !== undefined && { preemptions }),
    ...((workers > 0 || shard) && { most: SMALL }),
    ...(random !== undefined && { random: { executions: random, seed } }),
    ...(known && { busyPlaces: known.busyPlaces }),
  });
  let inParts: InParts | undefined;
  let inPieces: PassInPieces | undefined;
  const cut: SearchedPass[] = [];
  try {
    for (;;) {
      const { value: exploration, done } = search.next(inPieces);
      inPieces = undefined;
      if (done || isTimeUp()) {
        return { exploration: withLockOrder(explored.scene, exploration), cut, ended: done === true };
      }
      onProgress(exploration);
      if (exploration.isLong) {
        inParts ??= await newInParts(explored, options);
        const searched = await inParts.search(exploration, { isTimeUp, onProgress });
        cut.push(searched.pass);
        if (isTimeUp() && !searched.exploration.found) {
          return { exploration: withLockOrder(explored.scene, searched.exploration), cut, ended: false };
        }
        inPieces = searched.inPieces;
      } else await new Promise(setImmediate);
    }
  } finally {
    await inParts?.threads?.stop();
  }
}

async function newInParts(explored: ExploredScene, { workers = 0, shard, known }: SearchOptions): Promise<InParts> {
  const { scene, ...source } = explored;
  if (workers === 0) return new InParts(scene, shard, known);
  const { Threads } = await import('./explore-threads.ts');
  return new InParts(scene, shard, known, new Threads(source, workers));
}

/** Searches long passes of a scene in parts. */
class InParts {
  readonly threads: Threads | undefined;
  readonly #scene: SequenceScene;
  readonly #serial: SerialOutcomes;
  readonly #shard: Shard | undefined;
  readonly #known: readonly SearchedPass[];

  constructor(scene: SequenceScene, shard: Shard | undefined, known: Known | undefined, threads?: Threads) {
    this.#scene = scene;
    this.#serial = new SerialOutcomes(scene);
    this.#shard = shard;
    this.#known = known?.passes ?? [];
    this.threads = threads;
  }

  /** Searches the last pass of an exploration: in rounds, as each time a busy place is learned of, all begin anew with it. */
  async search(
    before: Exploration,
    { isTimeUp, onProgress }: Watching,
  ): Promise<{ exploration: Exploration; inPieces: PassInPieces; pass: SearchedPass }> {
    const last = before.passes.at(-1)!;
    /* The parts have again what was run before. */
    let discarded = last.counts.discarded + last.counts.executions;
    let busyPlaces = before.busyPlaces();
    for (;;) {
      const cut: CutPass = { preemptions: last.preemptions, busyPlaces };
      const searcher = new PieceSearcher(this.#scene, cut, this.#serial);
      const { number, of } = this.#shard ?? { number: 1, of: 1 };
      const mine = (part: number): boolean => shardOf(part, of) === number;
      const parts = new Parts(last.preemptions, mine, knownParts(this.#known, cut));
      const report = (underWay = 0): Exploration => {
        const now = explorationOf(before, discarded, parts, busyPlaces, underWay);
        onProgress(now);
        return now;
      };
      for (const _ of parts.probe(searcher, leastParts(of), of > 1)) {
        if (isTimeUp()) break;
        report();
        await new Promise(setImmediate);
      }
      if (!isTimeUp()) {
        if (this.threads) await this.threads.search(parts, cut, { isTimeUp, report });
        else await searchAlone(parts, searcher, { isTimeUp, report });
      }
      const exploration = report();
      const { decided } = parts;
      if (!decided?.grown || isTimeUp()) {
        const pass = exploration.passes.at(-1)!;
        const inPieces = { pass, found: parts.found, busyPlaces, nestings: parts.nestings };
        return { exploration, inPieces, pass: { ...cut, parts: parts.results.filter(({ part }) => mine(part)) } };
      }
      discarded += parts.pass().counts.executions;
      busyPlaces = decided.grown;
    }
  }
}

/** A pass, with what was run of it before it was cut. */
export function withDiscarded(pass: Pass, discarded: number): Pass {
  return { ...pass, counts: { ...pass.counts, discarded: pass.counts.discarded + discarded } };
}

/** What is known of a pass: of searches that knew the same busy places. */
export function knownParts(passes: readonly SearchedPass[], { preemptions, busyPlaces }: CutPass): PartResult[] {
  const places = new Set(busyPlaces);
  return passes.flatMap((pass) => {
    const isSame = pass.busyPlaces.length === places.size && pass.busyPlaces.every((place) => places.has(place));
    return pass.preemptions === preemptions && isSame ? pass.parts : [];
  });
}

/** Whoever searches the parts of a pass. */
export interface PartsWatching {
  readonly isTimeUp: () => boolean;
  /** @param underWay executions of pieces that are being searched */
  readonly report: (underWay: number) => void;
}

async function searchAlone(parts: Parts, searcher: PieceSearcher, { isTimeUp, report }: PartsWatching): Promise<void> {
  for (let job = parts.next(); job !== undefined; job = parts.next()) {
    const search = searcher.search(job.piece, job.executions);
    for (;;) {
      const { value, done } = search.next();
      if (done) parts.take(job, value);
      report(done ? 0 : value.executions);
      if (isTimeUp()) return;
      await new Promise(setImmediate);
      if (done) break;
    }
  }
}

function explorationOf(
  before: Exploration,
  discarded: number,
  parts: Parts,
  busyPlaces: readonly Place[],
  underWay: number,
): Exploration {
  const passes = [...before.passes.slice(0, -1), withDiscarded(parts.pass(underWay), discarded)];
  const executions = passes.reduce((sum, { counts }) => sum + counts.executions, 0);
  const { found } = parts;
  const { preemptions } = passes.at(-1)!;
  return {
    passes,
    executions,
    found: found && { ...found, preemptions, executions },
    exhausted: false,
    busyPlaces: () => busyPlaces,
    nestings: () => together([before.nestings(), parts.nestings]),
  };
}
