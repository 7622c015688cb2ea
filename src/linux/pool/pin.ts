/**
 * References and pins that GUP takes. mm/gup.c of Linux 6.1: try_grab_folio, gup_put_folio, gup_folio_next, unpin_user_pages,
 * unpin_user_pages_dirty_lock.
 */
import { InvariantError } from '../../core/errors.ts';
import { FOLL_GET, FOLL_PIN } from '../base/gup-flags.ts';
import type { Path, Task } from '../base/task.ts';
import type { Folio } from './folio.ts';
import type { Frames } from './frames.ts';

/** Frame numbers of 4 KiB pages, as GUP records them: an array with room for them, or one that grows. */
export type PageList = Float64Array | number[];

/**
 * `try_grab_folio`: takes `refs` references, with FOLL_PIN also pins. A huge page's pins are counted exactly, beside its references.
 *
 * @returns false where neither is asked for (the kernel warns), the count has overflowed, or the page is free or about to be
 */
export function tryGrabFolio(folio: Folio, refs: number, flags: number): boolean {
  if ((flags & (FOLL_GET | FOLL_PIN)) === 0) return false;
  if (folio.overflown || !folio.tryGet(refs)) return false;
  if (flags & FOLL_GET) folio.getcount += refs;
  else folio.pincount += refs;
  return true;
}

/** `gup_put_folio`: gives them back. */
export function* gupPutFolio(task: Task, folio: Folio, refs: number, flags: number): Path<void> {
  if (flags & FOLL_GET) folio.getcount -= refs;
  else folio.pincount -= refs;
  if (folio.pincount < 0 || folio.getcount < 0) {
    throw new InvariantError(`gupPutFolio: pfn 0x${folio.pfn.toString(16)} was not grabbed so often`);
  }
  if (folio.putTestZero(refs)) yield* folio.hstate.freeHugePage(task, folio);
}

/** Pages of a list that follow each other and are of one huge page. */
export interface FolioRun {
  readonly folio: Folio;
  /** 4 KiB pages. */
  readonly refs: number;
}

/**
 * `gup_folio_next`, over the first `count` pages of a list.
 *
 * @param folioOf the huge page of the frame at an index
 */
export function folioRuns(pages: PageList, count: number, folioOf: (index: number) => Folio): FolioRun[] {
  const runs: FolioRun[] = [];
  for (let at = 0; at < count; ) {
    const folio = folioOf(at);
    const end = folio.pfn + folio.pages;
    const from = at++;
    while (at < count && pages[at]! >= folio.pfn && pages[at]! < end) at++;
    runs.push({ folio, refs: at - from });
  }
  return runs;
}

/**
 * Gives back what was grabbed, a run at a time: `unpin_user_pages` with FOLL_PIN, `put_page` with FOLL_GET.
 *
 * @param dirty whether the pages were written: `unpin_user_pages_dirty_lock`
 */
export function* releaseRuns(task: Task, runs: readonly FolioRun[], flags: number, dirty: boolean): Path<void> {
  for (const { folio, refs } of runs) {
    if (dirty && !folio.dirty) {
      yield* folio.lock.write(task);
      folio.dirty = true;
      folio.lock.unlock(task);
    }
    yield* gupPutFolio(task, folio, refs, flags);
  }
}

/** Gives back the first `count` pages of a list. */
export function* releasePages(
  task: Task,
  frames: Frames,
  pages: PageList,
  count: number,
  flags: number,
  dirty: boolean,
): Path<void> {
  const runs = folioRuns(pages, count, (index) => frames.folio(pages[index]!));
  yield* releaseRuns(task, runs, flags, dirty);
}
