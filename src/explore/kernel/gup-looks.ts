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
  readonly task: Task;
  readonly mm: Mm;
  readonly start: number;
  readonly pages: number;
  /** What has been mapped since it began, by page and as often as the page has been used. */
  readonly seen: Seen[];
}

/** A page of memory that was mapped at the address of a call's page; `uses` tells it from what its frame was before, and is later. */
interface Seen {
  readonly page: number;
  readonly pfn: number;
  readonly uses: number | undefined;
}

/** The calls that are under way. */
export class GupLooks {
  readonly #looks: Look[] = [];

  clear(): void {
    this.#looks.length = 0;
  }

  begin(task: Task, mm: Mm, start: number, nrPages: number): void {
    const look: Look = { task, mm, start, pages: Math.min(nrPages, MOST_PAGES), seen: [] };
    this.#take(task);
    this.#looks.push(look);
    sample(look);
  }

  /** Another task has done something. */
  sample(): void {
    for (const look of this.#looks) sample(look);
  }

  /** @throws WrongPage */
  end(task: Task, pages: ArrayLike<number> | undefined, base: number, done: number): void {
    const look = this.#take(task);
    if (!look || !pages) return;
    sample(look);
    for (let page = 0; page < Math.min(done, look.pages); page++) {
      const pfn = pages[base + page]!;
      if (hasSeen(look, page, pfn)) continue;
      const address = look.start + page * PAGE_SIZE;
      throw new WrongPage(
        `GUP gives pfn 0x${pfn.toString(16)} for 0x${address.toString(16)} of ${look.mm.process}, where that was not mapped meanwhile`,
      );
    }
  }

  /** A task's call is not under way any more. */
  #take(task: Task): Look | undefined {
    const at = this.#looks.findIndex((look) => look.task === task);
    return at < 0 ? undefined : this.#looks.splice(at, 1)[0];
  }
}

function sample(look: Look): void {
  unwatched(() => {
    for (let page = 0; page < look.pages; page++) {
      const address = look.start + page * PAGE_SIZE;
      const hpte = leafAt(look.mm, address);
      const pte = hpte && look.mm.machine.tables.read(hpte.ptep);
      if (!hpte || !pte || !hpte.isPresentLeaf(pte)) continue;
      const pfn = pte.pfn + Math.floor((address % hpte.size) / PAGE_SIZE);
      if (!hasSeen(look, page, pfn)) look.seen.push({ page, pfn, uses: usesOf(look, pfn) });
    }
  });
}

function hasSeen(look: Look, page: number, pfn: number): boolean {
  const uses = usesOf(look, pfn);
  for (const one of look.seen) if (one.page === page && one.pfn === pfn && one.uses === uses) return true;
  return false;
}

function usesOf({ mm }: Look, pfn: number): number | undefined {
  return mm.machine.frames.find(pfn)?.uses;
}
