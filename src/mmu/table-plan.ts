/**
 * What an operation on page tables will take, found before anything is changed: how many tables, or what is in its way.
 */
import type { PhysicalMemory } from '../core/physical-memory.ts';
import { addressMask, present } from './bits/entry.ts';
import type { Obstacle, TableObstacle } from './mapper-result.ts';
import { bytesOf, isMalformed, mapsPage, shiftOf, withholds } from './table-entries.ts';

/** Tables below a root. */
export interface TableTree {
  readonly memory: PhysicalMemory;
  /** Physical address. */
  readonly root: bigint;
  readonly levels: 4 | 5;
}

/** The part of a range that one entry maps. */
export interface Span {
  /** Linear address. */
  readonly first: bigint;
  /** Inclusive. */
  readonly last: bigint;
  readonly level: number;
  /** Physical address of the entry. */
  readonly at: bigint;
  readonly entry: bigint;
}

/** The parts of a range, ascending, that the entries of one table map. Reads each entry when it gets there. */
export function* spansOf(
  memory: PhysicalMemory,
  table: bigint,
  level: number,
  first: bigint,
  last: bigint,
): Generator<Span, void, undefined> {
  const behind = bytesOf(level) - 1n;
  for (let from = first; from <= last; from = (from | behind) + 1n) {
    const end = from | behind;
    const at = table + ((from >> shiftOf(level)) & 511n) * 8n;
    const entry = memory.readEntry(at) ?? 0n;
    yield { first: from, last: end < last ? end : last, level, at, entry };
  }
}

/** Whether a range takes in all that the entry maps. */
export function isWhole({ first, last, level }: Span): boolean {
  return last - first === bytesOf(level) - 1n;
}

/** The tables that a mapping takes, or what is in its way. @param leaf the bits of its leaves, at `leafLevel` */
export function planMap(
  tree: TableTree,
  first: bigint,
  last: bigint,
  leafLevel: number,
  leaf: bigint,
): number | Obstacle<'already-mapped'> | Obstacle<'restricted-above'> | TableObstacle {
  const { memory } = tree;
  const met = new Set([tree.root]);
  const plan = (table: bigint, level: number, from: bigint, to: bigint): ReturnType<typeof planMap> => {
    let tables = 0;
    for (const span of spansOf(memory, table, level, from, to)) {
      if (!(span.entry & present)) {
        tables += tablesBelow(span, leafLevel);
        continue;
      }
      const below = span.entry & addressMask;
      const obstacle =
        tableObstacle(memory, span, met) ??
        (mapsPage(span.entry, level) || (level === leafLevel && hasPage(memory, below, level - 1))
          ? { kind: 'already-mapped' as const, ...placeOf(span) }
          : undefined);
      if (obstacle) return obstacle;
      /* Where a table with nothing in it stands in the place of a large page, the page takes it. */
      if (level === leafLevel) continue;
      const planned = restrictedAbove(span, leaf) ?? plan(below, level - 1, span.first, span.last);
      if (typeof planned !== 'number') return planned;
      tables += planned;
    }
    return tables;
  };
  return plan(tree.root, tree.levels, first, last);
}

/**
 * The tables that it takes to change all leaves of a range, or what is in the way.
 *
 * @param change the new entry for an old one
 * @param restricts whether an entry that points to a table is in the way
 */
export function planChange<Restriction extends object>(
  tree: TableTree,
  first: bigint,
  last: bigint,
  change: (leaf: bigint) => bigint,
  restricts: (span: Span) => Restriction | undefined,
): number | Obstacle<'not-mapped'> | TableObstacle | Restriction {
  const { memory } = tree;
  const met = new Set([tree.root]);
  type Plan = number | Obstacle<'not-mapped'> | TableObstacle | Restriction;
  const planSpan = (span: Span): Plan => {
    const { entry, level } = span;
    if (!(entry & present)) return { kind: 'not-mapped', ...placeOf(span) };
    const obstacle = tableObstacle(memory, span, met);
    if (obstacle) return obstacle;
    if (!mapsPage(entry, level)) {
      return restricts(span) ?? plan(entry & addressMask, level - 1, span.first, span.last);
    }
    return change(entry) === entry ? 0 : tablesToSplit(span.first, span.last, level);
  };
  const plan = (table: bigint, level: number, from: bigint, to: bigint): Plan => {
    let tables = 0;
    for (const span of spansOf(memory, table, level, from, to)) {
      const planned = planSpan(span);
      if (typeof planned !== 'number') return planned;
      tables += planned;
    }
    return tables;
  };
  return plan(tree.root, tree.levels, first, last);
}

/** Set where an entry above takes away a right that a leaf is to give. */
export function restrictedAbove(span: Span, leaf: bigint): Obstacle<'restricted-above'> | undefined {
  return withholds(span.entry, leaf) ? { kind: 'restricted-above', ...placeOf(span) } : undefined;
}

function placeOf({ first, level, entry }: Span): { va: bigint; level: number; entry: bigint } {
  return { va: first, level, entry };
}

/** What is wrong with a present entry itself. @param met the tables that the operation has come to; the entry's joins them */
function tableObstacle(memory: PhysicalMemory, span: Span, met: Set<bigint>): TableObstacle | undefined {
  const { entry, level } = span;
  if (isMalformed(entry, level)) return { kind: 'reserved', ...placeOf(span) };
  if (mapsPage(entry, level)) return undefined;
  const table = entry & addressMask;
  if (memory.readEntry(table + 0xff8n) === undefined) return { kind: 'missing-table', ...placeOf(span) };
  /* What the operation does under the one entry it would find done under the other. */
  if (met.has(table)) return { kind: 'shared-table', ...placeOf(span) };
  met.add(table);
  return undefined;
}

/** Whether anything is mapped below a table; pointers out of memory count, since nobody knows what is there. */
function hasPage(memory: PhysicalMemory, table: bigint, level: number): boolean {
  for (let at = table; at < table + 0x1000n; at += 8n) {
    const entry = memory.readEntry(at);
    if (entry === undefined) return true;
    if (!(entry & present)) continue;
    if (mapsPage(entry, level) || hasPage(memory, entry & addressMask, level - 1)) return true;
  }
  return false;
}

/** Tables that it takes from an empty entry down to leaves of a level: one for each entry above them. */
function tablesBelow({ first, last, level }: Span, leafLevel: number): number {
  let tables = 0n;
  for (let l = level; l > leafLevel; l--) tables += (last >> shiftOf(l)) - (first >> shiftOf(l)) + 1n;
  return Number(tables);
}

/** Tables that it takes to cut a part out of a page: one, and those for the pieces at both ends that are cut again. */
function tablesToSplit(first: bigint, last: bigint, level: number): number {
  const behind = bytesOf(level) - 1n;
  if ((first & behind) === 0n && (last & behind) === behind) return 0;
  const piece = bytesOf(level - 1) - 1n;
  const endOfFirst = first | piece;
  if (endOfFirst >= last) return 1 + tablesToSplit(first, last, level - 1);
  return 1 + tablesToSplit(first, endOfFirst, level - 1) + tablesToSplit(last & ~piece, last, level - 1);
}
