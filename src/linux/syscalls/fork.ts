/**
 * fork and exit. kernel/fork.c of Linux 6.1: dup_mmap; mm/memory.c: vma_needs_copy; mm/hugetlb.c:
 * copy_hugetlb_page_range, hugetlb_install_page.
 *
 * The child gets the VMAs; of entries, only those of mappings with pages of their own: a file's pages it finds by
 * faulting. A private page is mapped read-only in both, and belongs to neither. A pinned page is copied at once, so that
 * the parent keeps the one that a device writes to.
 */
import { HGM_POSTED_FORK_TRY_GET } from '../base/hgm.ts';
import type { Path, Task } from '../base/task.ts';
import { isCowMapping, VM_DONTCOPY, VM_HUGETLB_HGM, VM_UFFD_WP } from '../base/vm-flags.ts';
import { allocHugePage, giveBack, putPage } from '../hugetlb/alloc-page.ts';
import { makeHugePte } from '../hugetlb/cow.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Mm } from '../mm/mm.ts';
import { raced } from '../mm/raced.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalkAlloc } from '../page-tables/hgm-walk.ts';
import { inRuns } from '../page-tables/in-runs.ts';
import {
  readMigrationEntry,
  swpClearUffdWp,
  swpMkuffdWp,
  swpUffdWp,
  wrprotectMigrationEntry,
} from '../page-tables/migration-entry.ts';
import {
  endOfHugePage,
  endOfTable,
  hugePteOffset,
  hugetlbFullWalkContinue,
  hugetlbPteAt,
  setHugePteAt,
} from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';
import { dupUserfaultfd, dupUserfaultfdComplete, type ForkedUserfaultfds } from '../userfaultfd/uffd-event.ts';

/** 'ENOMEM': no memory for tables, or for a page's copy. 'EFAULT': a page has all the references that can be counted. */
type CopyResult = 'OK' | 'ENOMEM' | 'EFAULT';

/** `dup_mmap`: fills a new address space. On an error the caller ends it. */
export function* dupMmap(task: Task, child: Mm, parent: Mm): Path<CopyResult> {
  yield* parent.mmapLock.write(task);
  yield* child.mmapLock.write(task);
  let result: CopyResult = 'OK';
  const forked: ForkedUserfaultfds = new Map();
  for (const vma of parent.vmas) {
    if (vma.flags & VM_DONTCOPY) continue;
    result = yield* dupVma(task, child, vma, forked);
    if (result !== 'OK') break;
  }
  child.mmapLock.unlock(task);
  parent.mmapLock.unlock(task);
  yield* dupUserfaultfdComplete(task, forked);
  return result;
}

function* dupVma(task: Task, child: Mm, vma: Vma, forked: ForkedUserfaultfds): Path<CopyResult> {
  const copy = vma.duplicate({ mm: child });
  copy.forgetPrivate();
  /* RFC v2 keeps HGM beside the VMA's lock, of which the child has a new one, and turns it on where entries are copied. */
  if (copy.mm.machine.hgm === 'rfc-v2') copy.flags &= ~VM_HUGETLB_HGM;
  dupUserfaultfd(copy, forked);
  child.insert(copy);
  copy.open();
  const { pageCache } = vma.inode;
  yield* pageCache.iMmapRwsem.write(task);
  pageCache.linkAfter(copy, vma);
  pageCache.iMmapRwsem.unlock(task);
  return copy.flags & VM_UFFD_WP || vma.anonVma ? yield* copyHugetlbPageRange(task, copy, vma) : 'OK';
}

/** `copy_hugetlb_page_range`. */
function* copyHugetlbPageRange(task: Task, to: Vma, from: Vma): Path<CopyResult> {
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
  const { tables, frames } = from.mm.machine;
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
    if (typeof destination === 'string') return 'ENOMEM';
    if (source.shift < 30 && tables.page(destination.ptep).shareCount > 0) {
      address = endOfTable(address, shift);
      continue;
    }
    yield* destination.lock.write(task);
    yield* source.lock.write(task);
    const pte = tables.read(source.ptep);
    if (!source.isPresentLeaf(pte)) {
      if (pte.isMigration) copyMigrationEntry(to, from, address, source, destination, cow);
      else if (pte.isHwpoison || (pte.isMarker && to.flags & VM_UFFD_WP))
        setHugePteAt(to.mm, address, destination, pte);
      source.lock.unlock(task);
      destination.lock.unlock(task);
      if (pte.present) raced(task, tables, 'copy_hugetlb_page_range');
      else address += source.size;
      continue;
    }
    const folio = frames.folio(pte.pfn);
    if (from.mm.machine.hgmPosted(HGM_POSTED_FORK_TRY_GET)) {
      folio.get();
      source.lock.leak(task);
      destination.lock.leak(task);
      return 'EFAULT';
    }
    if (folio.overflown) {
      source.lock.unlock(task);
      destination.lock.unlock(task);
      return 'EFAULT';
    }
    folio.get();
    if (!folio.anon) folio.addFileRmap(pte.pfn - folio.pfn, source.pages);
    else if (!folio.tryDupAnonRmap(from.mm.hasPinned && folio.pincount > 0)) {
      source.lock.unlock(task);
      destination.lock.unlock(task);
      if (!(yield* copyPinned(task, to, address, source, destination, folio))) return 'ENOMEM';
      address += source.size;
      continue;
    }
    const shared = cow ? pte.wrprotect() : pte;
    if (cow) setHugePteAt(from.mm, address, source, shared);
    setHugePteAt(to.mm, address, destination, shared);
    to.mm.hugetlbUsage += destination.pages;
    source.lock.unlock(task);
    destination.lock.unlock(task);
    address += source.size;
  }
  return 'OK';
}

/** The same for a huge page's pieces, run by run. Only files are mapped in pieces: the page is shared with the child as it is. */
function* copyRuns(task: Task, to: Vma, from: Vma, start: number, end: number): Path<CopyResult> {
  const { machine } = from.mm;
  const { frames, leafScan } = machine;
  for (const run = leafScan.open(from.mm, start, end); run.next(); ) {
    const { address, entries, present, pte, size } = run;
    const destination = yield* hugetlbFullWalkAlloc(task, to, address, size);
    if (typeof destination === 'string') return 'ENOMEM';
    const copied = present || pte.isMigration || pte.isHwpoison || (pte.isMarker && (to.flags & VM_UFFD_WP) !== 0);
    if (!copied) continue;
    const { lock, pages } = destination;
    yield* lock.write(task);
    if (present) {
      const folio = frames.folio(pte.pfn);
      if (folio.overflownBy(entries - 1)) {
        lock.unlock(task);
        return 'EFAULT';
      }
      folio.get(entries);
      folio.addFileRmap(pte.pfn - folio.pfn, pages, entries);
      to.mm.hugetlbUsage += pages * entries;
      leafScan.copy(run, destination.ptep, (one) => one);
    } else if (pte.isMigration) {
      copyMigrationEntry(to, from, address, hugetlbPteAt(from.mm, run.ptep, run.shift), destination, false);
    } else leafScan.fill(destination.ptep, entries, pte, run.shift);
    lock.unlock(task);
  }
  return 'OK';
}

/** Copies the entry of a page that moves: it will be mapped read-only in both, if it is a private one. */
function copyMigrationEntry(
  to: Vma,
  from: Vma,
  address: number,
  source: HugetlbPte,
  destination: HugetlbPte,
  cow: boolean,
): void {
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

/** Copies a page that may be pinned for the child, which gets it writable. Drops the caller's reference to the original. */
function* copyPinned(
  task: Task,
  to: Vma,
  address: number,
  source: HugetlbPte,
  destination: HugetlbPte,
  folio: Folio,
): Path<boolean> {
  const { tables } = to.mm.machine;
  const expected = tables.read(source.ptep);
  const fresh = yield* allocHugePage(task, to, address, true);
  if (fresh === 'ENOSPC') {
    yield* putPage(task, folio);
    return false;
  }
  fresh.contents.copyFrom(folio.contents);
  yield* putPage(task, folio);
  yield* destination.lock.write(task);
  yield* source.lock.write(task);
  const same = tables.read(source.ptep).same(expected);
  if (same) {
    fresh.uptodate = true;
    fresh.addNewAnonRmap(to.inode.pageCache, to.hugeIndex(address));
    fresh.restoreReserve = false;
    fresh.migratable = true;
    setHugePteAt(to.mm, address, destination, makeHugePte(to, fresh.pfn, destination.shift, true));
    to.mm.hugetlbUsage += destination.pages;
  }
  source.lock.unlock(task);
  destination.lock.unlock(task);
  /* The parent's mmap_lock is held: only migration or truncation could have changed the entry, and the child faults then. */
  if (!same) yield* giveBack(task, to, address, fresh);
  return true;
}
