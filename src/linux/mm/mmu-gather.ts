/**
 * `struct mmu_gather`: what was taken out of page tables, and is let go when no processor can come to it any more.
 * include/asm-generic/tlb.h, mm/mmu_gather.c of Linux 6.1: tlb_gather_mmu, tlb_remove_page_size, tlb_flush_mmu_tlbonly, tlb_unshare_pmd_ptdesc,
 * tlb_flush_unshared_tables, tlb_finish_mmu.
 *
 *   an entry is emptied ──> the TLBs are flushed ──> its page is let go
 *   an entry that points to a table is emptied ──> the TLBs are flushed ──> the table is freed
 *   an entry that points to a shared table is emptied ──> the TLBs are flushed, and every GUP-fast has ended ──> i_mmap_rwsem is dropped
 */
import { InvariantError } from '../../core/errors.ts';
import { LINUX_BUG_UNSHARE_WITHOUT_IPI } from '../base/linux-bugs.ts';
import type { Path, Task } from '../base/task.ts';
import type { Folio } from '../pool/folio.ts';
import type { Mm } from './mm.ts';
import type { TablePage } from './tables.ts';
import { flushTlb, mayBeCached, syncWithWalkers } from './tlb.ts';

/** Lets go of references to a page. */
type PutPage = (task: Task, folio: Folio, references: number) => Path<void>;

function noPages(): never {
  throw new InvariantError('MmuGather.finish: pages were taken out');
}

/** `struct mmu_gather`. One path has it. */
export class MmuGather {
  readonly mm: Mm;
  readonly #folios: Folio[] = [];
  /** References to each: a huge page that was mapped in pieces has as many as there were, one behind the other. */
  readonly #references: number[] = [];
  readonly #tables: TablePage[] = [];
  /** Whether some processor may still have a translation of what was changed. */
  #cleared = false;
  /** `unshared_tables`, `fully_unshared_tables`: whether a shared table was given up, and whether one is another's alone now. */
  #unshared = false;
  #fullyUnshared = false;

  /** `tlb_gather_mmu`. */
  constructor(mm: Mm) {
    this.mm = mm;
    mm.addTlbFlushPending(1);
  }

  /** `tlb_remove_huge_tlb_entry`: an entry that mapped a page was changed. */
  removeTlbEntry(): void {
    this.#cleared = true;
  }

  /** `tlb_remove_page_size`: takes over references. */
  add(folio: Folio, references = 1): void {
    const last = this.#folios.length - 1;
    if (this.#folios[last] === folio) {
      this.#references[last]! += references;
      return;
    }
    this.#folios.push(folio);
    this.#references.push(references);
  }

  /** `pte_free_tlb` and its like: a table to which nothing points any more. */
  addTable(table: TablePage): void {
    this.#tables.push(table);
    this.#cleared = true;
  }

  /** `tlb_unshare_pmd_ptdesc`: a shared table was given up. @param fully whether it has only one user left */
  addUnshared(fully: boolean): void {
    this.#unshared = true;
    if (fully) this.#fullyUnshared = true;
  }

  /** `tlb_flush_mmu_tlbonly`. */
  *flushTlbOnly(task: Task): Path<void> {
    if (!this.#cleared && !this.#unshared) return;
    this.#cleared = false;
    this.#unshared = false;
    yield* flushTlb(task, this.mm);
  }

  /**
   * `huge_pmd_unshare_flush`, tlb_flush_unshared_tables, with i_mmap_rwsem still held for writing: who has the table alone from now on may put other
   * mappings into it, which nobody may come to who had it before. CVE-2025-38085 is that GUP-fast was not waited for; the HGM series is older.
   */
  *flushUnsharedTables(task: Task): Path<void> {
    if (this.#unshared) yield* this.flushTlbOnly(task);
    if (!this.#fullyUnshared) return;
    this.#fullyUnshared = false;
    const { machine } = this.mm;
    if (machine.hgm === 'none' && !machine.hasBug(LINUX_BUG_UNSHARE_WITHOUT_IPI)) yield* syncWithWalkers(task);
  }

  /**
   * `tlb_finish_mmu`: flushes, also where another path has taken entries out and not flushed yet, frees the tables, lets the pages go.
   *
   * @param put lets go of references to a page; default: there are none
   */
  *finish(task: Task, put: PutPage = noPages): Path<void> {
    if (!this.#cleared && mayBeCached(this.mm) && this.mm.isTlbFlushNested) this.#cleared = true;
    yield* this.flushTlbOnly(task);
    for (const table of this.#tables) this.mm.machine.tables.free(table);
    for (const [at, folio] of this.#folios.entries()) yield* put(task, folio, this.#references[at]!);
    this.#tables.length = 0;
    this.#folios.length = 0;
    this.#references.length = 0;
    this.mm.addTlbFlushPending(-1);
  }
}
