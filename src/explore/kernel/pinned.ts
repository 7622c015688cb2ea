/**
 * FOLL_PIN's promise: as long as a page is pinned, the process that it was pinned for has that page there, and no other. Documentation/core-api/pin_user_pages.rst
 * of Linux 6.1; mm/gup.c: gup_must_unshare, sanity_check_pinned_pages; include/linux/page-flags.h: PageAnonExclusive.
 *
 *   pinned, the process has    the same page, its own        kept
 *                              the same page, with others    broken: the next write there is copied (of private memory)
 *                              another page                  broken
 *                              none, or it was unmapped      nobody promised anything: munmap, madvise, truncate, mremap, bad memory
 *
 * A page of a file in a private mapping may be pinned for reading, and be copied by the next write: 6.1 unshares only what is private already, for which
 * FOLL_PIN without FOLL_WRITE asks. Nothing is promised for it.
 *
 * The kernel counts pins, and does not know whose they are. So it is here: where some were given back of a page that is pinned at several places, none of
 * these is looked after any more.
 */
import { hex } from '../../core/errors.ts';
import { PAGE_SIZE } from '../../linux/base/page.ts';
import { unwatched } from '../../linux/base/watch.ts';
import type { Machine } from '../../linux/machine/machine.ts';
import type { Mm } from '../../linux/mm/mm.ts';
import { leafAt } from '../../linux/page-tables/page-table.ts';
import { mappedParts } from '../../linux/page-tables/rmap.ts';
import type { Folio } from '../../linux/pool/folio.ts';

/** A page is pinned that is not the one that the process has. */
export class BrokenPin extends Error {}

/** Pages of a pin that are looked after: the others are like these. */
const MOST_PAGES = 16;

/** Pages of one huge page that follow each other, pinned at one place. */
interface Pin {
  readonly mm: Mm;
  readonly address: number;
  readonly folio: Folio;
  /** How often the huge page had been used: another use is another page. */
  readonly uses: number;
  /** The first frame. */
  readonly pfn: number;
  readonly pages: number;
  /** Pins: of each page one, each time. */
  count: number;
}

/** What is pinned in an execution. */
export class Pins {
  #pins: Pin[] = [];

  /** An execution begins: of what is pinned already, private pages are looked after, which are mapped in one place. */
  begin(machine: Machine): void {
    this.#pins = [];
    for (const folio of machine.frames.folios()) {
      if (folio.pincount === 0 || !folio.anon || !folio.anonExclusive) continue;
      const [part, ...others] = mappedParts(folio);
      if (!part || others.length > 0) continue;
      const { mm, address } = part;
      const { uses, pfn, pages, pincount: count } = folio;
      this.#pins.push({ mm, address, folio, uses, pfn, pages, count });
    }
  }

  /** GUP has pinned `done` pages, from an address on. */
  add(mm: Mm, start: number, list: ArrayLike<number>, base: number, done: number): void {
    unwatched(() => {
      for (let at = 0; at < done; ) {
        const pfn = list[base + at]!;
        const folio = mm.machine.frames.folio(pfn);
        const pages = Math.min(folio.pfn + folio.pages - pfn, done - at);
        this.#add(mm, start - (start % PAGE_SIZE) + at * PAGE_SIZE, folio, pfn, pages);
        at += pages;
      }
    });
  }

  #add(mm: Mm, address: number, folio: Folio, pfn: number, pages: number): void {
    const { uses } = folio;
    const vma = mm.vmaLookup(address);
    if (!folio.anon && !vma?.mayShare) return;
    const same = this.#pins.find((pin) => pin.mm === mm && pin.address === address && pin.pfn === pfn);
    if (same?.uses === uses) same.count += pages;
    else this.#pins.push({ mm, address, folio, uses, pfn, pages, count: pages });
  }

  /** The program has something taken away, or moved: what was promised there is over. */
  unmapped(mm: Mm, address: number, size: number): void {
    if (this.#pins.length === 0) return;
    const end = address + size;
    this.#pins = this.#pins.filter(
      (pin) => pin.mm !== mm || pin.address >= end || pin.address + pin.pages * PAGE_SIZE <= address,
    );
  }

  /** @throws BrokenPin */
  check(): void {
    if (this.#pins.length === 0) return;
    unwatched(() => {
      this.#pins = this.#pins.filter((pin) => this.#isPinned(pin));
      for (const pin of this.#pins) checkPin(pin);
    });
  }

  #isPinned({ folio, uses }: Pin): boolean {
    if (folio.uses !== uses || folio.pincount === 0 || folio.hwpoison) return false;
    const ofFolio = this.#pins.filter((pin) => pin.folio === folio);
    if (ofFolio.length > 1) return ofFolio.reduce((sum, { count }) => sum + count, 0) <= folio.pincount;
    const [only] = ofFolio as [Pin];
    only.count = Math.min(only.count, folio.pincount);
    return true;
  }
}

function checkPin(pin: Pin): void {
  const { mm, folio, pfn, pages } = pin;
  for (let page = 0; page < Math.min(pages, MOST_PAGES); page++) {
    const address = pin.address + page * PAGE_SIZE;
    const found = frameAt(pin, address);
    if (found === undefined) continue;
    const where = `pfn ${hex(pfn + page)} is pinned for ${hex(address)} of ${mm.process}`;
    if (found !== pfn + page) throw new BrokenPin(`${where}, which has pfn ${hex(found)} there`);
    if (folio.anon && !folio.anonExclusive) {
      throw new BrokenPin(`${where}, which shares it: its next write there goes to a copy`);
    }
  }
}

/** The frame that the process has at an address; undefined where it has none, or another part of a file. */
function frameAt({ mm, folio }: Pin, address: number): number | undefined {
  const hpte = leafAt(mm, address);
  const pte = hpte && mm.machine.tables.read(hpte.ptep);
  if (!hpte || !pte || !hpte.isPresentLeaf(pte)) return undefined;
  const vma = mm.vmaLookup(address);
  /* A page that was taken out of its file, or another file: the program has had that done. */
  if (!folio.anon && (vma?.inode.pageCache !== folio.pageCache || vma?.hugeIndex(address) !== folio.index)) {
    return undefined;
  }
  return pte.pfn + Math.floor((address % hpte.size) / PAGE_SIZE);
}
