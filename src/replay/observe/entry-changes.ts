/**
 * Entries of page tables that have changed.
 */
import { sizeName } from '../../reference/words.ts';
import type { Moved } from './page-changes.ts';
import { follows, numbered, PFN, type Place, placeWords } from './place.ts';
import type { Mapped } from './snapshot.ts';

/** Entries that have changed in the same way. */
interface EntryChange extends Omit<Mapped, 'rights' | 'place' | 'bytes'> {
  readonly before: Mapped | undefined;
  readonly after: Mapped | undefined;
}

/**
 * The changes of two moments' entries, in words.
 *
 * @param moved huge pages: entries that map them still, do so in other frames
 * @param unit pages of a huge page, as the scenario counts pages
 */
export function entryChanges(
  before: readonly Mapped[],
  after: readonly Mapped[],
  moved: readonly Moved[],
  unit: number,
): string[] {
  const changes: EntryChange[] = [];
  for (const change of segments(before, after, moved, unit)) {
    const last = changes.at(-1);
    if (last && isNext(last, change)) last.pages += change.pages;
    else changes.push(change);
  }
  return changes.map((change) => wordsOf(change, unit));
}

function wordsOf({ proc, slot, page, pages, before, after }: EntryChange, unit: number): string {
  const where = `p${proc} s${slot} ${numbered('page', page, pages)}`;
  if (!after) return `${where}: unmapped`;
  const is = (rights: boolean, place: boolean): string => describe(after, pages, unit, rights, place);
  if (!before) return `${where}: ${is(true, true)}`;
  const [rights, place] = [before.rights !== after.rights, !follows(before.place, 0, after.place)];
  /* Only the size of its entries has changed, as pieces are joined, or cut. */
  if (!rights && !place) return `${where}: entries of ${sizeName(before.bytes)} -> ${sizeName(after.bytes)}`;
  return `${where}: ${describe(before, pages, unit, rights, place)} -> ${is(rights, place)}`;
}

/** Pieces between any two ends of runs, as far as both moments differ there. */
function* segments(
  before: readonly Mapped[],
  after: readonly Mapped[],
  moved: readonly Moved[],
  unit: number,
): Generator<EntryChange, void, undefined> {
  for (const both of slotsOf(before, after)) {
    const runs = [...both.before, ...both.after];
    const ends = runs.flatMap((run) => [run.page, endOf(run), ...endsOfMoved(run, moved, unit)]);
    const cuts = [...new Set(ends)].sort((a, b) => a - b);
    let [i, j] = [0, 0];
    for (const [index, page] of cuts.slice(0, -1).entries()) {
      while (i < both.before.length && endOf(both.before[i]!) <= page) i++;
      while (j < both.after.length && endOf(both.after[j]!) <= page) j++;
      const [was, is] = inFrames(partFrom(both.before[i], page), partFrom(both.after[j], page), moved, unit);
      if (equal(was, is)) continue;
      const { proc, slot } = runs[0]!;
      yield { proc, slot, page, pages: cuts[index + 1]! - page, before: was, after: is };
    }
  }
}

/** The runs of two moments. */
interface Both {
  readonly before: Mapped[];
  readonly after: Mapped[];
}

/** By slots. */
function slotsOf(before: readonly Mapped[], after: readonly Mapped[]): Iterable<Both> {
  const slots = new Map<string, Both>();
  const slotOf = ({ proc, slot }: Mapped): Both => {
    const key = `${proc} ${slot}`;
    const both = slots.get(key) ?? { before: [], after: [] };
    slots.set(key, both);
    return both;
  };
  for (const run of before) slotOf(run).before.push(run);
  for (const run of after) slotOf(run).after.push(run);
  return slots.values();
}

/** The pages of a run's slot between which it maps a huge page that has moved. */
function endsOfMoved({ page, pages, place }: Mapped, moved: readonly Moved[], unit: number): number[] {
  return moved.flatMap(({ place: { owner, at } }) => {
    if (place?.owner !== owner || at >= place.at + pages || at + unit <= place.at) return [];
    const first = page + at - place.at;
    return [Math.max(first, page), Math.min(first + unit, page + pages)];
  });
}

/** What maps the same page at both moments, by its frames where that has moved: its name tells nothing then. */
function inFrames(
  was: Mapped | undefined,
  is: Mapped | undefined,
  moved: readonly Moved[],
  unit: number,
): [Mapped | undefined, Mapped | undefined] {
  const place = is?.place;
  if (!was || !place || !follows(was.place, 0, place)) return [was, is];
  const move = moved.find(
    ({ place: { owner, at } }) => owner === place.owner && at <= place.at && place.at < at + unit,
  );
  if (!move) return [was, is];
  const behind = place.at - move.place.at;
  const at = (pfn: number): Place => ({ owner: PFN, at: pfn + behind });
  return [
    { ...was, place: at(move.from) },
    { ...is, place: at(move.to) },
  ];
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
