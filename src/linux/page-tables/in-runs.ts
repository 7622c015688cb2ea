/**
 * When the core may do the work: see leaf-scan.ts.
 */
import { HGM_POSTED_FORK_TRY_GET } from '../base/hgm.ts';
import type { Task } from '../base/task.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Vma } from '../mm/vma.ts';

/**
 * Whether the pieces that a huge page is mapped in are worked on run by run: there are pieces, nobody can come in between two of them, and
 * nobody wants a trace of each. A kernel that leaks page-table locks waits for them also at entries that have nothing to do: there, each is
 * taken.
 *
 * @param hpte one of them
 */
export function inRuns({ preemptible }: Task, { mm, hstate }: Vma, hpte: HugetlbPte): boolean {
  const { machine } = mm;
  return hpte.shift < hstate.shift && !preemptible && !machine.trace && !machine.hgmPosted(HGM_POSTED_FORK_TRY_GET);
}
