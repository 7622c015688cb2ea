/**
 * Where the pieces that a huge page is mapped in are worked on run by run, and not entry by entry: see leaf-scan.ts.
 *
 *   alone       │ a run │ a run │     all pieces: nobody can come in between two of them
 *   watched     │ a run │1│1│ a run │ between entries at which another task may come in, as it touches them, too
 */
import { HGM_POSTED_FORK_TRY_GET } from '../base/hgm.ts';
import type { Path, Task } from '../base/task.ts';
import { Touch, watch } from '../base/watch.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { LeafRun } from '../mm/leaf-cursor.ts';
import { TABLE } from '../mm/tables.ts';
import type { Vma } from '../mm/vma.ts';
import { endOfHugePage } from './page-table.ts';

const ENTRY = 8;
const PTE_SHIFT = 12;

/**
 * Whether all pieces of a huge page are worked on run by run: there are pieces, nobody can come in between two of them, and nobody wants a trace of
 * each. A kernel that leaks page-table locks waits for them also at entries that have nothing to do: there, each is taken.
 *
 * @param hpte one of them
 */
export function inRuns(task: Task, vma: Vma, hpte: HugetlbPte): boolean {
  return !task.preemptible && mayBeInRuns(vma, hpte);
}

function mayBeInRuns({ mm: { machine }, hstate }: Vma, { shift }: HugetlbPte): boolean {
  return shift < hstate.shift && !machine.trace && !machine.hgmPosted(HGM_POSTED_FORK_TRY_GET);
}

/**
 * How far the pieces of a huge page are worked on run by run: to its end, where {@link inRuns}; else as far as nobody needs to come in between.
 *
 * @param address of an entry's first byte
 * @param hpte the entry
 * @param end of what is worked on
 * @returns `address` where it goes on entry by entry
 */
export function endOfRuns(task: Task, vma: Vma, address: number, hpte: HugetlbPte, end: number): number {
  if (!mayBeInRuns(vma, hpte)) return address;
  const until = Math.min(end, endOfHugePage(vma, address));
  return task.preemptible ? address + hpte.size * quietEntries(task, hpte, (until - address) / hpte.size) : until;
}

/** How many entries from one on can be done at once, though other tasks are under way. */
function quietEntries(task: Task, { ptep, shift, lock }: HugetlbPte, entries: number): number {
  if (!watch || shift > PTE_SHIFT || !lock.isFreeFor(task, 'write')) return 0;
  return watch.quietEntries(ptep, Math.min(entries, (TABLE - (ptep % TABLE)) / ENTRY));
}

/** Takes the lock for a run. A watch is told of each of its entries. @param hpte the first */
export function* lockRun(task: Task, { lock, ptep }: HugetlbPte, { entries }: LeafRun): Path<void> {
  if (!watch) return yield* lock.write(task);
  watch.passEntries(ptep, entries);
  lock.tryWrite(task);
  watch.eachEntry(Touch.read, ptep);
}

/** The run was changed. @param address of its first byte */
export function wroteRun({ mm }: Vma, address: number, hpte: HugetlbPte): void {
  watch?.leaf(mm, address, hpte);
  watch?.eachEntry(Touch.write, hpte.ptep);
}

/** Releases its lock. */
export function unlockRun(task: Task, { lock }: HugetlbPte): void {
  lock.unlock(task);
  watch?.passedEntries();
}
