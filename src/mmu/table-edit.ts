/**
 * Changes page tables, once it is known that nothing is in the way. A new table is complete before an entry points to it, and
 * one that is given back is not pointed to any more: at every moment the tables say something that was meant.
 */
import { TABLE_BYTES } from '../core/generated/layout.ts';
import type { PhysicalMemory } from '../core/physical-memory.ts';
import { accessed, addressMask, present } from './bits/entry.ts';
import { bytesOf, ENTRIES, mapsPage, piecesOf, pointerTo } from './table-entries.ts';
import { isWhole, type Span, spansOf, type TableTree } from './table-plan.ts';

/** What one operation uses and leaves behind. */
export interface Work {
  /** Frames for new tables, as many as were planned. */
  readonly frames: bigint[];
  /** Addresses of pages that were mapped otherwise before. */
  readonly invalidate: bigint[];
  /** Tables that an entry pointed to, and does not any more; another entry may. */
  readonly freed: Set<bigint>;
  /** Whether empty tables go. */
  readonly frees: boolean;
}

/** Fills a table with zeros. */
export function clearTable(memory: PhysicalMemory, table: bigint): void {
  for (let index = 0n; index < ENTRIES; index++) memory.writeEntry(table + index * 8n, 0n);
}

/** Maps a range. @param leaf the bits of its leaves */
export function mapRange(
  tree: TableTree,
  first: bigint,
  last: bigint,
  pa: bigint,
  leafLevel: number,
  leaf: bigint,
  work: Work,
): void {
  const { memory } = tree;
  const fill = (table: bigint, level: number, from: bigint, to: bigint): void => {
    for (const span of spansOf(memory, table, level, from, to)) {
      const { at, entry } = span;
      const exists = (entry & present) !== 0n;
      if (level > leafLevel) {
        const below = exists ? entry & addressMask : newTable(memory, work);
        fill(below, level - 1, span.first, span.last);
        if (!exists) memory.writeEntry(at, pointerTo(below, false));
      } else {
        memory.writeEntry(at, leaf | (pa + (span.first - first)));
        if (exists) {
          work.invalidate.push(span.first);
          if (work.frees) freeTree(memory, entry & addressMask, level - 1, work);
        }
      }
    }
  };
  fill(tree.root, tree.levels, first, last);
}

/** Changes the leaves of a range. @param change the new entry for an old one; 0n unmaps it */
export function changeRange(
  tree: TableTree,
  first: bigint,
  last: bigint,
  change: (leaf: bigint) => bigint,
  work: Work,
): void {
  const { memory } = tree;
  const visit = (
    table: bigint,
    level: number,
    from: bigint,
    to: bigint,
    { invalidate }: Pick<Work, 'invalidate'>,
  ): void => {
    for (const span of spansOf(memory, table, level, from, to)) {
      if (!mapsPage(span.entry, level)) {
        const below = span.entry & addressMask;
        visit(below, level - 1, span.first, span.last, { invalidate });
        if (work.frees && isEmpty(memory, below)) {
          memory.writeEntry(span.at, 0n);
          work.freed.add(below);
        }
      } else if (change(span.entry) !== span.entry) {
        invalidate.push(span.first);
        if (isWhole(span)) memory.writeEntry(span.at, change(span.entry));
        else {
          const below = newTableOfPieces(memory, span, work);
          /* One INVLPG drops the large page; its pieces nobody has seen. */
          visit(below, level - 1, span.first, span.last, { invalidate: [] });
          memory.writeEntry(span.at, pointerTo(below, (span.entry & accessed) !== 0n));
        }
      }
    }
  };
  visit(tree.root, tree.levels, first, last, work);
}

function newTable(memory: PhysicalMemory, { frames }: Work): bigint {
  const table = frames.pop()!;
  clearTable(memory, table);
  return table;
}

/** A table that maps what a large page mapped. */
function newTableOfPieces(memory: PhysicalMemory, { entry, level }: Span, { frames }: Work): bigint {
  const table = frames.pop()!;
  let at = table;
  for (const piece of piecesOf(entry, level)) {
    memory.writeEntry(at, piece);
    at += 8n;
  }
  return table;
}

/** Whether all entries are 0: one that is not present may hold what an operating system wrote there. */
function isEmpty(memory: PhysicalMemory, table: bigint): boolean {
  const words = new DataView(memory.wasm.buffer, memory.locate(table), TABLE_BYTES);
  for (let at = 0; at < TABLE_BYTES; at += 4) if (words.getUint32(at, true) !== 0) return false;
  return true;
}

/** Notes the frames of a table and of all below it that map nothing. */
function freeTree(memory: PhysicalMemory, table: bigint, level: number, work: Work): void {
  if (work.freed.has(table)) return;
  work.freed.add(table);
  if (level === 1) return;
  for (const { entry } of spansOf(memory, table, level, 0n, ENTRIES * bytesOf(level) - 1n)) {
    if (entry & present) freeTree(memory, entry & addressMask, level - 1, work);
  }
}
