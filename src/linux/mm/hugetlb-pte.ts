/**
 * Where a leaf's entry lies, what it covers, and which lock guards it. struct hugetlb_pte of the HGM series; without
 * high-granularity mapping every leaf is of its pool's size.
 *
 * Paths that work on ranges go from leaf to leaf, each as large as it happens to be. Nothing here or above takes it for
 * granted that a huge page has one entry.
 */
import type { Lock } from '../base/lock.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { PAGE_PRESENT, PAGE_PROTNONE, type Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';

/** A place for a leaf. */
export class HugetlbPte {
  /** Physical address of the entry. */
  readonly ptep: number;
  /** Binary logarithm of what it covers: 12, 21 or 30. */
  readonly shift: number;
  /** Bytes that it covers. */
  readonly size: number;
  /** The page-table lock that guards it. */
  readonly lock: Lock;

  /** What {@link isPresentLeaf} takes for present, beside P: PROT_NONE, but for HGM_POSTED_PROT_NONE_PUD. */
  readonly #present: number;

  constructor(ptep: number, shift: number, lock: Lock, protNoneIsLeaf = true) {
    this.ptep = ptep;
    this.shift = shift;
    this.size = 1 << shift;
    this.lock = lock;
    this.#present = protNoneIsLeaf ? PAGE_PRESENT | PAGE_PROTNONE : PAGE_PRESENT;
  }

  /** 4 KiB pages that it covers. */
  get pages(): number {
    return this.size / PAGE_SIZE;
  }

  /** `huge_pte_lock`: takes its lock. Where others take it for other entries, nobody needs to come in before. */
  lockPte(task: Task): Path<void> {
    return this.lock.writeFor(task, this.ptep);
  }

  /** `hugetlb_pte_present_leaf`: a page is mapped here; a present entry without PS above 4 KiB points to a table. */
  isPresentLeaf(pte: Pte): boolean {
    return (pte.lo & this.#present) !== 0 && (this.shift === 12 || pte.huge);
  }
}
