/**
 * One page for a userfaultfd's program. mm/hugetlb.c of Linux 6.1: hugetlb_mcopy_atomic_pte.
 *
 *   UFFDIO_COPY       a new page with the program's bytes, in the file's page cache or the mapping's own
 *   UFFDIO_CONTINUE   the page that the file has
 */
import { hex } from '../../core/errors.ts';
import type { Errno } from '../base/errno.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_SHARED, VM_WRITE } from '../base/vm-flags.ts';
import { allocHugePage, giveBack } from '../hugetlb/alloc-page.ts';
import { makeHugePte } from '../hugetlb/cow.ts';
import { findLockPage, unlockAndPut } from '../hugetlb/find-lock-page.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Vma } from '../mm/vma.ts';
import { setHugePteAt } from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';

/** UFFDIO_CONTINUE of the leaf or hole at `hpte`. */
export const continuePage: typeof continueOne = kernelFunction('hugetlb_mcopy_atomic_pte', continueOne, {
  args: (_vma, address) => `dst_addr=${hex(address)}, MCOPY_ATOMIC_CONTINUE`,
});

function* continueOne(task: Task, vma: Vma, address: number, hpte: HugetlbPte): Path<'OK' | Errno> {
  const folio = yield* findLockPage(task, vma.inode.pageCache, vma.hugeIndex(address));
  if (!folio) return refuse(task, 'EFAULT', `${vma.inode.name} has no page at index ${vma.hugeIndex(address)}`);
  if (folio.overflown) {
    yield* unlockAndPut(task, folio);
    return refuse(task, 'EFAULT', `pfn ${hex(folio.pfn)} has all the references that can be counted`);
  }
  const writable = (vma.flags & VM_SHARED) !== 0 && (vma.flags & VM_WRITE) !== 0;
  return yield* installPage(task, vma, address, hpte, folio, { isNew: false, writable, wp: false });
}

/**
 * UFFDIO_COPY of a huge page.
 *
 * @param source its bytes; fewer where the rest is not mapped
 * @param wp whether it is to be write-protected
 */
export const copyPage: typeof copyOne = kernelFunction('hugetlb_mcopy_atomic_pte', copyOne, {
  args: (_vma, address, _hpte, _source, wp) => `dst_addr=${hex(address)}, MCOPY_ATOMIC_NORMAL, wp_copy=${wp}`,
});

function* copyOne(
  task: Task,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  source: Uint8Array,
  wp: boolean,
): Path<'OK' | Errno> {
  if (vma.flags & VM_SHARED && vma.inode.pageCache.find(vma.hugeIndex(address))) {
    return refuse(task, 'EEXIST', `${vma.inode.name} has a page at index ${vma.hugeIndex(address)}`);
  }
  const folio = yield* allocHugePage(task, vma, address, false);
  if (folio === 'ENOSPC') return refuse(task, 'ENOMEM', 'no page to be had');
  if (source.length < vma.hstate.size) return yield* sourceMissing(task, vma, address, folio);
  folio.contents.clear();
  folio.contents.set(source);
  folio.uptodate = true;
  if (vma.flags & VM_SHARED && !(yield* addToFile(task, vma, address, folio))) {
    return refuse(task, 'EFAULT', `${hex(address)} lies behind the end of the file, ${hex(vma.inode.size)} bytes`);
  }
  const writable = !wp && (vma.flags & VM_WRITE) !== 0;
  return yield* installPage(task, vma, address, hpte, folio, { isNew: true, writable, wp });
}

/** Puts a new page into the file's page cache, and locks it; behind the end of the file it goes back, and that is false. */
function* addToFile(task: Task, vma: Vma, address: number, folio: Folio): Path<boolean> {
  const { inode, hstate } = vma;
  const index = vma.hugeIndex(address);
  if (index >= Math.floor(inode.size / hstate.size)) {
    yield* giveBack(task, vma, address, folio);
    return false;
  }
  yield* folio.lock.write(task);
  inode.pageCache.add(folio, index);
  return true;
}

/**
 * The source of a copy is not all there. The page goes back with its reservation, and the source is asked again without any lock, where it could be
 * faulted in, into a page for the time being: it is needed even to find out that nothing is there to be copied.
 */
function* sourceMissing(task: Task, vma: Vma, address: number, fresh: Folio): Path<'ENOMEM' | 'EFAULT'> {
  const { hstate } = vma;
  const { hugetlbLock } = hstate.machine;
  yield* giveBack(task, vma, address, fresh);
  yield* hugetlbLock.write(task);
  const available = hstate.available > 0;
  hugetlbLock.unlock(task);
  if (available || !hstate.gigantic) return refuse(task, 'EFAULT', 'the source is not all mapped');
  return refuse(task, 'ENOMEM', 'no page to copy the source to without locks');
}

/** How a page is mapped: made for it, writable, write-protected by userfaultfd. */
interface Installation {
  readonly isNew: boolean;
  readonly writable: boolean;
  readonly wp: boolean;
}

/** Maps a page where nothing is mapped: a file's, which is locked, or one of the mapping's own. */
function* installPage(
  task: Task,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  folio: Folio,
  { isNew, writable, wp }: Installation,
): Path<'OK' | Errno> {
  const { mm } = vma;
  const cached = folio.pageCache !== undefined;
  yield* hpte.lockPte(task);
  if (folio.hwpoison || !mm.machine.tables.read(hpte.ptep).noneMostly) {
    hpte.lock.unlock(task);
    if (cached) yield* unlockAndPut(task, folio);
    else yield* giveBack(task, vma, address, folio);
    if (folio.hwpoison) return refuse(task, 'EIO', `pfn ${hex(folio.pfn)} has bad memory`);
    return refuse(task, 'EEXIST', `something is mapped at ${hex(address)}`);
  }
  const page = (address % vma.hstate.size) / PAGE_SIZE;
  if (cached) folio.addFileRmap(page, hpte.pages);
  else {
    folio.restoreReserve = false;
    folio.addNewAnonRmap(vma.inode.pageCache, vma.hugeIndex(address));
  }
  const pte = makeHugePte(vma, folio.pfn + page, hpte.shift, writable)
    .mkdirty()
    .mkyoung();
  setHugePteAt(mm, address, hpte, wp ? pte.mkuffdWp() : pte);
  mm.hugetlbUsage += hpte.pages;
  hpte.lock.unlock(task);
  if (isNew) folio.migratable = true;
  if (cached) folio.lock.unlock(task);
  return 'OK';
}
