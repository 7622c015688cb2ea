/**
 * The lists that GUP puts pages into, by the numbers that a scenario gives them. One list has references, or pins, never both.
 */
import type { Path } from '../../linux/base/task.ts';
import { type Shared, Touch, watch } from '../../linux/base/watch.ts';
import { type Answer, impossible } from './answer.ts';
import type { Caller } from './caller.ts';

/** How the pages of a list are held. */
export type Hold = 'references' | 'pins';

interface List {
  readonly hold: Hold;
  readonly pages: number[];
}

/** The lists that are not empty. Tasks share them: a watch is told. */
export class PageLists {
  #lists = new Map<number, List>();
  readonly #names = new Map<number, Shared>();

  /** Adds pages to a list. */
  add(number: number, hold: Hold, pages: readonly number[]): void {
    if (pages.length === 0) return;
    this.#touch(Touch.write, number);
    const list = this.#lists.get(number) ?? { hold, pages: [] };
    this.#lists.set(number, list);
    for (const page of pages) list.pages.push(page);
  }

  /** What stands in the way of adding pages that are held so. */
  problem(number: number, hold: Hold): Answer | undefined {
    this.#touch(Touch.read, number);
    const list = this.#lists.get(number);
    return list && list.hold !== hold ? impossible(`list ${number} has ${list.hold}`) : undefined;
  }

  /** What puts the lists back to what they are now. */
  checkpoint(): () => void {
    const lists = [...this.#lists].map(([number, { hold, pages }]) => [number, hold, [...pages]] as const);
    return () => {
      if (this.#lists.size + lists.length === 0) return;
      this.#lists = new Map();
      for (const [number, hold, pages] of lists) this.#lists.set(number, { hold, pages: [...pages] });
    };
  }

  /** Gives back all pages of a list. @param ranged pages that follow each other at once: `unpin_user_page_range_dirty_lock` */
  *release(caller: Caller, number: number, hold: Hold, dirty: boolean, ranged: boolean): Path<Answer> {
    this.#touch(Touch.write, number);
    const list = this.#lists.get(number);
    if (!list) return impossible(`no pages in list ${number}`);
    const problem = this.problem(number, hold);
    if (problem) return problem;
    this.#lists.delete(number);
    if (hold === 'references') yield* caller.putPages(list.pages);
    else if (!ranged) yield* caller.unpinUserPages(list.pages, list.pages.length, dirty);
    else for (const [frame, count] of runsOf(list.pages)) yield* caller.unpinUserPageRange(frame, count, dirty);
    return { result: 'OK' };
  }

  #touch(how: Touch, number: number): void {
    if (!watch) return;
    const shared = this.#names.get(number) ?? { name: `the pages of list ${number}` };
    this.#names.set(number, shared);
    watch.touch(how, shared, 0);
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
