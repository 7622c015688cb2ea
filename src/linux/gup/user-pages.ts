/**
 * Giving back what callers of GUP were handed. mm/gup.c of Linux 6.1: unpin_user_pages_dirty_lock,
 * unpin_user_page_range_dirty_lock, gup_folio_range_next; mm/swap.c: put_pages_list.
 *
 * The kernel trusts its callers. Here a list is counted before anything is given back: who gives back more than was taken has
 * made a mistake, and nothing changes.
 */
import { checkInteger, hex, wrongKind } from '../../core/errors.ts';
import { FOLL_GET, FOLL_PIN } from '../base/gup-flags.ts';
import type { Path, Task } from '../base/task.ts';
import type { Folio } from '../pool/folio.ts';
import type { Frames } from '../pool/frames.ts';
import { type FolioRun, folioRuns, type PageList, releaseRuns } from '../pool/pin.ts';

/** How pages were taken: by a reference, or pinned. */
type Taken = typeof FOLL_GET | typeof FOLL_PIN;

/**
 * @throws TypeError or RangeError unless `pages` is a list that can hold, or holds, `count` frame numbers
 * @param fixed whether there must be as many, also in an array that could grow
 */
export function checkPageList(pages: unknown, count: number, fixed: boolean): asserts pages is PageList {
  if (!(pages instanceof Float64Array) && !Array.isArray(pages)) {
    throw wrongKind('pages', 'a Float64Array or an array', pages);
  }
  if ((fixed || pages instanceof Float64Array) && pages.length < count) {
    throw new RangeError(`pages: expected room for ${hex(count)} frame numbers, got ${hex(pages.length)}`);
  }
}

/** How long a list is. @throws TypeError for what is none */
export function checkedLength(pages: PageList): number {
  checkPageList(pages, 0, false);
  return pages.length;
}

/** `put_page` of each of the first `count` pages. @throws RangeError, and does nothing, unless so many references were taken */
export function putUserPages(task: Task, frames: Frames, pages: PageList, count: number): Path<void> {
  return release(task, checkedRuns(frames, pages, count, FOLL_GET), FOLL_GET, false);
}

/** `unpin_user_pages_dirty_lock`. @throws RangeError, and does nothing, unless they were pinned so often */
export function unpinUserPages(task: Task, frames: Frames, pages: PageList, count: number, dirty: boolean): Path<void> {
  return release(task, checkedRuns(frames, pages, count, FOLL_PIN), FOLL_PIN, dirty);
}

/** `unpin_user_page_range_dirty_lock`: frame after frame, huge page after huge page. */
export function unpinUserPageRange(
  task: Task,
  frames: Frames,
  frame: number,
  nrPages: number,
  dirty: boolean,
): Path<void> {
  checkInteger('frame', frame, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('nrPages', nrPages, 0, Number.MAX_SAFE_INTEGER - frame);
  const runs: FolioRun[] = [];
  for (let at = frame; at < frame + nrPages; ) {
    const folio = folioOf(frames, 'frame', at);
    const refs = Math.min(folio.pfn + folio.pages, frame + nrPages) - at;
    runs.push({ folio, refs });
    at += refs;
  }
  checkTaken('frame', runs, FOLL_PIN);
  return release(task, runs, FOLL_PIN, dirty);
}

function* release(task: Task, runs: readonly FolioRun[], taken: Taken, dirty: boolean): Path<void> {
  yield* releaseRuns(task, runs, taken, dirty);
  task.machine.kernelExit(task, undefined);
}

function checkedRuns(frames: Frames, pages: PageList, count: number, taken: Taken): FolioRun[] {
  checkInteger('count', count, 0, Number.MAX_SAFE_INTEGER);
  checkPageList(pages, count, true);
  const runs = folioRuns(pages, count, (at) => frames.find(pages[at]!) ?? folioOf(frames, `pages[${at}]`, pages[at]));
  checkTaken('pages', runs, taken);
  return runs;
}

/** The huge page that a caller's frame number means. */
export function folioOf(frames: Frames, name: string, frame: unknown): Folio {
  checkInteger(name, frame, 0, Number.MAX_SAFE_INTEGER);
  const folio = frames.find(frame);
  if (!folio) throw new RangeError(`${name}: expected a frame of a huge page, got ${hex(frame)}`);
  return folio;
}

/** @throws RangeError where more is given back than callers of GUP hold */
function checkTaken(name: string, runs: readonly FolioRun[], taken: Taken): void {
  const sums = new Map<Folio, number>();
  for (const { folio, refs } of runs) sums.set(folio, (sums.get(folio) ?? 0) + refs);
  for (const [folio, refs] of sums) {
    const most = taken === FOLL_PIN ? folio.pincount - folio.devicePins : folio.getcount - folio.pipeReferences;
    if (refs <= most) continue;
    const what = taken === FOLL_PIN ? 'pins' : 'references';
    throw new RangeError(
      `${name}: expected at most ${hex(most)} ${what} of the huge page at frame ${hex(folio.pfn)}, got ${hex(refs)}`,
    );
  }
}
