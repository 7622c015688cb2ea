/**
 * PMD sharing: mappings of the same 1 GiB of a file use one table of 2 MiB entries. mm/hugetlb.c of Linux 6.1:
 * want_pmd_share, page_table_shareable, huge_pmd_share, huge_pmd_unshare, hugetlb_split, hugetlb_unshare_pmds,
 * huge_pte_alloc.
 *
 *   process A   PUD entry ──┐
 *                           ├──> one PMD table, shareCount 1 ──> huge pages
 *   process B   PUD entry ──┘
 *
 * A VMA takes part where it covers the whole aligned 1 GiB and has a VMA lock. Who changes rights or unmaps gives its
 * PUD entry up instead, and faults again into a table of its own, if it may not share any more.
 */
import { hex, InvariantError } from '../../core/errors.ts';
import { rangeWords } from '../base/flag-words.ts';
import { kernelFunction, shownCall } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { PAGE_PRESENT, PTE_NONE } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_HUGETLB_HGM, VM_UFFD_MINOR, VM_UFFD_WP } from '../base/vm-flags.ts';
import { hasSharers } from '../mm/has-sharers.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import { vmasShowing } from '../mm/i-mmap.ts';
import type { Mm } from '../mm/mm.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import type { Vma } from '../mm/vma.ts';
import { allocateEntryAt, entryAt, hugePteOffset, hugetlbPteAt, PUD_SHIFT, PUD_SIZE, pointTo } from './page-table.ts';

const PMD_SHIFT = 21;

/** `want_pmd_share`: whether a table for the 1 GiB around an address might be shared. */
export function wantPmdShare(vma: Vma, address: number): boolean {
  const base = pudBase(address);
  if (vma.flags & (VM_UFFD_WP | VM_UFFD_MINOR | VM_HUGETLB_HGM)) return false;
  return vma.mayShare && vma.vmaLock !== undefined && vma.start <= base && base + PUD_SIZE <= vma.end;
}

/** Whether `hugePteAlloc` would look for a table to share: there is none yet. */
export function wantsSharedTable(vma: Vma, address: number): boolean {
  if (vma.hstate.shift !== PMD_SHIFT || !wantPmdShare(vma, address)) return false;
  const pud = entryAt(vma.mm, address, PUD_SHIFT);
  return pud === undefined || (vma.mm.machine.tables.low(pud) & PAGE_PRESENT) === 0;
}

/**
 * `huge_pte_alloc`: like `hugePteOffset`, but makes missing tables, or shares another mapping's. The caller holds the VMA
 * lock.
 *
 * @returns undefined where memory for tables is used up
 */
export function* hugePteAlloc(task: Task, vma: Vma, address: number): Path<HugetlbPte | undefined> {
  const { mm } = vma;
  const { shift } = vma.hstate;
  let at: number | undefined;
  if (wantsSharedTable(vma, address)) at = yield* hugePmdShare(task, vma, address);
  else at = allocateEntryAt(mm, address, shift);
  return at === undefined ? undefined : hugetlbPteAt(mm, at, shift);
}

/** `huge_pmd_share`: takes the table of the first mapping that has one and may share it, else makes one. */
const hugePmdShare = kernelFunction('huge_pmd_share', share, {
  args: (_vma, address) => `addr=${hex(address)}`,
  result: () => '',
});

function* share(task: Task, vma: Vma, address: number): Path<number | undefined> {
  const { mm } = vma;
  const { tables, trace } = mm.machine;
  const pud = allocateEntryAt(mm, address, PUD_SHIFT);
  if (pud === undefined) return undefined;
  const page = vma.pgoff + (address - vma.start) / PAGE_SIZE;
  const { iMmapRwsem } = vma.inode.pageCache;
  yield* iMmapRwsem.read(task);
  for (const sharer of vmasShowing(vma.inode.pageCache, page, page + 1)) {
    const there = sharer === vma ? undefined : shareableAddress(sharer, vma, address, page);
    const spte = there === undefined ? undefined : hugePteOffset(sharer, there);
    if (!spte) continue;
    const table = tables.page(spte.ptep);
    yield* table.lock.write(task);
    if ((tables.low(pud) & PAGE_PRESENT) === 0) {
      pointTo(mm, pud, table.address);
      table.shareCount++;
      mm.hasSharedTables = true;
      sharer.mm.hasSharedTables = true;
      const { address: at } = table;
      trace?.push({
        kind: 'table',
        task: task.name,
        process: mm.process,
        what: 'shared',
        address: pudBase(address),
        table: at,
        level: 2,
      });
    }
    table.lock.unlock(task);
    break;
  }
  const at = allocateEntryAt(mm, address, PMD_SHIFT);
  iMmapRwsem.unlock(task);
  return at;
}

/** `page_table_shareable`: where another VMA maps the same page of the file, if its table would fit. */
function shareableAddress(sharer: Vma, vma: Vma, address: number, page: number): number | undefined {
  const there = sharer.start + (page - sharer.pgoff) * PAGE_SIZE;
  const base = pudBase(there);
  const fits =
    there - base === address - pudBase(address) &&
    sharer.flags === vma.flags &&
    sharer.start <= base &&
    base + PUD_SIZE <= sharer.end &&
    sharer.vmaLock !== undefined;
  return fits ? there : undefined;
}

/**
 * `huge_pmd_unshare`: gives up a shared table. The caller holds i_mmap_rwsem for writing, and flushes before it drops that.
 *
 * @returns whether the table was shared: then nothing of it is mapped here any more, from its first byte to its last
 */
export function hugePmdUnshare(task: Task, gather: MmuGather, vma: Vma, address: number, hpte: HugetlbPte): boolean {
  return shownUnshare('huge_pmd_unshare', task, gather, vma, address, hpte);
}

function shownUnshare(
  name: string,
  task: Task,
  gather: MmuGather,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
): boolean {
  const checksLocks = name === 'huge_pmd_unshare';
  const body = (): boolean => giveUpTable(task, gather, vma, address, hpte, checksLocks);
  if (!task.machine.trace) return body();
  return shownCall(task, name, `addr=${hex(address)}`, body, (unshared) => (unshared ? '1' : '0'));
}

function giveUpTable(
  task: Task,
  gather: MmuGather,
  vma: Vma,
  address: number,
  hpte: HugetlbPte,
  checksLocks: boolean,
): boolean {
  if (vma.hstate.shift !== PMD_SHIFT || hpte.shift !== PMD_SHIFT) return false;
  const { mm } = vma;
  const { tables, trace } = mm.machine;
  const table = tables.page(hpte.ptep);
  if (!hasSharers(mm.machine, table)) return false;
  if (checksLocks && !vma.inode.pageCache.iMmapRwsem.isWriteHeldBy(task)) {
    throw new InvariantError('hugePmdUnshare: i_mmap_rwsem is not held for writing');
  }
  const pud = entryAt(mm, address, PUD_SHIFT);
  if (pud === undefined) throw new InvariantError('hugePmdUnshare: no PUD entry');
  tables.write(pud, PTE_NONE);
  table.shareCount--;
  gather.addUnshared(table.shareCount === 0);
  const { address: at } = table;
  trace?.push({
    kind: 'table',
    task: task.name,
    process: mm.process,
    what: 'unshared',
    address: pudBase(address),
    table: at,
    level: 2,
  });
  return true;
}

/** Whether the 1 GiB around an address is mapped by a table that others use, too. */
export function isPmdShared(mm: Mm, address: number): boolean {
  const at = entryAt(mm, address, PMD_SHIFT);
  return at !== undefined && mm.machine.tables.page(at).shareCount > 0;
}

/** CVE-2025-38084: the same where `vm_ops->split` did it, with locks of its own, which are dropped again before the VMA has become smaller. */
export function* hugetlbSplitEarly(task: Task, vma: Vma, address: number): Path<void> {
  const { iMmapRwsem } = vma.inode.pageCache;
  const lock = vma.hugetlbLock;
  if (lock) yield* lock.write(task);
  yield* iMmapRwsem.write(task);
  yield* giveUpAround(task, vma, address);
  iMmapRwsem.unlock(task);
  lock?.unlock(task);
}

/** `hugetlb_split`: a VMA that is cut inside an aligned 1 GiB cannot share that table any more. */
export const hugetlbSplit: typeof giveUpAround = kernelFunction('hugetlb_split', giveUpAround, {
  args: (_vma, address) => `addr=${hex(address)}`,
});

function* giveUpAround(task: Task, vma: Vma, address: number): Path<void> {
  const floor = pudBase(address);
  if (address === floor || floor < vma.start || floor + PUD_SIZE > vma.end) return;
  yield* unshareRange(task, vma, floor, floor + PUD_SIZE);
}

/** `hugetlb_unshare_all_pmds`: takes the locks, and gives up every table of a VMA that is shared. */
export const unshareAllPmds: typeof unshareAll = kernelFunction('hugetlb_unshare_all_pmds', unshareAll, {
  args: (vma) => rangeWords(vma.start, vma.end),
});

function* unshareAll(task: Task, vma: Vma): Path<void> {
  if (!vma.mayShare) return;
  const { iMmapRwsem } = vma.inode.pageCache;
  const lock = vma.hugetlbLock;
  if (lock) yield* lock.write(task);
  yield* iMmapRwsem.write(task);
  yield* unsharePmds(task, vma);
  iMmapRwsem.unlock(task);
  lock?.unlock(task);
}

/** The same for a caller who holds the VMA lock and i_mmap_rwsem for writing. */
export const unsharePmds: typeof unshare = kernelFunction('hugetlb_unshare_pmds', unshare, {
  args: (vma) => rangeWords(vma.start, vma.end),
});

function unshare(task: Task, vma: Vma): Path<void> {
  return unshareRange(task, vma, Math.ceil(vma.start / PUD_SIZE) * PUD_SIZE, pudBase(vma.end));
}

/** `hugetlb_unshare_pmds` over 1 GiB and more, aligned. The caller holds i_mmap_rwsem for writing. */
function* unshareRange(task: Task, vma: Vma, start: number, end: number): Path<void> {
  if (start >= end) return;
  const gather = new MmuGather(vma.mm);
  for (let base = start; base < end; base += PUD_SIZE) yield* unshareOne(task, gather, vma, base);
  yield* gather.flushUnsharedTables(task);
  yield* gather.finish(task);
}

/** One aligned 1 GiB. */
function* unshareOne(task: Task, gather: MmuGather, vma: Vma, base: number): Path<void> {
  const hpte = hugePteOffset(vma, base);
  if (!hpte || vma.hstate.shift !== PMD_SHIFT) return;
  yield* hpte.lockPte(task);
  /* 6.1.192 leaves out what asks for the VMA lock, which is not held at a split. */
  const name = vma.mm.machine.hgm === 'none' ? '__huge_pmd_unshare' : 'huge_pmd_unshare';
  shownUnshare(name, task, gather, vma, base, hpte);
  hpte.lock.unlock(task);
}

/** The start of the aligned 1 GiB that an address lies in. */
export function pudBase(address: number): number {
  return Math.floor(address / PUD_SIZE) * PUD_SIZE;
}
