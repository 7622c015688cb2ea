/**
 * The core's part of GUP: runs of leaves that are present and permitted, found by assembly/gup.ts in the real page tables. Stands
 * for the loops of mm/gup.c's gup_pud_range, gup_pmd_range and gup_pte_range, and for follow_hugetlb_page's where nothing has
 * to be faulted in.
 *
 * The core sees the hardware's bits only. What Linux keeps elsewhere, whose page it is and how often it is taken, is settled
 * here, once a run.
 */
import { GUP_RUN_BYTES } from '../../core/generated/layout.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Folio } from '../pool/folio.ts';
import type { PageList } from '../pool/pin.ts';
import { type CoreList, coreLists, gupRuns } from './core-list.ts';
import type { Mm } from './mm.ts';
import type { MmMachine } from './mm-machine.ts';

const NUMBER = 8;
const WORDS_OF_RUN = GUP_RUN_BYTES / NUMBER;

/** Takes the pages of a run that lie in one huge page; false where that cannot be, and then the scan ends before them. */
export type GrabFolio = (folio: Folio, pages: number) => boolean;

/** The core's part of GUP on a machine. */
export class GupScan {
  readonly #machine: MmMachine;
  #list: CoreList | undefined;

  constructor(machine: MmMachine) {
    this.#machine = machine;
  }

  /** Whether there is room for lists: without it, {@link list} finds nothing. */
  get canList(): boolean {
    return this.#pages.capacity > 0;
  }

  /** Pages that are present and permitted, from an address on, `most` at most: only counted. */
  count(mm: Mm, address: number, most: number, write: boolean): number {
    const { core } = this.#machine.cpu;
    return core.gupCount(mm.pgd.address / PAGE_SIZE, mm.topShift, Math.floor(address / PAGE_SIZE), most, write ? 1 : 0);
  }

  /**
   * The same, with their frame numbers put into `pages`, from index `at` on; as many as the buffers hold.
   *
   * @param grab called for each huge page of each run, in order
   * @returns how many pages were grabbed and listed
   */
  list(mm: Mm, address: number, most: number, write: boolean, pages: PageList, at: number, grab: GrabFolio): number {
    const { capacity } = this.#pages;
    if (capacity === 0) return 0;
    const found = this.#machine.cpu.core.gupPages(
      mm.pgd.address / PAGE_SIZE,
      mm.topShift,
      Math.floor(address / PAGE_SIZE),
      Math.min(most, capacity),
      write ? 1 : 0,
      this.#pages.at,
      this.#runs,
      gupRuns(capacity),
    );
    if (found === 0) return 0;
    const done = this.#grabRuns(found, grab);
    const first = this.#pages.at / NUMBER;
    const list = this.#pages.numbers.subarray(first, first + done);
    if (pages instanceof Float64Array) pages.set(list, at);
    else for (let page = 0; page < done; page++) pages[at + page] = list[page]!;
    return done;
  }

  get #pages(): CoreList {
    this.#list ??= coreLists(this.#machine.memory).pages;
    return this.#list;
  }

  /** Linear address of the runs, behind the pages. */
  get #runs(): number {
    return this.#pages.at + this.#pages.capacity * NUMBER;
  }

  /** Grabs run after run, huge page by huge page: pages done. */
  #grabRuns(found: number, grab: GrabFolio): number {
    const { frames } = this.#machine;
    const { numbers } = this.#pages;
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
}
