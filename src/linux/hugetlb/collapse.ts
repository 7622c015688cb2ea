/**
 * MADV_COLLAPSE of huge pages: the largest leaves again. mm/hugetlb.c of the HGM series: hugetlb_collapse, __hugetlb_collapse.
 *
 *   before   PMD entry ──> PTE table: │4 KiB│4 KiB│empty│ ... │4 KiB│
 *   after    PMD entry: a leaf of 2 MiB                                  the table is freed; what was empty is mapped, too
 *
 * Nothing is faulted in: a range that has no finer tables stays as it is, and one whose page the file does not have becomes empty. What
 * userfaultfd has write-protected is not any more.
 */
import { hex } from '../../core/errors.ts';
import type { Errno, Result } from '../base/errno.ts';
import { rangeWords } from '../base/flag-words.ts';
import {
  HGM_POSTED_COLLAPSE_LOOP,
  HGM_POSTED_COLLAPSE_NOT_COUNTED,
  HGM_POSTED_COLLAPSE_WAITS,
  HGM_POSTED_PARTIAL_COLLAPSE,
} from '../base/hgm.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { DeadEnd, type Path, type Task } from '../base/task.ts';
import { VM_WRITE } from '../base/vm-flags.ts';
import { hgmEnabled } from '../mm/hgm-enabled.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbAllocLargestPte } from '../page-tables/hgm-walk.ts';
import { freeTableBelow, setHugePteAt } from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';
import { makeHugePte } from './cow.ts';
import { unlockAndPut } from './find-lock-page.ts';
import { finishMmu, gatherHugepageRange } from './unmap.ts';

/**
 * MADV_COLLAPSE over a piece of one VMA, with mmap_lock held for reading. v2 takes it for writing instead, so that nobody walks the tables that
 * go; RFC v2 takes the VMA lock.
 */
export const collapse: typeof collapsePiece = kernelFunction(
  (vma) => (vma.mm.machine.hgm === 'none' ? 'madvise_collapse' : 'hugetlb_collapse'),
  collapsePiece,
  {
    args: (_vma, start, end) => rangeWords(start, end),
  },
);

function* collapsePiece(task: Task, vma: Vma, start: number, end: number): Path<Result> {
  const { mm } = vma;
  const { hgm } = mm.machine;
  if (hgm === 'none') return refuse(task, 'EINVAL', 'this kernel has no HGM');
  if (hgm === 'rfc-v2') return yield* collapseVma(task, vma, start, end);
  mm.mmapLock.unlock(task);
  yield* mm.mmapLock.write(task);
  const result = yield* collapseFrom(task, vma, start, end);
  mm.mmapLock.unlock(task);
  yield* mm.mmapLock.read(task);
  return result;
}

/** `hugetlb_collapse` of v2, with mmap_lock held for writing: it was dropped, so the mapping may be another by now. */
function* collapseFrom(task: Task, { mm }: Vma, start: number, end: number): Path<Result> {
  let result: Result = 'OK';
  const goesOn = mm.machine.hgmPosted(HGM_POSTED_COLLAPSE_LOOP);
  for (let at = start; at < end || (goesOn && result !== 'OK'); ) {
    const vma = mm.findVma(at);
    if (!vma) return refuse(task, 'EINVAL', `nothing is mapped from ${hex(at)} on`);
    result = yield* collapseVma(task, vma, Math.max(at, vma.start), Math.min(end, vma.end));
    if (result !== 'OK' && !goesOn) break;
    at = vma.end;
  }
  return result;
}

/** `__hugetlb_collapse`. 'EINVAL' of private mappings, whose pages are in no file to be looked up. */
const collapseVma = kernelFunction('__hugetlb_collapse', collapseOne, {
  args: (_vma, start, end) => rangeWords(start, end),
});

function* collapseOne(task: Task, vma: Vma, start: number, end: number): Path<Result> {
  if (!vma.mayShare) return refuse(task, 'EINVAL', 'the mapping is private');
  if (!hgmEnabled(vma)) return 'OK';
  const { iMmapRwsem } = vma.inode.pageCache;
  const lock = vma.hugetlbLock;
  for (let from = start; ; ) {
    const gather = new MmuGather(vma.mm);
    if (lock) yield* lock.write(task);
    yield* iMmapRwsem.write(task);
    const result = yield* collapseRange(task, gather, vma, from, end);
    iMmapRwsem.unlock(task);
    lock?.unlock(task);
    yield* finishMmu(task, gather);
    if (typeof result === 'string') return result;
    yield* result.contended.lock.wait(task);
    from = result.address;
  }
}

/**
 * Somebody has the page's lock: to be waited for when all other locks are dropped. As posted, the series waits with them (HGM_POSTED_COLLAPSE_WAITS): a
 * truncation of stable kernels, which takes a page's lock first and the VMA's then, waits for ever, and so does the collapse.
 */
interface Contended {
  readonly contended: Folio;
  /** Where to go on. */
  readonly address: number;
}

function* collapseRange(task: Task, gather: MmuGather, vma: Vma, start: number, end: number): Path<Result | Contended> {
  const { tables, hgm } = vma.mm.machine;
  let result: 'OK' | 'EHWPOISON' = 'OK';
  for (let address = start; address < end; ) {
    const hpte: HugetlbPte | Errno = yield* hugetlbAllocLargestPte(task, vma, address, end);
    if (typeof hpte === 'string') return hpte;
    result = 'OK';
    const pte = tables.read(hpte.ptep);
    const hasTable = pte.present && !hpte.isPresentLeaf(pte);
    const folio = hasTable ? vma.inode.pageCache.find(vma.hugeIndex(address)) : undefined;
    if (folio?.hwpoison && (hgm !== 'rfc-v2' || folio.migratable)) {
      /* Bad memory must not be mapped: the huge page stays in pieces, all of it. RFC v2 says so, unless there is another one behind it. */
      if (hgm === 'rfc-v2') result = 'EHWPOISON';
      address = (Math.floor(address / vma.hstate.size) + 1) * vma.hstate.size;
      continue;
    }
    if (hasTable) {
      if (folio) {
        const waits = vma.mm.machine.hgmPosted(HGM_POSTED_COLLAPSE_WAITS);
        if (waits) yield* folio.lock.write(task);
        else if (!folio.lock.tryWrite(task)) return { contended: folio, address };
        folio.get();
      }
      const collapsed = yield* collapseTable(task, gather, vma, address, hpte, folio);
      if (collapsed !== 'OK') return collapsed;
    }
    address += hpte.size;
  }
  return result;
}

/**
 * One entry that points to a table: becomes a leaf. 'EBUSY' where the page is about to move.
 *
 * @param folio the file's page, with a reference and locked, if there is one
 */
function* collapseTable(
  task: Task,
  gather: MmuGather,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  folio: Folio | undefined,
): Path<'OK' | 'EBUSY'> {
  const { mm, hstate } = vma;
  if (hpte.size < hstate.size && mm.machine.hgmPosted(HGM_POSTED_PARTIAL_COLLAPSE)) {
    throw new DeadEnd(task, 'BUG', '__unmap_hugepage_range: the range does not begin or end with a huge page');
  }
  if (folio && !folio.migratable) {
    /* Somebody has isolated it to move it. */
    yield* unlockAndPut(task, folio);
    return refuse(task, 'EBUSY', 'somebody has isolated the page to move it');
  }
  yield* gatherHugepageRange(task, gather, vma, address, address + hpte.size, { dropMarker: true });
  yield* hpte.lockPte(task);
  freeTableBelow(gather, hpte, address);
  if (folio) mapLeaf(vma, address, hpte, folio);
  hpte.lock.unlock(task);
  if (folio) folio.lock.unlock(task);
  return 'OK';
}

/** Maps the file's page; the reference of whoever found it becomes the entry's. */
function mapLeaf(vma: Vma, address: number, hpte: HugetlbPte, folio: Folio): void {
  const { mm, hstate } = vma;
  const page = (address % hstate.size) / PAGE_SIZE;
  folio.addFileRmap(page, hpte.pages);
  setHugePteAt(mm, address, hpte, makeHugePte(vma, folio.pfn + page, hpte.shift, (vma.flags & VM_WRITE) !== 0));
  if (!mm.machine.hgmPosted(HGM_POSTED_COLLAPSE_NOT_COUNTED)) mm.hugetlbUsage += hpte.pages;
}
