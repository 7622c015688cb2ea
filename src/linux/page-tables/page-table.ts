/**
 * A process's page tables as the kernel walks them. mm/hugetlb.c of Linux 6.1: huge_pte_offset, huge_pte_alloc,
 * hugetlb_mask_last_page, huge_pte_lockptr; mm/memory.c: free_pgd_range.
 *
 * Shifts name levels: an entry of shift 39 covers 512 GiB, of 30 1 GiB (PUD), of 21 2 MiB (PMD), of 12 4 KiB.
 */
import { InvariantError } from '../../core/errors.ts';
import { boundWords, rangeWords } from '../base/flag-words.ts';
import { HGM_POSTED_PROT_NONE_PUD } from '../base/hgm.ts';
import { shownCall } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { PAGE_PRESENT, PAGE_TABLE, PTE_NONE, type Pte } from '../base/pte.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { watch } from '../base/watch.ts';
import { hgmEnabled } from '../mm/hgm-enabled.ts';
import { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Mm } from '../mm/mm.ts';
import type { MmuGather } from '../mm/mmu-gather.ts';
import type { TablePage, Tables } from '../mm/tables.ts';
import { flushTlb } from '../mm/tlb.ts';
import type { Vma } from '../mm/vma.ts';

const PTE_SHIFT = 12;
/** Bits of an index into a table. */
const INDEX_BITS = 9;
/** The PUD's level: where one entry covers 1 GiB. */
export const PUD_SHIFT = 30;
/** Bytes of 1 GiB: what one table of 2 MiB entries covers. */
export const PUD_SIZE: number = 2 ** PUD_SHIFT;

/** Offset in bytes of an address's entry in a table whose entries cover 2^shift bytes. */
export function entryOffset(address: number, shift: number): number {
  /* Above 1 GiB in one number, below in another: both fit 32 bits, where shifts are exact. */
  const upper = Math.floor(address / PUD_SIZE);
  const bits = shift >= PUD_SHIFT ? upper >>> (shift - PUD_SHIFT) : (address - upper * PUD_SIZE) >>> shift;
  return (bits & 511) * 8;
}

/** The physical address of the table that an entry points to. */
export function tableOf(pte: Pte): number {
  return pte.pfn * PAGE_SIZE;
}

/** The core's answer has the level of an entry beside its physical address, which is a multiple of 8. */
const LEVELS = 8;

/**
 * The core's descent, assembly/leaf.ts: from a table down to the entry that covers 2^stop bytes, or the leaf or hole above it.
 *
 * @param table physical address
 * @param shift of what its entries cover
 * @returns physical address plus the SDM's level
 */
function descend({ machine }: Mm, table: number, shift: number, address: number, stop: number): number {
  if (watch) return descendWatched(machine.tables, table, shift, address, stop);
  const found = machine.cpu.core.leafAt(table / PAGE_SIZE, shift, Math.floor(address / PAGE_SIZE), stop);
  if (found === 0) throw new InvariantError(`descend: a table above 0x${address.toString(16)} lies outside memory`);
  return found;
}

/** The same, entry by entry, for whoever watches which are read. */
function descendWatched(tables: Tables, table: number, shift: number, address: number, stop: number): number {
  for (let level = shift, at = table; ; level -= INDEX_BITS) {
    const entry = at + entryOffset(address, level);
    if (level === stop) return entry + levelOf(level);
    const pte = tables.read(entry);
    if ((pte.lo & PAGE_PRESENT) === 0 || pte.huge) return entry + levelOf(level);
    at = tableOf(pte);
  }
}

/**
 * The entry for `address` at the level where one covers 2^shift bytes.
 *
 * @returns its physical address, or undefined where a table above it is missing
 */
export function entryAt(mm: Mm, address: number, shift: number): number | undefined {
  const found = descend(mm, mm.pgd.address, mm.topShift, address, shift);
  const level = found % LEVELS;
  return level === levelOf(shift) ? found - level : undefined;
}

/** The entries that a walk of an address reads, from the root down, by their physical addresses. */
export function entryPath({ pgd, topShift, machine: { tables } }: Mm, address: number): number[] {
  const path: number[] = [];
  for (let level = topShift, table = pgd.address; ; level -= INDEX_BITS) {
    const at = table + entryOffset(address, level);
    path.push(at);
    const pte = tables.read(at);
    if (level === PTE_SHIFT || !pte.present || pte.huge) return path;
    table = tableOf(pte);
  }
}

/** Like {@link entryAt}, but makes missing tables. Undefined where memory for tables is used up. */
export function allocateEntryAt(mm: Mm, address: number, shift: number): number | undefined {
  const { tables, trace, current: task } = mm.machine;
  let table = mm.pgd.address;
  for (let level = mm.topShift; ; level -= INDEX_BITS) {
    const at = table + entryOffset(address, level);
    if (level === shift) return at;
    if (tables.low(at) & PAGE_PRESENT) {
      table = tableOf(tables.read(at));
      continue;
    }
    const page = tables.allocate(level - INDEX_BITS);
    if (!page) return undefined;
    pointTo(mm, at, page.address);
    trace?.push({
      kind: 'table',
      task,
      process: mm.process,
      what: 'allocated',
      address,
      table: page.address,
      level: levelOf(page.shift),
    });
    table = page.address;
  }
}

/** `pud_populate` and its like: makes an entry point to a table. */
export function pointTo(mm: Mm, at: number, table: number): void {
  mm.machine.tables.write(at, { lo: table | PAGE_TABLE | 0, hi: Math.floor(table / 2 ** 32) });
}

/** `huge_pte_lockptr`: a table's own lock for 2 MiB entries, the process's for larger ones. */
export function hugetlbPteAt(mm: Mm, at: number, shift: number): HugetlbPte {
  const { tables } = mm.machine;
  if (shift < PUD_SHIFT) return new HugetlbPte(at, shift, tables.page(at).lock);
  return new HugetlbPte(at, shift, mm.pageTableLock, !mm.machine.hgmPosted(HGM_POSTED_PROT_NONE_PUD));
}

/** `huge_pte_offset`: the place of the leaf of the pool's size; undefined where a table above is missing. */
export function hugePteOffset(vma: Vma, address: number): HugetlbPte | undefined {
  const { shift } = vma.hstate;
  const at = entryAt(vma.mm, address, shift);
  return at === undefined ? undefined : hugetlbPteAt(vma.mm, at, shift);
}

/**
 * `hugetlb_full_walk`: from the entry of the pool's size down to the leaf or hole that `address` lies in.
 */
export function hugetlbFullWalk(vma: Vma, address: number): HugetlbPte | undefined {
  const hpte = hugePteOffset(vma, address);
  return hpte && hugetlbFullWalkContinue(vma, hpte, address);
}

/**
 * `hugetlb_full_walk_continue`: the same, from a place that may hold a table by now. Without HGM the place is a leaf's, and what looks
 * like a table is not walked.
 */
export function hugetlbFullWalkContinue(vma: Vma, from: HugetlbPte, address: number): HugetlbPte {
  return hgmEnabled(vma) ? walkToLeaf(vma.mm, from, address) : from;
}

/** Down to the leaf or hole that an address lies in. */
export function walkToLeaf(mm: Mm, from: HugetlbPte, address: number): HugetlbPte {
  const pte = mm.machine.tables.read(from.ptep);
  if (from.shift === PTE_SHIFT || !pte.present || pte.huge) return from;
  return placeOf(mm, descend(mm, tableOf(pte), from.shift - INDEX_BITS, address, PTE_SHIFT));
}

/** @param found of {@link descend} */
function placeOf(mm: Mm, found: number): HugetlbPte {
  const level = found % LEVELS;
  return hugetlbPteAt(mm, found - level, shiftOf(level));
}

/** One level down: the entry for an address in the table that `pte`, the entry at `hpte`, points to. */
export function entryBelow(mm: Mm, hpte: HugetlbPte, pte: Pte, address: number): HugetlbPte {
  const shift = hpte.shift - INDEX_BITS;
  return hugetlbPteAt(mm, tableOf(pte) + entryOffset(address, shift), shift);
}

/** The leaf or hole that an address lies in, whatever VMA it belongs to: a walk without locks. Undefined above the tables for leaves. */
export function leafAt(mm: Mm, address: number): HugetlbPte | undefined {
  const found = descend(mm, mm.pgd.address, mm.topShift, address, PTE_SHIFT);
  return shiftOf(found % LEVELS) > PUD_SHIFT ? undefined : placeOf(mm, found);
}

/** `set_huge_pte_at`: writes a leaf's entry. The caller holds its lock. */
export function setHugePteAt(mm: Mm, address: number, hpte: HugetlbPte, pte: Pte): void {
  watch?.leaf(mm, address, hpte);
  const { tables, trace, current: task } = mm.machine;
  if (trace) {
    const before = tables.read(hpte.ptep).value;
    const level = levelOf(hpte.shift);
    const { levels } = mm.machine;
    trace.push({ kind: 'entry', task, process: mm.process, address, level, levels, before, after: pte.value });
  }
  tables.write(hpte.ptep, pte);
}

/**
 * `huge_ptep_get_and_clear`: an entry is emptied before another is put there. The caller holds its lock all the while, so only those who take none can see
 * it: it is done where somebody watches for them.
 */
export function* hugePtepClear(task: Task, mm: Mm, address: number, hpte: HugetlbPte): Path<void> {
  if (!watch) return;
  setHugePteAt(mm, address, hpte, PTE_NONE);
  yield* preemptionPoint(task, hpte.ptep);
}

/** `huge_ptep_clear_flush`: the same, and no processor uses the old entry any more: also GUP-fast has either done with it, or sees the empty one. */
export function* hugePtepClearFlush(task: Task, mm: Mm, address: number, hpte: HugetlbPte): Path<void> {
  if (!watch) return;
  yield* hugePtepClear(task, mm, address, hpte);
  yield* flushTlb(task, mm);
}

/** What an entry of a level covers: binary logarithm of bytes. */
function shiftOf(level: number): number {
  return INDEX_BITS * level + 3;
}

/** The SDM's number of a level: 1 where an entry covers 4 KiB. */
export function levelOf(shift: number): number {
  return (shift - 3) / INDEX_BITS;
}

/**
 * `hugetlb_mask_last_page`: the address where the table with `address`'s leaf ends: where a walk goes on that found
 * no table.
 */
export function endOfTable(address: number, shift: number): number {
  const covered = 2 ** (shift + INDEX_BITS);
  return (Math.floor(address / covered) + 1) * covered;
}

/** Where the huge page ends that an address lies in. */
export function endOfHugePage({ hstate }: Vma, address: number): number {
  return (Math.floor(address / hstate.size) + 1) * hstate.size;
}

/** Frees the table that an entry points to, with those below it, in which no entry is left; the entry is empty then. */
export function freeTableBelow(gather: MmuGather, hpte: HugetlbPte, address: number): void {
  const { tables } = gather.mm.machine;
  const page = tables.page(tableOf(tables.read(hpte.ptep)));
  const end = address + hpte.size;
  if (page.shift > PTE_SHIFT) freeBelow(gather, page.address, page.shift, address, end, address, end);
  unlinkTable(gather, hpte.ptep, page, address);
}

/** Empties the entry at `at`; the table that it pointed to is freed when no processor walks there any more. @param address the first that the table covers */
function unlinkTable(gather: MmuGather, at: number, page: TablePage, address: number): void {
  const { mm } = gather;
  const { tables, trace, current: task } = mm.machine;
  tables.write(at, PTE_NONE);
  gather.addTable(page);
  const level = levelOf(page.shift);
  trace?.push({ kind: 'table', task, process: mm.process, what: 'freed', address, table: page.address, level });
}

/**
 * `free_pgd_range`: frees the tables of an unmapped range that nothing else can need.
 *
 * @param start, end the range, in which no entry is left
 * @param floor, ceiling where the neighbours' mappings end and begin: a table is freed if all that it covers lies between
 */
export function freePgdRange(
  task: Task,
  gather: MmuGather,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): void {
  const { mm } = gather;
  const free = (): void => freeBelow(gather, mm.pgd.address, mm.topShift, start, end, floor, ceiling);
  if (!mm.machine.trace) free();
  else shownCall(task, 'free_pgd_range', `${rangeWords(start, end)}, ${boundWords(floor, ceiling)}`, free);
}

function freeBelow(
  gather: MmuGather,
  table: number,
  shift: number,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): void {
  const { tables } = gather.mm.machine;
  const covered = 2 ** shift;
  for (let from = Math.floor(start / covered) * covered; from < end; from += covered) {
    const at = table + entryOffset(from, shift);
    const entry = tables.read(at);
    if ((entry.lo & PAGE_PRESENT) === 0 || entry.huge) continue;
    const page = tables.page(tableOf(entry));
    if (page.shift > PTE_SHIFT) {
      freeBelow(gather, page.address, page.shift, Math.max(from, start), Math.min(from + covered, end), floor, ceiling);
    }
    if (from < floor || from + covered > ceiling) continue;
    if (page.shareCount > 0) throw new InvariantError(`freePgdRange: table 0x${page.address.toString(16)} is shared`);
    unlinkTable(gather, at, page, from);
  }
}
