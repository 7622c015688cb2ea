/**
 * The core's part of GUP: runs of leaves that are present and permitted, found by assembly/gup.ts in the real page tables. Stands
 * for the loops of mm/gup.c's gup_pud_range, gup_pmd_range and gup_pte_range, and for follow_hugetlb_page's where nothing has
 * to be faulted in.
 *
 * The core sees the hardware's bits only. What Linux keeps elsewhere, whose page it is and how often it is taken, is settled
 * here, once a run.
 */
import { GUP_RUN_BYTES } from '../core/generated/layout.ts';
import type { Folio } from './folio.ts';
import type { Machine } from './machine.ts';
import type { Mm } from './mm.ts';
import type { PageList } from './pin.ts';

const PAGE = 4096;
const NUMBER = 8;
const WORDS_OF_RUN = GUP_RUN_BYTES / NUMBER;
/** Pages and runs at a time: what stays in a processor's second cache; and the least that is worth a call. */
const MOST_PAGES = 2 ** 15;
const LEAST_PAGES = 2 ** 9;
const PAGES_OF_RUN = 8;

/** Takes the pages of a run that lie in one huge page; false where that cannot be, and then the scan ends before them. */
export type GrabFolio = (folio: Folio, pages: number) => boolean;

/** Buffers for the core, in the machine's memory: in an embedder's, as much as the scratch gives. */
export class GupScan {
  readonly #machine: Machine;
  #list = 0;
  #runs = 0;
  /** Pages that the list has room for; 0: there was no room for lists at all. Undefined: nobody has asked yet. */
  #capacity: number | undefined;
  #numbers: Float64Array | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Whether there is room for lists: without it, {@link list} finds nothing. */
  get canList(): boolean {
    return this.#prepare() > 0;
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
    const capacity = this.#prepare();
    if (capacity === 0) return 0;
    const found = this.#machine.cpu.core.gupPages(
      mm.pgd.address / PAGE,
      mm.topShift,
      Math.floor(address / PAGE),
      Math.min(most, capacity),
      write ? 1 : 0,
      this.#list,
      this.#runs,
      capacity / PAGES_OF_RUN,
    );
    if (found === 0) return 0;
    const done = this.#grabRuns(found, grab);
    const list = this.#live.subarray(this.#list / NUMBER, this.#list / NUMBER + done);
    if (pages instanceof Float64Array) pages.set(list, at);
    else for (let page = 0; page < done; page++) pages[at + page] = list[page]!;
    return done;
  }

  /** Grabs run after run, huge page by huge page: pages done. */
  #grabRuns(found: number, grab: GrabFolio): number {
    const { frames } = this.#machine;
    const numbers = this.#live;
    let run = this.#runs / NUMBER;
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

  /** Buffers, on first use; pages that they hold. */
  #prepare(): number {
    if (this.#capacity !== undefined) return this.#capacity;
    const { arena } = this.#machine.memory;
    for (let pages = MOST_PAGES; pages >= LEAST_PAGES; pages /= 2) {
      const bytes = pages * NUMBER;
      const runBytes = (pages / PAGES_OF_RUN + 1) * GUP_RUN_BYTES;
      const both = arena.tryAllocate(bytes + runBytes);
      if (both === undefined) continue;
      this.#list = both;
      this.#runs = both + bytes;
      this.#capacity = pages;
      return pages;
    }
    this.#capacity = 0;
    return 0;
  }

  /** All of linear memory as numbers, made anew where it has grown. */
  get #live(): Float64Array {
    const { buffer } = this.#machine.memory.wasm;
    if (this.#numbers?.buffer !== buffer) this.#numbers = new Float64Array(buffer);
    return this.#numbers!;
  }
}
