/**
 * Going through page tables in runs, and writing them so: with the core's lists, with short ones, and in an embedder's memory that has
 * no room for any. What the core itself lists and writes is test/conformance/leaf.test.ts's.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import { FlatMemory } from '../../src/core/flat-memory.ts';
import { LEAF_RUN_BYTES } from '../../src/core/generated/layout.ts';
import { PTE_NONE, PTE_UFFD_WP_MARKER } from '../../src/linux/base/pte.ts';
import { pageProtection, protectionFlags } from '../../src/linux/base/vm-protection.ts';
import { PROT_NONE, PROT_READ, PROT_WRITE, Pte } from '../../src/linux/index.ts';
import { Machine } from '../../src/linux/machine/machine.ts';
import type { LeafRun } from '../../src/linux/mm/leaf-cursor.ts';
import type { ChangePte } from '../../src/linux/mm/leaf-scan.ts';
import { Mm } from '../../src/linux/mm/mm.ts';
import { allocateEntryAt, entryAt, leafAt } from '../../src/linux/page-tables/page-table.ts';
import { entriesUnder, firstPage, framesOf, type Run, runsOf, type Tree, trees } from '../support/entries.ts';
import { A, D, FRAME, GIB1, KIB4, MIB2 } from './support.ts';

const TABLES = 2 ** 20;
const WASM_PAGE = 65536;
/** Where random trees lie: far from where the machine makes its tables. */
const PLANTED = TABLES / 2;

/** Memory for tables, with room for so many runs. */
function embedded(runs: number): FlatMemory {
  const memory = new WebAssembly.Memory({ initial: TABLES / WASM_PAGE + 1 });
  const scratch = { at: TABLES, bytes: runs && runs * LEAF_RUN_BYTES + 8 };
  return new FlatMemory({ bytes: TABLES, memory, scratch });
}

const own = (): FlatMemory => new FlatMemory({ bytes: TABLES });

const memories = {
  'memory of its own': own,
  'room for eight runs': () => embedded(8),
  'no room for runs': () => embedded(0),
};

/** An address space on a new machine. */
function space(tables: FlatMemory, levels: 4 | 5 = 4): Mm {
  return Mm.create(new Machine({ tables, levels }), 'process 0')!;
}

/** Puts a tree's entries into an address space. */
function plant(mm: Mm, tree: Tree): void {
  for (const [at, table] of framesOf(tree, (index) => BigInt(index ? PLANTED + index * 4096 : mm.pgd.address))) {
    for (const [index, entry] of table.entries()) mm.machine.memory.writeEntry(at + BigInt(index) * 8n, entry);
  }
}

/** The runs of a range as they should be. */
function enumerated(mm: Mm, levels: number, first: number, count: number): Run[] {
  const root = BigInt(mm.pgd.address);
  const entries = entriesUnder((at) => mm.machine.memory.readEntry(at), root, levels, first, count);
  return runsOf(entries, first, count, A | D);
}

/** A cursor's run, as the enumeration has it. */
const seen = ({ address, end, ptep, shift, entries, pte }: LeafRun): Run => ({
  page: address / KIB4,
  end: end / KIB4,
  at: BigInt(ptep),
  level: (shift - 3) / 9,
  entries,
  value: pte.value,
});

function listed(mm: Mm, start: number, end: number): Run[] {
  const runs: Run[] = [];
  mm.machine.leafScan.runs(mm, start, end, (run) => runs.push(seen(run)));
  return runs;
}

/** Writes entries from an address on. */
function write(mm: Mm, address: number, shift: number, entries: readonly Pte[]): void {
  for (const [index, entry] of entries.entries()) {
    mm.machine.tables.write(allocateEntryAt(mm, address + index * 2 ** shift, shift)!, entry);
  }
}

/** The entries of a run, as they are now. */
function entriesOf(mm: Mm, { ptep, entries }: { readonly ptep: number; readonly entries: number }): Pte[] {
  return Array.from({ length: entries }, (_, index) => mm.machine.tables.read(ptep + index * 8));
}

function firstRun(mm: Mm, start: number, end: number): LeafRun {
  const run = mm.machine.leafScan.open(mm, start, end);
  if (!run.next()) throw new Error('an empty range');
  return run;
}

const protection = (prot: number) => pageProtection(protectionFlags(prot));
const RW = protection(PROT_READ | PROT_WRITE);
const NONE = protection(PROT_NONE);
/** So many leaves, each with the frame behind the last one's. */
const leaves = (count: number, shift: number, rights = RW) =>
  Array.from({ length: count }, (_, index) => Pte.of(0x10_0000 + (index * 2 ** shift) / KIB4, rights).mkhuge(shift));

const ranges = fc.record({
  before: fc.constantFrom(0, 0, 1, 512, 2 ** 18),
  skipped: fc.integer({ min: 0, max: 2 ** 14 }),
  count: fc.oneof(fc.integer({ min: 0, max: 2 ** 14 }), fc.constantFrom(2 ** 18, 2 ** 27)),
});

describe.each(Object.entries(memories))('with %s', (_, tables) => {
  test.each([4, 5] as const)('runs are those of an enumeration, with %i levels', (levels) => {
    const mm = space(tables(), levels);
    fc.assert(
      fc.property(trees, ranges, (tree, { before, skipped, count }) => {
        plant(mm, { ...tree, levels });
        const first = firstPage({ ...tree, levels }) + skipped - before;
        const wanted = enumerated(mm, levels, first, count);
        expect(listed(mm, first * KIB4, (first + count) * KIB4)).toEqual(wanted);
      }),
      { numRuns: 100 },
    );
  });

  test('several cursors may be under way', () => {
    const mm = space(tables());
    for (let at = 0; at < 40; at++) write(mm, at * 3 * KIB4, 12, leaves(2, 12));
    const alone = listed(mm, 0, MIB2);
    expect(alone).toHaveLength(80);
    const cursors = [0, 1].map(() => mm.machine.leafScan.open(mm, 0, MIB2));
    const together: Run[][] = [[], []];
    for (let step = 0; step < alone.length; step++) {
      for (const [index, cursor] of cursors.entries()) {
        if (cursor.next()) together[index]!.push(seen(cursor));
      }
    }
    expect(together).toEqual([alone, alone]);
    expect(cursors.map((cursor) => cursor.next())).toEqual([false, false]);
  });

  test('a run that is written to meanwhile does not disturb the next ones', () => {
    const mm = space(tables());
    for (let at = 0; at < 40; at++) write(mm, at * 3 * KIB4, 12, leaves(2, 12));
    const { leafScan } = mm.machine;
    const runs: number[] = [];
    leafScan.runs(mm, 0, MIB2, (run) => {
      runs.push(run.address / KIB4);
      leafScan.clear(run);
    });
    expect(runs).toEqual(Array.from({ length: 80 }, (_, index) => Math.floor(index / 2) * 3 + (index % 2) * 2));
    expect(listed(mm, 0, MIB2)).toMatchObject([{ entries: 512, value: 0n }]);
  });
});

test('a cursor goes on when memory has grown under it', () => {
  const mm = space(own());
  for (let at = 0; at < 40; at++) write(mm, at * 3 * KIB4, 12, leaves(2, 12));
  const alone = listed(mm, 0, MIB2);
  const grown: Run[] = [];
  mm.machine.leafScan.runs(mm, 0, MIB2, (run) => {
    mm.machine.memory.arena.allocate(WASM_PAGE);
    grown.push(seen(run));
  });
  expect(grown).toEqual(alone);
});

test('a function that answers false has seen the last run', () => {
  const mm = space(own());
  write(mm, 0, 12, [...leaves(2, 12), PTE_UFFD_WP_MARKER]);
  let calls = 0;
  mm.machine.leafScan.runs(mm, 0, MIB2, () => ++calls < 2);
  expect(calls).toBe(2);
});

test('a run says whether pages are there, and whether any was written to', () => {
  const mm = space(own());
  const [one, two, three] = leaves(3, 12) as [Pte, Pte, Pte];
  write(mm, 0, 12, [one, two.mkyoung(), Pte.halves(three.lo | Number(D), three.hi)]);
  write(mm, 3 * KIB4, 12, [PTE_UFFD_WP_MARKER, ...leaves(2, 12, NONE)]);
  const runs: unknown[] = [];
  mm.machine.leafScan.runs(mm, 0, 7 * KIB4, ({ entries, present, dirty, size }) => {
    runs.push({ entries, present, dirty, size });
  });
  expect(runs).toEqual([
    { entries: 3, present: true, dirty: true, size: KIB4 },
    { entries: 1, present: false, dirty: false, size: KIB4 },
    { entries: 2, present: true, dirty: false, size: KIB4 },
    { entries: 1, present: false, dirty: false, size: KIB4 },
  ]);
});

describe('an entry is found', () => {
  const mm = space(own());
  write(mm, 0, 12, leaves(1, 12));
  write(mm, MIB2, 21, leaves(1, 21));
  write(mm, GIB1, 30, leaves(1, 30));

  test.each([
    ['a leaf of 4 KiB', 0, 12],
    ['an empty entry of 4 KiB', KIB4, 12],
    ['a leaf of 2 MiB', MIB2 + KIB4, 21],
    ['a hole of 2 MiB', 2 * MIB2 + KIB4, 21],
    ['a leaf of 1 GiB', GIB1 + MIB2, 30],
    ['a hole of 1 GiB', 2 * GIB1, 30],
  ])('as far down as it goes: %s', (_, address, shift) => {
    const ptep = allocateEntryAt(mm, address, shift)!;
    expect(leafAt(mm, address)).toMatchObject({ ptep, shift });
    expect(leafAt(mm, address)!.lock).toBe(shift === 30 ? mm.pageTableLock : mm.machine.tables.page(ptep).lock);
  });

  test('at the level that is asked for, also where it points to a table', () => {
    for (const shift of [12, 21, 30]) {
      expect(entryAt(mm, 0, shift)).toBe(allocateEntryAt(mm, 0, shift));
    }
  });

  test('unless a hole is larger than any leaf', () => {
    expect(leafAt(mm, 512 * GIB1)).toBeUndefined();
  });
});

describe('a change', () => {
  const changes: Record<string, ChangePte> = {
    'another protection': (pte) => pte.modify(protection(PROT_READ)),
    'PROT_NONE, which inverts frame numbers': (pte) => pte.modify(NONE),
    'PROT_NONE and back': (pte) => pte.modify(NONE).modify(RW),
    'write protection of userfaultfd': (pte) => pte.modify(protection(PROT_READ)).wrprotect().mkuffdWp(),
    'its end': (pte) => pte.modify(RW).clearUffdWp(),
    'read-only': (pte) => pte.wrprotect(),
    dirty: (pte) => pte.mkdirty(),
    'not a change': (pte) => pte,
    'one value for all': () => PTE_UFFD_WP_MARKER,
  };

  test.each(Object.entries(changes))('of a run is that of each of its entries: %s', (_, change) => {
    const mm = space(own());
    const { leafScan, tables } = mm.machine;
    fc.assert(
      fc.property(trees, fc.nat(2 ** 9), (tree, skipped) => {
        plant(mm, { ...tree, levels: 4 });
        const start = (firstPage({ ...tree, levels: 4 }) + skipped) * KIB4;
        const wanted = new Map<number, Pte>();
        leafScan.runs(mm, start, start + 64 * MIB2, (run) => {
          for (const [index, pte] of entriesOf(mm, run).entries()) wanted.set(run.ptep + index * 8, change(pte));
          const before = tables.changes;
          leafScan.modify(run, change);
          expect(tables.changes).toBe(before + run.entries);
        });
        for (const [at, pte] of wanted) expect(tables.read(at).value).toBe(pte.value);
      }),
      { numRuns: 30 },
    );
  });

  test('can be written elsewhere, where each entry has the A and D of its own', () => {
    const mm = space(own());
    const { leafScan, tables } = mm.machine;
    const entries = leaves(8, 12).map(({ lo, hi }, index) => Pte.halves(lo | Number([0n, A, D, A | D][index % 4]), hi));
    write(mm, 0, 12, entries);
    const run = firstRun(mm, 0, 8 * KIB4);
    const to = allocateEntryAt(mm, GIB1, 12)!;
    const before = tables.changes;
    leafScan.copy(run, to, (pte) => pte.wrprotect());
    expect(tables.changes).toBe(before + 8);
    expect(entriesOf(mm, { ptep: to, entries: 8 })).toEqual(entries.map((pte) => pte.wrprotect()));
    expect(entriesOf(mm, run)).toEqual(entries);
    expect(tables.read(to + 64)).toEqual(PTE_NONE);
  });
});

describe('entries are filled', () => {
  test.each([
    ['present', RW],
    ['PROT_NONE', NONE],
  ])('with the pages that a larger leaf had: %s', (_, rights) => {
    const mm = space(own());
    const { leafScan, tables } = mm.machine;
    const table = allocateEntryAt(mm, 0, 12)!;
    const before = tables.changes;
    leafScan.fill(table, 512, Pte.of(0x7_7600, rights), 12);
    expect(tables.changes).toBe(before + 512);
    const entries = entriesOf(mm, { ptep: table, entries: 512 });
    expect(entries.map(({ pfn }) => pfn)).toEqual(entries.map((_, index) => 0x7_7600 + index));
    expect(new Set(entries.map(({ value }) => value & ~FRAME)).size).toBe(1);
    expect(firstRun(mm, 0, MIB2)).toMatchObject({ entries: 512 });
  });

  test('with one value, where it maps nothing', () => {
    const mm = space(own());
    const table = allocateEntryAt(mm, 0, 21)!;
    mm.machine.leafScan.fill(table + 8, 3, PTE_UFFD_WP_MARKER, 21);
    const [before, ...rest] = entriesOf(mm, { ptep: table, entries: 5 });
    expect([before, rest[3]]).toEqual([PTE_NONE, PTE_NONE]);
    expect(rest.slice(0, 3).every(({ isMarker }) => isMarker)).toBe(true);
  });
});

describe('a broken promise is told', () => {
  test('by whom more entries are written than a table has', () => {
    const mm = space(own());
    const table = allocateEntryAt(mm, 0, 12)!;
    expect(() => mm.machine.leafScan.fill(table + 8, 512, PTE_NONE, 12)).toThrow(InvariantError);
    const run = firstRun(mm, 0, MIB2);
    expect(() => mm.machine.leafScan.copy(run, table + 8, (pte) => pte)).toThrow(InvariantError);
  });

  test.each(Object.entries(memories))('when a table lies outside memory, with %s', (_, tables) => {
    const mm = space(tables());
    const outside = Pte.halves(0x7000_0067, 0);
    mm.machine.tables.write(allocateEntryAt(mm, 0, 30)!, outside);
    const { leafScan } = mm.machine;
    expect(() => leafScan.open(mm, 0, GIB1).next()).toThrow(InvariantError);
    expect(() => leafAt(mm, 0)).toThrow(InvariantError);
    expect(() => leafScan.runs(mm, 512 * GIB1 - GIB1, 512 * GIB1, () => {})).not.toThrow();
  });
});
