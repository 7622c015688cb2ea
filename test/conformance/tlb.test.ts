/**
 * The TLB and the paging-structure caches: what they keep, and what drops it. Intel SDM vol. 3A, section 4.10.
 */
import { describe, expect, test } from 'vitest';
import { Access, Mmu, type PhysicalMemory, type Registers, Tlb } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { A, D, G, P, PS, Tables, U, W, XD } from '../support/tables.ts';

const PAE = 1n << 5n;
const PGE = 1n << 7n;
const PCIDE = 1n << 17n;
const SMEP = 1n << 20n;
const PKE = 1n << 22n;
const CET = 1n << 23n;
const LASS = 1n << 27n;
const LA57 = 1n << 12n;
const NO_FLUSH = 1n << 63n;
const { write, fetch, user, shadowStack } = Access;

describe.each(['flat', 'sparse', 'threads'] as const)('over %s memory', (kind) => {
  const VA = 0x40_0000n;
  const OTHER = 0x40_1000n;
  const FAR = 0x7f00_0000_0000n;

  /** Two pages behind one page table, one far away, a 2 MiB and a 1 GiB page, a global page; and more. */
  const setUp = (registers: Partial<Registers> = {}, ...more: bigint[]) => {
    const tables = new Tables()
      .map(VA, 0x5000n)
      .map(OTHER, 0x6000n)
      .map(FAR, 0x7000n)
      .map(0x8000_0000n, 0x20_0000n, { level: 2 })
      .map(0xc000_0000n, 0x4000_0000n, { level: 3 })
      .map(0x40_2000n, 0x8000n, { bits: W | U | G });
    for (const va of more) tables.map(va, 0x9000n);
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

    test('serves shadow-stack accesses as such', () => {
      const { tlb, edit, hits } = setUp({ cr4: PAE | CET });
      edit(1, VA, { clear: W, set: D });
      expect(hits(VA, user | shadowStack)).toBe(false);
      expect(hits(VA, user | shadowStack | write)).toBe(true);
      expect(tlb.access(VA, user | shadowStack)).toMatchObject({ kind: 'page', shadowStack: true });
    });

    test('that became a shadow-stack page by the write that cached it is one', () => {
      const { tlb, edit, hits } = setUp({ cr0: (1n << 31n) | 1n, cr4: PAE });
      edit(1, VA, { clear: W });
      expect(tlb.access(VA, write)).toMatchObject({ kind: 'page', shadowStack: false });
      expect(hits(VA, write)).toBe(true);
      expect(tlb.access(VA)).toMatchObject({ kind: 'page', shadowStack: true });
      expect(tlb.stale()).toEqual([]);
    });

    test('is no way around LASS', () => {
      const { tlb, isMapped } = setUp({ cr4: PAE | LASS });
      expect(isMapped(VA)).toBe(true);
      expect(tlb.access(VA, fetch)).toEqual({ kind: 'lass' });
    });

    test('makes room for what a later walk finds for its address, of whatever size', () => {
      const { tlb, edit, isMapped } = setUp();
      isMapped(VA);
      edit(2, VA, { clear: 0x000f_ffff_ffff_f000n, set: PS | 0x4000_0000n });
      tlb.invlpg(FAR);
      expect(tlb.access(VA)).toMatchObject({ physicalAddress: 0x5000n });
      expect(tlb.access(VA, write)).toMatchObject({ physicalAddress: 0x4000_0000n });
      expect(tlb.access(VA)).toMatchObject({ physicalAddress: 0x4000_0000n });
      expect([...tlb.entries()].filter(({ kind: what }) => what === 'page')).toHaveLength(1);
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

  describe('an address that is not canonical', () => {
    test.each([0n, 0xfffn])('is never found, whatever the caches hold: PCID %s', (pcid) => {
      const { tlb, mmu, tables } = setUp();
      tlb.movToCr3(tables.root | pcid);
      const wrong = [1n << 63n, (1n << 63n) | 0x1234n, 1n << 47n, VA ^ (1n << 63n), VA ^ (1n << 48n)];
      const refused = () => {
        for (const va of wrong) {
          expect(tlb.access(va)).toEqual({ kind: 'non-canonical' });
          const words = tlb.accessMany(new BigUint64Array(18).fill(va));
          expect(new Set(words)).toEqual(new Set([mmu.translateWord(va)]));
        }
      };
      refused();
      for (const va of [VA, 0x8000_0000n, 0xc000_0000n]) {
        tlb.invpcid(2);
        tlb.access(va);
        refused();
      }
      for (const va of [VA, OTHER, FAR, 0x8000_0000n, 0x40_2000n]) tlb.access(va);
      refused();
      for (const va of [VA, 0x8000_0000n, 0xc000_0000n]) tlb.invlpg(va);
      refused();
    });

    test('is nothing to INVLPG, also through the core', () => {
      const { tlb, mmu } = setUp();
      tlb.invlpg(1n << 63n);
      mmu.core.invalidatePage(1n << 63n);
      expect([...tlb.entries()]).toEqual([]);
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
      edit(3, VA, { clear: W | U, set: XD });
      tlb.access(VA);
      edit(3, VA, { set: W | U, clear: XD });
      expect(tlb.access(OTHER)).toMatchObject({ kind: 'page', writable: false, user: false, executable: false });
      expect(tlb.access(OTHER, user | write)).toMatchObject({ kind: 'page', writable: true });
    });

    test.each([
      ['PDE', 2, OTHER],
      ['PDPTE', 3, 0x60_0000n],
      ['PML4E', 4, 0x4000_0000n],
    ] as const)('is kept at each level: %s', (_, level, neighbour) => {
      const { tlb, unmap } = setUp({}, neighbour);
      tlb.access(VA);
      unmap(VA, level);
      expect(tlb.access(neighbour).kind).toBe('page');
    });

    test('is dropped by a fault on the way through it', () => {
      const { unmap, isMapped, edit } = setUp();
      isMapped(VA);
      unmap(OTHER);
      expect(isMapped(OTHER)).toBe(false);
      edit(1, OTHER, { set: P });
      unmap(VA, 4);
      expect(isMapped(OTHER)).toBe(false);
      expect(isMapped(VA)).toBe(true);
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

    test('drops a page of the context together with a global one for the same address', () => {
      const { tlb, tables, edit, unmap, isMapped } = setUp();
      tlb.movToCr3(tables.root | 1n);
      isMapped(VA);
      edit(1, VA, { set: G });
      tlb.movToCr3(tables.root | 2n);
      isMapped(VA);
      tlb.movToCr3(tables.root | 1n | NO_FLUSH);
      expect([...tlb.entries()].filter(({ kind: what }) => what === 'page')).toHaveLength(2);
      unmap(VA);
      tlb.invlpg(VA);
      expect(isMapped(VA)).toBe(false);
    });

    test("leaves other contexts' tables alone", () => {
      const { tlb, tables, unmap, isMapped } = setUp();
      isMapped(VA);
      unmap(VA, 4);
      tlb.movToCr3(tables.root | 1n);
      tlb.invlpg(VA);
      tlb.movToCr3(tables.root | NO_FLUSH);
      expect(isMapped(OTHER)).toBe(true);
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

    test('has 12 bits', () => {
      const { tlb, tables, unmap, isMapped } = setUp();
      tlb.movToCr3(tables.root | 0xf05n);
      isMapped(VA);
      expect([...tlb.entries()].map(({ pcid }) => pcid)).toEqual([0xf05, 0xf05, 0xf05, 0xf05]);
      unmap(VA);
      tlb.movToCr3(tables.root | 5n | NO_FLUSH);
      expect(isMapped(VA)).toBe(false);
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
      expect(isMapped(OTHER)).toBe(true);
      expect([...tlb.entries()].filter(({ pcid }) => pcid !== 0)).toEqual([]);
      unmap(OTHER);
      tlb.movToCr3(tables.root | 0x18n);
      expect(isMapped(OTHER)).toBe(false);
    });

    test('does not matter to global pages', () => {
      const { tlb, tables, unmap, isMapped } = setUp();
      isMapped(0x40_2000n);
      unmap(0x40_2000n);
      tlb.movToCr3(tables.root | 9n);
      expect(isMapped(0x40_2000n)).toBe(true);
    });

    test('matters also to pages with G set while CR4.PGE is 0', () => {
      const { tlb, tables, isMapped, unmap } = setUp({ cr4: PAE | PCIDE });
      isMapped(0x40_2000n);
      expect([...tlb.entries()].some((entry) => entry.kind === 'page' && entry.global)).toBe(false);
      unmap(0x40_2000n);
      tlb.movToCr3(tables.root | 9n);
      expect(isMapped(0x40_2000n)).toBe(false);
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

    test('type 0 leaves a global page alone also in the context that cached it', () => {
      for (const pcid of [0, 1]) {
        const { tlb, tables, unmap, isMapped } = setUp();
        tlb.movToCr3(tables.root | BigInt(pcid));
        isMapped(0x40_2000n);
        unmap(0x40_2000n);
        tlb.invpcid(0, pcid, 0x40_2000n);
        expect(isMapped(0x40_2000n)).toBe(true);
      }
    });

    test('type 0 drops large pages, too, by any address in them', () => {
      for (const [va, level, inside] of [
        [0x8000_0000n, 2, 0x801f_f123n],
        [0xc000_0000n, 3, 0xffff_f000n],
      ] as const) {
        const { tlb, tables, unmap, isMapped } = setUp();
        isMapped(va);
        unmap(va, level);
        tlb.movToCr3(tables.root | 1n);
        tlb.invpcid(0, 0, inside);
        tlb.movToCr3(tables.root | NO_FLUSH);
        expect(isMapped(va)).toBe(false);
      }
    });

    test('type 0 drops the tables on the way to the address, at every level, of that context only', () => {
      const { tlb, tables, unmap, isMapped } = setUp();
      for (const pcid of [1n, 2n]) {
        tlb.movToCr3(tables.root | pcid);
        isMapped(VA);
        isMapped(FAR);
      }
      unmap(VA, 4);
      tlb.invpcid(0, 1, VA);
      expect(isMapped(OTHER)).toBe(true);
      expect([...tlb.entries()].filter(({ kind: what, pcid }) => what === 'table' && pcid === 1)).toHaveLength(3);
      tlb.movToCr3(tables.root | 1n | NO_FLUSH);
      expect(isMapped(OTHER)).toBe(false);
    });

    test('type 1 drops the tables of the context, and leaves those of others alone', () => {
      const { tlb, tables, unmap, isMapped } = setUp();
      for (const pcid of [1n, 2n]) {
        tlb.movToCr3(tables.root | pcid);
        isMapped(VA);
      }
      unmap(VA, 4);
      tlb.invpcid(1, 1);
      expect(isMapped(OTHER)).toBe(true);
      tlb.movToCr3(tables.root | 1n | NO_FLUSH);
      expect(isMapped(OTHER)).toBe(false);
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
      expect(tlb.movToCr4(PAE | LA57).kind).toBe('general-protection');
      tlb.movToCr3(tables.root | 0x18n);
      expect(tlb.movToCr4(PAE | PCIDE)).toEqual({
        kind: 'general-protection',
        errorCode: 0,
        reason: 'CR4.PCIDE cannot be set while bits 11:0 of CR3 are not 0, got 0x18',
      });
      expect(mmu.registers.cr4).toBe(PAE);
    });

    test('becomes part of the registers', () => {
      const { tlb, mmu } = setUp();
      tlb.movToCr4(PAE | PGE | PCIDE | SMEP);
      expect(mmu.registers.cr4).toBe(PAE | PGE | PCIDE | SMEP);
      expect(tlb.access(VA, fetch)).toMatchObject({ kind: 'page-fault', errorCode: 0b10001 });
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

    test.each<[string, bigint, number, { set?: bigint; clear?: bigint }, string]>([
      ['a larger page', VA, 2, { set: PS, clear: 0x1f_e000n }, 'the walk now ends at level 2'],
      ['a table', 0x8000_0000n, 2, { clear: PS }, 'the PDE points to a table'],
      ['reserved bits', 0xc000_0000n, 3, { set: 1n << 13n }, 'the PDPTE has reserved bits set'],
      ['no rights', VA, 3, { clear: W | U, set: XD }, 'the tables differ in: writable, user, executable'],
    ])('names a page that has become %s', (_, va, level, change, words) => {
      const { tlb, edit, isMapped } = setUp();
      isMapped(va);
      edit(level, va, change);
      expect(tlb.stale().find(({ cached }) => cached.kind === 'page')).toMatchObject({ cached: { va }, words });
    });

    test('names a table that has become a page, or that another one points to, at each level', () => {
      for (const [level, change, words] of [
        [2, { set: PS, clear: 0x1f_e000n }, 'the PDE maps a page'],
        [2, { set: 1n << 40n }, 'the PDE leads to 0x10000004000, not 0x4000'],
        [3, { set: PS, clear: 0x3fff_e000n }, 'the PDPTE maps a page'],
        [3, { clear: A }, 'the PDPTE has A clear'],
        [4, { clear: W }, 'the tables differ in: writable'],
        [4, { clear: P }, 'the PML4E is not present'],
      ] as const) {
        const { tlb, edit, isMapped } = setUp();
        isMapped(VA);
        edit(level, VA, change);
        const stale = tlb.stale().find(({ cached }) => cached.kind === 'table' && cached.level === level)!;
        expect(stale.words).toBe(words);
      }
    });

    test('names a page whose D was taken away, or that is a shadow-stack page no longer', () => {
      const { tlb, edit } = setUp({ cr4: PAE | CET });
      edit(1, VA, { clear: W, set: D });
      tlb.access(VA, user | shadowStack);
      edit(1, VA, { clear: D });
      expect(tlb.stale().map(({ words }) => words)).toEqual(['the PTE has D clear']);
      edit(1, VA, { set: D });
      edit(2, VA, { clear: W });
      expect(tlb.stale().map(({ words }) => words)).toEqual([
        'the tables differ in: shadowStack',
        'the tables differ in: writable',
      ]);
    });

    test('takes no offence at what only forbids accesses: SMAP, LASS, protection keys', () => {
      const { tlb, mmu, edit, isMapped } = setUp();
      edit(1, VA, { set: 3n << 59n });
      for (const va of [VA, 0x8000_0000n, 0xc000_0000n]) isMapped(va);
      const cr4 = PAE | PGE | PCIDE | PKE | LASS | (1n << 21n) | (1n << 24n);
      mmu.setRegisters({ cr4, pkru: 0xffff_ffff, pkrs: 0xffff_ffff });
      expect(mmu.translate(VA).kind).toBe('lass');
      expect(tlb.stale()).toEqual([]);
    });

    test('compares a global page with the tables of the current context', () => {
      const { tlb, tables, mmu, isMapped } = setUp();
      tlb.movToCr3(tables.root | 3n);
      isMapped(0x40_2000n);
      expect(tlb.stale()).toEqual([]);
      tlb.movToCr3(0x9_9999_9000n | 4n);
      expect(tlb.stale()).toMatchObject([
        { cached: { kind: 'page', global: true, pcid: 3 }, words: 'the root table lies where there is no memory' },
      ]);
      expect(mmu.registers.cr3).toBe(0x9_9999_9000n | 4n);
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

  test('the smallest caches have one entry for each size and level, and drop it as others do', () => {
    const { mmu, tables, unmap } = setUp({ cr4: PAE });
    const tlb = new Tlb(mmu, { log2Pages: 0, log2Tables: 0 });
    for (const va of [VA, 0x8000_0000n, 0xc000_0000n]) {
      for (const again of [OTHER, va]) tlb.access(again);
    }
    expect([...tlb.entries()].map((one) => [one.kind, one.va])).toEqual([
      ['page', OTHER],
      ['page', 0x8000_0000n],
      ['page', 0xc000_0000n],
      ['table', VA],
      ['table', 0x8000_0000n],
      ['table', 0n],
    ]);
    unmap(0xc000_0000n, 3);
    tlb.movToCr3(tables.root);
    expect([...tlb.entries()]).toEqual([]);
    expect(tlb.access(0xc000_0000n).kind).toBe('page-fault');
  });

  test('two of them over one memory do not touch each other', () => {
    const { mmu, memory, tables } = setUp();
    const sizes = { log2Pages: 1, log2Tables: 1 };
    const one = new Tlb(mmu, sizes);
    const two = new Tlb(new Mmu(memory, { cr3: tables.root, cr4: PAE | PGE | PCIDE }), sizes);
    const filled = () => {
      for (const va of [VA, OTHER, FAR, 0x8000_0000n, 0xc000_0000n, 0x40_2000n]) two.access(va);
      return [...two.entries()];
    };
    const before = filled();
    for (const type of [0, 1, 3, 2] as const) one.invpcid(type);
    expect([...two.entries()]).toEqual(before);
    for (const va of [FAR, 0x8000_0000n, 0xc000_0000n, VA]) one.access(va);
    expect([...two.entries()]).toEqual(before);
    two.invpcid(2);
    expect([...two.entries()]).toEqual([]);
  });

  test('counts begin anew with each TLB of an Mmu', () => {
    const { mmu, tlb } = setUp();
    tlb.access(VA);
    tlb.access(VA);
    expect(tlb.counts).toEqual({ lookups: 2n, misses: 1n });
    expect(new Tlb(mmu).counts).toEqual({ lookups: 0n, misses: 0n });
  });

  test('five levels are cached, and dropped, like four', () => {
    const va = 0x00a0_0000_0000_0000n;
    const neighbour = va + (1n << 39n);
    const tables = new Tables(5).map(va, 0x5000n).map(neighbour, 0x6000n);
    const memory: PhysicalMemory = memoryWith(tables.frames, kind);
    const tlb = new Tlb(new Mmu(memory, { cr3: tables.root, cr4: PAE | PCIDE | LA57 }));
    const drops: [string, (() => void) | undefined][] = [
      ['page', undefined],
      ['page-fault', () => tlb.invlpg(0n)],
      ['page-fault', () => tlb.invpcid(0, 0, va)],
      ['page-fault', () => tlb.invpcid(1)],
      ['page-fault', () => tlb.invpcid(2)],
      ['page-fault', () => tlb.invpcid(3)],
      ['page-fault', () => tlb.movToCr3(tables.root)],
      ['page-fault', () => tlb.access(va + 0x1000n)],
    ];
    for (const [ends, drop] of drops) {
      expect(tlb.access(va).kind).toBe('page');
      memory.writeEntry(tables.entry(5, va), tables.read(tables.entry(5, va)) & ~P);
      drop?.();
      expect(tlb.access(neighbour).kind).toBe(ends);
      memory.writeEntry(tables.entry(5, va), tables.read(tables.entry(5, va)));
      tlb.invpcid(2);
    }
  });

  test('a batch through the core makes each access as a single call does, and no other', () => {
    const { mmu, tlb, memory, tables } = setUp();
    const addresses = [VA, 0x8000_0123n, 0xc000_0042n, 0x5000_0000n, VA + 8n];
    const at = memory.arena.allocate(2 * 8 * 8);
    const words = new BigUint64Array(memory.wasm.buffer, at, 16).fill(0x5555n);
    words.set(addresses);
    mmu.core.tlbTranslateMany(at, addresses.length, user | write, at + 64);
    expect([...words]).toEqual([
      ...addresses,
      ...[0x5555n, 0x5555n, 0x5555n],
      ...addresses.map((va) => tlb.accessWord(va, user | write)),
      ...[0x5555n, 0x5555n, 0x5555n],
    ]);
    expect(memory.readEntry(tables.entry(1, VA))! & (A | D)).toBe(A | D);
    expect(tlb.counts).toEqual({ lookups: 10n, misses: 5n });
  });

  test('entries() tells the rights, the key and the size of what is cached', () => {
    const { tlb, edit } = setUp();
    edit(4, VA, { clear: U });
    edit(3, 0xc000_0000n, { clear: W, set: D | XD | (9n << 59n) });
    edit(3, VA, { set: XD });
    edit(2, VA, { clear: W });
    tlb.access(0xc000_0000n);
    tlb.access(VA);
    const rights = [...tlb.entries()].map(({ kind: what, va, writable, user: us, executable }) => [
      what,
      va,
      `${writable ? 'w' : '-'}${us ? 'u' : '-'}${executable ? 'x' : '-'}`,
    ]);
    expect(rights).toEqual([
      ['page', VA, '---'],
      ['page', 0xc000_0000n, '---'],
      ['table', VA, '---'],
      ['table', 0n, 'w--'],
      ['table', 0n, 'w-x'],
    ]);
    expect([...tlb.entries()][1]).toMatchObject({
      physicalAddress: 0x4000_0000n,
      pageSize: 0x4000_0000,
      shadowStack: true,
      protectionKey: 9,
      dirty: true,
      global: false,
    });
  });

  test('entries() tells what was cached when it was asked, also while that is dropped', () => {
    const { tlb } = setUp();
    tlb.access(VA);
    let count = 0;
    for (const _ of tlb.entries()) {
      tlb.invpcid(2);
      count++;
    }
    expect(count).toBe(4);
  });

  test('release() gives the memory of the caches back', () => {
    const { mmu, memory } = setUp();
    new Tlb(mmu).release();
    const { byteLength } = memory.wasm.buffer;
    for (let i = 0; i < 50; i++) new Tlb(mmu).release();
    expect(memory.wasm.buffer.byteLength).toBe(byteLength);
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
