/**
 * `hugewalk map --leaves` and `--json`: a line a leaf, or a line a run of leaves.
 */
import { type AbsentEntries, absentEntries } from '../dump/questions/absent-entries.ts';
import type { EntryOs } from '../dump/questions/os-entries.ts';
import type { Mmu } from '../mmu/mmu.ts';
import type { ScanOptions } from '../mmu/scan.ts';
import { fieldsOf } from '../reference/entry.ts';
import { type AbsentFilter, absentJson, absentText } from './absent.ts';
import { EXIT, Failure } from './failure.ts';
import type { Filter } from './filter.ts';
import { LeafJson } from './leaf-json.ts';
import type { Output } from './output.ts';
import type { Progress } from './progress.ts';
import { LEAF, REPEATED_TABLE, RecordReader } from './record.ts';
import { count, hexOfPage, PAGE_SIZES, rightsText } from './text.ts';

/** What to list. */
export interface ListingOptions extends Pick<ScanOptions, 'from' | 'to'> {
  /** Which leaves; default: all. */
  readonly filter?: Filter;
  /** Entries that are not present, and which of them: none unless it is asked for. */
  readonly os?: EntryOs | undefined;
  readonly absent?: AbsentFilter;
  /** A line a leaf, not a run. */
  readonly leaves: boolean;
  readonly json: boolean;
  /** No limit to the number of lines. */
  readonly all: boolean;
}

/** What a listing left out. */
export interface Omitted {
  /** Entries that lead nowhere: reserved bits, missing tables. */
  readonly lost: number;
}

/**
 * How often an address space may map the same leaves before the listing stops: real ones share few tables, those that
 * contain each other have more leaves than anyone can list.
 */
const REPEATS = 16;
const SLACK = 2 ** 20;

/** Writes the lines. Rejects with a Failure when there are too many. */
export async function list(mmu: Mmu, options: ListingOptions, output: Output, progress: Progress): Promise<Omitted> {
  const { from, to, leaves, json, all, filter } = options;
  const part = { ...(from !== undefined && { from }), ...(to !== undefined && { to }), coalesce: !leaves };
  const distinct = countDistinct(mmu, part);
  const limit = all ? Number.POSITIVE_INFINITY : REPEATS * distinct + SLACK;
  const format = json ? new LeafJson(!leaves) : new LeafText();
  const absent = new AbsentBefore(mmu, options);
  let scanned = 0;
  let lost = 0;

  const record = new RecordReader();
  for (const block of mmu.scanBlocks(part)) {
    for (record.open(block); record.next(); ) {
      for (const entry of absent.before(record.page)) {
        scanned++;
        if (output.add(json ? absentJson(entry, !leaves) : absentText(entry))) await output.flush();
        if (scanned >= limit) break;
      }
      if (scanned >= limit) {
        await output.flush();
        throw new Failure(
          `stopped after ${count(limit)} entries: tables that contain each other give the same ${count(distinct)} over ` +
            'and over; narrow the range with --from and --to, or give --all',
          EXIT.incomplete,
        );
      }
      scanned++;
      if (record.kind !== LEAF) {
        lost++;
        continue;
      }
      if (filter && !filter(record)) continue;
      if (output.add(format.line(record))) await output.flush();
    }
    if (!output.isTerminal) progress.report(() => `listing: ${count(scanned)} entries`);
  }
  for (const entry of absent.before(Number.POSITIVE_INFINITY)) {
    if (output.add(json ? absentJson(entry, !leaves) : absentText(entry))) await output.flush();
  }
  await output.flush();
  return { lost };
}

/** The entries that are not present, in step with a scan of those that are. A table that is met again is not looked into again. */
class AbsentBefore {
  readonly #entries: Iterator<AbsentEntries> | undefined;
  readonly #wanted: AbsentFilter;
  #next: AbsentEntries | undefined;

  constructor(mmu: Mmu, { os, absent = () => true, from, to, leaves }: ListingOptions) {
    const part = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
    this.#entries = os && absentEntries(mmu, os, { ...part, coalesce: !leaves, fold: true });
    this.#wanted = absent;
    this.#step();
  }

  /** Those before a linear page, by its number; the next call goes on behind them. */
  *before(page: number): Generator<AbsentEntries, void, undefined> {
    for (let next = this.#next; next && Number(next.va >> 12n) < page; next = this.#next) {
      this.#step();
      if (this.#wanted(next)) yield next;
    }
  }

  #step(): void {
    this.#next = this.#entries?.next().value ?? undefined;
  }
}

/** Lines and entries that lead nowhere, those of a table counted once a level. */
function countDistinct(mmu: Mmu, part: ScanOptions): number {
  let distinct = 0;
  const record = new RecordReader();
  for (const block of mmu.scanBlocks({ ...part, fold: true })) {
    for (record.open(block); record.next(); ) if (record.kind !== REPEATED_TABLE) distinct++;
  }
  return distinct;
}

/** Writes leaves for people: addresses, page size, rights over all levels, the bits of the entry itself. */
class LeafText {
  readonly #fields = new Map<number, string>();

  line(leaf: RecordReader): string {
    const va = hexOfPage(leaf.page).padStart(18);
    const pa = hexOfPage(leaf.physicalPage).padStart(15);
    return `${va} ${pa}  ${PAGE_SIZES[leaf.level]}  ${rightsText(leaf.rights).padEnd(10)}  ${this.#fieldsOf(leaf)}\n`;
  }

  #fieldsOf({ level, entryLow, entryHigh }: RecordReader): string {
    const bits = (entryLow & 0x1fff) | ((entryHigh >>> 31) << 13) | (level << 14);
    let fields = this.#fields.get(bits);
    if (fields === undefined) {
      fields = fieldsOf((BigInt(entryHigh) << 32n) | BigInt(entryLow), level, true).join(' ');
      this.#fields.set(bits, fields);
    }
    return fields;
  }
}
