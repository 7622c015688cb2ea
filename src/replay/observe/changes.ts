/**
 * What has changed between two moments, in words. Numbers are the scenario's own, but those of frames.
 */
import { entryChanges } from './entry-changes.ts';
import { pageChanges, pairsOf } from './page-changes.ts';
import type { Snapshot } from './snapshot.ts';
import { changed } from './words.ts';

const POOL = ['total', 'free', 'reserved', 'surplus'];

/**
 * The changes between two snapshots of a stage: the pool's counters, then huge pages, then entries of page tables.
 *
 * @param unit pages of a huge page, as the scenario counts pages
 *
 * @example
 * ```text
 * free 3 -> 2    reserved 1 -> 0    private 1: map count 1    p0 s0 page 0: rw dirty private 1
 * file 0 page 0: pfn 0x100000 -> 0x100200    p0 s0 page 0: pfn 0x100000 -> pfn 0x100200
 * file 0 page 0: out of the file, map count 1 -> 0    once file 0 page 0: gone
 * ```
 */
export function changesBetween(before: Snapshot, after: Snapshot, unit: number): string[] {
  const pool = POOL.flatMap((name, i) => changed(name, before.pool[i]!, after.pool[i]!));
  const corrupted = changed('corrupted 4 KiB pages', before.corrupted, after.corrupted);
  const pairs = pairsOf(before.pages, after.pages);
  const entries = entryChanges(before.mapped, after.mapped, pairs.moved, unit);
  return [...pool, ...corrupted, ...pageChanges(pairs, unit), ...entries];
}
