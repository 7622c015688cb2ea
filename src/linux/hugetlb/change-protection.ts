/**
 * Other rights for the leaves of a range. mm/hugetlb.c of Linux 6.1: hugetlb_change_protection.
 */
import { hex } from '../../core/errors.ts';
import { protWords, rangeWords } from '../base/flag-words.ts';
import { HGM_POSTED_CHANGE_PROTECTION, HGM_POSTED_MARKER_OVER_TABLE } from '../base/hgm.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { readMigrationEntry, swpClearUffdWp, swpMkuffdWp, wrprotectMigrationEntry } from '../base/migration-entry.ts';
import { type PageProtection, PTE_NONE, PTE_UFFD_WP_MARKER, type Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_ACCESS_FLAGS } from '../base/vm-flags.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Mm } from '../mm/mm.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import { raced } from '../mm/raced.ts';
import type { Vma } from '../mm/vma.ts';
import { inRuns } from '../page-tables/in-runs.ts';
import {
  endOfHugePage,
  endOfTable,
  hugePteOffset,
  hugePtepClear,
  hugetlbFullWalkContinue,
  hugetlbPteAt,
  setHugePteAt,
} from '../page-tables/page-table.ts';
import { hugePmdUnshare, hugePteAlloc } from '../page-tables/pmd-share.ts';
import { finishMmu } from './unmap.ts';

/** What userfaultfd wants of `changeProtection`: MM_CP_UFFD_WP, MM_CP_UFFD_WP_RESOLVE. */
export type UffdWp = 'protect' | 'resolve' | 'leave';

/**
 * `hugetlb_change_protection`: gives every leaf of [start, end) a protection. Where memory for tables is used up, what follows has no marker, and
 * Linux 6.1 tells nobody.
 *
 * @returns 'ENOMEM' only of HGM_POSTED_CHANGE_PROTECTION
 */
export const changeProtection: typeof changeLeaves = kernelFunction('hugetlb_change_protection', changeLeaves, {
  args: (vma, start, end, _protection, uffdWp) =>
    `${rangeWords(start, end)}, newprot=${protWords(vma.flags & VM_ACCESS_FLAGS)}${uffdWp === undefined || uffdWp === 'leave' ? '' : `, uffd_wp: ${uffdWp}`}`,
});

function* changeLeaves(
  task: Task,
  vma: Vma,
  start: number,
  end: number,
  protection: PageProtection,
  uffdWp: UffdWp = 'leave',
): Path<'OK' | 'ENOMEM'> {
  const { hstate } = vma;
  let result: 'OK' | 'ENOMEM' = 'OK';
  const { iMmapRwsem } = vma.inode.pageCache;
  const vmaLock = vma.hugetlbLock;
  const gather = new MmuGather(vma.mm);
  if (vmaLock) yield* vmaLock.write(task);
  yield* iMmapRwsem.write(task);
  for (let address = start; address < end; ) {
    let top = hugePteOffset(vma, address);
    if (!top) {
      /* A marker needs a place to stand, also where no page table is yet. */
      if (uffdWp === 'protect') top = yield* hugePteAlloc(task, vma, address);
      if (top && vma.mm.machine.hgmPosted(HGM_POSTED_CHANGE_PROTECTION)) {
        result = refuse(task, 'ENOMEM', 'the table that was made for a marker is taken for a failure');
        break;
      }
      if (!top) {
        if (uffdWp === 'protect') {
          refuse(task, 'ENOMEM', `no memory for a page table: no marker from ${hex(address)} on, and nobody is told`);
          break;
        }
        address = endOfTable(address, hstate.shift);
        continue;
      }
    }
    const hpte = hugetlbFullWalkContinue(vma, top, address);
    if (inRuns(task, vma, hpte) && !vma.mm.machine.hgmPosted(HGM_POSTED_MARKER_OVER_TABLE)) {
      const until = Math.min(end, endOfHugePage(vma, address));
      yield* changeRuns(task, gather, vma, address, until, protection, uffdWp);
      address = until;
      continue;
    }
    yield* hpte.lockPte(task);
    if (hugePmdUnshare(task, gather, vma, address, hpte)) {
      /* The others keep their rights; this process faults again, into a table of its own. */
      hpte.lock.unlock(task);
      address = endOfTable(address, hstate.shift);
      continue;
    }
    const advanced = yield* changeLeaf(task, gather, vma, address, hpte, top, protection, uffdWp);
    hpte.lock.unlock(task);
    if (advanced) address += hpte.size;
    else raced(task, vma.mm.machine.tables, 'hugetlb_change_protection');
  }
  yield* gather.flushTlbOnly(task);
  yield* gather.flushUnsharedTables(task);
  iMmapRwsem.unlock(task);
  vmaLock?.unlock(task);
  yield* finishMmu(task, gather);
  return result;
}

/**
 * Changes one entry. Returns false where a table was put there since the walk: then it is to be looked at again.
 *
 * @param top the place of the huge page's own entry
 */
function* changeLeaf(
  task: Task,
  gather: MmuGather,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  top: HugetlbPte,
  protection: PageProtection,
  uffdWp: UffdWp,
): Path<boolean> {
  const { mm } = vma;
  const pte = mm.machine.tables.read(hpte.ptep);
  const leaf = hpte.isPresentLeaf(pte);
  if (pte.present && !leaf) return false;
  const after = changed(mm, pte, leaf, hpte.shift, protection, uffdWp);
  if (!after) return true;
  const overTable = after.isMarker && mm.machine.hgmPosted(HGM_POSTED_MARKER_OVER_TABLE);
  if (leaf) yield* hugePtepClear(task, mm, address, hpte);
  setHugePteAt(mm, address, overTable ? top : hpte, after);
  if (leaf) gather.removeTlbEntry();
  return true;
}

/** What becomes of an entry; undefined where it stays as it is. @param leaf whether it maps a page */
function changed(
  mm: Mm,
  pte: Pte,
  leaf: boolean,
  shift: number,
  protection: PageProtection,
  uffdWp: UffdWp,
): Pte | undefined {
  if (leaf) {
    const allowed = pte.modify(protection).mkhuge(shift);
    return uffdWp === 'protect'
      ? allowed.wrprotect().mkuffdWp()
      : uffdWp === 'resolve'
        ? allowed.clearUffdWp()
        : allowed;
  }
  if (pte.isMigration) return changedMigrationEntry(mm, pte, uffdWp);
  if (pte.isMarker && uffdWp === 'resolve') return PTE_NONE;
  return pte.none && uffdWp === 'protect' ? PTE_UFFD_WP_MARKER : undefined;
}

/** The same for a huge page's pieces, run by run. */
function* changeRuns(
  task: Task,
  gather: MmuGather,
  vma: Vma,
  start: number,
  end: number,
  protection: PageProtection,
  uffdWp: UffdWp,
): Path<void> {
  const { mm } = vma;
  const { leafScan } = mm.machine;
  for (const run = leafScan.open(mm, start, end); run.next(); ) {
    const { present, shift } = run;
    const after = changed(mm, run.pte, present, shift, protection, uffdWp);
    if (!after) continue;
    const { lock } = hugetlbPteAt(mm, run.ptep, shift);
    yield* lock.write(task);
    if (present) gather.removeTlbEntry();
    if (present) leafScan.modify(run, (pte) => changed(mm, pte, true, shift, protection, uffdWp)!);
    else leafScan.fill(run.ptep, run.entries, after, shift);
    lock.unlock(task);
  }
}

/** A page that moves: what it may not be written to any more says the entry; the rest, the VMA, when the page is back. */
function changedMigrationEntry({ machine }: Mm, pte: Pte, uffdWp: UffdWp): Pte {
  const { kind, pfn } = readMigrationEntry(machine, pte);
  let after = pte;
  if (kind === 'write') after = wrprotectMigrationEntry(pte, machine.frames.folio(pfn).anon ? 'exclusive' : 'read');
  if (uffdWp === 'protect') return swpMkuffdWp(after);
  return uffdWp === 'resolve' ? swpClearUffdWp(after) : after;
}
