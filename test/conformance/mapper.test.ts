/**
 * Writing page tables: the rules one by one, then random operations, held against a list of what should be mapped where, by
 * the core's own scan.
 */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Access, CR4, Entry, FlatMemory, Mapper, Mmu, type PageSize, SparseMemory, Tlb } from '../../src/index.ts';

const KIB4 = 0x1000n;
const MIB2 = 0x20_0000n;
const GIB1 = 0x4000_0000n;
const W = Entry.writable;
const U = Entry.user;
const XD = Entry.executeDisable;

/** A mapper over memory of its own, whose tables come from a list of frames. */
function make({ levels = 4 as 4 | 5, frames = 64, frees = true } = {}) {
  const memory = new FlatMemory({ bytes: 1 << 20 });
  /* Frames may have any content. */
  memory.view().fill(0xff);
  const free = Array.from({ length: frames }, (_, i) => BigInt(frames - i) * 0x1000n);
  const mapper = new Mapper(memory, {
    levels,
    allocateFrame: () => free.pop(),
    ...(frees && { freeFrame: (frame) => free.push(frame) }),
  });
  const mmu = new Mmu(memory, { cr3: mapper.root, cr4: levels === 5 ? CR4.pae | CR4.la57 : CR4.pae });
  const leaves = () => [...mmu.mappings()].map(({ va, pa, level }) => [va, pa, level]);
  /** The entry at a level on the way to an address. */
  const entry = (va: bigint, level: number) => mmu.explain(va).steps.find((step) => step.level === level)!.entry;
  return { memory, mapper, mmu, free, leaves, entry };
}

describe('map', () => {
  test.each<[PageSize, number]>([
    [0x1000, 1],
    [0x20_0000, 2],
    [0x4000_0000, 3],
  ])('makes pages of the size that is asked for, and no larger: %i', (pageSize, level) => {
    const { mapper, leaves } = make();
    const size = BigInt(pageSize);
    const result = mapper.map(GIB1, 4n * GIB1, 2n * size, W | U, pageSize);
    expect(result).toEqual({ kind: 'changed', invalidate: [] });
    expect(leaves()).toEqual([
      [GIB1, 4n * GIB1, level],
      [GIB1 + size, 4n * GIB1 + size, level],
    ]);
  });

  test('takes 512 pages of 4 KiB for 2 MiB, though a large page would do', () => {
    const { mapper, leaves } = make();
    mapper.map(0n, 0n, MIB2, W);
    expect(leaves().length).toBe(512);
  });

  test.each([4, 5] as const)(
    'makes the tables that are missing, on %i levels, and they leave all rights to the leaf',
    (levels) => {
      const { mapper, mmu, entry, free } = make({ levels });
      const before = free.length;
      mapper.map(0xffff_8000_0000_0000n, 0x9000n, KIB4, XD);
      expect(before - free.length).toBe(levels - 1);
      for (let level = 2; level <= levels; level++) {
        expect(entry(0xffff_8000_0000_0000n, level) & 0xfffn).toBe(Entry.present | W | U);
      }
      expect(mmu.translate(0xffff_8000_0000_0123n)).toMatchObject({
        physicalAddress: 0x9123n,
        writable: false,
        user: false,
        executable: false,
      });
    },
  );

  test('writes the bits of the leaf as they are given, PAT in its place for the page size', () => {
    const { mapper, mmu, entry } = make();
    const bits = W | Entry.global | Entry.cacheDisable | (5n << Entry.protectionKeyShift) | (1n << 9n);
    mapper.map(0n, 0x9000n, KIB4, bits | Entry.pat);
    expect(entry(0n, 1)).toBe(0x9000n | bits | Entry.pat | Entry.present);
    mapper.map(GIB1, GIB1, MIB2, bits | Entry.patOfLargePage, 0x20_0000);
    expect(entry(GIB1, 2)).toBe(GIB1 | bits | Entry.patOfLargePage | Entry.pageSize | Entry.present);
    expect([0n, GIB1].map((va) => (mmu.translate(va) as { patIndex: number }).patIndex)).toEqual([6, 6]);
  });

  test('of what is mapped says where, and changes nothing', () => {
    const { mapper, leaves, entry, free } = make();
    mapper.map(MIB2 + 0x3000n, 0x9000n, KIB4, W);
    const [before, frames] = [leaves(), free.length];
    expect(mapper.map(MIB2, 0n, 0x8000n, W)).toEqual({
      kind: 'already-mapped',
      va: MIB2 + 0x3000n,
      level: 1,
      entry: entry(MIB2 + 0x3000n, 1),
    });
    expect(mapper.map(0n, 0n, 2n * MIB2, W, 0x20_0000)).toMatchObject({ kind: 'already-mapped', va: MIB2, level: 2 });
    expect(mapper.map(0n, 0n, GIB1, W, 0x4000_0000)).toMatchObject({ kind: 'already-mapped', va: 0n, level: 3 });
    expect([leaves(), free.length]).toEqual([before, frames]);
    mapper.map(GIB1, 0n, GIB1, W, 0x4000_0000);
    expect(mapper.map(GIB1 + 0x5000n, 0n, KIB4, W)).toMatchObject({
      kind: 'already-mapped',
      va: GIB1 + 0x5000n,
      level: 3,
    });
  });

  test('puts a large page where an empty table stands, which has to be invalidated, and gives it back', () => {
    const memory = new FlatMemory({ bytes: 1 << 20 });
    const freed: bigint[] = [];
    let next = 0x1000n;
    const allocateFrame = () => {
      next += 0x1000n;
      return next;
    };
    const options = { root: 0x1000n, allocateFrame };
    const mapper = new Mapper(memory, options);
    mapper.map(0n, 0n, KIB4, W);
    mapper.unmap(0n, KIB4);
    const other = new Mapper(memory, { ...options, freeFrame: (frame) => freed.push(frame) });
    expect(other.map(0n, 0n, GIB1, W, 0x4000_0000)).toEqual({ kind: 'changed', invalidate: [0n] });
    expect(freed.sort()).toEqual([0x3000n, 0x4000n]);
  });

  test('where frames run out says how many it takes, gives back those it had, and changes nothing', () => {
    const { mapper, leaves, free } = make({ frames: 3 });
    expect(mapper.map(0n, 0n, KIB4, W)).toEqual({ kind: 'no-frame', needed: 3 });
    expect([leaves(), free.length]).toEqual([[], 2]);
  });

  test.each<[string, () => bigint]>([
    [
      'throws',
      () => {
        throw new Error('out of frames');
      },
    ],
    ['gives what is no frame', () => 0x5001n],
  ])('gives back the frames it had where allocateFrame %s, and changes nothing', (_, last) => {
    const memory = new FlatMemory({ bytes: 1 << 20 });
    const free = [0x3000n, 0x2000n];
    const freeFrame = (frame: bigint) => free.push(frame);
    const mapper = new Mapper(memory, { root: 0x1000n, allocateFrame: () => free.pop() ?? last(), freeFrame });
    expect(() => mapper.map(0n, 0n, KIB4, W)).toThrow(/^out of frames$|^allocateFrame/);
    expect([free, memory.readEntry(0x1000n)]).toEqual([[0x2000n, 0x3000n], 0n]);
  });

  test('below an entry that takes away a right that is asked for says which', () => {
    const { memory, mapper, entry, free } = make();
    mapper.map(0n, 0n, KIB4, W | U);
    for (const [set, clear, bits] of [
      [0n, W, W],
      [0n, U, U],
      [XD, 0n, 0n],
    ] as const) {
      const pdpt = entry(0n, 4) & Entry.addressMask;
      const good = memory.readEntry(pdpt)!;
      memory.writeEntry(pdpt, (good & ~clear) | set);
      const frames = free.length;
      expect(mapper.map(KIB4, 0n, KIB4, bits)).toEqual({
        kind: 'restricted-above',
        va: KIB4,
        level: 3,
        entry: (good & ~clear) | set,
      });
      expect(free.length).toBe(frames);
      expect(mapper.map(KIB4, 0n, KIB4, (W | U | XD) & ~bits & (set ? -1n : ~clear)).kind).toBe('changed');
      mapper.unmap(KIB4, KIB4);
      memory.writeEntry(pdpt, good);
    }
  });

  test('below a table that is missing, or an entry with reserved bits set, says so', () => {
    const { memory, mapper } = make();
    memory.writeEntry(mapper.root, 0xabc_d000n | Entry.present | W | U);
    expect(mapper.map(0n, 0n, KIB4, W)).toMatchObject({ kind: 'missing-table', va: 0n, level: 4 });
    memory.writeEntry(mapper.root, 0x2000n | Entry.present | Entry.pageSize);
    expect(mapper.map(0n, 0n, KIB4, W)).toMatchObject({ kind: 'reserved', level: 4 });
    expect(mapper.unmap(0n, KIB4)).toMatchObject({ kind: 'reserved', level: 4 });
    mapper.map(1n << 39n, 0n, GIB1, W, 0x4000_0000);
    const pdpt = memory.readEntry(mapper.root + 8n)! & Entry.addressMask;
    memory.writeEntry(pdpt, 0x2000n | Entry.present | Entry.pageSize);
    expect(mapper.unmap(1n << 39n, KIB4)).toMatchObject({ kind: 'reserved', level: 3 });
  });
});

describe('unmap', () => {
  test('takes pages of any size away, and names each for INVLPG', () => {
    const { mapper, leaves } = make();
    mapper.map(0n, 0n, GIB1, W, 0x4000_0000);
    mapper.map(GIB1, 0n, MIB2, W, 0x20_0000);
    mapper.map(GIB1 + MIB2, 0n, 0x2000n, W);
    expect(mapper.unmap(0n, GIB1 + MIB2 + 0x2000n)).toEqual({
      kind: 'changed',
      invalidate: [0n, GIB1, GIB1 + MIB2, GIB1 + MIB2 + 0x1000n],
    });
    expect(leaves()).toEqual([]);
  });

  test('of a hole says where it is, and changes nothing', () => {
    const { mapper, leaves } = make();
    mapper.map(0n, 0n, 0x3000n, W);
    mapper.unmap(0x1000n, KIB4);
    const before = leaves();
    expect(mapper.unmap(0n, 0x3000n)).toEqual({ kind: 'not-mapped', va: 0x1000n, level: 1, entry: 0n });
    expect(mapper.unmap(GIB1, KIB4)).toMatchObject({ kind: 'not-mapped', va: GIB1, level: 3 });
    expect(leaves()).toEqual(before);
  });

  test('gives back the tables that it empties, but the root, and no table with anything in it', () => {
    const { memory, mapper, free, entry } = make();
    const before = free.length;
    mapper.map(0n, 0n, 0x2000n, W);
    mapper.unmap(0n, KIB4);
    expect(before - free.length).toBe(3);
    /* What an operating system has written into an entry that is not present is something. */
    const table = entry(0x1000n, 2) & Entry.addressMask;
    memory.writeEntry(table, 0xabc_0000n);
    mapper.unmap(0x1000n, KIB4);
    expect(before - free.length).toBe(3);
    memory.writeEntry(table, 0n);
    mapper.map(0n, 0n, KIB4, W);
    mapper.unmap(0n, KIB4);
    expect(free.length).toBe(before);
    expect(memory.readEntry(mapper.root)).toBe(0n);
  });

  test('leaves empty tables where they are, if nobody takes them', () => {
    const { mapper, free, entry } = make({ frees: false });
    mapper.map(0n, 0n, KIB4, W);
    const before = free.length;
    mapper.unmap(0n, KIB4);
    expect(free.length).toBe(before);
    expect(entry(0n, 1)).toBe(0n);
  });

  test('of a part splits a large page: 1 GiB into 2 MiB, and these into 4 KiB only where it is cut', () => {
    const { mapper, leaves, free } = make();
    mapper.map(GIB1, 4n * GIB1, GIB1, W, 0x4000_0000);
    const before = free.length;
    expect(mapper.unmap(GIB1 + 0x1000n, MIB2)).toEqual({ kind: 'changed', invalidate: [GIB1 + 0x1000n] });
    expect(before - free.length).toBe(3);
    const found = leaves();
    expect(found.length).toBe(510 + 1 + 511);
    for (const [va, pa] of found) expect(pa! as bigint).toBe((va as bigint) + 3n * GIB1);
    expect(found.filter(([, , level]) => level === 1).length).toBe(512);
  });
});

describe('protect', () => {
  test('changes R/W, U/S, XD and the key, and leaves everything else, A and D too', () => {
    const { mapper, mmu, entry } = make();
    const others = Entry.global | Entry.writeThrough | Entry.pat | (1n << 52n) | (1n << 11n);
    mapper.map(0n, 0x9000n, KIB4, W | U | others | (3n << Entry.protectionKeyShift));
    mmu.access(0n, Access.write);
    const rights = XD | (7n << Entry.protectionKeyShift);
    expect(mapper.protect(0n, KIB4, rights)).toEqual({ kind: 'changed', invalidate: [0n] });
    expect(entry(0n, 1)).toBe(0x9000n | others | rights | Entry.present | Entry.accessed | Entry.dirty);
  });

  test('that changes nothing splits nothing, and nothing needs INVLPG', () => {
    const { mapper, leaves } = make();
    mapper.map(0n, 0n, GIB1, W | U, 0x4000_0000);
    expect(mapper.protect(0x5000n, KIB4, W | U)).toEqual({ kind: 'changed', invalidate: [] });
    expect(leaves()).toEqual([[0n, 0n, 3]]);
  });

  test('of a part splits a large page, whose pieces keep rights, memory type, G, A and D; PAT moves from bit 12 to bit 7', () => {
    const { mapper, mmu, entry } = make();
    const bits = U | XD | Entry.global | Entry.cacheDisable | (2n << Entry.protectionKeyShift);
    mapper.map(0n, GIB1, GIB1, bits | W | Entry.patOfLargePage, 0x4000_0000);
    mmu.access(0n, Access.write);
    mapper.protect(0n, KIB4, U | XD);
    const used = Entry.present | Entry.accessed | Entry.dirty;
    expect(entry(MIB2, 2)).toBe((GIB1 + MIB2) | bits | W | used | Entry.patOfLargePage | Entry.pageSize);
    expect(entry(0x1000n, 1)).toBe((GIB1 + 0x1000n) | bits | W | used | Entry.pat);
    expect(entry(0n, 1)).toBe(GIB1 | U | XD | Entry.global | Entry.cacheDisable | used | Entry.pat);
    for (const level of [3, 2]) {
      expect(entry(0n, level) & 0xfffn).toBe(Entry.present | W | U | Entry.accessed);
      expect(entry(0n, level) & XD).toBe(0n);
    }
  });

  test('of pieces of a page that was never used leaves A clear in what points to them', () => {
    const { mapper, entry } = make();
    mapper.map(0n, 0n, MIB2, W, 0x20_0000);
    mapper.protect(0n, KIB4, 0n);
    expect(entry(0n, 2) & Entry.accessed).toBe(0n);
  });

  test('of a hole says where it is; below an entry that withholds the right, which', () => {
    const { memory, mapper, entry } = make();
    expect(mapper.protect(0n, KIB4, W)).toMatchObject({ kind: 'not-mapped', va: 0n, level: 4 });
    mapper.map(0n, 0n, KIB4, 0n);
    memory.writeEntry(mapper.root, entry(0n, 4) & ~W);
    expect(mapper.protect(0n, KIB4, W)).toMatchObject({ kind: 'restricted-above', va: 0n, level: 4 });
    expect(mapper.protect(0n, KIB4, XD).kind).toBe('changed');
  });

  test('that lacks a frame for the pieces changes nothing', () => {
    const { mapper, leaves, free } = make({ frames: 4 });
    mapper.map(0n, 0n, GIB1, W, 0x4000_0000);
    expect(free.length).toBe(2);
    expect(mapper.protect(MIB2, GIB1 - MIB2 - KIB4, 0n)).toEqual({ kind: 'changed', invalidate: [MIB2] });
    const again = leaves();
    expect(mapper.protect(MIB2, KIB4, W)).toEqual({ kind: 'no-frame', needed: 1 });
    expect(leaves()).toEqual(again);
  });
});

describe('a table that two entries point to, one of them not the mapper’s,', () => {
  const ALIAS = 1n << 39n;

  /** A page at 0 and at ALIAS: the entry at a level on the way to ALIAS points to what the one on the way to 0 points to. */
  function share(level: number) {
    const made = make();
    const { memory, mapper, entry } = made;
    mapper.map(0n, 0x9000n, KIB4, W);
    /* A page of the same tables further up, as levels above need a table of their own. */
    mapper.map(ALIAS + (level === 4 ? 0n : MIB2 * 512n), 0xa000n, KIB4, W);
    const table = level === 4 ? mapper.root : entry(ALIAS + GIB1, level + 1) & Entry.addressMask;
    const at = table + (level === 4 ? 8n : 0n);
    const shared = entry(0n, level) & Entry.addressMask;
    memory.writeEntry(at, shared | Entry.present | W | U);
    return { ...made, at, shared };
  }

  test.each([3, 4])('is not given back when it becomes empty, as long as the other is there: level %i', (level) => {
    const { memory, mapper, mmu, free, at, shared } = share(level);
    const pointer = memory.readEntry(at);
    expect(mmu.translate(ALIAS)).toMatchObject({ physicalAddress: 0x9000n });
    expect(mapper.unmap(0n, KIB4).kind).toBe('changed');
    expect([memory.readEntry(at), free.includes(shared)]).toEqual([pointer, false]);
    expect(mmu.translate(ALIAS).kind).toBe('page-fault');
    /* What the mapper makes next is not in the table that the other entry still leads to. */
    expect(mapper.map(0n, 0xb000n, KIB4, W).kind).toBe('changed');
    expect(mmu.translate(ALIAS).kind).toBe('page-fault');
    /* Without the other entry, what becomes empty is given back. */
    memory.writeEntry(at, 0n);
    const before = free.length;
    mapper.unmap(0n, KIB4);
    expect(free.length).toBe(before + 3);
  });

  test('stays where a large page takes the place of one of them, and so does what is below it', () => {
    const { memory, mapper, free, at, shared, entry } = share(3);
    const below = entry(0n, 2) & Entry.addressMask;
    memory.writeEntry(below, 0n);
    const before = free.length;
    expect(mapper.map(0n, 0n, GIB1, W, 0x4000_0000)).toEqual({ kind: 'changed', invalidate: [0n] });
    expect([free.length, free.includes(shared), free.includes(below)]).toEqual([before, false, false]);
    memory.writeEntry(at, 0n);
  });

  test('is given back once, where both are below one that goes', () => {
    const { memory, mapper, free, entry } = make();
    const before = free.length;
    mapper.map(0n, 0n, KIB4, W);
    const [directory, table] = [entry(0n, 3), entry(0n, 2)].map((one) => one & Entry.addressMask) as [bigint, bigint];
    memory.writeEntry(directory + 8n, table | Entry.present | W | U);
    memory.writeEntry(table, 0n);
    expect(mapper.map(0n, 0n, GIB1, W, 0x4000_0000).kind).toBe('changed');
    expect(free.filter((frame) => frame === table)).toEqual([table]);
    expect(free.length).toBe(before - 1);
  });

  test('is refused where a range comes to it by both, and nothing is changed', () => {
    const { memory, mapper, free, leaves, entry } = make();
    mapper.map(0n, 0x9000n, 0x2000n, W);
    mapper.map(MIB2, 0x9000n, KIB4, W);
    const directory = entry(0n, 3) & Entry.addressMask;
    memory.writeEntry(directory + 8n, memory.readEntry(directory)!);
    const [before, frames] = [leaves(), free.length];
    const obstacle = { kind: 'shared-table', va: MIB2, level: 2, entry: memory.readEntry(directory) };
    expect(mapper.map(0x2000n, 0n, 2n * MIB2, W)).toMatchObject({ kind: 'shared-table', va: MIB2 });
    expect(mapper.protect(0x1000n, MIB2, 0n)).toMatchObject({ kind: 'not-mapped', va: 0x2000n });
    mapper.map(0x2000n, 0n, MIB2 - 0x2000n, W);
    expect(mapper.unmap(0n, 2n * MIB2)).toEqual(obstacle);
    expect(mapper.protect(0n, 2n * MIB2, 0n)).toEqual(obstacle);
    expect([leaves().length, free.length]).toEqual([before.length + 2 * 510, frames]);
  });

  test('is refused where it is the root, behind an entry that shows the tables themselves; elsewhere all goes on', () => {
    const { memory, mapper, free } = make();
    const before = free.length;
    memory.writeEntry(mapper.root + 8n * 511n, mapper.root | Entry.present | W);
    expect(mapper.unmap(0xffff_ff80_0000_0000n, KIB4)).toMatchObject({ kind: 'shared-table', level: 4 });
    expect(mapper.map(0n, 0n, KIB4, W).kind).toBe('changed');
    expect(mapper.unmap(0n, KIB4).kind).toBe('changed');
    expect(free.length).toBe(before);
  });

  test('is looked at once a level, however often it contains itself', () => {
    const { memory, mapper, free } = make({ levels: 5 });
    const [table] = free.splice(0, 1) as [bigint];
    for (let at = table; at < table + 0x1000n; at += 8n) memory.writeEntry(at, table | Entry.present);
    memory.writeEntry(mapper.root + 8n, table | Entry.present | W | U);
    const looks = vi.spyOn(memory, 'locate');
    expect(mapper.map(0n, 0n, KIB4, W).kind).toBe('changed');
    expect(mapper.unmap(0n, KIB4).kind).toBe('changed');
    expect(looks.mock.calls.length).toBeLessThan(64);
  });
});

describe('allocateFrame that gives a table', () => {
  test.each([4, 3, 2])(
    'that an entry at level %i points to, whoever wrote it, is told so, and the table stays',
    (level) => {
      const { memory, mapper, mmu, free, leaves } = make();
      /* Tables that are not the mapper's. */
      const tables = [0xf_d000n, 0xf_e000n, 0xf_f000n];
      for (const table of tables) for (let at = table; at < table + 0x1000n; at += 8n) memory.writeEntry(at, 0n);
      for (const [index, table] of [mapper.root + 8n, tables[0]!, tables[1]!].entries()) {
        memory.writeEntry(table, tables[index]! | Entry.present | W | U);
      }
      memory.writeEntry(tables[2]!, 0x9000n | Entry.present | W);
      const [used, before, frames] = [tables[4 - level]!, leaves(), [...free]];
      free.push(used);
      expect(() => mapper.map(0n, 0n, KIB4, W)).toThrow(
        new RangeError(`allocateFrame(): expected a frame that is free, got 0x${used.toString(16)}, which is a table`),
      );
      expect([leaves(), [...free].sort(byValue)]).toEqual([before, frames.sort(byValue)]);
      expect(mmu.translate(1n << 39n)).toMatchObject({ physicalAddress: 0x9000n });
    },
  );

  test('is told so of the root', () => {
    const { mapper, free } = make();
    free.push(mapper.root);
    expect(() => mapper.map(0n, 0n, KIB4, W)).toThrow(
      /^allocateFrame\(\): expected a frame that is free, got 0x1000, which is a table$/,
    );
    expect(free).not.toContain(mapper.root);
  });

  test('is no mistake of a frame that a page is mapped to: page tables may be mapped', () => {
    const { mapper, free } = make();
    const next = free.at(-1)!;
    expect(mapper.map(0n, free.at(-3)!, KIB4, W).kind).toBe('changed');
    expect(mapper.map(GIB1, next, KIB4, W).kind).toBe('changed');
  });
});

describe('misuse', () => {
  const { mapper } = make();
  test.each<[string, () => unknown, RegExp]>([
    [
      'a range over the canonical hole',
      () => mapper.map((1n << 47n) - KIB4, 0n, 0x2000n, W),
      /^bytes: expected 0x1000 to 0x1000 from 0x7ffffffff000 on, got 0x2000$/,
    ],
    ['a range of nothing', () => mapper.unmap(0n, 0n), /^bytes: expected 0x1000 to/],
    [
      'an address that is not canonical',
      () => mapper.map(1n << 47n, 0n, KIB4, W),
      /^va: expected a canonical address of 48 bits/,
    ],
    [
      'an address within a page',
      () => mapper.map(KIB4, 0n, MIB2, W, 0x20_0000),
      /^va: expected a multiple of 0x200000, got 0x1000$/,
    ],
    [
      'a size that no page has',
      () => mapper.map(0n, 0n, KIB4, W, 0x2000 as PageSize),
      /^pageSize: expected 0x1000, 0x200000 or 0x40000000, got 0x2000$/,
    ],
    [
      'a range behind the last physical address',
      () => mapper.map(0n, 0xf_ffff_ffff_f000n, 0x2000n, W),
      /^pa: expected a range below 2\^52/,
    ],
    [
      'bits of the address',
      () => mapper.map(0n, 0n, KIB4, W | Entry.patOfLargePage),
      /^bits: expected bits of Entry without the address, got 0x1002$/,
    ],
    [
      'rights that are none',
      () => mapper.protect(0n, KIB4, Entry.dirty),
      /^rights: expected R\/W, U\/S, XD and a protection key, got 0x40$/,
    ],
    [
      'a root out of memory',
      () => new Mapper(mapper.memory, { root: 1n << 40n, allocateFrame: () => undefined }),
      /^root: expected a frame that is in memory, got 0x10000000000$/,
    ],
    [
      'a frame out of memory',
      () => new Mapper(mapper.memory, { allocateFrame: () => 1n << 40n }),
      /^allocateFrame\(\): expected a frame that is in memory/,
    ],
    [
      'no frame for the root',
      () => new Mapper(mapper.memory, { allocateFrame: () => undefined }),
      /^allocateFrame\(\): expected a frame for the root table, got undefined$/,
    ],
    [
      'a frame for two tables',
      () => new Mapper(mapper.memory, { root: 0x1000n, allocateFrame: () => 0x9000n }).map(0n, 0n, KIB4, W),
      /^allocateFrame\(\): expected a frame that is free, got 0x9000 twice$/,
    ],
    [
      'a frame within a frame',
      () => new Mapper(mapper.memory, { allocateFrame: () => 0x1008n }),
      /^allocateFrame\(\): expected a multiple of 0x1000, got 0x1008$/,
    ],
    [
      'a frame with reserved bits of an address',
      () => new Mapper(mapper.memory, { allocateFrame: () => 1n << 52n }),
      /^allocateFrame\(\): expected 0x0 to 0xffffffffff000, got 0x10000000000000$/,
    ],
  ])('of %s is named', (_, call, message) => {
    expect(call).toThrow(message);
  });
});

test('works over sparse memory, at any address', () => {
  const memory = new SparseMemory();
  let next = 0xf_ffff_0000_0000n;
  const allocateFrame = () => {
    next += 0x1000n;
    memory.addFrame(next);
    return next;
  };
  const mapper = new Mapper(memory, { allocateFrame });
  mapper.map(0x7000_0000_0000n, 0xf_0000_0000_0000n, 2n * MIB2, W, 0x20_0000);
  const mmu = new Mmu(memory, { cr3: mapper.root });
  expect(mmu.translate(0x7000_0020_1234n)).toMatchObject({ physicalAddress: 0xf_0000_0020_1234n });
});

/** What should be mapped: ranges of linear addresses without overlap, in order. */
interface Piece {
  readonly va: bigint;
  readonly bytes: bigint;
  readonly pa: bigint;
  readonly rights: bigint;
}

const byValue = (a: bigint, b: bigint): number => (a < b ? -1 : 1);

/** A list of ranges: the plainest model there is. */
class Model {
  pieces: Piece[] = [];

  within(va: bigint, bytes: bigint): Piece[] {
    return this.pieces
      .filter((one) => one.va < va + bytes && va < one.va + one.bytes)
      .map((one) => {
        const [from] = [one.va, va].sort(byValue).slice(-1) as [bigint];
        const [to] = [one.va + one.bytes, va + bytes].sort(byValue) as [bigint, bigint];
        return { ...one, va: from, bytes: to - from, pa: one.pa + (from - one.va) };
      });
  }

  has(va: bigint, bytes: bigint): boolean {
    return this.within(va, bytes).reduce((sum, one) => sum + one.bytes, 0n) === bytes;
  }

  replace(va: bigint, bytes: bigint, by: readonly Piece[]): void {
    const before = this.within(0n, va);
    const after = this.within(va + bytes, (1n << 64n) - va - bytes);
    this.pieces = joined([...before, ...by, ...after]);
  }
}

/** Ranges that continue each other become one. */
function joined(pieces: readonly Piece[]): Piece[] {
  const all: Piece[] = [];
  for (const piece of [...pieces].sort((a, b) => (a.va < b.va ? -1 : 1))) {
    const last = all.at(-1);
    if (
      last &&
      last.va + last.bytes === piece.va &&
      last.pa + last.bytes === piece.pa &&
      last.rights === piece.rights
    ) {
      all[all.length - 1] = { ...last, bytes: last.bytes + piece.bytes };
    } else all.push(piece);
  }
  return all;
}

describe('any operations', () => {
  const step = fc.record({
    what: fc.constantFrom('map', 'map', 'unmap', 'protect'),
    size: fc.constantFrom(0, 0, 1, 1, 2),
    /** Around the ends of a 1 GiB page, in units of the size. */
    at: fc.integer({ min: -3, max: 3 }),
    /** Where the operation does not begin at a unit: only unmap and protect may. */
    shift: fc.constantFrom(0n, 0n, 1n, 511n, 513n),
    count: fc.integer({ min: 1, max: 3 }),
    pa: fc.integer({ min: 0, max: 7 }),
    rights: fc.constantFrom(0n, W, U, W | U, W | U | XD, U | (3n << 59n)),
    accesses: fc.array(fc.integer({ min: -1200, max: 1200 }), { maxLength: 4 }),
  });

  test.each([4, 5] as const)(
    'on %i levels come to what a list of ranges says, and stay visible nowhere in a TLB',
    (levels) => {
      const sizes: readonly PageSize[] = [0x1000, 0x20_0000, 0x4000_0000];
      const middle = levels === 5 ? 0xff80_0000_0000_0000n : 1n << 39n;
      fc.assert(
        fc.property(fc.array(step, { maxLength: 25 }), fc.integer({ min: 4, max: 40 }), (steps, frames) => {
          const { mapper, mmu, free } = make({ levels, frames });
          const tlb = new Tlb(mmu, { log2Pages: 4, log2Tables: 2 });
          const model = new Model();
          const unused = free.length;
          for (const { what, size, at, shift, count, pa, rights, accesses } of steps) {
            for (const page of accesses)
              tlb.access(middle + BigInt(page) * 0x1000n, page & 1 ? Access.write : Access.read);
            const unit = BigInt(sizes[size]!);
            const va = middle + BigInt(at) * unit + (what === 'map' ? 0n : shift * 0x1000n);
            const bytes = BigInt(count) * unit;
            const [free0, before] = [free.length, model.pieces];
            const physical = BigInt(pa) * GIB1;
            if (what === 'map') {
              const result = mapper.map(va, physical, bytes, rights, sizes[size]);
              const taken = model.within(va, bytes);
              expect(result.kind).toBe(
                taken.length ? 'already-mapped' : result.kind === 'no-frame' ? 'no-frame' : 'changed',
              );
              if (result.kind === 'changed') model.replace(va, bytes, [{ va, bytes, pa: physical, rights }]);
              drop(tlb, result);
            } else {
              const result = what === 'unmap' ? mapper.unmap(va, bytes) : mapper.protect(va, bytes, rights);
              const there = model.has(va, bytes);
              expect(result.kind).toBe(there ? (result.kind === 'no-frame' ? 'no-frame' : 'changed') : 'not-mapped');
              const changed = what === 'unmap' ? [] : model.within(va, bytes).map((one) => ({ ...one, rights }));
              if (result.kind === 'changed') model.replace(va, bytes, changed);
              drop(tlb, result);
            }
            if (model.pieces === before) expect(free.length).toBe(free0);
            expect(mapped(mmu)).toEqual(model.pieces);
            expect(tlb.stale()).toEqual([]);
          }
          for (const { va, bytes } of model.pieces) expect(mapper.unmap(va, bytes).kind).toBe('changed');
          expect(free.length).toBe(unused);
        }),
        { numRuns: 60 },
      );
    },
  );

  const drop = (tlb: Tlb, result: { readonly kind: string; readonly invalidate?: readonly bigint[] }) => {
    for (const va of result.invalidate ?? []) tlb.invlpg(va);
  };

  /** What the core's scan finds. */
  const mapped = (mmu: Mmu) =>
    joined(
      [...mmu.mappings()].map(({ va, pa, bytes, entry, writable, user, executable }) => {
        const rights = (writable ? W : 0n) | (user ? U : 0n) | (executable ? 0n : XD);
        return { va, bytes, pa, rights: rights | (entry & Entry.protectionKeyMask) };
      }),
    );
});
