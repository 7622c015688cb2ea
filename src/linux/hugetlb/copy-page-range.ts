/**
 * Copying page tables for a fork. mm/hugetlb.c of Linux 6.1: copy_hugetlb_page_range, hugetlb_install_page.
 *
 * A private page is mapped read-only in both, and belongs to neither. A pinned page is copied at once, so that the parent keeps the one
 * that a device writes to.
 */
import { hex } from '../../core/errors.ts';
import { rangeWords } from '../base/flag-words.ts';
import { HGM_POSTED_FORK_TRY_GET } from '../base/hgm.ts';
import { kernelFunction, recordCall, refuse, shownCall } from '../base/kernel-function.ts';
import {
  readMigrationEntry,
  swpClearUffdWp,
  swpMkuffdWp,
  swpUffdWp,
  wrprotectMigrationEntry,
} from '../base/migration-entry.ts';
import type { Pte } from '../base/pte.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { VM_HUGETLB_HGM, VM_UFFD_WP } from '../base/vm-flags.ts';
import { isCowMapping } from '../base/vm-protection.ts';
import { watch } from '../base/watch.ts';
import { hasSharers } from '../mm/has-sharers.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import { raced } from '../mm/raced.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalkAlloc } from '../page-tables/hgm-walk.ts';
import { inRuns } from '../page-tables/in-runs.ts';
import {
  endOfHugePage,
  endOfTable,
  hugePteOffset,
  hugetlbFullWalkContinue,
  hugetlbPteAt,
  PUD_SHIFT,
  setHugePteAt,
} from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';
import { allocHugePage, giveBack, putPage } from './alloc-page.ts';
import { makeHugePte } from './cow.ts';

/** 'ENOMEM': no memory for tables, or for a page's copy. 'EFAULT': a page has all the references that can be counted. */
export type CopyResult = 'OK' | 'ENOMEM' | 'EFAULT';

/** `copy_hugetlb_page_range`. */
export const copyHugetlbPageRange: typeof copyRange = kernelFunction('copy_hugetlb_page_range', copyRange, {
  args: (to, from) => `from ${from.mm.process} to ${to.mm.process}, ${rangeWords(from.start, from.end)}`,
});

function* copyRange(task: Task, to: Vma, from: Vma): Path<CopyResult> {
  const cow = isCowMapping(from.flags);
  to.flags |= from.flags & VM_HUGETLB_HGM;
  const vmaLock = cow ? undefined : from.hugetlbLock;
  if (cow) from.mm.writeProtectSeq++;
  else if (vmaLock) yield* vmaLock.read(task);
  const result = yield* copyLeaves(task, to, from, cow);
  if (cow) from.mm.writeProtectSeq++;
  else vmaLock?.unlock(task);
  return result;
}

function* copyLeaves(task: Task, to: Vma, from: Vma, cow: boolean): Path<CopyResult> {
  const { tables } = from.mm.machine;
  const { shift } = from.hstate;
  for (let address = from.start; address < from.end; ) {
    const top = hugePteOffset(from, address);
    if (!top) {
      address = endOfTable(address, shift);
      continue;
    }
    const source = hugetlbFullWalkContinue(from, top, address);
    if (inRuns(task, from, source)) {
      const until = Math.min(from.end, endOfHugePage(from, address));
      const result = yield* copyRuns(task, to, from, address, until);
      if (result !== 'OK') return result;
      address = until;
      continue;
    }
    const destination = yield* hugetlbFullWalkAlloc(task, to, address, source.size);
    if (typeof destination === 'string') return refuse(task, 'ENOMEM', 'no memory for a page table of the child');
    if (source.shift < PUD_SHIFT) {
      const table = tables.page(destination.ptep);
      yield* preemptionPoint(task, table);
      if (hasSharers(to.mm.machine, table)) {
        address = endOfTable(address, shift);
        continue;
      }
    }
    const copied = yield* copyLeaf(task, { to, from, address, source, destination }, cow);
    if (copied === 'again') raced(task, tables, 'copy_hugetlb_page_range');
    else if (copied === 'OK') address += source.size;
    else return copied;
  }
  return 'OK';
}

/** A place in the parent, and the same place in the child. */
interface LeafCopy {
  readonly to: Vma;
  readonly from: Vma;
  readonly address: number;
  readonly source: HugetlbPte;
  readonly destination: HugetlbPte;
}

/** Copies a leaf, or what stands in its place. 'again': something else was put there since. */
function* copyLeaf(task: Task, copy: LeafCopy, cow: boolean): Path<CopyResult | 'again'> {
  const { to, from, address, source, destination } = copy;
  yield* destination.lockPte(task);
  yield* source.lockPte(task);
  const pte = from.mm.machine.tables.read(source.ptep);
  if (source.isPresentLeaf(pte)) return yield* copyPresentLeaf(task, copy, pte, cow);
  if (pte.isMigration) copyMigrationEntry(copy, cow);
  else if (pte.isHwpoison || (pte.isMarker && to.flags & VM_UFFD_WP)) setHugePteAt(to.mm, address, destination, pte);
  unlockBoth(task, copy);
  return pte.present ? 'again' : 'OK';
}

/** Has the child map the page, too, read-only in both if it is private; or copies it for the child. Drops both locks. */
function* copyPresentLeaf(task: Task, copy: LeafCopy, pte: Pte, cow: boolean): Path<CopyResult | 'again'> {
  const { to, from, address, source, destination } = copy;
  const folio = from.mm.machine.frames.folio(pte.pfn);
  if (from.mm.machine.hgmPosted(HGM_POSTED_FORK_TRY_GET)) {
    folio.get();
    source.lock.leak(task);
    destination.lock.leak(task);
    return refuse(task, 'EFAULT', 'try_get_page is taken for a failure where it succeeds');
  }
  if (folio.overflown) {
    unlockBoth(task, copy);
    return refuse(task, 'EFAULT', `pfn ${hex(folio.pfn)} has all the references that can be counted`);
  }
  folio.get();
  if (!folio.anon) folio.addFileRmap(pte.pfn - folio.pfn, source.pages);
  else if (!folio.tryDupAnonRmap(from.mm.hasPinned && folio.pincount > 0)) {
    unlockBoth(task, copy);
    return yield* copyPinned(task, copy, folio);
  }
  /* The page may be shared by now: GUP-fast, which takes no lock, sees an entry that may still be written. */
  if (cow && watch) yield* preemptionPoint(task, source.ptep);
  const now = watch ? from.mm.machine.tables.read(source.ptep) : pte;
  const shared = cow ? now.wrprotect() : now;
  if (cow) setHugePteAt(from.mm, address, source, shared);
  setHugePteAt(to.mm, address, destination, shared);
  to.mm.hugetlbUsage += destination.pages;
  unlockBoth(task, copy);
  return 'OK';
}

function unlockBoth(task: Task, { source, destination }: LeafCopy): void {
  source.lock.unlock(task);
  destination.lock.unlock(task);
}

/** The same for a huge page's pieces, run by run. Only files are mapped in pieces: the page is shared with the child as it is. */
function* copyRuns(task: Task, to: Vma, from: Vma, start: number, end: number): Path<CopyResult> {
  const { machine } = from.mm;
  const { frames, leafScan } = machine;
  for (const run = leafScan.open(from.mm, start, end); run.next(); ) {
    const { address, entries, present, pte, size } = run;
    const destination = yield* hugetlbFullWalkAlloc(task, to, address, size);
    if (typeof destination === 'string') return refuse(task, 'ENOMEM', 'no memory for a page table of the child');
    const copied = present || pte.isMigration || pte.isHwpoison || (pte.isMarker && (to.flags & VM_UFFD_WP) !== 0);
    if (!copied) continue;
    const { lock, pages } = destination;
    yield* lock.write(task);
    if (present) {
      const folio = frames.folio(pte.pfn);
      if (folio.overflownBy(entries - 1)) {
        lock.unlock(task);
        return refuse(task, 'EFAULT', `pfn ${hex(folio.pfn)} has all the references that can be counted`);
      }
      folio.get(entries);
      folio.addFileRmap(pte.pfn - folio.pfn, pages, entries);
      to.mm.hugetlbUsage += pages * entries;
      leafScan.copy(run, destination.ptep, (one) => one);
    } else if (pte.isMigration) {
      const source = hugetlbPteAt(from.mm, run.ptep, run.shift);
      copyMigrationEntry({ to, from, address, source, destination }, false);
    } else leafScan.fill(destination.ptep, entries, pte, run.shift);
    lock.unlock(task);
  }
  return 'OK';
}

/** Copies the entry of a page that moves: it will be mapped read-only in both, if it is a private one. */
function copyMigrationEntry({ to, from, address, source, destination }: LeafCopy, cow: boolean): void {
  const { machine } = from.mm;
  let pte = machine.tables.read(source.ptep);
  if (cow && readMigrationEntry(machine, pte).kind !== 'read') {
    const readable = wrprotectMigrationEntry(pte, 'read');
    pte = from.flags & VM_UFFD_WP && swpUffdWp(pte) ? swpMkuffdWp(readable) : readable;
    setHugePteAt(from.mm, address, source, pte);
  }
  setHugePteAt(to.mm, address, destination, to.flags & VM_UFFD_WP ? pte : swpClearUffdWp(pte));
  /* Linux counts it neither now nor when it is mapped. */
  to.mm.miscounted -= destination.pages;
}

/**
 * Copies a page that may be pinned for the child, which gets it writable. Drops the caller's reference. 'again': the parent's entry is
 * another one by now, as the page's memory has turned bad meanwhile.
 */
function* copyPinned(task: Task, copy: LeafCopy, folio: Folio): Path<'OK' | 'ENOMEM' | 'again'> {
  const { to, address, source, destination } = copy;
  const { tables } = to.mm.machine;
  const expected = tables.read(source.ptep);
  const fresh = yield* allocHugePage(task, to, address, true);
  if (fresh === 'ENOSPC') {
    yield* putPage(task, folio);
    return refuse(task, 'ENOMEM', `pfn ${hex(folio.pfn)} may be pinned, and there is no page for a copy`);
  }
  recordCall(task, 'copy_user_huge_page', () => `pfn ${hex(fresh.pfn)} from pfn ${hex(folio.pfn)}`);
  fresh.contents.copyFrom(folio.contents);
  yield* putPage(task, folio);
  yield* destination.lockPte(task);
  yield* source.lockPte(task);
  const same = tables.read(source.ptep).same(expected);
  if (same) {
    if (to.mm.machine.trace)
      shownCall(task, 'hugetlb_install_page', `addr=${hex(address)}, pfn ${hex(fresh.pfn)}`, () =>
        installPage(copy, fresh),
      );
    else installPage(copy, fresh);
  }
  unlockBoth(task, copy);
  if (same) return 'OK';
  yield* giveBack(task, to, address, fresh);
  return 'again';
}

/** `hugetlb_install_page`, with both entries' locks held. */
function installPage({ to, address, destination }: LeafCopy, fresh: Folio): void {
  fresh.uptodate = true;
  fresh.addNewAnonRmap(to.inode.pageCache, to.hugeIndex(address));
  setHugePteAt(to.mm, address, destination, makeHugePte(to, fresh.pfn, destination.shift, true));
  to.mm.hugetlbUsage += destination.pages;
  fresh.restoreReserve = false;
  fresh.migratable = true;
}
