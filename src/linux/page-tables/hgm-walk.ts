/**
 * Walks that make finer tables. mm/hugetlb.c of the HGM series, v2: hugetlb_full_walk_alloc, hugetlb_hgm_walk, hugetlb_alloc_pmd,
 * hugetlb_alloc_pte, hugetlb_alloc_largest_pte, hugetlb_split_pte_markers.
 *
 *   before   PUD entry: empty
 *   after    PUD entry ──> PMD table: │empty│empty│ ... │──> PTE table: │empty│empty│ ... │      walked with 4 KiB for a target
 *
 * Only what is empty can be split: tables appear where nothing is mapped, so nobody's mapping changes, and the page-table lock is enough. Where
 * a page is mapped by a larger leaf than is wanted, the walk ends there.
 */
import { hex } from '../../core/errors.ts';
import { sizeName } from '../../reference/words.ts';
import { describeEntry } from '../base/entry-words.ts';
import { rangeWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import type { Pte } from '../base/pte.ts';
import { PTE_UFFD_WP_MARKER } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { hgmEnabled, hgmSizes } from '../mm/hgm-enabled.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Vma } from '../mm/vma.ts';
import { entryBelow, hugetlbFullWalkContinue, levelOf, pointTo } from './page-table.ts';
import { hugePteAlloc } from './pmd-share.ts';

const ENTRIES = 512;

/** Where a walk has come to, in words. */
function placeWords(result: HugetlbPte | string): string {
  return typeof result === 'string' ? `-${result}` : `an entry of ${sizeName(result.size)}`;
}

/**
 * What a walk ends with that cannot make tables: memory for them is used up; something is here that is no hole; pieces are wanted of a mapping
 * without HGM. The tables that were made until then stay.
 */
export type WalkError = 'ENOMEM' | 'EEXIST' | 'EINVAL';

/**
 * `hugetlb_full_walk_alloc`: makes tables down to the entry of `size` bytes that `address` lies in, or to a leaf on the way. The caller holds
 * the VMA lock.
 *
 * @param size bytes; 0: no finer tables than there are, only the place of the huge page's entry
 */
export const hugetlbFullWalkAlloc: typeof fullWalkAlloc = kernelFunction(
  /* Linux 6.1 has only the walk to the huge page's own entry. */
  (vma) => (vma.mm.machine.hgm === 'none' ? 'huge_pte_alloc' : 'hugetlb_full_walk_alloc'),
  fullWalkAlloc,
  {
    args: (vma, address, size) =>
      `addr=${hex(address)}, size=${hex(vma.mm.machine.hgm === 'none' ? vma.hstate.size : size)}`,
    result: placeWords,
  },
);

function* fullWalkAlloc(task: Task, vma: Vma, address: number, size: number): Path<HugetlbPte | WalkError> {
  const top = yield* hugePteAlloc(task, vma, address);
  if (!top) return refuse(task, 'ENOMEM', 'no memory for a page table');
  if (size === 0) return hugetlbFullWalkContinue(vma, top, address);
  if (!hgmEnabled(vma)) return size === top.size ? top : refuse(task, 'EINVAL', 'the mapping has no HGM');
  return yield* hgmWalkAlloc(task, vma, top, address, size);
}

/** `hugetlb_hgm_walk`, with allocation. It ends at `size` also where a table is there. */
function* hgmWalkAlloc(
  task: Task,
  vma: Vma,
  from: HugetlbPte,
  address: number,
  size: number,
): Path<HugetlbPte | WalkError> {
  const { mm } = vma;
  let hpte = from;
  while (hpte.size > size) {
    const pte = mm.machine.tables.read(hpte.ptep);
    if (pte.present) {
      if (hpte.isPresentLeaf(pte)) return hpte;
      /* HGM_POSTED_PROT_NONE_PUD: no leaf, nor `pud_present`; hugetlb_alloc_pmd finds that it is not empty either. */
      if (pte.huge)
        return refuse(task, 'EEXIST', `${describeEntry(pte.value, levelOf(hpte.shift))}: no leaf, and not empty`);
      hpte = entryBelow(mm, hpte, pte, address);
      continue;
    }
    const split = yield* splitEmpty(task, vma, hpte, pte, address);
    if (split !== 'OK') return split;
  }
  return hpte;
}

/** `hugetlb_alloc_pmd`, `hugetlb_alloc_pte`: puts a table where nothing is. 'OK', too, if somebody else was faster: the caller looks again. */
function* splitEmpty(task: Task, vma: Vma, hpte: HugetlbPte, pte: Pte, address: number): Path<'OK' | WalkError> {
  const { mm } = vma;
  const { tables, trace, hgm } = mm.machine;
  /* RFC v2 cannot split a marker; nobody can split what is elsewhere, being migrated or poisoned. */
  if (!(hgm === 'v2' ? pte.noneMostly : pte.none)) {
    const { levels } = mm.machine;
    return refuse(task, 'EEXIST', `${describeEntry(pte.value, levelOf(hpte.shift), levels)}: not empty`);
  }
  const table = tables.allocate(hpte.shift - 9);
  if (!table) return refuse(task, 'ENOMEM', 'no memory for a page table');
  yield* hpte.lockPte(task);
  if (!tables.read(hpte.ptep).same(pte)) {
    hpte.lock.unlock(task);
    tables.free(table);
    return 'OK';
  }
  /* Before anybody can see the table: what was to be write-protected must never look as if it were not. */
  if (pte.isMarker)
    for (let entry = 0; entry < ENTRIES; entry++) tables.write(table.address + entry * 8, PTE_UFFD_WP_MARKER);
  pointTo(mm, hpte.ptep, table.address);
  hpte.lock.unlock(task);
  const level = levelOf(table.shift);
  trace?.push({
    kind: 'table',
    task: task.name,
    process: mm.process,
    what: 'allocated',
    address,
    table: table.address,
    level,
  });
  return 'OK';
}

/**
 * `hugetlb_alloc_largest_pte`: the place of the largest leaf that begins at `start` and ends at or before `end`. 'EEXIST' where a larger leaf is.
 * Whether the mapping has HGM at all is asked by the walk, when the table for its huge pages is there already.
 */
export const hugetlbAllocLargestPte: typeof allocLargest = kernelFunction('hugetlb_alloc_largest_pte', allocLargest, {
  args: (_vma, start, end) => rangeWords(start, end),
  result: placeWords,
});

function* allocLargest(task: Task, vma: Vma, start: number, end: number): Path<HugetlbPte | WalkError> {
  const size = hgmSizes(vma).find((bytes) => start % bytes === 0 && start + bytes <= end);
  if (size === undefined) return refuse(task, 'EINVAL', `no leaf fits into ${rangeWords(start, end)}`);
  const hpte = yield* hugetlbFullWalkAlloc(task, vma, start, size);
  if (typeof hpte === 'string') return hpte;
  if (hpte.size <= size) return hpte;
  return refuse(task, 'EEXIST', `a leaf of ${sizeName(hpte.size)} is there`);
}
