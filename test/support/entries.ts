/**
 * Tables with entries of every kind that a kernel writes, and what lies under a range of them, found entry by entry: what
 * assembly/leaf.ts is held against.
 */
import fc from 'fast-check';
import { A, D, G, P, PS, U, W, XD } from './tables.ts';

/** The number of a table's frame, in a sparse memory far from 0. */
export type Place = (table: number) => bigint;

/** Linux's marker for a page that is to be write-protected: not present, all in all one value. */
const MARKER = 0xf7ff_ffff_ffff_fc00n;
/** A swap entry. */
const SWAPPED = 0x1000_0000_0ab0_0200n;
const FRAME = 0x000f_ffff_ffff_f000n;

const KINDS = {
  page: P | W | U,
  readOnly: P | U,
  noExecute: P | W | U | XD,
  keyed: P | W | U | (5n << 59n),
  /** PAT of a 4 KiB page is bit 7, that of a larger one bit 12. */
  otherType: P | W | U | (1n << 7n) | (1n << 12n),
  protNone: G,
  protNoneWritable: G | W | U,
  empty: 0n,
  marker: MARKER,
  swapped: SWAPPED,
};
type Kind = keyof typeof KINDS;

/** Entries one after the other. */
export interface Row {
  readonly from: number;
  readonly count: number;
  readonly kind: Kind;
  /** Frame of the first, in leaves of the level. */
  readonly frame: number;
  /** By how many leaves the frame of each is further than that of the one before. */
  readonly step: number;
  /** Which of them have A, which have D: 32 bits, over and over. */
  readonly used: number;
  readonly written: number;
}

const row: fc.Arbitrary<Row> = fc.record({
  from: fc.oneof(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 0, max: 24 })),
  count: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(64, 200, 512)),
  kind: fc.constantFrom(...(Object.keys(KINDS) as Kind[])),
  frame: fc.integer({ min: 0, max: 2 ** 20 }),
  step: fc.constantFrom(1, 1, 1, 1, -1, 0, 2),
  used: fc.constantFrom(0, 0, -1, 0x5a5a_1234),
  written: fc.constantFrom(0, 0, -1, 0x0ff1_4321),
});
const rows = fc.array(row, { maxLength: 8 });

/** A tree: a root, a table of each level above the last, and four with 4 KiB leaves. */
export interface Tree {
  readonly levels: 4 | 5;
  readonly upper: readonly Row[];
  readonly large: readonly Row[];
  readonly middle: readonly Row[];
  readonly small: readonly (readonly Row[])[];
  /** Where in the table of 1 GiB entries that of 2 MiB entries hangs, and where in that the four others. */
  readonly directory: number;
  readonly places: readonly number[];
}

export const trees: fc.Arbitrary<Tree> = fc.record({
  levels: fc.constantFrom(4 as const, 5 as const),
  upper: fc.array(row, { maxLength: 2 }),
  large: rows,
  middle: rows,
  small: fc.array(rows, { minLength: 4, maxLength: 4 }),
  directory: fc.constantFrom(0, 1, 7, 510, 511),
  places: fc.array(fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constantFrom(510, 511)), {
    minLength: 4,
    maxLength: 4,
  }),
});

/** Frames that a tree takes. */
export const TREE_FRAMES = 9;
/** Entries in the root and in the table below it that lead on. */
const ROOT_INDEX = 3;
const UPPER_INDEX = 2;

/** The page number where the table of 2 MiB entries begins. */
export function firstPage({ levels, directory }: Tree): number {
  const top = levels === 5 ? ROOT_INDEX * 2 ** 36 : 0;
  return top + (levels === 5 ? UPPER_INDEX : ROOT_INDEX) * 2 ** 27 + directory * 2 ** 18;
}

/** Lays out a tree; its root is the first frame. */
export function framesOf(tree: Tree, place: Place): Map<bigint, BigUint64Array> {
  const tables = Array.from({ length: TREE_FRAMES }, () => new BigUint64Array(512));
  const fill = (table: number, level: number, entries: readonly Row[]): void => {
    for (const { from, count, kind, frame, step, used, written } of entries) {
      for (let i = 0; i < count && from + i < 512; i++) {
        const at = BigInt(frame + 2000 + i * step) << BigInt(12 + 9 * (level - 1));
        const size = level > 1 && kind !== 'marker' && kind !== 'swapped' && kind !== 'empty' ? PS : 0n;
        const bits = level > 1 || kind !== 'otherType' ? KINDS[kind] : P | W | U | PS;
        const marks = (used >>> (i % 32)) & 1 ? A : 0n;
        const marked = marks | ((written >>> (i % 32)) & 1 ? D : 0n);
        const page = (kind.startsWith('protNone') ? ~at : bits & P ? at : 0n) & FRAME;
        tables[table]![from + i] = bits | size | page | (kind === 'marker' ? 0n : marked);
      }
    }
  };
  const hang = (table: number, index: number, below: number): void => {
    tables[table]![index] = place(below) | P | W | U | A;
  };
  fill(0, tree.levels, tree.upper);
  if (tree.levels === 5) {
    hang(0, ROOT_INDEX, 8);
    hang(8, UPPER_INDEX, 1);
  } else hang(0, ROOT_INDEX, 1);
  fill(1, 3, tree.large);
  hang(1, tree.directory, 2);
  fill(2, 2, tree.middle);
  for (const [index, at] of tree.places.entries()) {
    fill(3 + index, 1, tree.small[index]!);
    hang(2, at, 3 + index);
  }
  return new Map(tables.map((table, index) => [place(index), table]));
}

/** One entry under a range. */
export interface Entry {
  /** Page number of the first page that it covers. */
  readonly page: number;
  readonly pages: number;
  /** Its physical address. */
  readonly at: bigint;
  readonly level: number;
  readonly value: bigint;
}

/** Every entry under `count` pages from `first` on, that is no pointer to a table; those below a table outside memory are left out. */
export function entriesUnder(
  read: (physical: bigint) => bigint | undefined,
  root: bigint,
  levels: number,
  first: number,
  count: number,
): Entry[] {
  const found: Entry[] = [];
  const visit = (table: bigint, level: number, start: number): void => {
    const pages = 512 ** (level - 1);
    for (let index = 0; index < 512; index++) {
      const page = start + index * pages;
      if (page + pages <= first) continue;
      if (page >= first + count) return;
      const at = table + BigInt(index) * 8n;
      const value = read(at);
      if (value === undefined) return;
      if (level > 1 && value & P && !(value & PS)) visit(value & FRAME, level - 1, page);
      else found.push({ page, pages, at, level, value });
    }
  };
  const whole = 512 ** levels;
  if (count > 0) visit(root, levels, Math.floor(first / whole) * whole);
  return found;
}

/** Entries that one record stands for. */
export interface Run {
  readonly page: number;
  /** The page behind it. */
  readonly end: number;
  readonly at: bigint;
  readonly level: number;
  readonly entries: number;
  readonly value: bigint;
}

/** Entries as runs, cut off at both ends of the range. @param loose bits in which the entries of a run may differ */
export function runsOf(entries: readonly Entry[], first: number, count: number, loose: bigint): Run[] {
  const runs: Run[] = [];
  let before: Entry | undefined;
  for (const entry of entries) {
    const page = Math.max(entry.page, first);
    const end = Math.min(entry.page + entry.pages, first + count);
    const run = runs.at(-1);
    if (run && before && goesOn(before, entry, loose)) {
      const value = run.value | (entry.value & loose);
      runs[runs.length - 1] = { ...run, end, entries: run.entries + 1, value };
    } else runs.push({ page, end, at: entry.at, level: entry.level, entries: 1, value: entry.value });
    before = entry;
  }
  return runs;
}

function goesOn(before: Entry, entry: Entry, loose: bigint): boolean {
  if (entry.at !== before.at + 8n || entry.at % 4096n === 0n) return false;
  const bits = ~(FRAME | loose);
  if ((before.value & bits) !== (entry.value & bits)) return false;
  const size = 1n << BigInt(12 + 9 * (entry.level - 1));
  const [one, other] = [before.value & FRAME, entry.value & FRAME];
  if (entry.value & P) return other - one === size;
  if (entry.value & G) return (~other & FRAME) - (~one & FRAME) === size;
  return one === other;
}
