/**
 * Huge pages that are there, or not there any more, and what has changed of them.
 */
import { hex } from '../../core/errors.ts';
import { follows, hugePageWords, ONCE, type Place } from './place.ts';
import type { PageCounts } from './snapshot.ts';
import { changed } from './words.ts';

/** A huge page at two moments; undefined where it was not in use. */
interface Pair {
  readonly before: PageCounts | undefined;
  readonly after: PageCounts | undefined;
}

/** The huge pages of two moments. */
export interface Pairs {
  readonly all: readonly Pair[];
  /** Those that have kept their name, in other memory. */
  readonly moved: readonly Moved[];
}

/** Where a huge page begins, and its first frames. */
export interface Moved {
  readonly place: Place;
  readonly from: number;
  readonly to: number;
}

/** Which huge page of one moment is which of the other: the one that has its name, but for pages that have left a file. */
export function pairsOf(before: readonly PageCounts[], after: readonly PageCounts[]): Pairs {
  const byFrame = new Map(before.map((page) => [page.pfn, page]));
  const byName = new Map(before.map((page) => [nameOf(page), page]));
  const leavers = new Map<PageCounts, PageCounts>();
  for (const page of after) {
    const was = byFrame.get(page.pfn);
    if (!was || !hasLeft(was, page)) continue;
    leavers.set(page, was);
    byName.delete(nameOf(was));
  }
  const all: Pair[] = after.map((page) => {
    const was = leavers.get(page) ?? byName.get(nameOf(page));
    byName.delete(nameOf(page));
    return { before: was, after: page };
  });
  const moved = all.flatMap(({ before, after }) =>
    before && after && before.pfn !== after.pfn ? [{ place: after.place, from: before.pfn, to: after.pfn }] : [],
  );
  return { all: [...all, ...[...byName.values()].map((before) => ({ before, after: undefined }))], moved };
}

function nameOf({ place: { owner, at } }: PageCounts): string {
  return `${owner} ${at}`;
}

/** Whether a file has lost a page that somebody still holds. */
function hasLeft({ place: was }: PageCounts, { place: is }: PageCounts): boolean {
  return is.at === was.at && is.owner.startsWith(ONCE + was.owner);
}

/** Neighbouring huge pages that have changed in the same way. */
interface PageChange {
  readonly place: Place;
  pages: number;
  readonly words: string;
}

/** What has changed of each, by the name that it had. */
export function pageChanges({ all }: Pairs, unit: number): string[] {
  const changes: PageChange[] = [];
  for (const { before, after } of all) {
    const { place } = (before ?? after)!;
    const words = after ? wordsOf(before, after) : 'gone';
    const last = changes.at(-1);
    if (words === '') continue;
    if (last?.words === words && follows(last.place, last.pages, place)) last.pages += unit;
    else changes.push({ place, pages: unit, words });
  }
  return changes.map(({ place, pages, words }) => `${hugePageWords(place, pages, unit)}: ${words}`);
}

function wordsOf(before: PageCounts | undefined, after: PageCounts): string {
  const counts = [
    ['map count', before?.mapcount ?? 0, after.mapcount],
    ['references of GUP', before?.references ?? 0, after.references],
    ['pins', before?.pins ?? 0, after.pins],
  ] as const;
  const words = counts.flatMap(([name, was, is]) => changed(name, was, is));
  if (!before) return words.length === 0 ? 'new' : words.join(', ');
  const left = before.place.owner === after.place.owner ? [] : ['out of the file'];
  return [...left, ...changed('pfn', before.pfn, after.pfn, hex), ...words].join(', ');
}
