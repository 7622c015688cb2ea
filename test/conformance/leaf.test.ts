/**
 * Going through every entry under a range, assembly/leaf.ts: what is listed, what is written. Over all cores; against a plain
 * enumeration, entry by entry.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CoreExports } from '../../src/core/exports.ts';
import { LEAF_RUN_BYTES } from '../../src/core/generated/layout.ts';
import { compileCoreSync, type FlatMemory, Mmu, type PhysicalMemory } from '../../src/index.ts';
import { entriesUnder, firstPage, framesOf, type Place, type Run, runsOf, trees } from '../support/entries.ts';
import { readFixture } from '../support/files.ts';
import { type Frames, memoryWith } from '../support/implementations.ts';
import { Random } from '../support/random.ts';
import { A, D, G, P, PS, Tables, U, W } from '../support/tables.ts';
import { AGAIN_IN_BROWSER, THOROUGH } from '../support/thorough.ts';
import { startWorker, type TestWorker } from '../support/workers.ts';

const ROOM = 4096;
const LOOSE = A | D;
const FRAME = 0x000f_ffff_ffff_f000n;
/** Linux's entry for a page that is not there and will be write-protected. */
const MARKER = 0xf7ff_ffff_ffff_fc00n;
const debug = {
  flat: new WebAssembly.Module(await readFixture('build/flat-debug.wasm')),
  sparse: new WebAssembly.Module(await readFixture('build/sparse-debug.wasm')),
  threads: new WebAssembly.Module(await readFixture('build/threads-debug.wasm')),
};
const release = compileCoreSync();
const builds = (['flat', 'sparse', 'threads'] as const).flatMap((kind) =>
  Object.entries({ debug, release }).map(([build, core]) => ({ name: `${build}, ${kind}`, kind, core })),
);
const FAR: Place = (table) => 0x7_0000_0000_0000n + BigInt(table) * 0x1000n;
const NEAR: Place = (table) => BigInt(table + 1) * 0x1000n;

/** A core over frames, and a list that it fills. */
class Lister {
  readonly memory: PhysicalMemory;
  readonly core: CoreExports;
  readonly #list: number;
  readonly #root: bigint;

  constructor(frames: Frames, root: bigint, { kind, core }: (typeof builds)[number]) {
    this.memory = memoryWith(frames, kind, core);
    this.core = new Mmu(this.memory, { cr3: root }, core).core;
    this.#list = this.memory.arena.allocate(ROOM * LEAF_RUN_BYTES + 8);
    this.#root = root;
  }

  /** One call: the runs, each up to where the next begins, and where the list ends. */
  list(levels: number, first: number, count: number, loose = LOOSE, room = ROOM): { runs: Run[]; end: number } {
    const shift = levels === 5 ? 48 : 39;
    const frame = Number(this.#root >> 12n);
    const found = this.core.leafRuns(frame, shift, first, count, Number(loose), this.#list, room);
    const view = new DataView(this.memory.wasm.buffer, this.#list);
    const runs = Array.from({ length: found }, (_, index) => {
      const at = index * LEAF_RUN_BYTES;
      return {
        page: view.getFloat64(at, true),
        end: view.getFloat64(at + LEAF_RUN_BYTES, true),
        at: BigInt(view.getFloat64(at + 8, true)),
        value: view.getBigUint64(at + 16, true),
        entries: view.getUint32(at + 24, true),
        level: view.getUint32(at + 28, true),
      };
    });
    return { runs, end: view.getFloat64(found * LEAF_RUN_BYTES, true) };
  }

  /** Call after call, until the range ends. */
  listAll(levels: number, first: number, count: number, loose: bigint, room: number): Run[] {
    const all: Run[] = [];
    for (let page = first; page < first + count; ) {
      const { runs, end } = this.list(levels, page, first + count - page, loose, room);
      expect(runs.length).toBeGreaterThan(0);
      expect(runs.length).toBeLessThanOrEqual(room);
      all.push(...runs);
      page = end;
    }
    return all;
  }

  /** The entry at a physical address; undefined outside memory. */
  readonly read = (physical: bigint): bigint | undefined => this.memory.readEntry(physical);

  /** A whole table. */
  table(at: bigint): BigUint64Array {
    return BigUint64Array.from({ length: 512 }, (_, index) => this.memory.readEntry(at + BigInt(index) * 8n)!);
  }

  at(levels: number, page: number, stop: number): { at: bigint; level: number } {
    const found = this.core.leafAt(Number(this.#root >> 12n), levels === 5 ? 48 : 39, page, stop);
    return { at: BigInt(found - (found % 8)), level: found % 8 };
  }
}

/** Ranges near the table of 2 MiB entries; those of 2^27 pages leave it, and the table above. */
const ranges = fc.record({
  before: fc.oneof(fc.constantFrom(0, 0, 1, 511, 512), fc.integer({ min: 0, max: 2 ** 19 })),
  middle: fc.oneof(fc.integer({ min: 0, max: 31 }), fc.constantFrom(509, 510, 511)),
  small: fc.oneof(fc.constantFrom(0, 511), fc.integer({ min: 0, max: 511 })),
  count: fc.oneof(
    fc.integer({ min: 0, max: 2000 }),
    fc.integer({ min: 0, max: 2 ** 20 }),
    fc.integer({ min: 2 ** 27, max: 2 ** 28 }),
  ),
});

/* The debug builds, which are slow, are asked in the thorough run. */
for (const build of builds)
  describe(build.name, build.name.startsWith('debug') ? THOROUGH : AGAIN_IN_BROWSER, () => suiteOf(build));

function suiteOf(build: (typeof builds)[number]): void {
  const place = build.kind === 'sparse' ? FAR : NEAR;
  /* Debug builds are ten times as slow. */
  const numRuns = build.name.startsWith('debug') ? 40 : 120;

  test('the runs of a range are those of an enumeration, however little room there is', () => {
    fc.assert(
      fc.property(
        trees,
        ranges,
        fc.constantFrom(0n, A, LOOSE),
        fc.constantFrom(1, 2, 7, ROOM),
        (tree, { before, middle, small, count }, loose, room) => {
          const lister = new Lister(framesOf(tree, place), place(0), build);
          const first = firstPage(tree) + middle * 512 + small - before;
          const entries = entriesUnder(lister.read, place(0), tree.levels, first, count);
          const wanted = runsOf(entries, first, count, loose);
          expect(lister.listAll(tree.levels, first, count, loose, room)).toEqual(wanted);
        },
      ),
      { numRuns },
    );
  });

  test('the way down ends at the level that is asked for, or at the leaf or hole above it', () => {
    fc.assert(
      fc.property(trees, ranges, fc.constantFrom(0, 12, 21, 30, 39), (tree, { before, middle, small }, stop) => {
        const lister = new Lister(framesOf(tree, place), place(0), build);
        const page = firstPage(tree) + middle * 512 + small - before;
        let [at, level] = [0n, tree.levels as number];
        for (let table = place(0); ; level--) {
          at = table + ((BigInt(page) >> BigInt(9 * (level - 1))) & 511n) * 8n;
          const entry = lister.read(at)!;
          if (level === 1 || 12 + 9 * (level - 1) <= stop || !(entry & P) || entry & PS) break;
          table = entry & FRAME;
        }
        expect(lister.at(tree.levels, page, stop)).toEqual({ at, level });
      }),
      { numRuns },
    );
  });

  describe('a run', () => {
    /** The runs of the first pages, when a table of 4 KiB leaves begins with these entries. */
    const runsOfTable = (...entries: bigint[]) => {
      const tables = new Tables(4, place(0)).map(0n, 0n);
      for (const [index, entry] of entries.entries()) tables.write(tables.entry(1, 0n) + BigInt(index) * 8n, entry);
      const { runs } = new Lister(tables.frames, place(0), build).list(4, 0, entries.length);
      return runs.map(({ page, entries, value }) => ({ page, entries, value }));
    };
    const page = (frame: bigint, bits = P | W | U) => (frame << 12n) | bits;
    const protNone = (frame: bigint) => (~(frame << 12n) & FRAME) | G;

    test('of leaves has frames that follow each other', () => {
      expect(runsOfTable(page(8n), page(9n), page(10n), page(12n), page(11n), page(11n))).toEqual([
        { page: 0, entries: 3, value: page(8n) },
        { page: 3, entries: 1, value: page(12n) },
        { page: 4, entries: 1, value: page(11n) },
        { page: 5, entries: 1, value: page(11n) },
      ]);
    });

    test('of PROT_NONE leaves, too, though their frame numbers are stored inverted', () => {
      expect(runsOfTable(protNone(8n), protNone(9n), protNone(10n), protNone(9n))).toEqual([
        { page: 0, entries: 3, value: protNone(8n) },
        { page: 3, entries: 1, value: protNone(9n) },
      ]);
    });

    test('of leaves has frames that follow each other, also with G', () => {
      const bits = P | W | U | G;
      expect(runsOfTable(page(8n, bits), page(9n, bits), page(10n, bits), page(9n, bits))).toEqual([
        { page: 0, entries: 3, value: page(8n, bits) },
        { page: 3, entries: 1, value: page(9n, bits) },
      ]);
    });

    test('of entries that are not present has one value', () => {
      expect(runsOfTable(0n, 0n, MARKER, MARKER, MARKER, MARKER + 0x1000n)).toEqual([
        { page: 0, entries: 2, value: 0n },
        { page: 2, entries: 3, value: MARKER },
        { page: 5, entries: 1, value: MARKER + 0x1000n },
      ]);
    });

    test('has A and D if any of its entries has', () => {
      expect(runsOfTable(page(8n), page(9n, P | W | U | D), page(10n), page(11n, P | W | U | A), page(12n))).toEqual([
        { page: 0, entries: 5, value: page(8n, P | W | U | A | D) },
      ]);
      expect(runsOfTable(page(8n), page(9n, P | W | U | A), page(10n, P | U | D))).toEqual([
        { page: 0, entries: 2, value: page(8n, P | W | U | A) },
        { page: 2, entries: 1, value: page(10n, P | U | D) },
      ]);
    });

    test('has one set of rights', () => {
      expect(runsOfTable(page(8n), page(9n, P | U), page(10n, P | U)).map(({ entries }) => entries)).toEqual([1, 2]);
    });

    test('ends with its table, although frames go on', () => {
      const tables = new Tables(4, place(0));
      for (let at = 0n; at < 1024n; at++) tables.map(at << 12n, at << 12n);
      const { runs } = new Lister(tables.frames, place(0), build).list(4, 0, 1024);
      expect(runs.map(({ page, entries }) => [page, entries])).toEqual([
        [0, 512],
        [512, 512],
      ]);
    });

    test('of a missing table is one, and ends with the range', () => {
      const tables = new Tables(4, place(0)).map(0n, 0n);
      const { runs, end } = new Lister(tables.frames, place(0), build).list(4, 512, 2 ** 18);
      expect(runs).toEqual([
        { page: 512, end: 2 ** 18, at: tables.entry(2, 0x20_0000n), level: 2, entries: 511, value: 0n },
        { page: 2 ** 18, end: 2 ** 18 + 512, at: tables.entry(3, 2n ** 30n), level: 3, entries: 1, value: 0n },
      ]);
      expect(end).toBe(2 ** 18 + 512);
    });

    test('is no table, whatever its entry holds, in the last level', () => {
      expect(runsOfTable(page(8n), page(9n), page(10n, P | W | U | PS))).toHaveLength(2);
    });
  });

  test('a present entry with PS above 1 GiB is no table', () => {
    const tables = new Tables(4, place(0));
    tables.write(place(0), place(0) | P | PS);
    const lister = new Lister(tables.frames, place(0), build);
    expect(lister.list(4, 0, 1).runs).toMatchObject([{ level: 4, value: place(0) | P | PS }]);
    expect(lister.at(4, 0, 12)).toEqual({ at: place(0), level: 4 });
  });

  test('a list ends before a table that lies outside memory, and there is no way down', () => {
    const tables = new Tables(4, place(0)).map(0n, 0n);
    tables.write(tables.entry(2, 0x20_0000n), 0xf_ffff_ffff_f000n | P | W);
    const lister = new Lister(tables.frames, place(0), build);
    const { runs, end } = lister.list(4, 0, 2048);
    expect(runs.map(({ page, entries }) => [page, entries])).toEqual([
      [0, 1],
      [1, 511],
    ]);
    expect(end).toBe(512);
    expect(lister.list(4, 512, 512)).toEqual({ runs: [], end: 512 });
    expect(lister.at(4, 512, 12)).toEqual({ at: 0n, level: 0 });
    expect(lister.at(4, 512, 21)).toEqual({ at: tables.entry(2, 0x20_0000n), level: 2 });
  });

  test('tables that contain themselves end with the range', () => {
    const tables = new Tables(4, place(0));
    for (let index = 0n; index < 512n; index++) tables.write(place(0) + index * 8n, place(0) | P | W);
    const lister = new Lister(tables.frames, place(0), build);
    const runs = lister.listAll(4, 0, 2 ** 20, LOOSE, ROOM);
    expect(runs.at(-1)!.end).toBe(2 ** 20);
    expect(runs.reduce((entries, run) => entries + run.entries, 0)).toBe(2 ** 20);
  });

  /** Two tables with anything in them, and where in them to write. */
  const writes = fc.record({
    seed: fc.integer({ min: 1, max: 2 ** 30 }),
    to: fc.integer({ min: 0, max: 511 }),
    from: fc.integer({ min: 0, max: 511 }),
    count: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 512 })),
  });
  const noise = (seed: number) => {
    const random = new Random(seed);
    return BigUint64Array.from({ length: 512 }, () => random.bits() & random.bits() & random.bits());
  };
  const lowOf = (entries: BigUint64Array) => Number(entries.reduce((all, entry) => all | entry, 0n) & 0xffff_ffffn);
  const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const halves = (value: bigint) => [Number(value & 0xffff_ffffn), Number(value >> 32n)] as const;

  test('a write puts values, each a step from the one before, into some entries and no others', () => {
    const steps = fc.constantFrom(0, 2 ** 12, 2 ** 21, 2 ** 30, -(2 ** 12), -(2 ** 21), -(2 ** 30));
    fc.assert(
      fc.property(writes, word, steps, ({ seed, to, count }, value, step) => {
        const frames = new Map([1, 2].map((table) => [place(table), noise(seed + table)]));
        const lister = new Lister(frames, place(1), build);
        const at = Number(place(1)) + to * 8;
        const wanted = frames.get(place(1))!.slice();
        const before = wanted.slice(to, to + count);
        const seen = lister.core.leafWrite(at, count, ...halves(value), step);
        if (to + count > 512) expect(seen).toBe(-1);
        else {
          expect(seen).toBe(lowOf(before));
          for (let i = 0; i < count; i++) wanted[to + i] = BigInt.asUintN(64, value + BigInt(i) * BigInt(step));
        }
        expect(lister.table(place(1))).toEqual(wanted);
        expect(lister.table(place(2))).toEqual(frames.get(place(2)));
      }),
      { numRuns },
    );
  });

  test('a change keeps and flips bits of each entry, where it is or somewhere else', () => {
    fc.assert(
      fc.property(writes, word, word, fc.constantFrom(1, 2), ({ seed, to, from, count }, keep, flip, target) => {
        const frames = new Map([1, 2].map((table) => [place(table), noise(seed + table)]));
        const lister = new Lister(frames, place(1), build);
        const start = target === 1 ? from : to;
        const source = frames.get(place(1))!.slice(from, from + count);
        const wanted = frames.get(place(target))!.slice();
        const seen = lister.core.leafModify(
          Number(place(target)) + start * 8,
          Number(place(1)) + from * 8,
          count,
          ...halves(keep),
          ...halves(flip),
        );
        if (start + count > 512 || from + count > 512) expect(seen).toBe(-1);
        else {
          expect(seen).toBe(lowOf(source));
          for (let i = 0; i < count; i++) wanted[start + i] = (source[i]! & keep) ^ flip;
        }
        expect(lister.table(place(target))).toEqual(wanted);
        const other = place(3 - target);
        expect(lister.table(other)).toEqual(frames.get(other));
      }),
      { numRuns },
    );
  });

  test('nothing is written where there is no memory', () => {
    const frames = new Map([[place(1), noise(1)]]);
    const { core, memory } = new Lister(frames, place(1), build);
    const bytes = new Uint8Array(memory.wasm.buffer).slice();
    const isAsBefore = () => new Uint8Array(memory.wasm.buffer).every((byte, at) => byte === bytes[at]);
    for (const nowhere of [Number(place(2)), 2 ** 51, 2 ** 52 - 4096]) {
      expect(core.leafWrite(nowhere, 1, 7, 0, 4096)).toBe(-1);
      expect(core.leafModify(nowhere, Number(place(1)), 1, 0, 0, 7, 0)).toBe(-1);
      expect(core.leafModify(Number(place(1)), nowhere, 1, 0, 0, 7, 0)).toBe(-1);
    }
    expect(isAsBefore()).toBe(true);
  });
}

describe('while another thread writes to the same entries', () => {
  let worker: TestWorker;
  beforeAll(async () => {
    worker = await startWorker();
  });
  afterAll(() => worker.stop());

  /* An odd number: two at a time, and one that is left over. */
  const ENTRIES = 3;
  const image = () => {
    const frames = new Map([[0n, new BigUint64Array(512)]]);
    const memory = memoryWith(frames, 'threads') as FlatMemory;
    const { core } = new Mmu(memory, { cr3: 0n });
    return { memory, core, entries: Array.from({ length: ENTRIES }, (_, i) => memory.base + i * 8) };
  };

  /** Has the worker at it as long as we are. */
  async function during<Result>(job: object, work: () => void): Promise<Result> {
    let running = true;
    const result = worker.run<Result>({ ...job, milliseconds: 300 }).finally(() => {
      running = false;
    });
    while (running) {
      work();
      await new Promise((resolve) => setTimeout(resolve));
    }
    return result;
  }

  test('a write loses no bit that was set until then', async () => {
    const { memory, core, entries } = image();
    const bits = [A, D, 1n << 9n];
    let [found, marked] = [0, 0];
    const collect = () => {
      const seen = core.leafWrite(0, ENTRIES, 1, 0, 0);
      for (const bit of bits) if (seen & Number(bit)) found++;
    };
    /* Until both have really been at it at the same time. */
    while (marked < 2000) {
      const job = { job: 'mark', memory: memory.wasm, entries, bits };
      const marks = await during<{ marked: number }>(job, () => {
        for (let i = 0; i < 10_000; i++) collect();
      });
      marked += marks.marked;
      collect();
      expect(found).toBe(marked);
    }
  });

  test('a change loses none of its changes', async () => {
    const { memory, core, entries } = image();
    let changes = 0;
    await during({ job: 'toggle', memory: memory.wasm, entries }, () => {
      for (let i = 0; i < 10_001; i++, changes++) core.leafModify(0, 0, ENTRIES, -1, -1, Number(W), 0);
    });
    /* The other has changed its bit an even number of times. */
    const wanted = changes % 2 ? W : 0n;
    expect(entries.map((_, i) => memory.readEntry(BigInt(i * 8)))).toEqual(entries.map(() => wanted));
  });
});
