/**
 * The huge pages in page tables, as states list them.
 */
import type { Folio } from '../../linux/pool/folio.ts';
import { placeOf } from '../line/setting.ts';
import type { PageEntry } from '../line/states.ts';
import { type DifferingEntry, differingEntries } from '../sequence/differing.ts';
import type { HugetlbStage } from './stage.ts';

/** Where the bits of a pagemap entry begin that states tell of. */
const FLAGS_SHIFT = 56n;
/** Of a page: PM_MMAP_EXCLUSIVE, PM_UFFD_WP, PM_FILE. */
const PAGE_FLAGS = 0x23;
/** Of an entry that is not present: bits 62:56. */
const OTHER_FLAGS = 0x7f;
/** The class of an entry that is not present. */
const NOT_PRESENT = -1;

/** Every huge page in the page tables of every process, in order of process, slot and page. */
export function pagesOf(stage: HugetlbStage): PageEntry[] {
  const { setting } = stage;
  const entries: PageEntry[] = [];
  const classes = new Map<Folio, number>();
  for (const [number, process] of stage.processes()) {
    for (const { address, folio, pagemap } of process.mappedPages()) {
      const { slot, page } = placeOf(setting, address);
      if (setting.listed && !setting.listed.has(page)) continue;
      const bits = Number(pagemap >> FLAGS_SHIFT);
      if (folio === undefined) {
        entries.push([number, slot, page, NOT_PRESENT, 0, bits & OTHER_FLAGS]);
        continue;
      }
      const physical = classes.get(folio) ?? classes.size;
      classes.set(folio, physical);
      entries.push([number, slot, page, physical, folio.mapcount, bits & PAGE_FLAGS]);
    }
  }
  return entries;
}

/**
 * The pages that two states disagree about. A page that only one has shifts the classes of those behind it: classes
 * count as different where no renumbering makes them the same.
 */
export function differingPages(kernel: readonly PageEntry[], model: readonly PageEntry[]): DifferingEntry<PageEntry>[] {
  const renumbering = new Renumbering();
  const renumbered = differingEntries(kernel, model, 3, (a, b) => renumbering.agree(a[3], b[3]) && agree(a, b));
  return renumbered.length > 0
    ? renumbered
    : differingEntries(kernel, model, 3, (a, b) => a[3] === b[3] && agree(a, b));
}

/** Whether two entries have the same map count and flags. */
function agree(a: PageEntry, b: PageEntry): boolean {
  return a[4] === b[4] && a[5] === b[5];
}

/** Which class of one state is which of the other, as the pages that both have tell, the first of each class. */
class Renumbering {
  readonly #there = new Map<number, number>([[NOT_PRESENT, NOT_PRESENT]]);
  readonly #back = new Map<number, number>([[NOT_PRESENT, NOT_PRESENT]]);

  agree(a: number, b: number): boolean {
    if (!this.#there.has(a) && !this.#back.has(b)) {
      this.#there.set(a, b);
      this.#back.set(b, a);
    }
    return this.#there.get(a) === b;
  }
}
