/**
 * The core's scan, assembly/gup.ts, against a walk page by page in plain words: over the three kinds of memory, over trees of
 * random entries with leaves of every size.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { GUP_RUN_BYTES } from '../../../src/core/generated/layout.ts';
import { FlatMemory, Mmu, type PhysicalMemory, SparseMemory } from '../../../src/index.ts';

const PAGES = 2000;
const ROOM = 64;

/** Entry bits of a leaf; the last ones are not enough for a program, or not for a writer. */
const BITS = [0x7, 0x7, 0x7, 0x67, 0x5, 0x25, 0x3, 0x1, 0x6, 0x0, 0x107, 0x18];
/** Bits above the address: none, a protection key, XD. */
const HIGH = [0n, 0n, 5n << 59n, 1n << 63n];
/** What an entry that points to a table has: rights that do not count, and no P. */
const POINTER = [7n, 7n, 7n, 1n, 7n | (1n << 63n), 6n];

interface Kind {
  readonly name: string;
  readonly make: () => PhysicalMemory;
  /** Where its tables lie: in a sparse memory, far from 0. */
  readonly base: bigint;
}

const kinds: readonly Kind[] = [
  { name: 'flat', make: () => new FlatMemory({ bytes: 2 ** 20 }), base: 0n },
  { name: 'threads', make: () => new FlatMemory({ bytes: 2 ** 20, shared: true }), base: 0n },
  {
    name: 'sparse',
    make: () => {
      const memory = new SparseMemory();
      for (let frame = 0n; frame < 64n; frame++) memory.addFrame(SPARSE + frame * 4096n);
      return memory;
    },
    base: 0x7_0000_0000_0000n,
  },
];
const SPARSE = 0x7_0000_0000_0000n;

/** What to put into a table: entries from an index on. */
interface Row {
  readonly from: number;
  readonly count: number;
  readonly bits: number;
  readonly high: bigint;
  readonly frame: number;
  /** Frames follow each other from entry to entry, or all are the same. */
  readonly follows: boolean;
}

const row = (levels: number): fc.Arbitrary<Row> =>
  fc.record({
    from: fc.integer({ min: 0, max: levels === 1 ? 511 : 40 }),
    count: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 60 }) }, fc.constant(512)),
    bits: fc.constantFrom(...BITS),
    high: fc.constantFrom(...HIGH),
    frame: fc.integer({ min: 0, max: 2 ** 40 - 2 ** 27 }),
    follows: fc.boolean(),
  });
const rows = (level: number): fc.Arbitrary<Row[]> => fc.array(row(level), { maxLength: 8 });

const trees = fc.record({
  levels: fc.constantFrom(4, 5),
  large: rows(3),
  middle: rows(2),
  small: fc.array(rows(1), { minLength: 4, maxLength: 4 }),
  /** Directory entries that point to the tables with 4 KiB leaves. */
  places: fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 4, maxLength: 4 }),
  directory: fc.integer({ min: 0, max: 10 }),
  pointer: fc.constantFrom(...POINTER),
});
type Tree = typeof trees extends fc.Arbitrary<infer T> ? T : never;

const requests = fc.record({
  /** Entry of 1 GiB, or that with the directory. */
  large: fc.option(fc.integer({ min: 0, max: 12 })),
  middle: fc.integer({ min: 0, max: 32 }),
  small: fc.integer({ min: 0, max: 511 }),
  /** Where one of the tables with 4 KiB leaves begins, or somewhere. */
  at: fc.option(fc.integer({ min: 0, max: 3 })),
  count: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: PAGES })),
  write: fc.boolean(),
  room: fc.integer({ min: 1, max: ROOM }),
});

/** Writes a tree; returns its root. */
function plant(memory: PhysicalMemory, base: bigint, tree: Tree): bigint {
  for (let at = 0n; at < 12n * 4096n; at += 8n) memory.writeEntry(base + 4096n + at, 0n);
  const table = (index: number): bigint => base + BigInt(index) * 4096n;
  const fill = (at: bigint, level: number, entries: readonly Row[]): void => {
    const pages = 512n ** BigInt(level - 1);
    for (const { from, count, bits, high, frame, follows } of entries) {
      for (let index = 0; index < count && from + index < 512; index++) {
        const aligned = (BigInt(frame) / pages) * pages + (follows ? BigInt(index) * pages : 0n);
        const size = level > 1 ? 0x80n : 0n;
        memory.writeEntry(at + BigInt(from + index) * 8n, (aligned << 12n) | BigInt(bits) | high | size);
      }
    }
  };
  let root = table(1);
  if (tree.levels === 5) {
    root = table(9);
    memory.writeEntry(root, table(1) | 7n);
  }
  memory.writeEntry(table(1), table(2) | tree.pointer);
  fill(table(2), 3, tree.large);
  memory.writeEntry(table(2) + BigInt(tree.directory) * 8n, table(3) | 7n);
  fill(table(3), 2, tree.middle);
  for (const [index, place] of tree.places.entries()) {
    fill(table(4 + index), 1, tree.small[index]!);
    memory.writeEntry(table(3) + BigInt(place) * 8n, table(4 + index) | (index ? 7n : tree.pointer));
  }
  return root;
}

interface Leaf {
  readonly frame: number;
  /** Physical address of the entry, and the level. */
  readonly entry: number;
  readonly level: number;
}

/** The leaf behind a page, if it permits it. */
function leafOf(memory: PhysicalMemory, root: bigint, levels: number, page: bigint, write: boolean): Leaf | undefined {
  let table = root;
  for (let level = levels; level > 0; level--) {
    const at = table + ((page >> BigInt(9 * (level - 1))) & 511n) * 8n;
    const entry = memory.readEntry(at);
    if (entry === undefined || !(entry & 1n)) return undefined;
    if (level > 1 && !(entry & 0x80n)) {
      table = entry & 0xf_ffff_ffff_f000n;
      continue;
    }
    if (level > 3 || !(entry & 4n) || (write && !(entry & 2n))) return undefined;
    const within = page % 512n ** BigInt(level - 1);
    const frame = (entry & 0xf_ffff_ffff_f000n) >> 12n;
    return { frame: Number(frame - (frame % 512n ** BigInt(level - 1)) + within), entry: Number(at), level };
  }
  return undefined;
}

/** Whether a leaf belongs to the run of the page before it. */
function goesOn(before: Leaf, { frame, entry, level }: Leaf): boolean {
  const isNeighbour = entry === before.entry + 8 && entry % 4096 !== 0;
  return (entry === before.entry || isNeighbour) && level === before.level && frame === before.frame + 1;
}

describe.each(kinds)('$name memory', ({ make, base }) => {
  let memory: PhysicalMemory;
  beforeAll(() => {
    memory = make();
  });

  test('pages, runs and where they end are those of a walk page by page', () => {
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    const list = memory.arena.allocate(PAGES * 8);
    const runs = memory.arena.allocate((ROOM + 1) * GUP_RUN_BYTES);
    fc.assert(
      fc.property(trees, requests, (tree, { large, middle, small, at, count, write, room }) => {
        const root = plant(memory, base, tree);
        const [gib, mib] = at === null ? [large ?? tree.directory, middle] : [tree.directory, tree.places[at]!];
        const first = gib * 2 ** 18 + mib * 512 + small;
        const leaves: Leaf[] = [];
        for (let page = first; leaves.length < count; page++) {
          const leaf = leafOf(memory, root, tree.levels, BigInt(page), write);
          if (!leaf) break;
          leaves.push(leaf);
        }
        const shift = tree.levels === 5 ? 48 : 39;
        const rootFrame = Number(root) / 4096;
        expect(core.gupCount(rootFrame, shift, first, count, write ? 1 : 0)).toBe(leaves.length);

        /* Until nothing comes any more: each call ends at the latest where its runs are used up. */
        const found: number[] = [];
        while (found.length < leaves.length) {
          const got = core.gupPages(
            rootFrame,
            shift,
            first + found.length,
            count - found.length,
            write ? 1 : 0,
            list,
            runs,
            room,
          );
          if (got === 0) break;
          const numbers = new Float64Array(memory.wasm.buffer);
          const pages = [...numbers.subarray(list / 8, list / 8 + got)];
          let run = runs / 8;
          let used = 0;
          for (let page = 0; page < got; run += 3, used++) {
            const end = numbers[run + 3]!;
            expect(numbers[run]).toBe(page);
            const leaf = leaves[found.length + page]!;
            if (page) expect(goesOn(leaves[found.length + page - 1]!, leaf)).toBe(false);
            expect([numbers[run + 1], numbers[run + 2]]).toEqual([leaf.frame, leaf.entry + leaf.level]);
            for (let inRun = page; inRun < end; inRun++) {
              const other = leaves[found.length + inRun]!;
              expect(pages[inRun]).toBe(leaf.frame + inRun - page);
              expect(Math.floor(other.entry / 4096)).toBe(Math.floor(leaf.entry / 4096));
            }
            page = end;
          }
          expect(used).toBeLessThanOrEqual(room);
          found.push(...pages);
        }
        expect(found).toEqual(leaves.map(({ frame }) => frame));
      }),
      { numRuns: 300 },
    );
  });

  test('a run ends with its table, although frames go on', () => {
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    const small = [0, 511].map((frame) => [
      { from: 0, count: 512, bits: 7, high: 0n, frame: frame + (frame && 1), follows: true },
    ]);
    const tree: Tree = {
      levels: 4,
      large: [],
      middle: [],
      small: [...small, [], []],
      places: [0, 1, 9, 9],
      directory: 0,
      pointer: 7n,
    };
    const root = plant(memory, base, tree);
    const list = memory.arena.allocate(PAGES * 8);
    const runs = memory.arena.allocate((ROOM + 1) * GUP_RUN_BYTES);
    expect(core.gupPages(Number(root) / 4096, 39, 0, 1024, 1, list, runs, ROOM)).toBe(1024);
    const [first, , , second, , , end] = new Float64Array(memory.wasm.buffer, runs, 7);
    expect([first, second, end]).toEqual([0, 512, 1024]);
  });

  test('PAT in a large leaf is no part of its frame, and PS above 1 GiB makes no leaf', () => {
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    const tree: Tree = {
      levels: 4,
      large: [],
      middle: [],
      small: [[], [], [], []],
      places: [1, 1, 1, 1],
      directory: 1,
      pointer: 7n,
    };
    const root = plant(memory, base, tree);
    memory.writeEntry(base + 2n * 4096n, 0x4000_1087n);
    const list = memory.arena.allocate(PAGES * 8);
    const runs = memory.arena.allocate((ROOM + 1) * GUP_RUN_BYTES);
    expect(core.gupPages(Number(root) / 4096, 39, 5, 2, 1, list, runs, ROOM)).toBe(2);
    expect([...new Float64Array(memory.wasm.buffer, list, 2)]).toEqual([0x4_0005, 0x4_0006]);
    memory.writeEntry(root, (base + 2n * 4096n) | 0x87n);
    expect(core.gupCount(Number(root) / 4096, 39, 0, 1, 0)).toBe(0);
  });

  /** A root whose first entry points to a table with leaves of 1 GiB, and the frame of the root. */
  const ofLargeLeaves = (): number => {
    const row = { from: 0, count: 512, bits: 7, high: 0n, frame: 0, follows: true };
    const tree = { levels: 4 as const, large: [row], middle: [row], small: [[], [], [], []], places: [9, 10, 11, 12] };
    return Number(plant(memory, base, { ...tree, directory: 9, pointer: 7n })) / 4096;
  };

  test('large leaves end with their table', () => {
    const root = ofLargeLeaves();
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    expect(core.gupCount(root, 39, 512 * 2 ** 18 - 5, 10, 1)).toBe(5);
  });

  test('a table behind large leaves is no leaf', () => {
    const root = ofLargeLeaves();
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    expect(core.gupCount(root, 39, 9 * 2 ** 18 + 9 * 512 - 5, 10, 1)).toBe(5);
  });

  test('a run that begins within a large leaf goes on with the next one', () => {
    const root = ofLargeLeaves();
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    const list = memory.arena.allocate(PAGES * 8);
    const runs = memory.arena.allocate((ROOM + 1) * GUP_RUN_BYTES);
    expect(core.gupPages(root, 39, 9 * 2 ** 18 + 5, 1000, 1, list, runs, ROOM)).toBe(1000);
    const [begin, frame, , end] = new Float64Array(memory.wasm.buffer, runs, 4);
    expect([begin, frame, end]).toEqual([0, 5, 1000]);
  });

  test('a frame that comes twice is no longer of the run', () => {
    const root = ofLargeLeaves();
    for (const [index, frame] of [20n, 21n, 21n, 22n].entries()) {
      memory.writeEntry(base + 4n * 4096n + BigInt(index) * 8n, (frame << 12n) | 7n);
    }
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    const list = memory.arena.allocate(4 * 8);
    const runs = memory.arena.allocate((ROOM + 1) * GUP_RUN_BYTES);
    expect(core.gupPages(root, 39, 9 * 2 ** 18 + 9 * 512, 4, 1, list, runs, ROOM)).toBe(4);
    expect([...new Float64Array(memory.wasm.buffer, list, 4)]).toEqual([20, 21, 21, 22]);
    const [begin, frame, , next, frameOfNext, , end] = new Float64Array(memory.wasm.buffer, runs, 7);
    expect([begin, frame, next, frameOfNext, end]).toEqual([0, 20, 2, 21, 4]);
  });

  test('a table outside memory is the end', () => {
    const root = ofLargeLeaves();
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    expect(core.gupCount(root, 39, 0, 10, 0)).toBe(10);
    for (const outside of [0x8_0000_0000_0000n, 0xf_0000_0000_0000n]) {
      /* The low half of the address is that of a table. */
      memory.writeEntry(base + 4096n, (outside + 2n * 4096n) | 7n);
      expect(core.gupCount(root, 39, 0, 10, 0)).toBe(0);
    }
  });

  test('tables that contain themselves end with the range', () => {
    const core = new Mmu(memory, { cr3: base + 4096n }).core;
    for (let at = 0n; at < 4096n; at += 8n) memory.writeEntry(base + 4096n + at, (base + 4096n) | 7n);
    expect(core.gupCount(Number(base) / 4096 + 1, 39, 0, 2 ** 22, 0)).toBe(2 ** 22);
  });
});
