/**
 * All leaves of a huge page in one VMA. mm/page_vma_mapped.c of Linux 6.1 and of the HGM series: page_vma_mapped_walk, check_pte.
 *
 *   VMA    ... │██│██│  │██│ ...      the huge page, mapped in pieces: a step for each leaf, held by its page-table lock
 *               ^  ^     ^
 */
import { readMigrationEntry } from '../base/migration-entry.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { PTE_NONE, type Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { MmMachine } from '../mm/mm-machine.ts';
import { raced } from '../mm/raced.ts';
import type { Vma } from '../mm/vma.ts';
import type { Folio } from '../pool/folio.ts';
import { hugePteOffset, hugetlbFullWalk, hugetlbFullWalkContinue } from './page-table.ts';

/** A leaf, or what stands in its place. */
export interface MappedLeaf {
  readonly address: number;
  readonly hpte: HugetlbPte;
  readonly pte: Pte;
}

/** `vma_address`: where a VMA that shows this part of the file has a huge page. @param index of the page, in huge pages */
export function vmaAddress(vma: Vma, index: number): number {
  return vma.start + (index * vma.hstate.pagesPerHugePage - vma.pgoff) * PAGE_SIZE;
}

/** The frame that a leaf maps, or that its migration entry stands for; undefined of everything else. */
export function frameOf(machine: MmMachine, hpte: HugetlbPte, pte: Pte): number | undefined {
  if (hpte.isPresentLeaf(pte)) return pte.pfn;
  return pte.isMigration ? readMigrationEntry(machine, pte).pfn : undefined;
}

/** `page_vma_mapped_walk`, a step at a time. The caller holds what keeps the page tables where they are: i_mmap_rwsem. */
export class PageVmaMappedWalk implements MappedLeaf {
  address: number;
  pte: Pte = PTE_NONE;
  readonly #task: Task;
  readonly #vma: Vma;
  readonly #folio: Folio;
  readonly #migration: boolean;
  readonly #end: number;
  #hpte: HugetlbPte | undefined;
  #next: number;

  /**
   * @param address of the huge page in the VMA
   * @param migration `PVMW_MIGRATION`: entries that stand for the page while it moves, instead of leaves
   */
  constructor(task: Task, vma: Vma, folio: Folio, address: number, migration = false) {
    this.#task = task;
    this.#vma = vma;
    this.#folio = folio;
    this.#migration = migration;
    this.address = address;
    this.#next = address;
    this.#end = address + vma.hstate.size;
  }

  /** Of the leaf that it stands on. */
  get hpte(): HugetlbPte {
    if (!this.#hpte) throw new TypeError('hpte: expected a walk that stands on a leaf, got one that does not');
    return this.#hpte;
  }

  /** Goes on to the next leaf, which is then locked; false, and nothing is locked, where there is none. */
  *next(): Path<boolean> {
    const { tables } = this.#vma.mm.machine;
    this.done();
    while (this.#next < this.#end) {
      const address = this.#next;
      const top = hugePteOffset(this.#vma, address);
      if (!top) return false;
      const hpte = hugetlbFullWalkContinue(this.#vma, top, address);
      if (tables.read(hpte.ptep).none) {
        /* Nobody maps the page here while it is locked: there may be many holes. */
        this.#next = address + hpte.size;
        continue;
      }
      yield* hpte.lockPte(this.#task);
      const pte = tables.read(hpte.ptep);
      if (pte.present && !hpte.isPresentLeaf(pte)) {
        /* Somebody put a table here since the walk: look again. */
        hpte.lock.unlock(this.#task);
        raced(this.#task, tables, 'page_vma_mapped_walk');
        continue;
      }
      this.#next = address + hpte.size;
      if (this.#maps(hpte, pte)) {
        this.address = address;
        this.#hpte = hpte;
        this.pte = pte;
        return true;
      }
      hpte.lock.unlock(this.#task);
    }
    return false;
  }

  /** `page_vma_mapped_walk_done`: unlocks the leaf; for whoever goes no further. */
  done(): void {
    this.#hpte?.lock.unlock(this.#task);
    this.#hpte = undefined;
  }

  /** `check_pte`. */
  #maps(hpte: HugetlbPte, pte: Pte): boolean {
    if (pte.isMigration !== this.#migration) return false;
    const frame = frameOf(this.#vma.mm.machine, hpte, pte);
    return frame !== undefined && frame >= this.#folio.pfn && frame < this.#folio.pfn + this.#folio.pages;
  }
}

/** The leaves of a huge page in one VMA, for whoever only looks, without locks. @param address of the huge page in the VMA */
export function* leavesOfPage(vma: Vma, folio: Folio, address: number): Generator<MappedLeaf, void, undefined> {
  const { tables, frames } = vma.mm.machine;
  const end = address + vma.hstate.size;
  for (let at = address; at < end; ) {
    const hpte = hugetlbFullWalk(vma, at);
    if (!hpte) return;
    const pte = tables.read(hpte.ptep);
    if (hpte.isPresentLeaf(pte) && frames.folio(pte.pfn) === folio) yield { address: at, hpte, pte };
    at += hpte.size;
  }
}
