/**
 * The core's part of GUP: runs of leaves that are present and permitted, found by assembly/gup.ts in the real page tables. Stands
 * for the loops of mm/gup.c's gup_pud_range, gup_pmd_range and gup_pte_range, and for follow_hugetlb_page's where nothing has
 * to be faulted in.
 *
 * The core sees the hardware's bits only. What Linux keeps elsewhere, whose page it is and how often it is taken, is settled
 * here, once a run.
 */
import type { FlatMemory } from '../../core/flat-memory.ts';
import { GUP_RUN_BYTES } from '../../core/generated/layout.ts';
import type { Machine } from '../machine/machine.ts';
import type { Folio } from '../pool/folio.ts';
import type { PageList } from '../pool/pin.ts';
import type { Mm } from './mm.ts';

const PAGE = 4096;
const NUMBER = 8;
const WORDS_OF_RUN = GUP_RUN_BYTES / NUMBER;
/** Pages and runs at a time: what stays in a processor's second cache; and the least that is worth a call. */
const MOST_PAGES = 2 ** 15;
const LEAST_PAGES = 2 ** 9;
const PAGES_OF_RUN = 8;

/** Takes the pages of a run that lie in one huge page; false where that cannot be, and then the scan ends before them. */
export type GrabFolio = (folio: Folio, pages: number) => boolean;

/** The core's part of GUP on a machine. */
export class GupScan {
  readonly #machine: Machine;
  #found: GupLists | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Whether there is room for lists: without it, {@link list} finds nothing. */
  get canList(): boolean {
    return this.#lists.capacity > 0;
  }

  /** Pages that are present and permitted, from an address on, `most` at most: only counted. */
  count(mm: Mm, address: number, most: number, write: boolean): number {
    const { core } = this.#machine.cpu;
    return core.gupCount(mm.pgd.address / PAGE, mm.topShift, Math.floor(address / PAGE), most, write ? 1 : 0);
  }

  /**
   * The same, with their frame numbers put into `pages`, from index `at` on; as many as the buffers hold.
   *
   * @param grab called for each huge page of each run, in order
   * @returns how many pages were grabbed and listed
   */
  list(mm: Mm, address: number, most: number, write: boolean, pages: PageList, at: number, grab: GrabFolio): number {
    const { capacity } = this.#lists;
    if (capacity === 0) return 0;
    const found = this.#machine.cpu.core.gupPages(
      mm.pgd.address / PAGE,
      mm.topShift,
      Math.floor(address / PAGE),
      Math.min(most, capacity),
      write ? 1 : 0,
      this.#lists.pages,
      this.#lists.runs,
      capacity / PAGES_OF_RUN,
    );
    if (found === 0) return 0;
    const done = this.#grabRuns(found, grab);
    const first = this.#lists.pages / NUMBER;
    const list = this.#lists.numbers.subarray(first, first + done);
    if (pages instanceof Float64Array) pages.set(list, at);
    else for (let page = 0; page < done; page++) pages[at + page] = list[page]!;
    return done;
  }

  get #lists(): GupLists {
    this.#found ??= GupLists.of(this.#machine.memory);
    return this.#found;
  }

  /** Grabs run after run, huge page by huge page: pages done. */
  #grabRuns(found: number, grab: GrabFolio): number {
    const { frames } = this.#machine;
    const { numbers } = this.#lists;
    let run = this.#lists.runs / NUMBER;
    for (let page = numbers[run]!; page < found; run += WORDS_OF_RUN) {
      const end = numbers[run + WORDS_OF_RUN]!;
      let frame = numbers[run + 1]!;
      while (page < end) {
        const folio = frames.find(frame);
        if (!folio) return page;
        const pages = Math.min(end - page, folio.pfn + folio.pages - frame);
        if (!grab(folio, pages)) return page;
        page += pages;
        frame += pages;
      }
    }
    return found;
  }
}

/** One for each memory: machines that follow each other there take no more room than one. */
const lists = new WeakMap<FlatMemory, GupLists>();

/** Where the core puts its lists, in the memory of machines: in an embedder's, as much as the scratch gives. */
class GupLists {
  readonly #memory: FlatMemory;
  #at = 0;
  #capacity: number | undefined;
  #numbers: Float64Array | undefined;

  private constructor(memory: FlatMemory) {
    this.#memory = memory;
  }

  /** Those of a memory. */
  static of(memory: FlatMemory): GupLists {
    const both = lists.get(memory) ?? new GupLists(memory);
    lists.set(memory, both);
    return both;
  }

  /** Pages that they have room for; 0: there was no room at all. Room is made on first use. */
  get capacity(): number {
    this.#capacity ??= this.#allocate();
    return this.#capacity;
  }

  /** Linear address of the list of pages. */
  get pages(): number {
    return this.#at;
  }

  /** Linear address of the list of runs. */
  get runs(): number {
    return this.#at + this.capacity * NUMBER;
  }

  /** All of linear memory as numbers, made anew where it has grown. */
  get numbers(): Float64Array {
    const { buffer } = this.#memory.wasm;
    if (this.#numbers?.buffer !== buffer) this.#numbers = new Float64Array(buffer);
    return this.#numbers!;
  }

  #allocate(): number {
    for (let pages = MOST_PAGES; pages >= LEAST_PAGES; pages /= 2) {
      const runBytes = (pages / PAGES_OF_RUN + 1) * GUP_RUN_BYTES;
      const at = this.#memory.arena.tryAllocate(pages * NUMBER + runBytes);
      if (at === undefined) continue;
      this.#at = at;
      return pages;
    }
    return 0;
  }
}
