/**
 * What an address space holds, in ranges for people: neighbours with the same page size and rights are one range, also
 * where their physical addresses or accessed and dirty bits differ.
 */
import type { Mmu } from '../mmu/mmu.ts';
import type { ScanOptions } from '../mmu/scan.ts';
import type { Filter } from './filter.ts';
import { Notes } from './notes.ts';
import type { Progress } from './progress.ts';
import { LEAF, REPEATED_TABLE, RecordReader } from './record.ts';
import { count, EXECUTABLE, PAGES_OF_LEVEL, WRITABLE } from './text.ts';

/** What covers a page: 1 to 3, a leaf of that level; a table that was met before; an entry that leads nowhere. */
export const AGAIN = 4;
export const LOST = 5;
export const COVERS = 6;

/** Some linear addresses, counted in 4 KiB pages. A range that was joined from several may have holes. */
export interface Range {
  /** Number of the first page. */
  readonly first: number;
  /** Number of the page after the last. */
  readonly end: number;
  /** How many pages what covers, by cover. */
  readonly pages: readonly number[];
  /** Rights that all of it has, and that some of it has. */
  readonly all: number;
  readonly some: number;
  /** How many ranges without holes it is made of. */
  readonly pieces: number;
  /** Number of the first physical page; -1 where physical memory is not contiguous. */
  readonly physical: number;
}

/** Everything a scan found. */
export interface Survey {
  readonly ranges: readonly Range[];
  /** Leaves by level. */
  readonly leaves: readonly number[];
  /** 4 KiB pages that are writable and executable. */
  readonly writableExecutable: number;
  /** The entries that are no leaves. */
  readonly notes: Notes;
  /** Whether there were more ranges than are kept, so that near ones were joined. */
  readonly joined: boolean;
}

/** Ranges kept at most; hostile tables may have millions. */
const MOST_RANGES = 2 ** 18;

/** Scans a range, each table once a level, and collects what it holds. @param filter what is kept; default: everything */
export function survey(mmu: Mmu, part: Pick<ScanOptions, 'from' | 'to'>, progress: Progress, filter?: Filter): Survey {
  let ranges: Range[] = [];
  let joined = false;
  const leaves = [0, 0, 0, 0];
  const notes = new Notes();
  let writableExecutable = 0;
  let scanned = 0;
  const record = new RecordReader();
  for (const block of mmu.scanBlocks({ ...part, fold: true, coalesce: true })) {
    for (record.open(block); record.next(); ) {
      if (filter && !filter(record)) continue;
      const { kind, level, page, pages, rights } = record;
      if (kind === LEAF) {
        leaves[level]! += pages / PAGES_OF_LEVEL[level as 1 | 2 | 3];
        if (rights & WRITABLE && rights & EXECUTABLE) writableExecutable += pages;
      } else {
        notes.take(record);
      }
      const range = rangeOf(record);
      const last = ranges.at(-1);
      if (last && last.end === page && alike(last, range)) ranges[ranges.length - 1] = join(last, range);
      else ranges.push(range);
    }
    if (ranges.length > MOST_RANGES) {
      ranges = thin(ranges);
      joined = true;
    }
    scanned += block.count;
    progress.report(() => `scanning: ${count(scanned)} runs of entries`);
  }
  return { ranges, leaves, writableExecutable, notes, joined };
}

function rangeOf(record: RecordReader): Range {
  const { kind, level, page, pages, rights } = record;
  const covered = new Array<number>(COVERS).fill(0);
  covered[kind === LEAF ? level : kind === REPEATED_TABLE ? AGAIN : LOST] = pages;
  const physical = kind === LEAF ? record.physicalPage : -1;
  return { first: page, end: page + pages, pages: covered, all: rights, some: rights, pieces: 1, physical };
}

/** The cover of most of a range's pages. */
export function coverOf({ pages }: Range): number {
  let most = 1;
  for (let cover = 2; cover < COVERS; cover++) if (pages[cover]! >= pages[most]! && pages[cover]! > 0) most = cover;
  return most;
}

/** Pages of a range that leaves map. */
export function mappedPages({ pages }: Range): number {
  return pages[1]! + pages[2]! + pages[3]!;
}

/** Whether one cover and the same rights are all that two ranges hold. */
export function alike(a: Range, b: Range): boolean {
  if (a.all !== b.all || a.some !== b.some || a.all !== a.some) return false;
  const covers = a.pages.filter((pages, cover) => pages + b.pages[cover]! > 0);
  return covers.length === 1 && coverOf(a) === coverOf(b);
}

/** Two ranges, the second after the first, as one. */
export function join(a: Range, b: Range): Range {
  const touch = a.end === b.first;
  const covered = a.end - a.first;
  const whole = touch && a.physical >= 0 && a.physical + covered === b.physical;
  return {
    first: a.first,
    end: b.end,
    pages: a.pages.map((pages, cover) => pages + b.pages[cover]!),
    all: a.all & b.all,
    some: a.some | b.some,
    pieces: a.pieces + b.pieces - (touch && alike(a, b) ? 1 : 0),
    physical: whole ? a.physical : -1,
  };
}

/** Fewer ranges, by a quarter at least: pairs with small holes between them are joined. */
function thin(ranges: readonly Range[]): Range[] {
  const holes = ranges.slice(1).map(({ first }, i) => first - ranges[i]!.end);
  const median = Float64Array.from(holes).sort()[holes.length >> 1]!;
  const thinned: Range[] = [];
  let joins = false;
  for (const range of ranges) {
    const last = thinned.at(-1);
    joins = last !== undefined && !joins && range.first - last.end <= median;
    if (joins) thinned[thinned.length - 1] = join(last!, range);
    else thinned.push(range);
  }
  return thinned;
}
