/**
 * Splitting a leaf that maps a page. "hugetlb: introduce HugeTLB high-granularity mapping", RFC v1 (June 2022), and Jiaqi Yan's memory failure
 * of 4 KiB on top of v2 (2023): hugetlb_split_to_shift.
 *
 *   before   PUD entry: a leaf of 1 GiB
 *   after    PUD entry ──> PMD table: │2 MiB│2 MiB│ . │2 MiB│ ... │2 MiB│            511 leaves
 *                                                   └──> PTE table: │4 KiB│ ... │4 KiB│   512 leaves, one of them for the address
 *
 * Around the address the leaves are as small as is wanted, everywhere else as large as they can be. Nobody's access changes: each leaf maps
 * what was mapped, with the same rights and marks.
 */
import { hex } from '../../core/errors.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { TablePage } from '../mm/tables.ts';
import type { Vma } from '../mm/vma.ts';
import type { Folio } from '../pool/folio.ts';
import { levelOf, pointTo } from './page-table.ts';

const ENTRIES = 512;
const INDEX_BITS = 9;

/**
 * How a split ends. 'EAGAIN': nothing is mapped, the fault that maps it will see to it; 'EBUSY': the page is being migrated; 'EHWPOISON': it is
 * bad already; 'ENOMEM': there is no memory for tables, and the leaf is what it was.
 */
export type SplitResult = 'OK' | 'EAGAIN' | 'EBUSY' | 'EHWPOISON' | 'ENOMEM';

/**
 * `hugetlb_split_to_shift`. The caller holds the VMA lock and i_mmap_rwsem for writing, and the VMA has HGM.
 *
 * @param hpte place of a leaf of more than 2^shift bytes, in which `address` lies
 * @param shift of the leaf that `address` gets: 12 or 21
 */
export const hugetlbSplitToShift: typeof splitToShift = kernelFunction('hugetlb_split_to_shift', splitToShift, {
  args: (_vma, _hpte, address, shift) => `addr=${hex(address)}, shift=${shift}`,
});

function* splitToShift(task: Task, vma: Vma, hpte: HugetlbPte, address: number, shift: number): Path<SplitResult> {
  const { tables } = vma.mm.machine;
  const seen = refusal(task, tables.read(hpte.ptep), hpte);
  if (seen !== 'OK') return seen;
  const made = allocateTables(vma, hpte.shift - INDEX_BITS, shift);
  if (!made) return refuse(task, 'ENOMEM', 'no memory for page tables');
  yield* hpte.lockPte(task);
  const pte = tables.read(hpte.ptep);
  const result = refusal(task, pte, hpte);
  if (result === 'OK') split(vma, hpte, pte, address, made);
  else for (const table of made) tables.free(table);
  hpte.lock.unlock(task);
  return result;
}

/** What keeps an entry from being split; a table is none, but the caller has not looked: it does again. */
function refusal(task: Task, pte: Pte, hpte: HugetlbPte): SplitResult {
  if (hpte.isPresentLeaf(pte)) return 'OK';
  if (pte.noneMostly || pte.present) return refuse(task, 'EAGAIN', 'no leaf is there');
  if (pte.isHwpoison) return refuse(task, 'EHWPOISON', 'the memory is bad already');
  return refuse(task, 'EBUSY', 'the page is being migrated');
}

/** Tables whose entries cover 2^from bytes, and less, down to 2^to; all of them or none. */
function allocateTables(vma: Vma, from: number, to: number): TablePage[] | undefined {
  const { tables } = vma.mm.machine;
  const made: TablePage[] = [];
  for (let shift = from; shift >= to; shift -= INDEX_BITS) {
    const table = tables.allocate(shift);
    if (!table) {
      for (const page of made) tables.free(page);
      return undefined;
    }
    made.push(table);
  }
  return made;
}

/** Fills the tables, counts their leaves, and puts the first one in the leaf's place. */
function split(vma: Vma, hpte: HugetlbPte, pte: Pte, address: number, made: readonly TablePage[]): void {
  const { mm } = vma;
  const { frames, leafScan, trace, current: task } = mm.machine;
  const folio = frames.folio(pte.pfn);
  let pfn = pte.pfn;
  let offset = address % hpte.size;
  let leaves = 0;
  for (const [at, { address: table, shift }] of made.entries()) {
    const below = made[at + 1];
    const size = 2 ** shift;
    const index = Math.floor(offset / size);
    leafScan.fill(table, ENTRIES, pte.withPage(pfn, shift), shift);
    leaves += countLeaves(folio, pfn - folio.pfn, size / PAGE_SIZE, below ? index : undefined);
    if (below) pointTo(mm, table + index * 8, below.address);
    pfn += (index * size) / PAGE_SIZE;
    offset -= index * size;
    const base = address - (address % (ENTRIES * size));
    const level = levelOf(shift);
    trace?.push({ kind: 'table', task, process: mm.process, what: 'allocated', address: base, table, level });
  }
  folio.refcount += leaves - 1;
  folio.removeRmap(pte.pfn - folio.pfn, hpte.pages);
  pointTo(mm, hpte.ptep, made[0]!.address);
}

/** Counts a table of leaves, but for the entry that points to another table. @param page the first; pages each maps. Returns how many */
function countLeaves(folio: Folio, page: number, pages: number, pointer: number | undefined): number {
  const before = pointer ?? ENTRIES;
  const after = ENTRIES - 1 - before;
  if (before > 0) folio.addFileRmap(page, pages, before);
  if (after > 0) folio.addFileRmap(page + (before + 1) * pages, pages, after);
  return before + Math.max(after, 0);
}
