/**
 * Whether GUP gives pages that were mapped: each page that it has found was at some moment of its run mapped at that address, and is still the same page.
 *
 *   GUP begins ─── a page at the address ─── another one ─── none ─── GUP ends
 *                  may be given              may be given
 */

import { PAGE_SIZE } from '../../linux/base/page.ts';
import type { Task } from '../../linux/base/task.ts';
import { unwatched } from '../../linux/base/watch.ts';
import type { Mm } from '../../linux/mm/mm.ts';
import { leafAt } from '../../linux/page-tables/page-table.ts';

/** GUP has given a page that was not mapped there. */
export class WrongPage extends Error {}

/** Pages of a call that are looked after: the others are like these. */
const MOST_PAGES = 16;

/** A call under way. */
interface Look {
  readonly mm: Mm;
  readonly start: number;
  readonly pages: number;
  /** What has been mapped since it began, by page and as often as the page has been used. */
  readonly seen: Set<string>;
}

/** The calls that are under way. */
export class GupLooks {
  readonly #looks = new Map<Task, Look>();

  clear(): void {
    this.#looks.clear();
  }

  begin(task: Task, mm: Mm, start: number, nrPages: number): void {
    const look: Look = { mm, start, pages: Math.min(nrPages, MOST_PAGES), seen: new Set() };
    this.#looks.set(task, look);
    sample(look);
  }

  /** Another task has done something. */
  sample(): void {
    for (const look of this.#looks.values()) sample(look);
  }

  /** @throws WrongPage */
  end(task: Task, pages: ArrayLike<number> | undefined, base: number, done: number): void {
    const look = this.#looks.get(task);
    this.#looks.delete(task);
    if (!look || !pages) return;
    sample(look);
    for (let page = 0; page < Math.min(done, look.pages); page++) {
      const pfn = pages[base + page]!;
      if (look.seen.has(keyOf(look, page, pfn))) continue;
      const address = look.start + page * PAGE_SIZE;
      throw new WrongPage(
        `GUP gives pfn 0x${pfn.toString(16)} for 0x${address.toString(16)} of ${look.mm.process}, where that was not mapped meanwhile`,
      );
    }
  }
}

function sample(look: Look): void {
  unwatched(() => {
    for (let page = 0; page < look.pages; page++) {
      const address = look.start + page * PAGE_SIZE;
      const hpte = leafAt(look.mm, address);
      const pte = hpte && look.mm.machine.tables.read(hpte.ptep);
      if (!hpte || !pte || !hpte.isPresentLeaf(pte)) continue;
      look.seen.add(keyOf(look, page, pte.pfn + Math.floor((address % hpte.size) / PAGE_SIZE)));
    }
  });
}

function keyOf({ mm }: Look, page: number, pfn: number): string {
  return `${page} ${pfn} ${mm.machine.frames.find(pfn)?.uses}`;
}
