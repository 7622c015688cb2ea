/**
 * The huge pages in page tables, as states list them.
 */
import type { Folio } from '../../linux/pool/folio.ts';
import { placeOf } from '../setting.ts';
import type { HugetlbStage } from './stage.ts';

/**
 * A huge page in a process's page tables. Entries of one state have the same class when they map the same physical
 * page; class -1 is an entry that is not present.
 */
export type PageEntry = readonly [
  proc: number,
  slot: number,
  page: number,
  physical: number,
  mapcount: number,
  flags: number,
];

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

/** One page as two states have it; undefined where a state does not have it. */
export interface DifferingPage {
  readonly kernel: PageEntry | undefined;
  readonly model: PageEntry | undefined;
}

/**
 * The pages that two states disagree about. A page that only one has shifts the classes of those behind it: classes
 * count as different where no renumbering makes them the same.
 */
export function differingPages(kernel: readonly PageEntry[], model: readonly PageEntry[]): DifferingPage[] {
  const renumbered = compare(kernel, model, new Renumbering());
  return renumbered.length > 0 ? renumbered : compare(kernel, model, { agree: (a, b) => a === b });
}

function compare(
  kernel: readonly PageEntry[],
  model: readonly PageEntry[],
  classes: { agree(a: number, b: number): boolean },
): DifferingPage[] {
  const others = new Map(model.map((entry) => [keyOf(entry), entry]));
  const differing: DifferingPage[] = [];
  for (const entry of kernel) {
    const other = others.get(keyOf(entry));
    others.delete(keyOf(entry));
    const agree = other && classes.agree(entry[3], other[3]) && entry[4] === other[4] && entry[5] === other[5];
    if (!agree) differing.push({ kernel: entry, model: other });
  }
  for (const entry of others.values()) differing.push({ kernel: undefined, model: entry });
  return differing.sort((a, b) => order((a.kernel ?? a.model)!, (b.kernel ?? b.model)!));
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

function keyOf([proc, slot, page]: PageEntry): string {
  return `${proc} ${slot} ${page}`;
}

function order(a: PageEntry, b: PageEntry): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}
