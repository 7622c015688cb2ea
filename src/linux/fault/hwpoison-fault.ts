/**
 * A fault that meets bad memory. mm/hugetlb.c of Linux 6.1: hugetlb_fault, hugetlb_no_page, for a whole huge page; Jiaqi Yan's memory failure of
 * 4 KiB on top of HGM v2 (2023).
 */
import { hex } from '../../core/errors.ts';
import type { VmFault } from '../base/fault-flags.ts';
import { refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { hgmEnabled, hgmSizes } from '../mm/hgm-enabled.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalkAlloc } from '../page-tables/hgm-walk.ts';
import type { Folio } from '../pool/folio.ts';

/** Whether 4 KiB of a huge page of this VMA can be given up, and the rest be used. */
function losesPieces(vma: Vma): boolean {
  return vma.mm.machine.hgm === 'v2' && hgmEnabled(vma);
}

/** How an access to an entry of bad memory ends. */
export function poisonedEntryFault(task: Task, vma: Vma, hpte: HugetlbPte, pte: Pte): VmFault {
  const why = `the entry stands for bad memory at pfn ${hex(pte.hwpoisonPfn)}`;
  if (hpte.size > PAGE_SIZE || !losesPieces(vma)) return refuse(task, 'HWPOISON_LARGE', why);
  const folio = vma.mm.machine.frames.folio(pte.hwpoisonPfn);
  return refuse(task, folio.hasRawHwp(pte.hwpoisonPfn - folio.pfn) ? 'HWPOISON' : 'HWPOISON_LARGE', why);
}

/**
 * A hole is to be filled from a page with bad memory: the largest piece of the hole that has `address` in it, and nothing bad. Tables are made for
 * it, one level at a time. The caller holds the VMA lock, and the page's.
 */
export function* healthyPiece(
  task: Task,
  vma: Vma,
  address: number,
  hole: HugetlbPte,
  folio: Folio,
): Path<HugetlbPte | 'HWPOISON' | 'HWPOISON_LARGE' | 'OOM'> {
  if (!losesPieces(vma))
    return refuse(task, 'HWPOISON_LARGE', `pfn ${hex(folio.pfn)} has bad memory, and is given up as a whole`);
  const within = address % vma.hstate.size;
  let hpte = hole;
  for (const size of hgmSizes(vma)) {
    if (size > hpte.size) continue;
    if (size < hpte.size) {
      const finer = yield* hugetlbFullWalkAlloc(task, vma, address, size);
      if (finer === 'ENOMEM') return refuse(task, 'OOM', 'no memory for a page table');
      /* Somebody has put something here: no hole any more, as the caller will see. */
      if (typeof finer === 'string' || finer.size > size) return hpte;
      hpte = finer;
    }
    if (!folio.hasRawHwp((within - (within % size)) / PAGE_SIZE, size / PAGE_SIZE)) return hpte;
  }
  return refuse(task, 'HWPOISON', `the 4 KiB at ${hex(address)} are bad`);
}
