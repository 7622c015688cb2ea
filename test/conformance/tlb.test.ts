/**
 * The TLB and the paging-structure caches: what they keep, and what drops it. Intel SDM vol. 3A, section 4.10.
 */
import { describe, expect, test } from 'vitest';
import { Access, Mmu, type PhysicalMemory, type Registers, Tlb } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { A, D, G, P, Tables, U, W, XD } from '../support/tables.ts';

const PAE = 1n << 5n;
const PGE = 1n << 7n;
const PCIDE = 1n << 17n;
const SMEP = 1n << 20n;
const PKE = 1n << 22n;
const NO_FLUSH = 1n << 63n;
const { write, fetch, user } = Access;

describe.each(['flat', 'sparse', 'threads'] as const)('over %s memory', (kind) => {
  const VA = 0x40_0000n;
  const OTHER = 0x40_1000n;
  const FAR = 0x7f00_0000_0000n;

  /** Two pages behind one page table, one far away, a 2 MiB and a 1 GiB page; the last page is global. */
  const setUp = (registers: Partial<Registers> = {}) => {
    const tables = new Tables()
      .map(VA, 0x5000n)
      .map(OTHER, 0x6000n)
      .map(FAR, 0x7000n)
      .map(0x8000_0000n, 0x20_0000n, { level: 2 })
      .map(0xc000_0000n, 0x4000_0000n, { level: 3 })
      .map(0x40_2000n, 0x8000n, { bits: W | U | G });
    const memory: PhysicalMemory = memoryWith(tables.frames, kind);
    const mmu = new Mmu(memory, { cr3: tables.root, cr4: PAE | PGE | PCIDE, ...registers });
    const tlb = new Tlb(mmu);
    const edit = (level: number, va: bigint, { set = 0n, clear = 0n }: { set?: bigint; clear?: bigint }) => {
      const at = tables.entry(level, va);
      memory.writeEntry(at, (memory.readEntry(at)! & ~clear) | set);
    };
    const unmap = (va: bigint, level = 1) => edit(level, va, { clear: P });
    const hits = (va: bigint, access = 0) => {
      const { misses } = tlb.counts;
      tlb.access(va, access);
      return tlb.counts.misses === misses;
    };
    const isMapped = (va: bigint) => tlb.access(va).kind === 'page';
    return { tables, memory, mmu, tlb, edit, unmap, hits, isMapped };
  };

  describe('a cached page', () => {
    test('is found again at any offset, for pages of each size', () => {
      const { tlb, hits } = setUp();
      for (const [va, pa, size] of [
        [VA, 0x5000n, 0x1000n],
        [0x8000_0000n, 0x20_0000n, 0x20_0000n],
        [0xc000_0000n, 0x4000_0000n, 0x4000_0000n],
      ] as const) {
        expect(hits(va)).toBe(false);
        expect(hits(va + size - 1n)).toBe(true);
        expect(tlb.access(va + size - 1n)).toMatchObject({ physicalAddress: pa + size - 1n, pageSize: Number(size) });
        expect(hits(va - 1n)).toBe(false);
      }
    });

    test('stays when its entry is changed, until it is dropped', () => {
      const { tlb, unmap, isMapped, mmu } = setUp();
      isMapped(VA);
      unmap(VA);
      expect(mmu.translate(VA).kind).toBe('page-fault');
      expect(tlb.access(VA)).toMatchObject({ kind: 'page', physicalAddress: 0x5000n });
      tlb.invlpg(VA + 0xfffn);
      expect(tlb.access(VA)).toEqual({ kind: 'page-fault', errorCode: 0, level: 1, table: expect.anything() });
    });

    test('has the rights of all levels checked at each access', () => {
      const { tlb, edit } = setUp();
      edit(1, VA, { clear: W, set: XD });
      expect(tlb.access(VA, user)).toMatchObject({ kind: 'page', writable: false, executable: false });
      expect(tlb.access(VA, user | write)).toMatchObject({ kind: 'page-fault', errorCode: 7 });
      expect(tlb.access(VA, user | fetch)).toMatchObject({ kind: 'page-fault', errorCode: 0b10101 });
    });

    test('heeds PKRU as it is now', () => {
      const { tlb, edit, mmu, isMapped } = setUp({ cr4: PAE | PKE });
      edit(1, VA, { set: 5n << 59n });
      expect(isMapped(VA)).toBe(true);
      mmu.setRegisters({ pkru: 1 << 10 });
      expect(tlb.access(VA)).toMatchObject({ kind: 'page-fault', errorCode: 0b100001 });
      mmu.setRegisters({ pkru: 0 });
      expect(isMapped(VA)).toBe(true);
    });

    test('is walked again for the first write, which sets D', () => {
      const { memory, tables, hits } = setUp();
      const at = tables.entry(1, VA);
      hits(VA);
      expect(memory.readEntry(at)! & (A | D)).toBe(A);
      expect(hits(VA, write)).toBe(false);
      expect(memory.readEntry(at)! & (A | D)).toBe(A | D);
      expect(hits(VA, write)).toBe(true);
    });

    test('has the rights that its entry has after the access: a write that sets D may make a shadow-stack page of it', () => {
      const { tlb, edit } = setUp({ cr0: (1n << 31n) | 1n });
      edit(1, VA, { clear: W });
      expect(tlb.access(VA, write)).toMatchObject({ kind: 'page', shadowStack: false });
      expect(tlb.access(VA)).toMatchObject({ kind: 'page', shadowStack: true });
      expect(tlb.stale()).toEqual([]);
    });

    test('does not set A again that software has cleared', () => {
      const { memory, tables, hits, edit } = setUp();
      hits(VA);
      edit(1, VA, { clear: A });
      expect(hits(VA)).toBe(true);
      expect(memory.readEntry(tables.entry(1, VA))! & A).toBe(0n);
    });

    test('whose rights were widened is no reason for a fault: the tables are asked first', () => {
      const { tlb, edit } = setUp();
      edit(1, VA, { clear: W });
      tlb.access(VA);
      edit(1, VA, { set: W });
      expect(tlb.access(VA, user | write).kind).toBe('page');
    });

    test('is never made of an entry that is not present', () => {
      const { unmap, isMapped, edit } = setUp();
      unmap(VA);
      expect(isMapped(VA)).toBe(false);
      edit(1, VA, { set: P });
      expect(isMapped(VA)).toBe(true);
    });

    test('is told apart from others in the same slot of the array', () => {
      const { tables, memory, tlb } = setUp();
      const far = VA + (1n << 40n);
      const more = new Tables().map(VA, 0x1_0000n).map(far, 0x2_0000n);
      for (const [at, frame] of more.frames) {
        for (const [i, entry] of frame.entries()) {
          if ('addFrame' in memory && i === 0) (memory as { addFrame(at: bigint): void }).addFrame(at);
          memory.writeEntry(at + BigInt(i) * 8n, entry);
        }
      }
      tlb.movToCr3(more.root | (tables.root & 0n));
      for (let i = 0; i < 3; i++) {
        expect(tlb.access(VA)).toMatchObject({ physicalAddress: 0x1_0000n });
        expect(tlb.access(far)).toMatchObject({ physicalAddress: 0x2_0000n });
      }
    });
  });

  describe('a cached paging-structure entry', () => {
    test('saves the upper levels of a neighbour, also after it was changed', () => {
      const { unmap, isMapped } = setUp();
      isMapped(VA);
      unmap(VA, 4);
      expect(isMapped(OTHER)).toBe(true);
      expect(isMapped(FAR)).toBe(true);
    });

    test('keeps the rights of the levels above it', () => {
      const { tlb, edit } = setUp();
      edit(3, VA, { clear: W });
      tlb.access(VA);
      edit(3, VA, { set: W });
      expect(tlb.access(OTHER)).toMatchObject({ kind: 'page', writable: false });
      expect(tlb.access(OTHER, user | write)).toMatchObject({ kind: 'page', writable: true });
    });

    test('is dropped by INVLPG of any address', () => {
      const { tlb, unmap, isMapped } = setUp();
      isMapped(VA);
      unmap(VA, 4);
      tlb.invlpg(FAR);
      expect(isMapped(OTHER)).toBe(false);
      expect(isMapped(VA)).toBe(true);
    });
  });

  describe('INVLPG', () => {
    test('drops large pages by any address in them, and global pages', () => {
      const { tlb, unmap, isMapped } = setUp();
      for (const [va, level, inside] of [
        [0x8000_0000n, 2, 0x801f_f000n],
        [0xc000_0000n, 3, 0xffff_f000n],
        [0x40_2000n, 1, 0x40_2008n],
      ] as const) {
        isMapped(va);
        unmap(va, level);
        expect(isMapped(va)).toBe(true);
        tlb.invlpg(inside);
        expect(isMapped(va)).toBe(false);
      }
    });

    test('leaves other pages alone', () => {
      const { tlb, isMapped, hits } = setUp();
      isMapped(VA);
      isMapped(OTHER);
      tlb.invlpg(VA);
      expect(hits(OTHER)).toBe(true);
    });
  });

  describe('a process-context identifier', () => {
    test('keeps contexts apart, with their pages', () => {
      const { tlb, tables, unmap, isMapped, hits } = setUp();
      isMapped(VA);
      tlb.movToCr3(tables.root | 5n);
      expect(hits(VA)).toBe(false);
      unmap(VA);
      tlb.movToCr3(tables.root | NO_FLUSH);
      expect(isMapped(VA)).toBe(true);
      tlb.movToCr3(tables.root | 5n | NO_FLUSH);
      expect(isMapped(VA)).toBe(true);
    });

    test('is dropped by MOV to CR3 with bit 63 clear, and no other', () => {
      const { tlb, tables, unmap, isMapped } = setUp();
      isMapped(VA);
      tlb.movToCr3(tables.root | 5n);
      isMapped(VA);
      unmap(VA);
      tlb.movToCr3(tables.root | 5n);
      expect(isMapped(VA)).toBe(false);
      tlb.movToCr3(tables.root | NO_FLUSH);
      expect(isMapped(VA)).toBe(true);
    });

    test('is not part of CR3 without CR4.PCIDE: every MOV to CR3 then drops what is not global', () => {
      const { tlb, tables, unmap, isMapped, mmu } = setUp({ cr4: PAE | PGE });
      isMapped(VA);
      isMapped(0x40_2000n);
      unmap(VA);
      unmap(0x40_2000n);
      tlb.movToCr3(tables.root | 0x18n);
      expect(isMapped(VA)).toBe(false);
      expect(isMapped(0x40_2000n)).toBe(true);
      expect(mmu.registers.cr3).toBe(tables.root | 0x18n);
    });

    test('does not matter to global pages', () => {
      const { tlb, tables, unmap, isMapped } = setUp();
      isMapped(0x40_2000n);
      unmap(0x40_2000n);
      tlb.movToCr3(tables.root | 9n);
      expect(isMapped(0x40_2000n)).toBe(true);
    });

    test('bit 63 does not become part of CR3', () => {
      const { tlb, tables, mmu } = setUp();
      tlb.movToCr3(tables.root | 7n | NO_FLUSH);
      expect(mmu.registers.cr3).toBe(tables.root | 7n);
    });
  });

  describe('INVPCID', () => {
    const prepared = () => {
      const all = setUp();
      const { tlb, tables, unmap, isMapped } = all;
      for (const pcid of [1n, 2n]) {
        tlb.movToCr3(tables.root | pcid);
        for (const va of [VA, OTHER, 0x40_2000n]) isMapped(va);
      }
      for (const va of [VA, OTHER, 0x40_2000n]) unmap(va);
      const mapped = (pcid: bigint) => {
        tlb.movToCr3(tables.root | pcid | NO_FLUSH);
        return [VA, OTHER, 0x40_2000n].map(isMapped).join(' ');
      };
      return { ...all, mapped };
    };

    test('type 0 drops one address of one context, unless it is global', () => {
      const { tlb, mapped } = prepared();
      tlb.invpcid(0, 1, VA);
      tlb.invpcid(0, 1, 0x40_2000n);
      expect(mapped(1n)).toBe('false true true');
      expect(mapped(2n)).toBe('true true true');
    });

    test('type 1 drops one context, without global pages', () => {
      const { tlb, mapped } = prepared();
      tlb.invpcid(1, 1);
      expect(mapped(1n)).toBe('false false true');
      expect(mapped(2n)).toBe('true true true');
    });

    test('type 2 drops everything', () => {
      const { tlb, mapped } = prepared();
      tlb.invpcid(2);
      expect([...tlb.entries()]).toEqual([]);
      expect(mapped(1n)).toBe('false false false');
      expect(mapped(2n)).toBe('false false false');
    });

    test('type 3 drops everything but global pages', () => {
      const { tlb, mapped } = prepared();
      tlb.invpcid(3);
      expect([...tlb.entries()].map((entry) => entry.va)).toEqual([0x40_2000n]);
      expect(mapped(1n)).toBe('false false true');
      expect(mapped(2n)).toBe('false false true');
    });
  });

  describe('MOV to CR4', () => {
    test('drops everything when PGE changes, or PCIDE is switched off', () => {
      for (const cr4 of [PAE | PCIDE, PAE | PGE]) {
        const { tlb, isMapped } = setUp();
        isMapped(VA);
        isMapped(0x40_2000n);
        tlb.movToCr4(cr4);
        expect([...tlb.entries()]).toEqual([]);
      }
    });

    test('drops the current context, global pages included, when SMEP is switched on, and nothing when off', () => {
      const { tlb, tables, isMapped } = setUp();
      isMapped(VA);
      tlb.movToCr3(tables.root | 1n);
      isMapped(VA);
      isMapped(0x40_2000n);
      tlb.movToCr4(PAE | PGE | PCIDE | SMEP);
      expect([...tlb.entries()].every(({ pcid }) => pcid === 0)).toBe(true);
      expect([...tlb.entries()].length).toBeGreaterThan(0);
      isMapped(VA);
      const before = [...tlb.entries()].length;
      tlb.movToCr4(PAE | PGE | PCIDE);
      expect([...tlb.entries()]).toHaveLength(before);
    });

    test('that the processor refuses is refused, and changes nothing', () => {
      const { tlb, mmu, tables } = setUp({ cr4: PAE });
      expect(() => tlb.movToCr4(PAE | (1n << 12n))).toThrow(RangeError);
      tlb.movToCr3(tables.root | 0x18n);
      expect(() => tlb.movToCr4(PAE | PCIDE)).toThrow(
        new RangeError('value: expected PCIDE clear while bits 11:0 of CR3 are 0x18'),
      );
      expect(mmu.registers.cr4).toBe(PAE);
    });
  });

  describe('stale()', () => {
    test('is empty while the tables are as they were', () => {
      const { tlb, isMapped } = setUp();
      for (const va of [VA, OTHER, FAR, 0x8000_0000n, 0xc000_0000n, 0x40_2000n]) isMapped(va);
      tlb.access(VA, write);
      expect(tlb.stale()).toEqual([]);
    });

    test.each<[string, number, { set?: bigint; clear?: bigint }, string]>([
      ['unmapped', 1, { clear: P }, 'the PTE is not present'],
      ['moved', 1, { set: 0x8000n }, 'the PTE leads to 0xd000, not 0x5000'],
      ['narrowed', 1, { clear: W }, 'the tables differ in: writable'],
      ['no longer accessed', 1, { clear: A }, 'the PTE has A clear'],
      ['given another key', 1, { set: 1n << 59n }, 'the PTE has another protection key'],
      ['made global', 1, { set: G }, 'the PTE has another G bit'],
    ])('names a page that was %s', (_, level, change, words) => {
      const { tlb, edit, isMapped } = setUp();
      isMapped(VA);
      edit(level, VA, change);
      expect(tlb.stale()).toMatchObject([{ cached: { kind: 'page', va: VA, pcid: 0 }, words }]);
    });

    test('names a table that was moved, and all that is cached through it', () => {
      const { tlb, edit, isMapped } = setUp();
      isMapped(VA);
      edit(2, VA, { clear: P });
      expect(tlb.stale().map(({ cached, words }) => [cached.kind, words])).toEqual([
        ['page', 'the walk now ends at level 2'],
        ['table', 'the PDE is not present'],
      ]);
    });

    test("compares another context's entries with that context's tables", () => {
      const { tlb, tables, isMapped, unmap } = setUp();
      isMapped(VA);
      tlb.movToCr3(0x9_9999_9000n | 4n);
      expect(tlb.stale()).toEqual([]);
      unmap(VA);
      expect(tlb.stale().map(({ cached }) => cached.pcid)).toEqual([0]);
      tlb.movToCr3(tables.root);
      expect(tlb.stale()).toEqual([]);
    });
  });

  test('entries() tells all that is cached', () => {
    const { tlb, tables } = setUp();
    tlb.access(VA, user | write);
    expect([...tlb.entries()]).toEqual([
      {
        kind: 'page',
        va: VA,
        pcid: 0,
        physicalAddress: 0x5000n,
        pageSize: 4096,
        writable: true,
        user: true,
        executable: true,
        shadowStack: false,
        protectionKey: 0,
        global: false,
        dirty: true,
      },
      ...[2, 3, 4].map((level) => ({
        kind: 'table',
        va: level === 2 ? VA : 0n,
        pcid: 0,
        level,
        table: tables.entry(level - 1, VA) & ~0xfffn,
        writable: true,
        user: true,
        executable: true,
      })),
    ]);
  });
});
