/**
 * The format of recordings of Linux 6.1's hugetlb: everything is counted in huge pages.
 */
import type { FlatMemory } from '../../core/flat-memory.ts';
import { type Context, integer } from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import { checkNames, MOST_COUNT, parseList, parsePool, parseTuple, refused } from '../line/lines.ts';
import { MOST_PROCESSES, MOST_SLOTS, type Setting } from '../line/setting.ts';
import type { PageEntry, PoolCounts } from '../line/states.ts';
import type { Begun } from '../sequence/begun.ts';
import { type Disagreement, same } from '../sequence/disagreement.ts';
import type { Format } from '../sequence/format.ts';
import { type HugetlbSetting, parseHeader } from './header.ts';
import { OPERATIONS } from './operations.ts';
import { pagesOf } from './pages.ts';
import { HugetlbStage } from './stage.ts';

/** What can be observed between two operations; what is left out is not compared. */
interface State {
  readonly pool?: PoolCounts;
  readonly pages?: readonly PageEntry[];
}

/** Bits 62:56 of a pagemap entry. */
const MOST_FLAGS = 0x7f;

/** proc, slot, page, class, mapcount, flags. */
const PAGE_ENTRY = [
  integer(0, MOST_PROCESSES - 1),
  integer(0, MOST_SLOTS - 1),
  integer(0, ({ slotPages }) => slotPages - 1),
  integer(-1, MOST_COUNT),
  integer(0, MOST_COUNT),
  integer(0, MOST_FLAGS),
] as const;

/** Linux 6.1's. */
export const HUGETLB: Format = {
  kinds: ['pool', 'pages'],
  operations: OPERATIONS,
  header: parseHeader,
  stage: (setting: Setting, tables: FlatMemory) => new HugetlbStage(setting as HugetlbSetting, tables),

  take(_: string, line: Line, object: LineObject, begun: Begun): void {
    const field = object.pool === undefined ? 'pages' : 'pool';
    const step = begun.completed(line, field, object);
    if (step.hang) throw refused(line, field, 'no state, since the operation hangs', object[field]);
    begun.complete({ ...step, state: parseState(line, object, begun), stateLine: line.line });
  },

  observe: (stage: HugetlbStage): Required<State> => ({ pool: stage.pool, pages: pagesOf(stage) }),

  compare(stage: HugetlbStage, { pool, pages }: State): Disagreement[] {
    const found: Disagreement[] = [];
    if (pool && !same(pool, stage.pool)) found.push({ what: 'pool', kernel: pool, model: stage.pool });
    if (!pages) return found;
    const model = pagesOf(stage);
    if (!same(pages, model)) found.push({ what: 'pages', kernel: pages, model });
    return found;
  },
};

/** `{"pool":[9,8,1,0],"pages":[[0,0,0,0,1,33]]}`, or one of both. */
function parseState(line: Line, object: LineObject, context: Context): State {
  checkNames(line, object, ['pool', 'pages'], 'a state');
  const { pool, pages } = object;
  return {
    ...(pool !== undefined && { pool: parsePool(line, pool, context) }),
    ...(pages !== undefined && { pages: parsePages(line, pages, context) }),
  };
}

function parsePages(line: Line, value: unknown, context: Context): PageEntry[] {
  return parseList(line, 'pages', value, 'pages', (name, entry) => parseTuple(line, name, entry, PAGE_ENTRY, context));
}
