/**
 * The lists that GUP puts pages into, by the numbers that a scenario gives them. One list has references, or pins, never both.
 */
import type { Machine } from '../../linux/machine/machine.ts';
import { type Answer, impossible } from './answer.ts';

/** How the pages of a list are held. */
export type Hold = 'references' | 'pins';

interface List {
  readonly hold: Hold;
  readonly pages: number[];
}

/** The lists that are not empty. */
export class PageLists {
  readonly #machine: Machine;
  readonly #lists = new Map<number, List>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Adds pages to a list. */
  add(number: number, hold: Hold, pages: readonly number[]): void {
    if (pages.length === 0) return;
    const list = this.#lists.get(number) ?? { hold, pages: [] };
    this.#lists.set(number, list);
    for (const page of pages) list.pages.push(page);
  }

  /** What stands in the way of adding pages that are held so. */
  problem(number: number, hold: Hold): Answer | undefined {
    const list = this.#lists.get(number);
    return list && list.hold !== hold ? impossible(`list ${number} has ${list.hold}`) : undefined;
  }

  /** What puts the lists back to what they are now. */
  checkpoint(): () => void {
    const lists = [...this.#lists].map(([number, { hold, pages }]) => [number, hold, [...pages]] as const);
    return () => {
      this.#lists.clear();
      for (const [number, hold, pages] of lists) this.#lists.set(number, { hold, pages: [...pages] });
    };
  }

  /** Gives back all pages of a list. @param ranged pages that follow each other at once: `unpin_user_page_range_dirty_lock` */
  release(number: number, hold: Hold, dirty: boolean, ranged: boolean): Answer {
    const list = this.#lists.get(number);
    if (!list) return impossible(`no pages in list ${number}`);
    const problem = this.problem(number, hold);
    if (problem) return problem;
    this.#lists.delete(number);
    if (hold === 'references') this.#machine.putPages(list.pages);
    else if (!ranged) this.#machine.unpinUserPages(list.pages, list.pages.length, dirty);
    else for (const [frame, count] of runsOf(list.pages)) this.#machine.unpinUserPageRange(frame, count, dirty);
    return { result: 'OK' };
  }
}

/** Frames that follow each other. */
function runsOf(pages: readonly number[]): [frame: number, count: number][] {
  const runs: [number, number][] = [];
  for (const page of pages) {
    const last = runs.at(-1);
    if (last && last[0] + last[1] === page) last[1]++;
    else runs.push([page, 1]);
  }
  return runs;
}
