/**
 * Taking pages out of page tables. mm/hugetlb.c of Linux 6.1: __unmap_hugepage_range, unmap_hugepage_range,
 * __unmap_hugepage_range_final, unmap_ref_private; mm/memory.c: unmap_single_vma.
 */
import { hex } from '../../core/errors.ts';
import { rangeWords } from '../base/flag-words.ts';
import { kernelFunction, recordCall } from '../base/kernel-function.ts';
import { swpUffdWp } from '../base/migration-entry.ts';
import { PTE_NONE, PTE_UFFD_WP_MARKER, type Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_MAYSHARE } from '../base/vm-flags.ts';
import { watch } from '../base/watch.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import { vmasShowing } from '../mm/i-mmap.ts';
import type { Mm } from '../mm/mm.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import { raced } from '../mm/raced.ts';
import type { Vma } from '../mm/vma.ts';
import { endOfRuns, lockRun, unlockRun, wroteRun } from '../page-tables/in-runs.ts';
import {
  endOfTable,
  hugePteOffset,
  hugetlbFullWalkContinue,
  hugetlbPteAt,
  setHugePteAt,
} from '../page-tables/page-table.ts';
import { hugePmdUnshare } from '../page-tables/pmd-share.ts';
import type { Folio } from '../pool/folio.ts';
import { putPage } from './alloc-page.ts';

/** `tlb_finish_mmu`: flushes, and lets go of everything. */
export function finishMmu(task: Task, gather: MmuGather): Path<void> {
  return gather.finish(task, putPage);
}

/** How to unmap. */
export interface UnmapOptions {
  /** `ZAP_FLAG_DROP_MARKER`: nothing is left of userfaultfd's write protection. Otherwise a marker stays. */
  readonly dropMarker?: boolean;
  /** Only this page, and only where it is met first: its VMA loses its claim to it (HPAGE_RESV_UNMAPPED). */
  readonly only?: Folio;
}

/**
 * `__unmap_hugepage_range`: takes every leaf out of [start, end). The caller holds the VMA lock and i_mmap_rwsem for
 * writing; the range is aligned to huge pages.
 */
export const gatherHugepageRange: typeof unmapLeaves = kernelFunction('__unmap_hugepage_range', unmapLeaves, {
  args: (_gather, _vma, start, end) => rangeWords(start, end),
});

function* unmapLeaves(
  task: Task,
  gather: MmuGather,
  vma: Vma,
  start: number,
  end: number,
  { only, dropMarker = false }: UnmapOptions = {},
): Path<void> {
  const { mm, hstate } = vma;
  const { tables, frames } = mm.machine;
  for (let address = start; address < end; ) {
    const top = hugePteOffset(vma, address);
    if (!top) {
      address = endOfTable(address, hstate.shift);
      continue;
    }
    const hpte = hugetlbFullWalkContinue(vma, top, address);
    const until = only ? address : endOfRuns(task, vma, address, hpte, end);
    if (until > address) {
      yield* unmapRuns(task, gather, vma, address, until, dropMarker);
      address = until;
      continue;
    }
    yield* hpte.lockPte(task);
    if (hugePmdUnshare(task, gather, vma, address, hpte)) {
      hpte.lock.unlock(task);
      address = endOfTable(address, hstate.shift);
      continue;
    }
    const pte = tables.read(hpte.ptep);
    const leaf = hpte.isPresentLeaf(pte);
    if (pte.present && !leaf) {
      /* Somebody put a table here since the walk: look again. */
      hpte.lock.unlock(task);
      raced(task, tables, '__unmap_hugepage_range');
      continue;
    }
    const folio = leaf ? frames.folio(pte.pfn) : undefined;
    /* What is not present goes in any case, whatever page it was. */
    if (only && folio && folio !== only) {
      hpte.lock.unlock(task);
      address += hpte.size;
      continue;
    }
    if (only && folio) {
      recordCall(task, 'set_vma_resv_flags', () => `${rangeWords(vma.start, vma.end)}, HPAGE_RESV_UNMAPPED`);
      vma.reserveUnmapped = true;
    }
    takeOut(mm, address, hpte, pte, folio, dropMarker);
    if (!only) watch?.unmaps(mm, address, hpte.size);
    hpte.lock.unlock(task);
    if (folio) {
      gather.removeTlbEntry();
      gather.add(folio);
    }
    if (only && folio) break;
    address += hpte.size;
  }
  yield* gather.flushUnsharedTables(task);
}

/** Takes one entry out, whose lock is held; its reference is left to the caller. @param folio what it maps, if it maps a page */
function takeOut(
  mm: Mm,
  address: number,
  hpte: HugetlbPte,
  pte: Pte,
  folio: Folio | undefined,
  dropMarker: boolean,
): void {
  const after = unmapped(pte, folio !== undefined, dropMarker);
  if (!pte.none && !pte.same(after)) setHugePteAt(mm, address, hpte, after);
  /* The reference went when the entry came; that it is still counted as used, Linux forgets. */
  if (pte.isMigration) mm.miscounted += hpte.pages;
  if (!folio) return;
  if (pte.dirty) folio.dirty = true;
  mm.hugetlbUsage -= hpte.pages;
  folio.removeRmap(pte.pfn - folio.pfn, hpte.pages);
}

/** What stands where an entry was. @param leaf whether it mapped a page */
function unmapped(pte: Pte, leaf: boolean, dropMarker: boolean): Pte {
  const marker = !dropMarker && (pte.isMarker || (pte.isMigration && swpUffdWp(pte)) || (leaf && pte.uffdWp));
  return marker ? PTE_UFFD_WP_MARKER : PTE_NONE;
}

/** The same for a huge page's pieces, run by run. */
function* unmapRuns(
  task: Task,
  gather: MmuGather,
  vma: Vma,
  start: number,
  end: number,
  dropMarker: boolean,
): Path<void> {
  const { mm } = vma;
  const { frames, leafScan } = mm.machine;
  for (const run = leafScan.open(mm, start, end); run.next(); ) {
    const { pte, present, entries } = run;
    const after = unmapped(pte, present, dropMarker);
    const stays = pte.none || pte.same(after);
    if (stays && !watch) continue;
    const hpte = hugetlbPteAt(mm, run.ptep, run.shift);
    const { pages } = hpte;
    yield* lockRun(task, hpte, run);
    if (stays) {
      unlockRun(task, hpte);
      continue;
    }
    wroteRun(vma, run.address, hpte);
    leafScan.fill(run.ptep, entries, after, run.shift);
    if (pte.isMigration) mm.miscounted += pages * entries;
    if (present) {
      const folio = frames.folio(pte.pfn);
      if (run.dirty) folio.dirty = true;
      mm.hugetlbUsage -= pages * entries;
      folio.removeRmap(pte.pfn - folio.pfn, pages, entries);
      gather.removeTlbEntry();
      gather.add(folio, entries);
    }
    unlockRun(task, hpte);
  }
}

/** `unmap_hugepage_range`: the same, and lets the pages go. */
export const unmapHugepageRange: typeof unmapAndLetGo = kernelFunction('unmap_hugepage_range', unmapAndLetGo, {
  args: (_vma, start, end) => rangeWords(start, end),
});

function* unmapAndLetGo(task: Task, vma: Vma, start: number, end: number, options: UnmapOptions): Path<void> {
  const gather = new MmuGather(vma.mm);
  yield* gatherHugepageRange(task, gather, vma, start, end, options);
  yield* finishMmu(task, gather);
}

/** `unmap_single_vma`: what lies in the VMA of [start, end). @param final whether the VMA goes */
export const unmapSingleVma: typeof unmapPart = kernelFunction('unmap_single_vma', unmapPart, {
  args: (_gather, vma, start, end) => rangeWords(Math.max(start, vma.start), Math.min(end, vma.end)),
});

function unmapPart(task: Task, gather: MmuGather, vma: Vma, start: number, end: number, final: boolean): Path<void> {
  return unmapFinal(task, gather, vma, Math.max(start, vma.start), Math.min(end, vma.end), final);
}

/**
 * `__unmap_hugepage_range_final`: takes the locks, unmaps.
 *
 * @param final whether the VMA goes: it ceases to share page tables before the locks are released
 */
const unmapFinal = kernelFunction('__unmap_hugepage_range_final', unmapOne, {
  args: (_gather, _vma, start, end) => rangeWords(start, end),
});

function* unmapOne(task: Task, gather: MmuGather, vma: Vma, start: number, end: number, final: boolean): Path<void> {
  const { iMmapRwsem } = vma.inode.pageCache;
  const lock = vma.hugetlbLock;
  if (lock) yield* lock.write(task);
  yield* iMmapRwsem.write(task);
  yield* gatherHugepageRange(task, gather, vma, start, end, { dropMarker: final });
  if (final) {
    vma.unlockAndFreeLock(task);
    iMmapRwsem.unlock(task);
  } else {
    iMmapRwsem.unlock(task);
    lock?.unlock(task);
  }
}

/**
 * `unmap_ref_private`: the owner of a private mapping has to copy a page and there is none left: the page is taken away
 * from those who have no reservations, the fork's children. Their next fault is SIGBUS.
 */
export const unmapRefPrivate: typeof unmapFromOthers = kernelFunction('unmap_ref_private', unmapFromOthers, {
  args: (_vma, folio, address) => `pfn ${hex(folio.pfn)}, addr=${hex(address)}`,
});

function* unmapFromOthers(task: Task, vma: Vma, folio: Folio, address: number): Path<void> {
  const { pageCache } = vma.inode;
  const { pagesPerHugePage, size } = vma.hstate;
  const page = vma.hugeIndex(address) * pagesPerHugePage;
  /* The caller still has page locks, which come after this one in the order: see hugetlbWp. */
  yield* pageCache.iMmapRwsem.writeOutOfOrder(task);
  for (const other of vmasShowing(pageCache, page, page + 1)) {
    if (other === vma || other.flags & VM_MAYSHARE || other.ownsReserves) continue;
    /* Linux looks at the caller's own address, also after an mremap, when the other VMA has the page elsewhere. */
    if (address < other.start || address >= other.end) continue;
    yield* unmapHugepageRange(task, other, address, address + size, { only: folio });
  }
  pageCache.iMmapRwsem.unlock(task);
}
