/**
 * From a huge page to where it is mapped. mm/rmap.c of Linux 6.1: rmap_walk, rmap_walk_file, rmap_walk_anon.
 *
 *   huge page ──> its file, or the file behind the private mapping ──> VMAs that show that part of it ──> leaves
 *
 * Linux finds private pages by anon_vma, a tree of the VMAs that have come from one by fork, split or mremap. All those show the same part
 * of the same file, so the file's own list has them, too, and i_mmap_rwsem stands for the tree's lock. What else is in the list does not map
 * the page.
 */
import { hex } from '../../core/errors.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import { vmasShowing } from '../mm/i-mmap.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import type { Folio } from '../pool/folio.ts';
import { frameOf, leavesOfPage, vmaAddress } from './page-vma-mapped.ts';

/** What to do where a VMA may map the page: false ends the walk. @param address of the huge page in the VMA */
export type RmapVisit = (vma: Vma, address: number) => Path<boolean>;

/** How to walk. */
export interface RmapWalkControl {
  /** The caller holds i_mmap_rwsem already: TTU_RMAP_LOCKED. */
  readonly locked?: boolean;
  /** Asked after each VMA: whether to end. */
  readonly done?: () => boolean;
}

/** The VMAs that may map a huge page, in the order of the kernel's tree: a fork's copy follows its original. */
function* vmasOf(folio: Folio): Generator<Vma, void, undefined> {
  const { rmapping, pages, index } = folio;
  for (const vma of rmapping ? vmasShowing(rmapping, index * pages, (index + 1) * pages) : []) {
    if (!folio.anon || vma.anonVma) yield vma;
  }
}

/** `rmap_walk`. The caller has locked the page. */
export const rmapWalk: typeof walk = kernelFunction('rmap_walk', walk, { args: (folio) => `pfn ${hex(folio.pfn)}` });

function* walk(task: Task, folio: Folio, visit: RmapVisit, { locked = false, done }: RmapWalkControl = {}): Path<void> {
  const lock = locked ? undefined : folio.rmapping?.iMmapRwsem;
  /* With a page lock held. Nobody who has this one waits for a private page's; of a file's page, the caller has it already. */
  if (lock) yield* lock.readOutOfOrder(task);
  for (const vma of vmasOf(folio)) {
    if (!(yield* visit(vma, vmaAddress(vma, folio.index)))) break;
    if (done?.()) break;
  }
  lock?.unlock(task);
}

/** A leaf that maps a huge page, or a part of it. */
export interface MappedPart {
  readonly mm: Mm;
  /** First linear address that it maps. */
  readonly address: number;
  /** Bytes that it maps. */
  readonly size: number;
  /** Number of the first 4 KiB frame that it maps. */
  readonly frame: number;
}

/** Where a huge page is mapped, for whoever looks. */
export function mappedParts(folio: Folio): MappedPart[] {
  const parts: MappedPart[] = [];
  for (const vma of vmasOf(folio)) {
    const { mm } = vma;
    for (const { address, hpte, pte } of leavesOfPage(vma, folio, vmaAddress(vma, folio.index))) {
      parts.push({ mm, address, size: hpte.size, frame: frameOf(mm.machine, hpte, pte)! });
    }
  }
  return parts;
}
