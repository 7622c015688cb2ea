/**
 * fork and exit. kernel/fork.c of Linux 6.1: dup_mmap; mm/memory.c: vma_needs_copy; mm/hugetlb.c:
 * copy_hugetlb_page_range, hugetlb_install_page.
 *
 * The child gets the VMAs; of entries, only those of mappings with pages of their own: a file's pages it finds by
 * faulting. A private page is mapped read-only in both, and belongs to neither. A pinned page is copied at once, so that
 * the parent keeps the one that a device writes to.
 */
import { allocHugePage, giveBack, putPage } from './alloc-page.ts';
import { makeHugePte } from './cow.ts';
import type { Folio } from './folio.ts';
import type { HugetlbPte } from './hugetlb-pte.ts';
import type { Mm } from './mm.ts';
import { endOfTable, hugePteOffset, hugetlbFullWalkContinue, setHugePteAt } from './page-table.ts';
import { hugePteAlloc } from './pmd-share.ts';
import type { Path, Task } from './task.ts';
import { dupUserfaultfd, dupUserfaultfdComplete, type ForkedUserfaultfds } from './uffd-event.ts';
import { isCowMapping, VM_DONTCOPY, VM_UFFD_WP } from './vm-flags.ts';
import type { Vma } from './vma.ts';

/** `dup_mmap`: fills a new address space. On 'ENOMEM' the caller ends it. */
export function* dupMmap(task: Task, child: Mm, parent: Mm): Path<'OK' | 'ENOMEM'> {
  yield* parent.mmapLock.write(task);
  yield* child.mmapLock.write(task);
  let result: 'OK' | 'ENOMEM' = 'OK';
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

function* dupVma(task: Task, child: Mm, vma: Vma, forked: ForkedUserfaultfds): Path<'OK' | 'ENOMEM'> {
  const copy = vma.duplicate({ mm: child });
  copy.forgetPrivate();
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
function* copyHugetlbPageRange(task: Task, to: Vma, from: Vma): Path<'OK' | 'ENOMEM'> {
  const cow = isCowMapping(from.flags);
  const vmaLock = cow ? undefined : from.hugetlbLock;
  if (cow) from.mm.writeProtectSeq++;
  else if (vmaLock) yield* vmaLock.read(task);
  const result = yield* copyLeaves(task, to, from, cow);
  if (cow) from.mm.writeProtectSeq++;
  else vmaLock?.unlock(task);
  return result;
}

function* copyLeaves(task: Task, to: Vma, from: Vma, cow: boolean): Path<'OK' | 'ENOMEM'> {
  const { tables, frames } = from.mm.machine;
  const { shift } = from.hstate;
  for (let address = from.start; address < from.end; ) {
    const top = hugePteOffset(from, address);
    if (!top) {
      address = endOfTable(address, shift);
      continue;
    }
    const source = hugetlbFullWalkContinue(from, top, address);
    const destination = yield* hugePteAlloc(task, to, address);
    if (!destination) return 'ENOMEM';
    if (source.shift < 30 && tables.page(destination.ptep).shareCount > 0) {
      address = endOfTable(address, shift);
      continue;
    }
    yield* destination.lock.write(task);
    yield* source.lock.write(task);
    const pte = tables.read(source.ptep);
    if (!source.isPresentLeaf(pte)) {
      if (pte.isMarker && to.flags & VM_UFFD_WP) setHugePteAt(to.mm, address, destination, pte);
      source.lock.unlock(task);
      destination.lock.unlock(task);
      if (!pte.present) address += source.size;
      continue;
    }
    const folio = frames.folio(pte.pfn);
    folio.get();
    if (!folio.anon) folio.dupFileRmap();
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
    fresh.addNewAnonRmap();
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
