/**
 * The instructions that write control registers: what raises #GP, what they drop, and what holds for cached translations from
 * then on. Intel SDM vol. 2, MOV to control registers, INVPCID, INVLPG; vol. 3A, sections 2.5, 4.1, 4.6, 4.10.1, 4.10.4.1.
 */
import { describe, expect, test } from 'vitest';
import {
  Access,
  isTranslated,
  Mmu,
  Msr,
  type Outcome,
  type PhysicalMemory,
  type Registers,
  Tlb,
} from '../../src/index.ts';
import { ACCESSES } from '../../src/mmu/access.ts';
import { referenceMappings, referenceWalk } from '../../src/reference/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { D, G, Tables, U, W, XD } from '../support/tables.ts';

const PE = 1n << 0n;
const ET = 1n << 4n;
const WP = 1n << 16n;
const NW = 1n << 29n;
const CD = 1n << 30n;
const PG = 1n << 31n;
const CR0 = PG | WP | ET | PE;

const PAE = 1n << 5n;
const PGE = 1n << 7n;
const LA57 = 1n << 12n;
const PCIDE = 1n << 17n;
const SMEP = 1n << 20n;
const SMAP = 1n << 21n;
const PKE = 1n << 22n;
const CET = 1n << 23n;
const PKS = 1n << 24n;
const LASS = 1n << 27n;
const NO_FLUSH = 1n << 63n;

const SCE = 1n << 0n;
const LME = 1n << 8n;
const LMA = 1n << 10n;
const NXE = 1n << 11n;

const DONE = { kind: 'done' };
const { write, fetch, user } = Access;

describe.each(['flat', 'sparse', 'threads'] as const)('over %s memory', (kind) => {
  const VA = 0x40_0000n;
  const GLOBAL = 0x40_1000n;

  const setUp = (registers: Partial<Registers> = {}, levels: 4 | 5 = 4) => {
    const tables = new Tables(levels).map(VA, 0x5000n).map(GLOBAL, 0x6000n, { bits: W | U | G });
    const memory: PhysicalMemory = memoryWith(tables.frames, kind);
    const mmu = new Mmu(memory, { cr3: tables.root, cr4: PAE, ...registers });
    const tlb = new Tlb(mmu, { log2Pages: 4, log2Tables: 2 });
    const cached = () => [...tlb.entries()].length;
    const fill = () => {
      tlb.access(VA);
      tlb.access(GLOBAL);
      return cached();
    };
    return { tables, memory, mmu, tlb, cached, fill };
  };

  /** Each instruction from a state: refused, with these words, and nothing has changed; or done. */
  const expectRefused = (registers: Partial<Registers>, act: (mmu: Mmu) => unknown, reason: RegExp) => {
    const { mmu, fill, cached } = setUp(registers);
    const before = mmu.registers;
    const entries = fill();
    expect(act(mmu)).toEqual({ kind: 'general-protection', errorCode: 0, reason: expect.stringMatching(reason) });
    expect(mmu.registers).toBe(before);
    expect(cached()).toBe(entries);
  };

  describe('MOV to CR0 raises #GP', () => {
    test.each<[string, Partial<Registers>, bigint, boolean | undefined, RegExp]>([
      ['for a bit above 31', {}, CR0 | (1n << 32n), undefined, /^bits 63:32 of CR0 are reserved, got 0x180010011$/],
      ['for PG without PE', {}, PG | WP, undefined, /^CR0.PG needs CR0.PE$/],
      ['for NW without CD', {}, CR0 | NW, undefined, /^CR0.NW needs CR0.CD$/],
      ['for WP cleared while CR4.CET = 1', { cr4: PAE | CET }, CR0 & ~WP, undefined, /^CR0.WP .* CR4.CET = 1$/],
      ['for PG cleared in 64-bit mode', {}, PE | ET, undefined, /^CR0.PG .* in 64-bit mode/],
      ['for PG cleared in 64-bit mode, as it is said', {}, PE | ET, true, /^CR0.PG .* in 64-bit mode/],
      ['for PG cleared while CR4.PCIDE = 1', { cr4: PAE | PCIDE }, PE | ET, false, /^CR0.PG .* CR4.PCIDE = 1$/],
    ])('%s', (_, registers, value, is64BitCode, reason) => {
      expectRefused(registers, (mmu) => mmu.movToCr0(value, is64BitCode), reason);
    });

    test('for PG set with EFER.LME while CR4.PAE = 0, or from a 64-bit code segment', () => {
      const { mmu } = setUp();
      mmu.movToCr0(PE, false);
      expect(mmu.movToCr0(CR0, true)).toMatchObject({ reason: expect.stringMatching(/EFER.LME = 1 and CS.L = 1$/) });
      expect(mmu.movToCr4(0n)).toEqual(DONE);
      expect(mmu.movToCr0(CR0)).toMatchObject({ reason: expect.stringMatching(/EFER.LME = 1 and CR4.PAE = 0$/) });
      expect(mmu.isPaging).toBe(false);
    });
  });

  describe('MOV to CR0', () => {
    test('leaves reserved bits of the lower half clear, and ET set', () => {
      const { mmu } = setUp();
      expect(mmu.movToCr0(0xffff_ffffn)).toEqual(DONE);
      expect(mmu.registers.cr0).toBe(PG | CD | NW | (1n << 18n) | WP | 0x3fn);
      expect(mmu.movToCr0(PG | PE)).toEqual(DONE);
      expect(mmu.registers.cr0).toBe(PG | ET | PE);
    });

    test('drops nothing unless it clears PG', () => {
      const { mmu, fill, cached } = setUp({ cr4: PAE | PGE });
      const entries = fill();
      for (const value of [CR0 & ~WP, CR0 | CD | NW, CR0]) {
        expect(mmu.movToCr0(value)).toEqual(DONE);
        expect(cached()).toBe(entries);
      }
    });
  });

  describe('paging that is switched off', () => {
    test('drops everything, global pages too, ends long mode, and keeps the other registers', () => {
      const { mmu, tables, fill, cached } = setUp({ cr4: PAE | PGE });
      fill();
      expect(mmu.movToCr0(PE, false)).toEqual(DONE);
      expect(cached()).toBe(0);
      expect(mmu.isPaging).toBe(false);
      expect(mmu.registers).toMatchObject({ cr0: PE | ET, cr3: tables.root, cr4: PAE | PGE, efer: NXE | LME });
    });

    test('makes of each linear address a physical one of 32 bits, whichever way is asked, and sets nothing in the tables', () => {
      const { mmu, tlb, memory, tables } = setUp({ cr4: PAE | PGE | LASS | SMAP });
      mmu.movToCr0(PE, false);
      const before = [4, 3, 2, 1].map((level) => memory.readEntry(tables.entry(level, VA)));
      for (const [va, physicalAddress] of [
        [VA + 5n, VA + 5n],
        [0xffff_ffffn, 0xffff_ffffn],
        [0x12_3456_789an, 0x3456_789an],
        [0x8000_0000_0000_0000n, 0n],
        [0xffff_8000_0000_1234n, 0x1234n],
      ] as const) {
        const off: Outcome = { kind: 'paging-off', physicalAddress };
        for (const access of ACCESSES) {
          expect(mmu.translate(va, access)).toEqual(off);
          expect(mmu.access(va, access)).toEqual(off);
          expect(tlb.access(va, access)).toEqual(off);
          expect(mmu.explain(va, access).outcome).toEqual(off);
          expect(mmu.physicalAddress(Number(va >> 32n), Number(va & 0xffff_ffffn), access)).toBe(
            Number(physicalAddress),
          );
        }
        const many = new BigUint64Array(40).fill(va);
        const word = mmu.translateWord(va);
        expect(isTranslated(word)).toBe(false);
        for (const words of [mmu.translateMany(many), mmu.accessMany(many, write), tlb.accessMany(many, write)]) {
          expect(new Set(words)).toEqual(new Set([word]));
        }
      }
      expect([4, 3, 2, 1].map((level) => memory.readEntry(tables.entry(level, VA)))).toEqual(before);
      expect([...tlb.entries()]).toEqual([]);
      expect(mmu.explain(VA).words).toBe(
        '0x400000: paging is off (CR0.PG = 0), and the linear address is the physical one',
      );
    });

    test('maps nothing', () => {
      const { mmu, memory } = setUp();
      expect([...mmu.mappings()]).toHaveLength(2);
      mmu.movToCr0(PE, false);
      expect([...mmu.scan()]).toEqual([]);
      expect([...referenceMappings((at) => memory.readEntry(at), mmu.registers)]).toEqual([]);
    });

    test('lets the modes change that long mode fixes: LA57, LME, PAE', () => {
      const { mmu } = setUp();
      mmu.movToCr0(PE, false);
      expect(mmu.movToCr4(PAE | LA57)).toEqual(DONE);
      expect(mmu.movToCr4(PAE | PCIDE)).toMatchObject({ reason: 'CR4.PCIDE cannot be set outside long mode' });
      expect(mmu.wrmsr(Msr.efer, 0n)).toEqual(DONE);
      expect(mmu.movToCr4(0n)).toEqual(DONE);
      expect(mmu.movToCr3(0x1000n)).toEqual(DONE);
      mmu.setRegisters({ pkru: 5 });
      expect(mmu.registers.pkru).toBe(5);
    });

    test('is switched on again with what the registers are then', () => {
      const five = new Tables(5).map(VA, 0x7000n);
      const memory = memoryWith(five.frames, kind);
      const mmu = new Mmu(memory, { cr3: five.root });
      expect(mmu.translate(VA).kind).toBe('page-fault');
      mmu.movToCr0(PE, false);
      mmu.movToCr4(PAE | LA57);
      expect(mmu.movToCr0(CR0)).toEqual(DONE);
      expect(mmu.registers.efer).toBe(NXE | LMA | LME);
      expect(mmu.levels).toBe(5);
      expect(mmu.translate(VA)).toMatchObject({ kind: 'page', physicalAddress: 0x7000n });
      expect(new Tlb(mmu).access(VA)).toMatchObject({ kind: 'page', physicalAddress: 0x7000n });
    });

    test('is switched on for 4 and 5 levels alone: other paging is an error of the caller, and changes nothing', () => {
      const { mmu } = setUp();
      mmu.movToCr0(PE, false);
      mmu.wrmsr(Msr.efer, NXE);
      expect(() => mmu.movToCr0(CR0)).toThrow(RangeError);
      expect(mmu.isPaging).toBe(false);
      expect(() => mmu.setRegisters({ cr0: CR0 })).toThrow(RangeError);
      expect(mmu.wrmsr(Msr.efer, LME)).toEqual(DONE);
      expect(mmu.movToCr0(CR0)).toEqual(DONE);
    });

    test('is no state that an Mmu begins in, or a debugger brings about', () => {
      const { mmu, memory } = setUp();
      expect(() => new Mmu(memory, { cr3: 0n, cr0: PE })).toThrow(RangeError);
      expect(() => mmu.setRegisters({ cr0: PE })).toThrow(RangeError);
    });
  });

  describe('MOV to CR3', () => {
    test('raises #GP for bit 63 while CR4.PCIDE = 0', () => {
      const reason = /^bits 63:52 of CR3 are reserved \(MAXPHYADDR = 52, CR4.PCIDE = 0\), got 0x8000000000001000$/;
      expectRefused({}, (mmu) => mmu.movToCr3(NO_FLUSH | 0x1000n), reason);
    });

    test('raises #GP for a bit from MAXPHYADDR to 62, with PCIDs and without', () => {
      for (const cr4 of [PAE, PAE | PCIDE]) {
        for (const bit of [40n, 51n, 61n, 62n]) {
          expectRefused({ cr4, maxPhysicalAddress: 40 }, (mmu) => mmu.movToCr3(1n << bit), /:40 of CR3 are reserved/);
        }
      }
    });

    test('takes a PCID and bit 63 with CR4.PCIDE', () => {
      const { mmu, tables } = setUp({ cr4: PAE | PCIDE });
      expect(mmu.movToCr3(tables.root | 0xfffn | NO_FLUSH)).toEqual(DONE);
      expect(mmu.registers.cr3).toBe(tables.root | 0xfffn);
    });
  });

  describe('MOV to CR4', () => {
    test.each<[string, Partial<Registers>, bigint, RegExp]>([
      ['for bit 15', {}, PAE | (1n << 15n), /^reserved bits of CR4 are set: 0x8000$/],
      ['for bit 26', {}, PAE | (1n << 26n), /^reserved/],
      ['for LAM_SUP, which this processor lacks', {}, PAE | (1n << 28n), /^reserved/],
      ['for bit 31', {}, PAE | (1n << 31n), /^reserved/],
      ['for bit 33', {}, PAE | (1n << 33n), /^reserved/],
      ['for bit 63', {}, PAE | (1n << 63n), /^reserved/],
      ['for PAE cleared in long mode', {}, 0n, /^CR4.PAE cannot be cleared in long mode$/],
      ['for LA57 set in long mode', {}, PAE | LA57, /^CR4.LA57 cannot be changed in long mode$/],
      ['for LA57 cleared in long mode', { cr4: PAE | LA57 }, PAE, /^CR4.LA57 cannot be changed in long mode$/],
      ['for PCIDE set while CR3 has low bits', { cr3: 0x1018n }, PAE | PCIDE, /bits 11:0 of CR3 are not 0, got 0x18$/],
      ['for CET set while CR0.WP = 0', { cr0: PG | PE }, PAE | CET, /^CR4.CET cannot be set while CR0.WP = 0$/],
    ])('raises #GP %s', (_, registers, value, reason) => {
      expectRefused(registers, (mmu) => mmu.movToCr4(value), reason);
    });

    test('takes every other bit that is documented', () => {
      const { mmu } = setUp();
      const all = [...Array(33).keys()].filter((n) => ![12, 15, 26, 28, 29, 30, 31].includes(n));
      expect(mmu.movToCr4(all.reduce((sum, n) => sum | (1n << BigInt(n)), 0n))).toEqual(DONE);
    });

    test.each<[string, bigint, bigint, number]>([
      ['PGE on: everything', PAE | PCIDE, PAE | PCIDE | PGE, 0],
      ['PGE off: everything', PAE | PCIDE | PGE, PAE | PCIDE, 0],
      ['PCIDE off: everything', PAE | PCIDE | PGE, PAE | PGE, 0],
      ['PCIDE on: nothing', PAE | PGE, PAE | PGE | PCIDE, 5],
      ['SMEP on: the context, with global pages', PAE | PGE | PCIDE, PAE | PGE | PCIDE | SMEP, 0],
      ['SMEP off: nothing', PAE | PGE | SMEP, PAE | PGE, 5],
      ['SMAP, PKE, PKS, LASS: nothing', PAE | PGE, PAE | PGE | SMAP | PKE | PKS | LASS, 5],
      ['CET: nothing', PAE | PGE, PAE | PGE | CET, 5],
      ['no bit: nothing', PAE | PGE, PAE | PGE, 5],
    ])('drops, for %s', (_, before, after, left) => {
      const { mmu, fill, cached } = setUp({ cr4: before });
      expect(fill()).toBe(5);
      expect(mmu.movToCr4(after)).toEqual(DONE);
      expect(cached()).toBe(left);
    });

    test('SMEP on leaves other contexts their pages, but for the global ones', () => {
      const { mmu, tlb, tables } = setUp({ cr4: PAE | PGE | PCIDE });
      mmu.movToCr3(tables.root | 1n);
      tlb.access(VA);
      tlb.access(GLOBAL);
      mmu.movToCr3(tables.root | 2n);
      tlb.access(VA);
      mmu.movToCr4(PAE | PGE | PCIDE | SMEP);
      expect([...tlb.entries()].map(({ pcid, va }) => [pcid, va])).toEqual([
        [1, VA],
        [1, VA],
        [1, 0n],
        [1, 0n],
      ]);
    });
  });

  describe('WRMSR', () => {
    test.each<[string, Partial<Registers>, number, bigint, RegExp]>([
      ['LME cleared while paging', {}, Msr.efer, NXE, /^EFER.LME cannot be changed while CR0.PG = 1$/],
      ['a reserved bit of EFER', {}, Msr.efer, LME | (1n << 9n), /^reserved bits of EFER are set: 0x200$/],
      ["AMD's SVME on Intel's", {}, Msr.efer, LME | (1n << 12n), /^reserved bits of EFER/],
      ["UAIE on AMD's, which masks addresses", { vendor: 'amd' }, Msr.efer, LME | (1n << 20n), /^reserved bits/],
      [
        "LMA cleared on AMD's",
        { vendor: 'amd' },
        Msr.efer,
        NXE | LME,
        /^EFER.LMA cannot be written on AMD's processors: it is 1,/,
      ],
      ['a reserved memory type', {}, Msr.pat, 0x0200n, /^byte 1 of IA32_PAT is no memory type: 0x2$/],
      ['a memory type above 7', {}, Msr.pat, 0x08n << 56n, /^byte 7 of IA32_PAT is no memory type: 0x8$/],
      ['keys above 15', {}, Msr.pkrs, 1n << 32n, /^bits 63:32 of IA32_PKRS are reserved, got 0x100000000$/],
    ])('raises #GP for %s', (_, registers, msr, value, reason) => {
      expectRefused(registers, (mmu) => mmu.wrmsr(msr, value), reason);
    });

    test('to EFER keeps LMA, which is the processor’s, and drops nothing: what Intel’s is written is ignored', () => {
      const { mmu, fill, cached } = setUp();
      const entries = fill();
      expect(mmu.wrmsr(Msr.efer, SCE | LME)).toEqual(DONE);
      expect(mmu.registers.efer).toBe(SCE | LMA | LME);
      expect(mmu.wrmsr(Msr.efer, NXE | LMA | LME)).toEqual(DONE);
      expect(cached()).toBe(entries);
    });

    test("to EFER takes AMD's bits on AMD's processor", () => {
      const { mmu } = setUp({ vendor: 'amd' });
      expect(mmu.wrmsr(Msr.efer, LMA | LME | NXE | (1n << 12n) | (1n << 15n))).toEqual(DONE);
    });

    test("to EFER with LMA set raises #GP on AMD's processor while paging is off, and is ignored on Intel's", () => {
      for (const vendor of ['amd', 'intel'] as const) {
        const { mmu } = setUp({ vendor });
        mmu.movToCr0(PE, false);
        const { efer } = mmu.registers;
        expect(mmu.wrmsr(Msr.efer, efer | LMA).kind).toBe(vendor === 'amd' ? 'general-protection' : 'done');
        expect(mmu.registers.efer).toBe(efer);
        expect(mmu.wrmsr(Msr.efer, efer & ~NXE)).toEqual(DONE);
      }
    });

    test("to EFER leaves bits 7:1 zero on AMD's processor, where Intel's raises #GP", () => {
      const low = 0xfen;
      const { mmu } = setUp({ vendor: 'amd' });
      expect(mmu.wrmsr(Msr.efer, LMA | LME | low)).toEqual(DONE);
      expect(mmu.registers.efer).toBe(LMA | LME);
      expect(setUp().mmu.wrmsr(Msr.efer, LMA | LME | low)).toMatchObject({ kind: 'general-protection' });
    });

    test('to PAT and PKRS changes what they are for', () => {
      const { mmu } = setUp({ cr4: PAE | PKS });
      expect(mmu.wrmsr(Msr.pat, 0n)).toEqual(DONE);
      const page = mmu.translate(VA);
      if (page.kind !== 'page') throw new Error(page.kind);
      expect(mmu.memoryType(page)).toBe('UC');
      expect(mmu.wrmsr(Msr.pkrs, 0xffff_fffcn)).toEqual(DONE);
      expect(mmu.registers.pkrs).toBe(0xffff_fffc);
    });
  });

  describe('INVPCID raises #GP', () => {
    test.each<[string, Partial<Registers>, Parameters<Mmu['invpcid']>, RegExp]>([
      ['for a type above 3', { cr4: PAE | PCIDE }, [4], /^there is no INVPCID of type 0x4$/],
      ['for type 0 with a PCID while PCIDE = 0', {}, [0, 1, VA], /takes no PCID but 0 while CR4.PCIDE = 0, got 0x1$/],
      ['for type 1 with a PCID while PCIDE = 0', {}, [1, 0xfff], /takes no PCID but 0 while CR4.PCIDE = 0, got 0xfff$/],
      ['for bits 63:12 of the descriptor', { cr4: PAE | PCIDE }, [1, 0x1000], /^bits 63:12 .* reserved, got 0x1000$/],
      ['for bit 63 of the descriptor', { cr4: PAE | PCIDE }, [2, 1n << 63n], /^bits 63:12 of the INVPCID descriptor/],
      ['for type 3 likewise', {}, [3, 0x1000n], /^bits 63:12 of the INVPCID descriptor/],
      ['for type 0 with no canonical address', {}, [0, 0, 1n << 47n], /needs a canonical address, got 0x800000000000$/],
    ])('%s', (_, registers, args, reason) => {
      expectRefused(registers, (mmu) => mmu.invpcid(...args), reason);
    });
  });

  test('INVPCID of types 1 to 3 asks no address, of types 2 and 3 no PCID', () => {
    const { mmu } = setUp();
    expect(mmu.invpcid(1, 0, 1n << 47n)).toEqual(DONE);
    expect(mmu.invpcid(2, 0xfff, 1n << 47n)).toEqual(DONE);
    expect(mmu.invpcid(3, 0xfffn)).toEqual(DONE);
  });

  test('canonical for INVPCID and INVLPG is 57 bits with LA57', () => {
    const { mmu, tlb } = setUp({ cr4: PAE | LA57 }, 5);
    tlb.access(VA);
    expect(mmu.invpcid(0, 0, 1n << 47n)).toEqual(DONE);
    expect(mmu.invpcid(0, 0, 1n << 56n).kind).toBe('general-protection');
    /* The PML5E is on the way to both. */
    mmu.invlpg(1n << 56n);
    expect([...tlb.entries()].filter((entry) => entry.kind === 'table')).toHaveLength(3);
    mmu.invlpg(1n << 47n);
    expect([...tlb.entries()].filter((entry) => entry.kind === 'table')).toEqual([]);
  });

  test('INVLPG of an address that is not canonical drops nothing, not even tables', () => {
    const { mmu, fill, cached } = setUp();
    const entries = fill();
    mmu.invlpg(1n << 47n);
    expect(cached()).toBe(entries);
    mmu.invlpg(0x7fff_ffff_f000n);
    expect(cached()).toBeLessThan(entries);
  });

  describe('what drops nothing holds for cached translations all the same', () => {
    /** Leaves of all kinds, so that each rule has something to say no to: writable or not, user or not, XD, D, and a key. */
    const leaves = [W | U, U, W, 0n, W | U | XD, U | XD, W | XD, U | D, D, W | U | (1n << 59n), W | (1n << 59n)];
    const addresses = leaves.map((_, i) => VA + (BigInt(i) << 12n));

    type Flip = [string, Partial<Registers>, (mmu: Mmu) => unknown];
    test.each<Flip>([
      ['CR0.WP off', {}, (mmu) => mmu.movToCr0(PG | PE)],
      ['CR0.WP on', { cr0: PG | PE }, (mmu) => mmu.movToCr0(CR0)],
      ['EFER.NXE on', { efer: LMA | LME }, (mmu) => mmu.wrmsr(Msr.efer, NXE | LME)],
      ['CR4.SMEP off', { cr4: PAE | SMEP }, (mmu) => mmu.movToCr4(PAE)],
      ['CR4.SMEP on', {}, (mmu) => mmu.movToCr4(PAE | SMEP)],
      ['CR4.SMAP on', {}, (mmu) => mmu.movToCr4(PAE | SMAP)],
      ['CR4.SMAP off', { cr4: PAE | SMAP }, (mmu) => mmu.movToCr4(PAE)],
      ['RFLAGS.AC', { cr4: PAE | SMAP }, (mmu) => mmu.setRegisters({ rflags: 1n << 18n })],
      ['CR4.LASS on', {}, (mmu) => mmu.movToCr4(PAE | LASS)],
      ['CR4.LASS off', { cr4: PAE | LASS | SMAP }, (mmu) => mmu.movToCr4(PAE | SMAP)],
      ['CR4.PKE on', { pkru: 0b1000 }, (mmu) => mmu.movToCr4(PAE | PKE)],
      ['CR4.PKE off', { cr4: PAE | PKE, pkru: 0b0100 }, (mmu) => mmu.movToCr4(PAE)],
      ['PKRU: AD', { cr4: PAE | PKE }, (mmu) => mmu.setRegisters({ pkru: 0b0100 })],
      ['PKRU: WD', { cr4: PAE | PKE }, (mmu) => mmu.setRegisters({ pkru: 0b1000 })],
      ['PKRU: WD, which CR0.WP off lifts', { cr4: PAE | PKE, pkru: 0b1000 }, (mmu) => mmu.movToCr0(PG | PE)],
      ['CR4.PKS on', { pkrs: 0b0100 }, (mmu) => mmu.movToCr4(PAE | PKS)],
      ['PKRS', { cr4: PAE | PKS }, (mmu) => mmu.wrmsr(Msr.pkrs, 0b1000n)],
      ['CR4.CET on', {}, (mmu) => mmu.movToCr4(PAE | CET)],
    ])('%s', (_, registers, flip) => {
      const tables = new Tables();
      for (const [i, bits] of leaves.entries()) tables.map(addresses[i]!, 0x5000n + (BigInt(i) << 12n), { bits });
      const memory = memoryWith(tables.frames, kind);
      const mmu = new Mmu(memory, { cr3: tables.root, cr4: PAE, ...registers });
      const tlb = new Tlb(mmu);
      const walk = (va: bigint, access: number) =>
        referenceWalk((at) => memory.readEntry(at), mmu.registers, va, access).outcome;
      /* Only what is permitted: a fault would drop what is cached. */
      for (const access of ACCESSES) {
        for (const va of addresses) if (walk(va, access).kind === 'page') tlb.access(va, access);
      }
      expect([...tlb.entries()].length).toBeGreaterThan(7);
      flip(mmu);
      let hits = 0;
      for (const access of ACCESSES) {
        for (const va of addresses) {
          const outcome = walk(va, access);
          const { misses } = tlb.counts;
          expect(tlb.access(va, access), `${access} ${va}`).toEqual(outcome);
          if (tlb.counts.misses === misses) hits++;
          expect(tlb.accessMany(new BigUint64Array(18).fill(va), access).at(-1)).toBe(mmu.translateWord(va, access));
        }
      }
      expect(hits).toBeGreaterThan(0);
    });

    test('EFER.NXE off: what was cached with XD stays, as hardware may keep it; stale() says so', () => {
      const tables = new Tables().map(VA, 0x5000n, { bits: W | U | XD });
      const mmu = new Mmu(memoryWith(tables.frames, kind), { cr3: tables.root });
      const tlb = new Tlb(mmu);
      tlb.access(VA);
      expect(mmu.wrmsr(Msr.efer, LME)).toEqual(DONE);
      expect(mmu.translate(VA)).toMatchObject({ kind: 'page-fault', errorCode: 0b1001 });
      expect(tlb.access(VA).kind).toBe('page');
      expect(tlb.stale()).toMatchObject([{ words: 'the PTE has reserved bits set' }]);
      expect(tlb.access(VA, user | fetch)).toMatchObject({ kind: 'page-fault', errorCode: 0b1101 });
      expect(tlb.access(VA).kind).toBe('page-fault');
    });
  });

  test('setRegisters() is no instruction: it drops nothing, and stale() compares with the new root', () => {
    const { mmu, tlb, fill, cached } = setUp();
    const entries = fill();
    mmu.setRegisters({ cr3: 0x9_9999_9000n });
    expect(cached()).toBe(entries);
    expect(tlb.access(VA)).toMatchObject({ physicalAddress: 0x5000n });
    expect(new Set(tlb.stale().map(({ words }) => words))).toEqual(
      new Set(['the root table lies where there is no memory']),
    );
  });
});
