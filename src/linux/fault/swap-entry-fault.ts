/**
 * What a fault of Linux 6.1 sees before it takes any lock: a page that moves, or bad memory. mm/hugetlb.c: hugetlb_fault; mm/migrate.c:
 * migration_entry_wait_huge.
 *
 *   first look, no locks ──┬── the page moves: waits for it, and faults again
 *                          ├── bad memory: SIGBUS
 *                          └── all else: fault mutex, VMA lock, second look
 */
import { hex } from '../../core/errors.ts';
import type { VmFault } from '../base/fault-flags.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import { readMigrationEntry } from '../base/migration-entry.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Vma } from '../mm/vma.ts';
import { hugePteOffset } from '../page-tables/page-table.ts';
import { poisonedEntryFault } from './hwpoison-fault.ts';

/** The first look. Returns how the fault ends with it, if it does. */
export function* swapEntryFault(task: Task, vma: Vma, address: number): Path<VmFault | undefined> {
  const hpte = hugePteOffset(vma, address);
  if (!hpte) return undefined;
  if (task.preemptible) yield* preemptionPoint(task, hpte.ptep);
  const pte = vma.mm.machine.tables.read(hpte.ptep);
  if (pte.isHwpoison) return poisonedEntryFault(task, vma, hpte, pte);
  if (!pte.isMigration) return undefined;
  yield* migrationEntryWaitHuge(task, vma, hpte);
  return 'done';
}

/**
 * `migration_entry_wait_huge`: whoever moves the page has locked it, until the entry is a leaf again.
 *
 * Nothing but mmap_lock keeps a shared table where it is meanwhile (later kernels hold the VMA lock). What is read of one that has gone
 * decides only whether to wait.
 */
const migrationEntryWaitHuge = kernelFunction('migration_entry_wait_huge', waitForPage, {
  args: (_vma, { ptep }) => `ptep=${hex(ptep)}`,
});

function* waitForPage(task: Task, { mm: { machine } }: Vma, hpte: HugetlbPte): Path<void> {
  yield* hpte.lockPte(task);
  const pte = machine.tables.read(hpte.ptep);
  hpte.lock.unlock(task);
  if (pte.isMigration) yield* machine.frames.folio(readMigrationEntry(machine, pte).pfn).lock.wait(task);
}
