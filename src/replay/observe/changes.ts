/**
 * What has changed between two moments, in words. Numbers are the scenario's own.
 */
import { sizeName } from '../../reference/words.ts';
import { follows, type Mapped, type PageCounts, type Place, type Snapshot } from './snapshot.ts';

const POOL = ['total', 'free', 'reserved', 'surplus'];

/**
 * The changes between two snapshots of a stage: the pool's counters, then huge pages, then entries of page tables.
 *
 * @param unit pages of a huge page, as the scenario counts pages
 *
 * @example
 * ```text
 * free 3 -> 2    reserved 1 -> 0    private 1: map count 1    p0 s0 page 0: rw dirty private 1
 * ```
 */
export function changesBetween(before: Snapshot, after: Snapshot, unit: number): string[] {
  const pool = POOL.flatMap((name, i) => changed(name, before.pool[i]!, after.pool[i]!));
  const corrupted = changed('corrupted 4 KiB pages', before.corrupted, after.corrupted);
  return [...pool, ...corrupted, ...pageChanges(before.pages, after.pages, unit), ...entryChanges(before, after, unit)];
}

function changed(name: string, before: number, after: number): string[] {
  return before === after ? [] : [`${name} ${before} -> ${after}`];
}

/** Neighbouring huge pages whose counts have changed in the same way. */
interface PageChange {
  readonly place: Place;
  pages: number;
  readonly words: string;
}

function pageChanges(before: readonly PageCounts[], after: readonly PageCounts[], unit: number): string[] {
  const keyOf = ({ place: { owner, at } }: PageCounts): string => `${owner} ${at}`;
  const others = new Map(before.map((page) => [keyOf(page), page]));
  const changes: PageChange[] = [];
  const add = (place: Place, words: string): void => {
    const last = changes.at(-1);
    if (words === '') return;
    if (last?.words === words && follows(last.place, last.pages, place)) last.pages += unit;
    else changes.push({ place, pages: unit, words });
  };
  for (const page of after) {
    add(page.place, countsChanged(others.get(keyOf(page)), page));
    others.delete(keyOf(page));
  }
  for (const { place } of others.values()) add(place, 'gone');
  return changes.map(({ place, pages, words }) => `${hugePages(place, pages, unit)}: ${words}`);
}

function countsChanged(before: PageCounts | undefined, after: PageCounts): string {
  const counts = [
    ['map count', before?.mapcount ?? 0, after.mapcount],
    ['references of GUP', before?.references ?? 0, after.references],
    ['pins', before?.pins ?? 0, after.pins],
  ] as const;
  const words = counts.flatMap(([name, was, is]) => changed(name, was, is));
  return words.length === 0 && !before ? 'new' : words.join(', ');
}

/** Entries that have changed in the same way. */
interface EntryChange extends Omit<Mapped, 'rights' | 'place' | 'bytes'> {
  readonly before: Mapped | undefined;
  readonly after: Mapped | undefined;
}

function entryChanges({ mapped: before }: Snapshot, { mapped: after }: Snapshot, unit: number): string[] {
  const changes: EntryChange[] = [];
  for (const change of segments(before, after)) {
    const last = changes.at(-1);
    if (last && isNext(last, change)) last.pages += change.pages;
    else changes.push(change);
  }
  return changes.map((change) => {
    const { proc, slot, page, pages, before, after } = change;
    const where = `p${proc} s${slot} ${numbered('page', page, pages)}`;
    if (!after) return `${where}: unmapped`;
    const is = (rights: boolean, place: boolean): string => describe(after, pages, unit, rights, place);
    if (!before) return `${where}: ${is(true, true)}`;
    const [rights, place] = [before.rights !== after.rights, !follows(before.place, 0, after.place)];
    /* Only the size of its entries has changed, as pieces are joined, or cut. */
    if (!rights && !place) return `${where}: entries of ${sizeName(before.bytes)} -> ${sizeName(after.bytes)}`;
    return `${where}: ${describe(before, pages, unit, rights, place)} -> ${is(rights, place)}`;
  });
}

/** Pieces between any two ends of runs, as far as both moments differ there. */
function* segments(before: readonly Mapped[], after: readonly Mapped[]): Generator<EntryChange, void, undefined> {
  const slots = new Map<string, { before: Mapped[]; after: Mapped[] }>();
  const slotOf = ({ proc, slot }: Mapped): { before: Mapped[]; after: Mapped[] } => {
    const key = `${proc} ${slot}`;
    const both = slots.get(key) ?? { before: [], after: [] };
    slots.set(key, both);
    return both;
  };
  for (const run of before) slotOf(run).before.push(run);
  for (const run of after) slotOf(run).after.push(run);
  for (const both of slots.values()) {
    const runs = [...both.before, ...both.after];
    const cuts = [...new Set(runs.flatMap(({ page, pages }) => [page, page + pages]))].sort((a, b) => a - b);
    let [i, j] = [0, 0];
    for (const [index, page] of cuts.slice(0, -1).entries()) {
      while (i < both.before.length && endOf(both.before[i]!) <= page) i++;
      while (j < both.after.length && endOf(both.after[j]!) <= page) j++;
      const [was, is] = [partFrom(both.before[i], page), partFrom(both.after[j], page)];
      if (equal(was, is)) continue;
      const { proc, slot } = runs[0]!;
      yield { proc, slot, page, pages: cuts[index + 1]! - page, before: was, after: is };
    }
  }
}

function endOf({ page, pages }: Mapped): number {
  return page + pages;
}

/** What is left of a run from a page on, if it is there. */
function partFrom(run: Mapped | undefined, page: number): Mapped | undefined {
  if (!run || run.page > page) return undefined;
  const { place } = run;
  const behind = page - run.page;
  return { ...run, page, pages: run.pages - behind, place: place && { ...place, at: place.at + behind } };
}

function equal(a: Mapped | undefined, b: Mapped | undefined): boolean {
  if (!a || !b) return a === b;
  return a.rights === b.rights && a.bytes === b.bytes && follows(a.place, 0, b.place);
}

function isNext(last: EntryChange, next: EntryChange): boolean {
  const alike = (a: Mapped | undefined, b: Mapped | undefined): boolean =>
    a && b ? a.rights === b.rights && a.bytes === b.bytes && follows(a.place, last.pages, b.place) : a === b;
  return (
    last.proc === next.proc &&
    last.slot === next.slot &&
    last.page + last.pages === next.page &&
    /* Of what is unmapped, nothing is said but where it was. */
    ((!last.after && !next.after) || alike(last.before, next.before)) &&
    alike(last.after, next.after)
  );
}

function describe(entry: Mapped, pages: number, unit: number, rights: boolean, place: boolean): string {
  const where = place && entry.place ? placeWords(entry.place, pages, unit) : '';
  return [rights ? entry.rights : '', where].filter((word) => word !== '').join(' ');
}

/** `file 0 pages 5-7`, `private 1`, `private 1 pages 5-7` of its pieces. */
function placeWords({ owner, at }: Place, pages: number, unit: number): string {
  if (owner.startsWith('file')) return `${owner} ${numbered('page', at, pages)}`;
  const number = Math.floor(at / unit);
  if (pages % unit === 0) return `${owner} ${through(number, pages / unit)}`;
  return `${owner} ${number} ${numbered('page', at % unit, pages)}`;
}

/** Huge pages, whatever the unit. */
function hugePages({ owner, at }: Place, pages: number, unit: number): string {
  const [first, count] = [Math.floor(at / unit), pages / unit];
  const name = unit === 1 ? 'page' : 'huge page';
  return owner.startsWith('file') ? `${owner} ${numbered(name, first, count)}` : `${owner} ${through(first, count)}`;
}

/** `page 5`, `pages 5-7`. */
function numbered(name: string, first: number, count: number): string {
  return `${name}${count === 1 ? '' : 's'} ${through(first, count)}`;
}

function through(first: number, count: number): string {
  return count === 1 ? `${first}` : `${first}-${first + count - 1}`;
}
