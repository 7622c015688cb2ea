/**
 * What can be observed between two operations: the pool, what processes have mapped, the page caches, the page tables.
 */
import type { Mm } from '../../linux/mm/mm.ts';
import { type Context, type Field, integer, Refusal, text } from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import { checkNames, MOST_COUNT, parseList, parsePool, parseTuple, refused } from '../line/lines.ts';
import { MOST_FILES, MOST_PAGES, MOST_PROCESSES, MOST_SLOTS } from '../line/setting.ts';
import type { CacheEntry, MapcountRun, MapRun, PoolCounts, SlotMap, Usage } from '../line/states.ts';
import type { Begun } from '../sequence/begun.ts';
import { type Disagreement, same } from '../sequence/disagreement.ts';
import { cacheOf } from './cache.ts';
import { mapsOf } from './maps.ts';
import type { HgmStage } from './stage.ts';

/** A state; what is left out is not compared. */
export interface State {
  readonly pool?: PoolCounts;
  readonly usage?: readonly Usage[];
  readonly cache?: readonly CacheEntry[];
  readonly maps?: readonly SlotMap[];
}

/** The fields of a state, by which it is known. */
export const STATE_FIELDS = ['pool', 'usage', 'cache', 'maps'] as const;

const process = integer(0, MOST_PROCESSES - 1);
const count = integer(0, MOST_COUNT);
const place = integer(-1, MOST_COUNT);
const anything: Field<unknown> = (value) => value;

/** A count below 0 as a program reads it: /proc has it without a sign, in KiB, which is more than a `long` holds. */
const NEGATIVE_USAGE = 2 ** 63 / 4;
const USAGE = [process, integer(0, NEGATIVE_USAGE)] as const;
const CACHE = [integer(0, MOST_FILES - 1), integer(0, MOST_PAGES - 1), count, count] as const;
const CACHE_OF_V2 = [...CACHE, anything] as const;
const MAPCOUNTS = [count, integer(1, MOST_COUNT), count] as const;
const SLOT = [process, integer(0, MOST_SLOTS - 1), anything] as const;
const size: Field<number> = (value, { setting }) => {
  const sizes = [1, 512, 262144].filter((pages) => pages * 4096 <= setting.hugePageSize);
  return sizes.includes(value as number) ? (value as number) : new Refusal(sizes.join(' or '));
};
const RUN = [
  integer(0, ({ slotPages }) => slotPages - 1),
  integer(1, MOST_COUNT),
  size,
  integer(-1, MOST_FILES - 1),
  place,
  text(/^(-|m|n?[wr]d?u?)$/, '"-", "m", or n, w or r, d, u'),
] as const;

/** `{"pool":[...],"usage":[...],"cache":[...],"maps":[...]}`, or some of these. */
export function parseState(line: Line, object: LineObject, context: Context): State {
  checkNames(line, object, STATE_FIELDS, 'a state');
  const { pool, usage, cache, maps } = object;
  return {
    ...(pool !== undefined && { pool: parsePool(line, pool, context) }),
    ...(usage !== undefined && { usage: parseUsage(line, usage, context) }),
    ...(cache !== undefined && { cache: parseCache(line, cache, context) }),
    ...(maps !== undefined && { maps: parseMaps(line, maps, context) }),
  };
}

function parseUsage(line: Line, value: unknown, context: Context): Usage[] {
  return parseList(line, 'usage', value, 'processes', (name, entry) => {
    return parseTuple(line, name, entry, USAGE, context);
  });
}

function parseCache(line: Line, value: unknown, context: Context): CacheEntry[] {
  const each = context.setting.hgm.version === 'v2';
  return parseList(line, 'cache', value, 'huge pages', (name, entry) => {
    if (!each) return parseTuple(line, name, entry, CACHE, context);
    const [file, index, mapcount, refcount, mapcounts] = parseTuple(line, name, entry, CACHE_OF_V2, context, 'items');
    return [file, index, mapcount, refcount, parseMapcounts(line, `${name}[4]`, mapcounts, context)];
  });
}

function parseMapcounts(line: Line, name: string, value: unknown, context: Context): MapcountRun[] {
  return parseList(line, name, value, 'runs', (inner, run) => {
    return parseTuple(line, inner, run, MAPCOUNTS, context);
  });
}

function parseMaps(line: Line, value: unknown, context: Context): SlotMap[] {
  return parseList(line, 'maps', value, 'slots', (name, entry) => {
    const [proc, slot, runs] = parseTuple(line, name, entry, SLOT, context, 'items');
    return [proc, slot, parseRuns(line, `${name}[2]`, runs, context)];
  });
}

function parseRuns(line: Line, name: string, value: unknown, context: Context): MapRun[] {
  return parseList(line, name, value, 'runs', (inner, run) => {
    return parseTuple(line, inner, run, RUN, context, 'items');
  });
}

/** All that can be observed. */
export function stateOf(stage: HgmStage): Required<State> {
  return { pool: stage.pool, usage: usagesOf(stage), cache: cacheOf(stage), maps: mapsOf(stage) };
}

/** What differs between a state and the stage. */
export function compareState(stage: HgmStage, state: State): Disagreement[] {
  const { pool, usage, cache, maps } = state;
  const found: Disagreement[] = [];
  if (pool && !same(pool, stage.pool)) found.push({ what: 'pool', kernel: pool, model: stage.pool });
  if (usage) {
    const model = usagesOf(stage);
    if (!same(usage, model)) found.push({ what: 'usage', kernel: usage, model });
  }
  if (cache) {
    const model = cacheOf(stage);
    if (!same(cache, model)) found.push({ what: 'cache', kernel: cache, model });
  }
  if (maps) {
    const model = mapsOf(stage);
    if (!same(maps, model)) found.push({ what: 'maps', kernel: maps, model });
  }
  return found;
}

function usagesOf(stage: HgmStage): Usage[] {
  return stage.processes().map(([number, { mm }]) => [number, usageOf(mm)]);
}

function usageOf({ hugetlbUsage }: Mm): number {
  return hugetlbUsage < 0 ? NEGATIVE_USAGE : hugetlbUsage;
}

/** `{"same":true}`: the state of the last line that told one still holds. */
export function sameState(line: Line, object: LineObject, { state: last }: Begun): object {
  checkNames(line, object, ['same'], 'a state');
  if (object.same !== true) throw refused(line, 'same', 'true', object.same);
  if (!last) throw refused(line, 'same', 'a state of the sequence before it', object.same);
  return last;
}
