/**
 * Frames whose tables are those of a root: the tables below them look like tables of their levels.
 */
import { type AddressRule, addressAt, ENTRIES, PRESENT, TABLE_BYTES } from './entry-halves.ts';
import { lookAt, pointersOf } from './table-check.ts';
import type { TableReader } from './table-reader.ts';
import { joined, NOTHING, type Subtree, type TreeChecker } from './tree-check.ts';

/** A frame whose tables are those of a root. */
export interface Standing {
  readonly frame: number;
  readonly words: Int32Array;
  readonly levels: 4 | 5;
  readonly tree: Subtree;
  readonly isProcess: boolean;
  /** Whether the tables fit five levels as well as four. */
  readonly fitsBoth: boolean;
}

/** Of `others` there may be one among so many tables: memory that was read while it changed has some. */
const TABLES_AN_OTHER = 8;
/** More entries than a root repeats: KASAN has one table in 32 of a root. */
const MANY = 64;
/** Entries that are tried before all of a frame's are looked at. */
const PROBES = 4;

/**
 * Whether a frame is, by its entries alone, a table of level 1. One of a direct map, which begins at a multiple of 2 MiB: most entries
 * point to frames whose number, counted within 2 MiB, is the entry's index; what it maps may be tables, so that nothing below tells.
 * Or one that maps the same page over and over, as of a page of zeros.
 */
export function isOfPages(words: Int32Array, rule: AddressRule): boolean {
  let present = 0;
  let inPlace = 0;
  let again = 0;
  let before = -1;
  for (let index = 0; index < ENTRIES; index++) {
    if (!(words[2 * index]! & PRESENT)) continue;
    const address = addressAt(words, index, rule);
    present++;
    if ((address / TABLE_BYTES) % ENTRIES === index) inPlace++;
    if (address === before) again++;
    before = address;
  }
  return (inPlace > 1 && inPlace * 2 > present) || (present > MANY && again * 4 > present * 3);
}

/** Drops tables of level 1, and frames whose first and last entries do not point to tables: mostly tables of level 1. */
export async function probe(frames: readonly number[], tables: TableReader, rule: AddressRule): Promise<number[]> {
  const contents = await tables.read(frames);
  const mayBe = contents.map((words) => words !== undefined && !isOfPages(words, rule));
  const tried = contents.map((words, i) => (words && mayBe[i] ? someOf(pointersOf(words, 4, rule, frames[i])) : []));
  const below = await tables.read(tried.flat().map(({ frame }) => frame));
  let next = 0;
  return frames.filter((_, i) => {
    const looks = below.slice(next, next + tried[i]!.length);
    next += tried[i]!.length;
    /* A PML4 table is as good as a page-directory-pointer table here: it only has fewer bits to choose from. */
    const others = looks.filter((words) => words && lookAt(words, 3, rule) === 'other').length;
    return mayBe[i] && others * 2 <= looks.length;
  });
}

function someOf<T>(list: readonly T[]): readonly T[] {
  if (list.length <= PROBES) return list;
  const step = (list.length - 1) / (PROBES - 1);
  return Array.from({ length: PROBES }, (_, i) => list[Math.round(i * step)]!);
}

/**
 * A frame as a root of five or else of four levels; undefined where its tables are those of neither. Of a root whose pages would all be of
 * 1 GiB with five levels, four are more likely: they are of 2 MiB then.
 */
export async function stand(
  frame: number,
  tables: TableReader,
  checker: TreeChecker,
  rule: AddressRule,
): Promise<Standing | undefined> {
  const [words] = await tables.read([frame]);
  if (!words) return undefined;
  let fitsBoth = false;
  for (const levels of [5, 4] as const) {
    const pointers = pointersOf(words, levels, rule, frame);
    const subtrees = await checker.check(
      pointers.map((pointer) => pointer.frame),
      levels - 1,
    );
    const tree = subtrees.reduce((sum, child, i) => joined(sum, child, pointers[i]!.user), NOTHING);
    if (!tree.leaf || tree.others * TABLES_AN_OTHER > tree.tables) continue;
    if (levels === 5 && !tree.smallLeaf) {
      fitsBoth = true;
      continue;
    }
    const isProcess = pointers.some(({ index, user }, i) => {
      const { tables: found, userLeaf } = subtrees[i]!;
      /* A subtree of which the dump has nothing may be anything. */
      return index < ENTRIES / 2 && user && (userLeaf || found === 0);
    });
    return { frame, words, levels, tree, isProcess, fitsBoth };
  }
  return undefined;
}

/** Without tables of a root of five levels: the second of its levels looks like a root of four. */
export function withoutInner(standing: readonly Standing[], rule: AddressRule): Standing[] {
  const pointed = new Set<number>();
  for (const { frame, words, levels } of standing) {
    if (levels === 5) for (const pointer of pointersOf(words, levels, rule, frame)) pointed.add(pointer.frame);
  }
  return standing.filter(({ frame, levels }) => levels === 5 || !pointed.has(frame));
}

/** The first entry that points to the table itself. */
export function recursiveEntry({ words, frame }: Standing, rule: AddressRule): number | undefined {
  for (let index = 0; index < ENTRIES; index++) {
    if (words[2 * index]! & PRESENT && addressAt(words, index, rule) === frame) return index;
  }
  return undefined;
}
