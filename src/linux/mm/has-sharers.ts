/**
 * Whether other processes use a table of 2 MiB entries, too. include/linux/hugetlb.h of Linux 6.1: hugetlb_pmd_shared, with `pt_share_count` of
 * include/linux/mm_types.h.
 *
 *   `_refcount` of the table's page        1 + who looks at it by its frame
 *   `pt_share_count`                       other processes' entries that point to it
 *
 * Before there was a count of its own, sharers had references to the page, too: page_count() > 1 was the question, and whoever had taken a reference for a
 * moment was a sharer.
 */

import { LINUX_BUG_TABLE_REFERENCE_IS_SHARER } from '../base/linux-bugs.ts';
import { recordCount } from '../base/trace.ts';
import { unwatched } from '../base/watch.ts';
import type { MmMachine } from './mm-machine.ts';
import type { TablePage } from './tables.ts';

/** For whoever holds i_mmap_rwsem, or the VMA lock, or has just found the table. */
export function hasSharers(machine: MmMachine, table: TablePage): boolean {
  return countsReferences(machine) ? pageCount(machine, table) > 1 : table.shareCount > 0;
}

function countsReferences(machine: MmMachine): boolean {
  return machine.hasBug(LINUX_BUG_TABLE_REFERENCE_IS_SHARER);
}

/** `page_count` of the page that a table lies in. */
function pageCount(machine: MmMachine, { looks, shareCount }: TablePage): number {
  return 1 + looks + (countsReferences(machine) ? shareCount : 0);
}

/** Records that somebody has taken a reference to the page of a table, or given it back. Nobody watches it. @param by 1 or -1 */
export function recordReference(machine: MmMachine, table: TablePage, by: 1 | -1): void {
  if (!machine.trace) return;
  const now = unwatched(() => pageCount(machine, table));
  recordCount(machine, '_refcount', table.name, now - by, now);
}
