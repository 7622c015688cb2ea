/**
 * Entries that are no leaves and lead to no new table: how many there are, and the first few in words.
 */
import { ENTRY_NAMES, TABLE_NAMES } from '../reference/entry.ts';
import { MISSING_TABLE, REPEATED_TABLE, RESERVED, type RecordReader } from './record.ts';
import { count, hexOfPage, type Paint } from './text.ts';

/** An entry, or several in a row with the same bits. */
interface Note {
  readonly kind: number;
  /** Of the entry, if its bits are reserved, else of the table it points to. */
  readonly level: number;
  /** Number of the first linear page. */
  readonly first: number;
  readonly entry: bigint;
  /** How many in a row, and whether they point to the same place. */
  entries: number;
  same: boolean;
}

/** Notes of a kind that are shown. */
const MOST = 8;
const ADDRESS = 0xf_ffff_ffff_f000n;

const KINDS = [
  [MISSING_TABLE, 'entries that point to a table where the dump has no memory'],
  [RESERVED, 'entries with reserved bits set, where every access faults'],
  [REPEATED_TABLE, 'entries that point to a table met before, not listed again'],
] as const;

/** Takes notes of a scan. */
export class Notes {
  readonly #shown: Note[][] = [[], [], [], []];
  readonly #counts = [0, 0, 0, 0];

  /** Takes the entry of a record that is no leaf. */
  take(record: RecordReader): void {
    const { kind, level, page: first, entryLow, entryHigh } = record;
    this.#counts[kind]!++;
    const shown = this.#shown[kind]!;
    const entry = (BigInt(entryHigh) << 32n) | BigInt(entryLow);
    const last = shown.at(-1);
    if (last && last.level === level && endOf(last) === first && (last.entry & ~ADDRESS) === (entry & ~ADDRESS)) {
      last.entries++;
      last.same &&= last.entry === entry;
    } else if (shown.length < MOST) {
      shown.push({ kind, level, first, entry, entries: 1, same: true });
    }
  }

  /** How many entries of a kind there are. */
  countOf(kind: number): number {
    return this.#counts[kind]!;
  }

  /** All kinds, as lines. */
  lines(paint: Paint): string[] {
    return KINDS.flatMap(([kind, words]) => {
      const shown = this.#shown[kind]!;
      if (shown.length === 0) return [];
      const more = this.#counts[kind]! - shown.reduce((sum, { entries }) => sum + entries, 0);
      return [
        '',
        paint.bold(`${words}: ${count(this.#counts[kind]!)}`),
        ...shown.map((note) => `  ${describe(note)}`),
        ...(more > 0 ? [`  and ${count(more)} more`] : []),
      ];
    });
  }
}

/** Number of the page after a note's last. */
function endOf({ kind, level, first, entries }: Note): number {
  return first + entries * 512 ** (kind === RESERVED ? level - 1 : level);
}

function describe({ kind, level, first, entry, entries, same }: Note): string {
  const what =
    kind === RESERVED
      ? `${ENTRY_NAMES[level]} 0x${entry.toString(16)}`
      : `the ${TABLE_NAMES[level]} at 0x${(entry & ADDRESS).toString(16)}${kind === REPEATED_TABLE ? ' again' : ''}`;
  const row = same ? `, ${count(entries)} times in a row` : `, and ${count(entries - 1)} alike after it`;
  return `${hexOfPage(first).padStart(18)}  ${what}${entries > 1 ? row : ''}`;
}
