/**
 * Listing what is mapped: ranges, runs, repeated tables, entries that lead nowhere.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FlatMemory, type Mapping, Mmu, SparseMemory } from '../../src/index.ts';
import { referenceMappings } from '../../src/reference/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { imageRecipes, randomAddresses, randomImage, registerSets } from '../support/random.ts';
import { A, P, PS, Tables, U, W, XD } from '../support/tables.ts';
import { THOROUGH } from '../support/thorough.ts';

const TOP = 0xffff_ffff_ffff_ffffn;
const summary = ({ kind, va, pa, bytes, level }: Mapping) => ({ kind, va, pa, bytes, level });

describe.each(['flat', 'sparse'] as const)('a scan of %s memory', (kind) => {
  const mmuOf = (tables: Tables) =>
    new Mmu(memoryWith(tables.frames, kind), {
      cr3: tables.root,
      ...(tables.levels === 5 ? { cr4: (1n << 5n) | (1n << 12n) } : {}),
    });

  test('lists leaves of all sizes in ascending order, the upper half last', () => {
    const tables = new Tables()
      .map(0xffff_ffff_ffff_f000n, 0x3000n)
      .map(0x1000n, 0x9000n)
      .map(0xffff_8000_0000_0000n, 0x4000_0000n, { level: 3 })
      .map(0x20_0000n, 0x60_0000n, { level: 2 });
    expect([...mmuOf(tables).mappings()].map(summary)).toEqual([
      { kind: 'leaf', va: 0x1000n, pa: 0x9000n, bytes: 0x1000n, level: 1 },
      { kind: 'leaf', va: 0x20_0000n, pa: 0x60_0000n, bytes: 0x20_0000n, level: 2 },
      { kind: 'leaf', va: 0xffff_8000_0000_0000n, pa: 0x4000_0000n, bytes: 0x4000_0000n, level: 3 },
      { kind: 'leaf', va: 0xffff_ffff_ffff_f000n, pa: 0x3000n, bytes: 0x1000n, level: 1 },
    ]);
  });

  test('gives the rights over all levels and the bits of the leaf itself', () => {
    const tables = new Tables().map(0n, 0x9000n, { bits: W | U | A, above: W }).map(0x1000n, 0xa000n, { bits: XD });
    const [first, second] = [...mmuOf(tables).mappings()];
    expect(first).toMatchObject({ writable: true, user: false, executable: true, entry: 0x9000n | P | W | U | A });
    expect(second).toMatchObject({ writable: false, user: false, executable: false, entry: 0xa000n | P | XD });
  });

  test('masks the address of a large page, whose bit 12 is PAT', () => {
    const tables = new Tables().map(0n, 0x60_0000n, { level: 2, bits: 1n << 12n });
    expect([...mmuOf(tables).mappings()][0]!.pa).toBe(0x60_0000n);
  });

  test('starts and ends inside the range, with the leaf that covers its first address', () => {
    const tables = new Tables(5).map(0x20_0000n, 0n, { level: 2 });
    for (let va = 0n; va < 8n; va++) tables.map(va << 12n, 0x9000n);
    const mmu = mmuOf(tables);
    const list = (from: bigint, to: bigint) => [...mmu.mappings({ from, to })].map(({ va }) => va);
    expect(list(0x2345n, 0x4000n)).toEqual([0x2000n, 0x3000n, 0x4000n]);
    expect(list(0x2fffn, 0x2fffn)).toEqual([0x2000n]);
    expect(list(0x3f_ffffn, TOP)).toEqual([0x20_0000n]);
    expect(list(0x40_0000n, TOP)).toEqual([]);
  });

  test('starts and ends inside the upper half, too, and at the borders of the halves', () => {
    const [endOfLower, startOfUpper] = [0x7fff_ffff_ffffn, 0xffff_8000_0000_0000n];
    const tables = new Tables();
    for (const va of [0n, endOfLower & ~0xfffn, startOfUpper, startOfUpper + 0x1000n, TOP & ~0xfffn])
      tables.map(va, 0n);
    const mmu = mmuOf(tables);
    const list = (from: bigint, to: bigint) => [...mmu.mappings({ from, to })].map(({ va }) => va);
    expect(list(startOfUpper + 0x1000n, TOP - 0x1000n)).toEqual([startOfUpper + 0x1000n]);
    expect(list(startOfUpper, TOP)).toEqual([startOfUpper, startOfUpper + 0x1000n, TOP & ~0xfffn]);
    expect(list(0x1000n, endOfLower)).toEqual([endOfLower & ~0xfffn]);
    expect(list(endOfLower, startOfUpper)).toEqual([endOfLower & ~0xfffn, startOfUpper]);
  });

  test('asks for tables of no half that the range does not touch', () => {
    const mmu = mmuOf(new Tables());
    mmu.setRegisters({ cr3: 0xf_0000_0000_0000n });
    for (const [from, to] of [
      [0n, 0x7fff_ffff_ffffn],
      [0xffff_8000_0000_0000n, TOP],
    ] as const) {
      expect([...mmu.scan({ from, to })]).toHaveLength(1);
    }
    expect([...mmu.scan()]).toHaveLength(2);
  });

  test('merges leaves that are contiguous in linear and physical memory and equal in size and bits', () => {
    const tables = new Tables();
    for (let i = 0n; i < 600n; i++) tables.map(i << 12n, (i << 12n) + 0x10_0000n);
    tables.map(300n << 12n, 0x9999_9000n).change(tables.entry(1, 400n << 12n), { set: A });
    const runs = [...mmuOf(tables).mappings({ coalesce: true })];
    expect(runs.map(({ va, bytes }) => [va >> 12n, bytes >> 12n])).toEqual([
      [0n, 300n],
      [300n, 1n],
      [301n, 99n],
      [400n, 1n],
      [401n, 199n],
    ]);
  });

  test('does not merge where a higher level withholds rights', () => {
    const tables = new Tables().map(511n << 12n, 0x1000n).map(512n << 12n, 0x2000n, { above: U });
    expect([...mmuOf(tables).mappings({ coalesce: true })]).toHaveLength(2);
  });

  test('merges runs that are longer than its list, and many runs that fill it many times', () => {
    const tables = new Tables();
    for (let i = 0n; i < 5000n; i++) tables.map(i << 12n, i << 12n);
    for (let i = 6000n; i < 11000n; i++) tables.map(i << 12n, (i % 2n) << 13n);
    const runs = [...mmuOf(tables).mappings({ coalesce: true })];
    expect(runs).toHaveLength(5001);
    expect(runs[0]).toMatchObject({ va: 0n, bytes: 5000n << 12n });
    expect(runs.at(-1)).toMatchObject({ va: 10999n << 12n, bytes: 0x1000n });
  });

  test('names entries that lead nowhere, which mappings leaves out', () => {
    const tables = new Tables().map(0n, 0x9000n);
    tables.write(tables.root + 8n, 0xdead_beef_0000n | P | W);
    tables.write(tables.entry(2, 0n) + 8n, 0x4000n | P | PS);
    const mmu = mmuOf(tables);
    expect([...mmu.scan()].map(summary)).toEqual([
      { kind: 'leaf', va: 0n, pa: 0x9000n, bytes: 0x1000n, level: 1 },
      { kind: 'reserved', va: 0x20_0000n, pa: 0x4000n, bytes: 0x20_0000n, level: 2 },
      { kind: 'missing-table', va: 1n << 39n, pa: 0xdead_beef_0000n, bytes: 1n << 39n, level: 3 },
    ]);
    expect([...mmu.mappings()]).toHaveLength(1);
    expect([...mmu.scan()].map(({ entry, writable, user }) => [entry, writable, user])).toEqual([
      [0x9000n | P | W | U, true, true],
      [0x4000n | P | PS, false, false],
      [0xdead_beef_0000n | P | W, true, false],
    ]);
  });

  test('merges leaves only: of entries that lead nowhere each is listed', () => {
    const tables = new Tables().map(0n, 0n).map(0x1000n, 0x1000n);
    for (const i of [2n, 3n]) tables.write(tables.entry(1, 0n) + i * 8n, (i << 12n) | (1n << 51n) | P);
    const mmu = mmuOf(tables);
    mmu.setRegisters({ maxPhysicalAddress: 51 });
    expect([...mmu.scan({ coalesce: true })].map(({ kind: what, va, bytes }) => [what, va, bytes])).toEqual([
      ['leaf', 0n, 0x2000n],
      ['reserved', 0x2000n, 0x1000n],
      ['reserved', 0x3000n, 0x1000n],
    ]);
  });

  describe('a table that is met again', () => {
    const PD = 0x4000_0000n;

    test('may map something at one level though it maps nothing at another', () => {
      const tables = new Tables().map(PD, 0n);
      const both = tables.newTable();
      tables.write(both, tables.newTable() | P | W | U);
      /* First a page directory, whose page table is empty, then a page table. */
      tables.write(tables.entry(3, 0n), both | P | W | U).write(tables.entry(2, PD), both | P | W | U);
      for (const fold of [false, true]) expect([...mmuOf(tables).scan({ fold })].map(({ va }) => va)).toEqual([PD]);
    });

    test('is not taken for listed when it was listed at another level', () => {
      const tables = new Tables().map(0n, 0x9000n).map(PD, 0n);
      const directory = tables.read(tables.entry(3, 0n));
      tables.write(tables.entry(2, PD), directory);
      expect([...mmuOf(tables).scan({ fold: true })].map(({ kind: what, va, pa }) => [what, va, pa])).toEqual([
        ['leaf', 0n, 0x9000n],
        ['leaf', PD, tables.entry(1, 0n) & ~0xfffn],
      ]);
    });

    test('is known at each level from the time that it was listed there', () => {
      const tables = new Tables().map(PD, 0n);
      const both = tables.newTable();
      const page = tables.newTable() | P | W | U;
      const list = () => [...mmuOf(tables).scan({ fold: true })].map(({ kind: what, va }) => [what, va]);
      const at = (level: number, va: bigint) => tables.write(tables.entry(level, va), both | P | W | U);
      tables.write(both, page);
      /* As a page table, as a page directory, as a page table again. */
      at(2, PD);
      at(3, 2n * PD);
      tables.write(tables.entry(3, 3n * PD), tables.newTable() | P | W | U);
      at(2, 3n * PD);
      expect(list()).toEqual([
        ['leaf', PD],
        ['repeated-table', 3n * PD],
      ]);
      /* The same, but with something below the page directory; and that directory once more. */
      tables.write(page & ~0xfffn, page);
      at(3, 4n * PD);
      expect(list()).toEqual([
        ['leaf', PD],
        ['leaf', 2n * PD],
        ['repeated-table', 3n * PD],
        ['repeated-table', 4n * PD],
      ]);
    });

    test('is not taken for empty when the range had passed what it maps', () => {
      const tables = new Tables().map(0n, 0x9000n).map(PD, 0n);
      tables.write(tables.entry(2, PD), tables.read(tables.entry(2, 0n)));
      for (const fold of [false, true]) {
        expect([...mmuOf(tables).scan({ from: 0x1000n, fold })].map(({ va, pa }) => [va, pa])).toEqual([[PD, 0x9000n]]);
      }
    });

    test('is not taken for empty when all of it was merged into a run before it', () => {
      const tables = new Tables();
      for (let i = 0n; i < 1024n; i++) tables.map(i << 12n, i << 12n);
      tables.map(PD, 0n).write(tables.entry(2, PD), tables.read(tables.entry(2, 0x20_0000n)));
      expect([...mmuOf(tables).mappings({ coalesce: true })].map(({ va, bytes }) => [va, bytes])).toEqual([
        [0n, 0x40_0000n],
        [PD, 0x20_0000n],
      ]);
    });
  });

  test('fills the list that it is given to the last record, writes none behind it, and goes on from there', () => {
    const tables = new Tables();
    for (let i = 0n; i < 5n; i++) tables.map(i << 12n, i << 13n);
    const { core, memory } = mmuOf(tables);
    const notes = memory.arena.allocate(memory.frameCount * 4);
    const list = memory.arena.allocate(4 * 24);
    new Uint8Array(memory.wasm.buffer, notes, memory.frameCount * 4).fill(0);
    const words = new BigUint64Array(memory.wasm.buffer, list, 12);
    const step = (resume: bigint) => {
      words.fill(0x5555n);
      const count = core.scan(0n, 0xffffn, resume, list, 0, 3, notes, 0);
      return [count, core.scanIsFull(), core.scanCursor(), words[0]! & ~0xfffn, words[9]];
    };
    expect(step(0n)).toEqual([3, 1, 0x3000n, 0n, 0x5555n]);
    expect(step(0x3000n)).toEqual([2, 0, 0x3000n, 0x3000n, 0x5555n]);
  });

  test('goes on in ascending order when tables change under it', () => {
    const tables = new Tables().map(0n, 0x9000n);
    for (let i = 512n; i < 2048n; i++) tables.map(i << 12n, i << 13n);
    const mmu = mmuOf(tables);
    let before = -1n;
    for (const { va } of mmu.scan({ fold: true })) {
      /* The list was full in the midst of the page table that is now replaced by one that was listed. */
      if (before < 0n) mmu.memory.writeEntry(tables.entry(2, 0x40_0000n), tables.read(tables.entry(2, 0n)));
      expect(va).toBeGreaterThan(before);
      before = va;
    }
    expect(before).toBe(2047n << 12n);
  });

  test('lists the root itself as missing where there is no memory', () => {
    const mmu = mmuOf(new Tables());
    mmu.setRegisters({ cr3: 0xf_0000_0000_0000n });
    expect([...mmu.scan({ to: 0n })].map(summary)).toEqual([
      { kind: 'missing-table', va: 0n, pa: 0xf_0000_0000_0000n, bytes: 1n << 48n, level: 4 },
    ]);
  });

  test('with fold lists a repeated table once and names it afterwards', () => {
    const tables = new Tables().map(0n, 0x9000n).map(0x20_0000n, 0xa000n);
    const shared = tables.read(tables.entry(2, 0n));
    tables.write(tables.entry(2, 0x40_0000n), shared).write(tables.entry(2, 0x60_0000n), shared);
    expect([...mmuOf(tables).scan({ fold: true })].map(({ va, kind: what }) => [va, what])).toEqual([
      [0n, 'leaf'],
      [0x20_0000n, 'leaf'],
      [0x40_0000n, 'repeated-table'],
      [0x60_0000n, 'repeated-table'],
    ]);
    expect([...mmuOf(tables).mappings()].map(({ va }) => va)).toEqual([0n, 0x20_0000n, 0x40_0000n, 0x60_0000n]);
  });

  test('with fold does not take a table for listed that the range entered in its middle', () => {
    const tables = new Tables().map(0n, 0x9000n).map(0x4000_0000n, 0xa000n);
    tables.write(tables.root + 8n, tables.read(tables.root));
    const found = [...mmuOf(tables).scan({ fold: true, from: 0x4000_0000n })];
    expect(found.map(({ va, pa }) => [va, pa])).toEqual([
      [0x4000_0000n, 0xa000n],
      [1n << 39n, 0x9000n],
      [(1n << 39n) + 0x4000_0000n, tables.entry(2, 0x4000_0000n) & ~0xfffn],
    ]);
  });

  test('does not hang on tables that contain each other and map nothing', () => {
    const tables = new Tables();
    const [b, c, d] = [tables.newTable(), tables.newTable(), tables.newTable()];
    for (let i = 0n; i < 512n; i++) {
      tables
        .write(tables.root + i * 8n, b | P | W)
        .write(b + i * 8n, c | P | W)
        .write(c + i * 8n, d | P | W);
    }
    const started = performance.now();
    expect([...mmuOf(tables).scan()]).toEqual([]);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test('lists 2^36 leaves lazily, and with fold in no time', () => {
    const tables = new Tables();
    for (let i = 0n; i < 512n; i++) tables.write(tables.root + i * 8n, tables.root | P | W);
    const mmu = mmuOf(tables);
    let count = 0;
    for (const _ of mmu.mappings()) if (++count === 100_000) break;
    expect(count).toBe(100_000);
    expect([...mmu.scan({ fold: true })].length).toBe(511 * 3 + 512);
  });

  test('makes no empty block, and gives its memory back, also when left early', () => {
    const tables = new Tables();
    for (let i = 0n; i < 2000n; i++) tables.map(i << 12n, i << 13n);
    const mmu = mmuOf(tables);
    const counts = (options: object) => [...mmu.scanBlocks(options)].map(({ count }) => count);
    expect(counts({})).toEqual([1023, 977]);
    expect(counts({ from: 0x8000_0000n })).toEqual([]);
    const { byteLength } = mmu.memory.wasm.buffer;
    for (let i = 0; i < 50; i++) {
      expect(counts({})).toEqual([1023, 977]);
      for (const _ of mmu.scanBlocks()) break;
    }
    expect(mmu.memory.wasm.buffer.byteLength).toBe(byteLength);
  });

  test('can be listed twice at a time', () => {
    const tables = new Tables();
    for (let i = 0n; i < 3000n; i++) tables.map(i << 12n, i << 13n);
    const mmu = mmuOf(tables);
    let count = 0;
    const other = mmu.mappings();
    for (const { va } of mmu.mappings()) {
      expect(other.next().value!.va).toBe(va);
      count++;
    }
    expect(count).toBe(3000);
    expect(other.next().done).toBe(true);
  });

  test('finds in two parts of the range what it finds in the whole, on any image', THOROUGH, () => {
    fc.assert(
      fc.property(imageRecipes, registerSets, (recipe, registers) => {
        const image = randomImage({ ...recipe, present: 2, sane: 100, frames: Math.min(recipe.frames, 5) });
        const mmu = new Mmu(memoryWith(image, kind), registers);
        const read = (at: bigint) => image.get(at & ~0xfffn)?.[Number(at & 0xfffn) / 8];
        const all = [...referenceMappings(read, registers)].map(({ va }) => va);
        const width = mmu.levels === 5 ? 57 : 48;
        const cut = BigInt.asUintN(64, BigInt.asIntN(width, randomAddresses(recipe.seed, 1, width)[0]!));
        const lower = [...mmu.mappings({ to: cut })];
        const upper = [...mmu.mappings({ from: cut })];
        const known = new Set(lower.map(({ va }) => va));
        expect([...lower.map(({ va }) => va), ...upper.map(({ va }) => va).filter((va) => !known.has(va))]).toEqual(
          all,
        );
      }),
      { numRuns: 12 },
    );
  });

  test('merged runs unfold to the very leaves', () => {
    fc.assert(
      fc.property(imageRecipes, (recipe) => {
        const image = randomImage({ ...recipe, present: 50, sane: 100, frames: 2 });
        const mmu = new Mmu(memoryWith(image, kind), { cr3: 0n });
        const leaves = mmu.mappings();
        let checked = 0;
        for (const run of mmu.mappings({ coalesce: true })) {
          for (let done = 0n; done < run.bytes; done += BigInt(run.pageSize)) {
            const leaf = leaves.next().value!;
            expect([leaf.va, leaf.entry, leaf.bytes]).toEqual([run.va + done, run.entry + done, BigInt(run.pageSize)]);
          }
          if (++checked === 2000) break;
        }
      }),
      { numRuns: 20 },
    );
  });
});

test('a scan under which a sparse memory grows writes its notes over nothing', () => {
  const memory = new SparseMemory();
  const add = (from: bigint, count: bigint, content?: Uint8Array) => {
    for (let i = 0n; i < count; i++) memory.addFrame(from + (i << 12n), content);
  };
  const [before, watched, others, tables] = [1n << 40n, 2n << 40n, 3n << 40n, 4n << 40n];
  add(0n, 4n);
  for (let i = 0n; i < 3n; i++) {
    memory.writeEntry(i * 8n, ((i + 1n) << 12n) | P | W);
    for (let j = 0n; j < 512n; j++) {
      memory.writeEntry(((i + 1n) << 12n) + j * 8n, (tables + ((i * 512n + j) << 12n)) | P | W);
    }
  }
  add(before, 1500n);
  let missing = 0;
  for (const { kind } of new Mmu(memory, { cr3: 0n }).scan()) {
    expect(kind).toBe('missing-table');
    if (missing++) continue;
    add(watched, 20n, new Uint8Array(4096).fill(0x55));
    add(others, 3000n);
    add(tables, 3n * 512n);
  }
  /* One list of them; the others are there when the scan goes on, and map nothing. */
  expect(missing).toBe(1024);
  let changed = 0;
  for (let at = watched; at < watched + (20n << 12n); at += 8n) {
    if (memory.readEntry(at) !== 0x5555_5555_5555_5555n) changed++;
  }
  expect(changed).toBe(0);
});

test('a range that is not canonical, or upside down, is refused', () => {
  const mmu = new Mmu(new FlatMemory({ bytes: 4096 }), { cr3: 0n });
  const list = (from: bigint, to: bigint) => () => [...mmu.mappings({ from, to })];
  expect(list(0x8000_0000_0000n, TOP)).toThrow(
    new RangeError('from: expected a canonical address of 48 bits, got 0x800000000000'),
  );
  expect(list(0n, 0x8000_0000_0000n)).toThrow(RangeError);
  expect(list(2n, 1n)).toThrow(new RangeError('from: expected at most to = 0x1, got 0x2'));
});
