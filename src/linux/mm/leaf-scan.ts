/**
 * The core's part of going through page tables: runs of entries, listed and written by assembly/leaf.ts. Stands for the loops over
 * leaves in mm/hugetlb.c of the HGM series, where nobody changes an entry between two of them: __unmap_hugepage_range,
 * copy_hugetlb_page_range, hugetlb_change_protection, hugetlb_collapse.
 *
 *   a huge page of 1 GiB   │2 MiB│2 MiB│2 MiB│4│4│4│4│ empty │4│4│marker│ empty, 2 MiB each ...
 *   runs                    ^                 ^       ^       ^   ^      ^
 *
 * The core knows an entry by its bits. What Linux keeps elsewhere, whose page it is and how often it is mapped, and the trace of a
 * machine that keeps one, are for the caller.
 */
import { InvariantError } from '../../core/errors.ts';
import { PAGE_PRESENT, PAGE_PROTNONE, PAGE_PSE, type PageProtection, PTE_NONE, Pte } from '../base/pte.ts';
import { type CoreList, coreLists } from './core-list.ts';
import { LeafCursor, type LeafRun, stepOf } from './leaf-cursor.ts';
import type { Mm } from './mm.ts';
import type { MmMachine } from './mm-machine.ts';

/** Bits that say what an entry is: the same in all entries of a run. */
const KIND = PAGE_PRESENT | PAGE_PROTNONE | PAGE_PSE;

/**
 * Makes another entry of one, each bit from the same bit alone, or all the same. What an entry is may be asked for, whether it is
 * present and PROT_NONE; not its page.
 */
export type ChangePte = (pte: Pte) => Pte;

/** Runs of entries in a machine's page tables. */
export class LeafScan {
  readonly #machine: MmMachine;
  #list: CoreList | undefined;

  constructor(machine: MmMachine) {
    this.#machine = machine;
  }

  /**
   * Every entry of [start, end), as runs, in ascending order. Several cursors may be under way. Runs are read up to a thousand ahead:
   * whoever changes an entry ahead of a cursor opens another.
   *
   * @param start, end multiples of 4 KiB; an entry that covers more than the range belongs to it
   */
  open(mm: Mm, start: number, end: number): LeafCursor {
    this.#list ??= coreLists(this.#machine.memory).runs;
    return new LeafCursor(mm, this.#list, start, end);
  }

  /** The same for a function that is called for each run, until it answers false. */
  runs(mm: Mm, start: number, end: number, visit: (run: LeafRun) => unknown): void {
    for (const run = this.open(mm, start, end); run.next(); ) if (visit(run) === false) break;
  }

  /** Empties all entries of a run. What was dirty, the run says. */
  clear({ ptep, entries, shift }: LeafRun): void {
    this.fill(ptep, entries, PTE_NONE, shift);
  }

  /**
   * Writes neighbouring entries of one table. If the first is present, each maps the page behind that of the one before; if not, all
   * are the same.
   *
   * @param ptep physical address of the first
   * @param shift binary logarithm of what each covers: 12, 21, 30
   */
  fill(ptep: number, entries: number, { lo, hi }: PageProtection, shift: number): void {
    const { core } = this.#machine.cpu;
    this.#wrote('LeafScan.fill', ptep, entries, core.leafWrite(ptep, entries, lo, hi, stepOf(lo, shift)));
  }

  /** Changes all entries of a run. Each keeps its own A and D, if `change` keeps them. */
  modify(run: LeafRun, change: ChangePte): void {
    this.copy(run, run.ptep, change);
  }

  /** Writes what `change` makes of a run's entries, as {@link modify}, elsewhere. @param to physical address of the first */
  copy({ ptep, entries, lo, hi }: LeafRun, to: number, change: ChangePte): void {
    const { core } = this.#machine.cpu;
    /* What is made of an entry, and of one that has nothing in common with it but what it is, says what becomes of each bit. */
    const one = change(Pte.halves(lo, hi));
    const other = change(Pte.halves(~lo ^ KIND, ~hi));
    const keepLow = one.lo ^ other.lo;
    const keepHigh = one.hi ^ other.hi;
    const flipLow = one.lo ^ (lo & keepLow);
    const flipHigh = one.hi ^ (hi & keepHigh);
    this.#wrote('LeafScan.copy', to, entries, core.leafModify(to, ptep, entries, keepLow, keepHigh, flipLow, flipHigh));
  }

  /** @param seen what the core has answered: less than 0 where there are no such entries */
  #wrote(where: string, ptep: number, entries: number, seen: number): void {
    if (seen < 0) throw new InvariantError(`${where}: no table has ${entries} entries at 0x${ptep.toString(16)}`);
    this.#machine.tables.wrote(ptep, entries);
  }
}
