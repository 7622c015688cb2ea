/**
 * Taking bad memory out of page tables. mm/memory-failure.c of Linux 6.1: hwpoison_user_mappings; mm/rmap.c: try_to_unmap_one of a huge page;
 * Jiaqi Yan's memory failure of 4 KiB on top of HGM v2 (2023).
 *
 *   6.1       every leaf of the huge page becomes an entry that says so           │            bad            │
 *   HGM v2    the leaf is split, and only the bad 4 KiB become such an entry      │ 4K │ 4K │bad│ 4K │ .. │ 4K │
 *
 * Page locks come after the locks that are needed here: those are only tried, and where somebody has one, unmapping has failed.
 */
import { hex } from '../../core/errors.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_HUGETLB_HGM } from '../base/vm-flags.ts';
import { putPage } from '../hugetlb/alloc-page.ts';
import { addressOf, mapsPage } from '../hugetlb/truncate.ts';
import { hgmEnabled } from '../mm/hgm-enabled.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import { vmasShowing } from '../mm/i-mmap.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import type { Vma } from '../mm/vma.ts';
import { hgmEligible } from '../page-tables/enable-hgm.ts';
import {
  hugePtepClearFlush,
  hugetlbFullWalk,
  hugetlbFullWalkContinue,
  setHugePteAt,
} from '../page-tables/page-table.ts';
import { hugePmdUnshare, unsharePmds } from '../page-tables/pmd-share.ts';
import { rmapWalk } from '../page-tables/rmap.ts';
import { hugetlbSplitToShift } from '../page-tables/split-leaf.ts';
import type { Folio } from '../pool/folio.ts';

const PAGE_SHIFT = 12;

/**
 * `hwpoison_user_mappings`: unmaps 4 KiB of a huge page from every process where all of its mappings can have pieces, else all of the huge page.
 * The caller has a reference, and the page's lock.
 *
 * @param page the bad one, counted from 0
 * @returns whether nobody maps it any more
 */
export const hwpoisonUserMappings: typeof unmapEverywhere = kernelFunction('hwpoison_user_mappings', unmapEverywhere, {
  args: (folio, page) => `pfn ${hex(folio.pfn + page)}`,
});

function* unmapEverywhere(task: Task, folio: Folio, page: number): Path<boolean> {
  if (folio.leaves === 0) return true;
  const { pageCache } = folio;
  if (!pageCache) {
    yield* unmapAnon(task, folio);
    return folio.leaves === 0;
  }
  const { iMmapRwsem } = pageCache;
  if (!iMmapRwsem.tryWrite(task)) return false;
  const first = folio.index * folio.pages;
  const vmas = vmasShowing(pageCache, first, first + folio.pages);
  const mappers = vmas.filter((vma) => mapsPage(vma, addressOf(vma, first), folio));
  const inPieces = mappers.every((vma) => vma.mm.machine.hgm === 'v2' && hgmEligible(vma));
  let done = true;
  if (inPieces) {
    /* Who could map it later gets HGM, too, so as to lose no more. */
    for (const vma of vmas.filter(hgmEligible)) {
      const unmapped = yield* unmapPiece(task, vma, folio, addressOf(vma, first + page));
      if (!unmapped && mappers.includes(vma)) done = false;
    }
  } else for (const vma of mappers) if (!(yield* poisonLeaves(task, vma, folio, addressOf(vma, first)))) done = false;
  iMmapRwsem.unlock(task);
  return done && (inPieces || folio.leaves === 0);
}

/** Turns HGM on, splits, and unmaps 4 KiB. False where a lock is not free, or memory for tables used up. */
function* unmapPiece(task: Task, vma: Vma, folio: Folio, address: number): Path<boolean> {
  const { mmapLock } = vma.mm;
  const enable = !hgmEnabled(vma);
  if (enable && !mmapLock.tryWrite(task)) return false;
  const locked = vma.tryLockWrite(task);
  let done = false;
  if (locked) {
    if (enable) {
      yield* unsharePmds(task, vma);
      vma.flags |= VM_HUGETLB_HGM;
    }
    done = yield* splitAndPoison(task, vma, folio, address);
    vma.unlockWrite(task);
  }
  if (enable) mmapLock.unlock(task);
  return done;
}

/** The bad 4 KiB get an entry of their own, if they are mapped here: 'EAGAIN' and 'EHWPOISON' say that they are not. */
function* splitAndPoison(task: Task, vma: Vma, folio: Folio, address: number): Path<boolean> {
  let hpte = hugetlbFullWalk(vma, address);
  if (!hpte) return true;
  if (hpte.size > PAGE_SIZE) {
    const split = yield* hugetlbSplitToShift(task, vma, hpte, address, PAGE_SHIFT);
    if (split !== 'OK') return split === 'EAGAIN' || split === 'EHWPOISON';
    hpte = hugetlbFullWalkContinue(vma, hpte, address);
  }
  yield* poisonLeaf(task, vma, folio, address, hpte, true);
  return true;
}

/** A private page, wherever its relatives map it. */
function* unmapAnon(task: Task, folio: Folio): Path<void> {
  yield* rmapWalk(task, folio, function* (vma, address) {
    yield* poisonLeaves(task, vma, folio, address);
    return true;
  });
}

/** Whatever of a huge page is mapped at its place at `start`. False where the VMA lock is not free. */
function* poisonLeaves(task: Task, vma: Vma, folio: Folio, start: number): Path<boolean> {
  const { tables, frames } = vma.mm.machine;
  const end = start + vma.hstate.size;
  for (let address = start; address < end; ) {
    const hpte = hugetlbFullWalk(vma, address);
    if (!hpte) return true;
    const pte = tables.read(hpte.ptep);
    if (hpte.isPresentLeaf(pte) && frames.folio(pte.pfn) === folio) {
      const left = yield* poisonLeaf(task, vma, folio, address, hpte, false);
      /* A shared table is given up: the page is unmapped with it, from here at least. */
      if (left !== 'leaf') return left === 'table';
    }
    address += hpte.size;
  }
  return true;
}

/**
 * `try_to_unmap_one`. Returns what is not there any more: the leaf; the table, which was shared, instead; or nothing, as the VMA lock was not free.
 *
 * @param locked whether the caller holds the VMA lock
 */
const poisonLeaf = kernelFunction('try_to_unmap_one', poison, {
  args: (_vma, _folio, address) => `addr=${hex(address)}`,
  result: (left) => (left === 'nothing' ? 'false' : 'true'),
});

function* poison(
  task: Task,
  vma: Vma,
  folio: Folio,
  address: number,
  hpte: HugetlbPte,
  locked: boolean,
): Path<'leaf' | 'table' | 'nothing'> {
  const { mm } = vma;
  const { tables, frames } = mm.machine;
  yield* hpte.lockPte(task);
  /* Of a private page the rmap's lock, which is not modelled, would keep the table: it may have gone while the lock was waited for. */
  const again = hugetlbFullWalk(vma, address);
  if (again?.lock !== hpte.lock || again.ptep !== hpte.ptep) {
    hpte.lock.unlock(task);
    return 'leaf';
  }
  const pte = tables.read(hpte.ptep);
  let unshared = false;
  if (!folio.anon) {
    if (!locked && !vma.tryLockWrite(task)) {
      hpte.lock.unlock(task);
      return 'nothing';
    }
    const gather = new MmuGather(mm);
    unshared = hugePmdUnshare(task, gather, vma, address, hpte);
    if (!locked) vma.unlockWrite(task);
    yield* gather.flushUnsharedTables(task);
    yield* gather.finish(task);
  }
  const mapped = !unshared && hpte.isPresentLeaf(pte) && frames.folio(pte.pfn) === folio;
  if (mapped) {
    yield* hugePtepClearFlush(task, mm, address, hpte);
    if (pte.dirty) folio.dirty = true;
    setHugePteAt(mm, address, hpte, Pte.hwpoison(pte.pfn));
    mm.hugetlbUsage -= hpte.pages;
    folio.removeRmap(pte.pfn - folio.pfn, hpte.pages);
  }
  hpte.lock.unlock(task);
  if (mapped) yield* putPage(task, folio);
  return unshared ? 'table' : 'leaf';
}
