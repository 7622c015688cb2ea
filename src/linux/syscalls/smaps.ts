/**
 * The huge pages' part of /proc/PID/smaps. fs/proc/task_mmu.c of Linux 6.1: smaps_hugetlb_range, show_smap; of the HGM series:
 * smaps_hugetlb_hgm_account.
 *
 *   Shared_Hugetlb    mapped elsewhere, too: the map count of a leaf's first 4 KiB page is 2 or more, or its table is shared
 *   Private_Hugetlb   the rest of what is mapped
 *   HugetlbPudMapped  ⎫
 *   HugetlbPmdMapped  ⎬ the same bytes once more, by the size of the leaves
 *   HugetlbPteMapped  ⎭
 *
 * RFC v2 counts all leaves of a huge page in one map count: a page that two leaves map is shared to it, though one process has both.
 */
import { readMigrationEntry } from '../base/migration-entry.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { hasSharers } from '../mm/has-sharers.ts';
import type { LeafRun } from '../mm/leaf-cursor.ts';
import type { Mm } from '../mm/mm.ts';
import type { MmMachine } from '../mm/mm-machine.ts';
import type { Vma } from '../mm/vma.ts';
import { PUD_SHIFT } from '../page-tables/page-table.ts';
import { walkLock } from '../page-tables/walk-lock.ts';

/** What /proc/PID/smaps has for a mapping; bytes. */
export interface Smaps {
  readonly start: number;
  readonly end: number;
  /** Of the huge pages that it is made of. */
  readonly kernelPageSize: number;
  /** What the kernel takes for the size of a leaf: the same, with HGM, too. */
  readonly mmuPageSize: number;
  readonly sharedHugetlb: number;
  readonly privateHugetlb: number;
  /** Mapped by leaves of 1 GiB; like the next two, only kernels with HGM print it. */
  readonly hugetlbPudMapped: number;
  /** By leaves of 2 MiB. */
  readonly hugetlbPmdMapped: number;
  /** By leaves of 4 KiB. */
  readonly hugetlbPteMapped: number;
}

/** Of each VMA that overlaps [start, start + length), all of it. */
export function* readSmaps(task: Task, mm: Mm, start: number, length: number): Path<Smaps[]> {
  const shown: Smaps[] = [];
  yield* mm.mmapLock.read(task);
  for (const vma of mm.intersecting(start, start + length)) {
    const lock = walkLock(vma);
    if (lock) yield* lock.read(task);
    shown.push(gather(vma));
    lock?.unlock(task);
  }
  mm.mmapLock.unlock(task);
  return shown;
}

/** `smap_gather_stats`. */
function gather(vma: Vma): Smaps {
  const { mm, start, end } = vma;
  let shared = 0;
  const bySize = { 30: 0, 21: 0, 12: 0 };
  mm.machine.leafScan.runs(mm, start, end, (run) => {
    if (!run.present && !run.pte.isMigration && !run.pte.isHwpoison) return;
    const bytes = run.entries * run.size;
    shared += sharedBytes(mm, run);
    bySize[run.shift as keyof typeof bySize] += bytes;
  });
  const { size } = vma.hstate;
  return {
    start,
    end,
    kernelPageSize: size,
    mmuPageSize: size,
    sharedHugetlb: shared,
    privateHugetlb: bySize[30] + bySize[21] + bySize[12] - shared,
    hugetlbPudMapped: bySize[30],
    hugetlbPmdMapped: bySize[21],
    hugetlbPteMapped: bySize[12],
  };
}

/** Of the leaves of a run. Of a page that moves, or has bad memory, those count that are left. */
function sharedBytes({ machine }: Mm, run: LeafRun): number {
  const { ptep, entries, size, shift } = run;
  const { tables, frames } = machine;
  if (shift < PUD_SHIFT && hasSharers(machine, tables.page(ptep))) return entries * size;
  const first = firstFrame(machine, run);
  let leaves = 0;
  for (let entry = 0; entry < entries; entry++) {
    const pfn = first + (entry * size) / PAGE_SIZE;
    const folio = frames.folio(pfn);
    if (folio.pageMapcount(pfn - folio.pfn) >= 2) leaves++;
  }
  return leaves * size;
}

/** `pfn_swap_entry_to_page`: what is not present may still stand for a page. */
function firstFrame(machine: MmMachine, { present, pte }: LeafRun): number {
  if (present) return pte.pfn;
  return pte.isHwpoison ? pte.hwpoisonPfn : readMigrationEntry(machine, pte).pfn;
}
