/**
 * The page at an address, if there is one now: nothing is faulted in. mm/gup.c of Linux 6.1: follow_page; mm/hugetlb.c:
 * follow_huge_pmd_pte, follow_huge_pud.
 */
import { hex } from '../../core/errors.ts';
import { follWords } from '../base/flag-words.ts';
import { FOLL_GET, FOLL_PIN } from '../base/gup-flags.ts';
import { HGM_POSTED_FOLLOW_PAGE } from '../base/hgm.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import { readMigrationEntry } from '../base/migration-entry.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import type { Mm } from '../mm/mm.ts';
import { raced } from '../mm/raced.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalk } from '../page-tables/page-table.ts';
import { walkLock } from '../page-tables/walk-lock.ts';
import { tryGrabFolio } from '../pool/pin.ts';

/**
 * `follow_page`, with mmap_lock: rights are not looked at, nor whether the page is shared.
 *
 * @param flags FOLL_GET takes a reference; FOLL_PIN is not supported: no page
 * @returns the frame number, or undefined
 */
export const followPage: typeof follow = kernelFunction('follow_page', follow, {
  args: (_mm, address, flags) => `addr=${hex(address)}, flags=${follWords(flags)}`,
});

function* follow(task: Task, mm: Mm, address: number, flags: number): Path<number | undefined> {
  yield* mm.mmapLock.read(task);
  const vma = mm.vmaLookup(address);
  const frame = vma && !(flags & FOLL_PIN) ? yield* followHugePte(task, vma, address, flags) : undefined;
  mm.mmapLock.unlock(task);
  return frame;
}

const followHugePte = kernelFunction('follow_huge_pmd_pte', followLeaf, {
  args: (_vma, address, flags) => `addr=${hex(address)}, flags=${follWords(flags)}`,
});

function* followLeaf(task: Task, vma: Vma, address: number, flags: number): Path<number | undefined> {
  const { tables, frames } = vma.mm.machine;
  const lock = walkLock(vma);
  for (;;) {
    if (lock) yield* lock.read(task);
    const hpte = hugetlbFullWalk(vma, address);
    if (!hpte) {
      lock?.unlock(task);
      return undefined;
    }
    yield* hpte.lockPte(task);
    const pte = tables.read(hpte.ptep);
    const leaf = hpte.isPresentLeaf(pte);
    let frame: number | undefined;
    if (leaf && (!(flags & FOLL_GET) || tryGrabFolio(frames.folio(pte.pfn), 1, FOLL_GET))) {
      /* The offset in the leaf, which may be smaller than the huge page: its entry points to its own first frame. */
      const within = vma.mm.machine.hgmPosted(HGM_POSTED_FOLLOW_PAGE) ? vma.hstate.size : hpte.size;
      frame = pte.pfn + Math.floor((address % within) / PAGE_SIZE);
    }
    const moving = pte.isMigration ? frames.folio(readMigrationEntry(vma.mm.machine, pte).pfn) : undefined;
    hpte.lock.unlock(task);
    lock?.unlock(task);
    if (moving) yield* moving.lock.wait(task);
    /* The page moves, or a table was put here since the walk: look again. */
    if (!moving && (leaf || !pte.present)) return frame;
    raced(task, tables, 'hugetlb_follow_page_mask');
  }
}
