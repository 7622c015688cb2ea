/**
 * The walk, rule by rule. Intel SDM vol. 3A, chapter 4.
 */
import { describe, expect, test } from 'vitest';
import { Access, type Registers } from '../../src/index.ts';
import { IMPLEMENTATIONS, type Walker } from '../support/implementations.ts';
import { A, D, G, P, PS, Tables, U, W, XD } from '../support/tables.ts';

const LA57 = 1n << 12n;
const SMEP = 1n << 20n;
const SMAP = 1n << 21n;
const PAE = 1n << 5n;
const WP = 1n << 16n;
const PG_PE = (1n << 31n) | 1n;
const LME_LMA = (1n << 8n) | (1n << 10n);
const NXE = 1n << 11n;
const AC = 1n << 18n;

const { read, write, fetch, user } = Access;
const MIB2 = 0x20_0000;
const GIB = 0x4000_0000;

describe.each(IMPLEMENTATIONS)('$name', (implementation) => {
  const walker = (tables: Tables, registers: Partial<Registers> = {}): Walker =>
    implementation.make(tables.frames, {
      cr3: tables.root,
      ...(tables.levels === 5 ? { cr4: PAE | LA57 } : {}),
      ...registers,
    });
  const page = (physicalAddress: bigint, pageSize: number, writable: boolean, us: boolean, executable: boolean) => ({
    kind: 'page',
    physicalAddress,
    pageSize,
    writable,
    user: us,
    executable,
    shadowStack: false,
    patIndex: 0,
  });
  const fault = (errorCode: number, level: number, table: bigint) => ({ kind: 'page-fault', errorCode, level, table });

  describe('translation', () => {
    test('goes through four levels to a 4 KiB page and keeps the low 12 bits', () => {
      const tables = new Tables().map(0x7fff_1234_5000n, 0x9_8765_4000n);
      expect(walker(tables).translate(0x7fff_1234_5678n)).toEqual(page(0x9_8765_4678n, 4096, true, true, true));
    });

    test('ends at level 2 with PS and keeps the low 21 bits', () => {
      const tables = new Tables().map(0x60_0000n, 0x1_2340_0000n, { level: 2 });
      expect(walker(tables).translate(0x7f_fedcn)).toEqual(page(0x1_235f_fedcn, MIB2, true, true, true));
    });

    test('ends at level 3 with PS and keeps the low 30 bits', () => {
      const tables = new Tables().map(0x40_0000_0000n, 0x5_4000_0000n, { level: 3 });
      expect(walker(tables).translate(0x40_3fff_ffffn)).toEqual(page(0x5_7fff_ffffn, GIB, true, true, true));
    });

    test('takes a fifth level with CR4.LA57', () => {
      const va = 0x00a0_0000_0000_0000n;
      const tables = new Tables(5).map(va, 0x4000n).map(0xff11_2233_4455_6000n, 0x8000n);
      expect(walker(tables).translate(va + 8n)).toEqual(page(0x4008n, 4096, true, true, true));
      expect(walker(tables).translate(0xff11_2233_4455_6fffn)).toEqual(page(0x8fffn, 4096, true, true, true));
    });

    test('uses each of the 512 entries of every level', () => {
      for (const level of [1, 2, 3, 4]) {
        for (const index of [0n, 1n, 255n, 256n, 511n]) {
          const va = BigInt.asUintN(64, BigInt.asIntN(48, index << BigInt(12 + 9 * (level - 1))));
          expect(walker(new Tables().map(va, 0x7000n)).translate(va)).toMatchObject({ physicalAddress: 0x7000n });
          expect(walker(new Tables().map(va, 0x7000n)).translate(va ^ 0x1000n)).toMatchObject({ kind: 'page-fault' });
        }
      }
    });

    test('reaches any physical address below 2^52', () => {
      const tables = new Tables().map(0n, 0xf_ffff_ffff_f000n);
      expect(walker(tables).translate(0xfffn)).toMatchObject({ physicalAddress: 0xf_ffff_ffff_ffffn });
    });

    test('ignores PCID, PWT, PCD and bit 63 of CR3', () => {
      const tables = new Tables().map(0n, 0x9000n);
      const cr3 = tables.root | 0xfffn | XD;
      expect(walker(tables, { cr3 }).translate(0n)).toMatchObject({ physicalAddress: 0x9000n });
    });

    test('ignores A, D, G and the bits that software may use', () => {
      const bits = W | U | A | D | G | (7n << 9n) | (0x7ffn << 52n);
      const tables = new Tables().map(0n, 0x9000n, { bits, above: W | U | A | D | (7n << 8n) | (0x7ffn << 52n) });
      expect(walker(tables).translate(0n)).toEqual(page(0x9000n, 4096, true, true, true));
    });

    test('takes bit 7 of a 4 KiB page for PAT, not for PS', () => {
      const tables = new Tables().map(0n, 0x9000n, { bits: W | U | PS });
      expect(walker(tables).translate(0x10n)).toEqual({ ...page(0x9010n, 4096, true, true, true), patIndex: 4 });
    });

    test('takes bit 12 of a large page for PAT, not for its address', () => {
      const tables = new Tables()
        .map(0n, 0x4000_0000n, { level: 3, bits: 1n << 12n })
        .map(0x4000_0000n, 0x20_0000n, { level: 2, bits: 1n << 12n });
      expect(walker(tables).translate(5n)).toMatchObject({ physicalAddress: 0x4000_0005n });
      expect(walker(tables).translate(0x4000_0005n)).toMatchObject({ physicalAddress: 0x20_0005n });
    });

    test('walks a table that contains itself', () => {
      const tables = new Tables();
      tables.write(tables.root + 511n * 8n, tables.root | P | W);
      expect(walker(tables).translate(0xffff_ffff_ffff_f123n)).toMatchObject({ physicalAddress: tables.root + 0x123n });
    });
  });

  describe('canonical addresses', () => {
    test('have bits 63 to 47 all equal with four levels', () => {
      const machine = walker(new Tables());
      for (const va of [0n, 0x7fff_ffff_ffffn, 0xffff_8000_0000_0000n, 0xffff_ffff_ffff_ffffn]) {
        expect(machine.translate(va).kind).toBe('page-fault');
      }
      for (const va of [0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 1n << 63n, 0x0100_0000_0000_0000n]) {
        expect(machine.translate(va)).toEqual({ kind: 'non-canonical' });
      }
    });

    test('have bits 63 to 56 all equal with five', () => {
      const machine = walker(new Tables(5));
      for (const va of [0x8000_0000_0000n, 0x00ff_ffff_ffff_ffffn, 0xff00_0000_0000_0000n]) {
        expect(machine.translate(va).kind).toBe('page-fault');
      }
      for (const va of [0x0100_0000_0000_0000n, 0xfeff_ffff_ffff_ffffn]) {
        expect(machine.translate(va)).toEqual({ kind: 'non-canonical' });
      }
    });
  });

  describe('an entry that is not present', () => {
    test.each([4, 3, 2, 1])('at level %i faults with P clear, whatever its other bits', (level) => {
      const tables = new Tables().map(0n, 0x9000n);
      const at = tables.entry(level, 0n);
      tables.write(at, ~P & 0xffff_ffff_ffff_ffffn);
      expect(walker(tables).translate(0n)).toEqual(fault(0, level, at));
      expect(walker(tables).translate(0n, write)).toEqual(fault(0b00010, level, at));
      expect(walker(tables).translate(0n, write | user)).toEqual(fault(0b00110, level, at));
      expect(walker(tables).translate(0n, fetch | user)).toEqual(fault(0b10100, level, at));
    });

    test('wins over rights that a higher level withholds', () => {
      const tables = new Tables().map(0n, 0x9000n, { above: 0n });
      tables.change(tables.entry(1, 0n), { clear: P });
      expect(walker(tables).translate(0n, write | user)).toEqual(fault(0b00110, 1, tables.entry(1, 0n)));
    });
  });

  describe('a reserved bit', () => {
    const code = 0b01001;

    test.each([5, 4, 3, 2, 1])('above MAXPHYADDR faults at level %i with RSVD and P', (level) => {
      for (const width of [36, 39, 46, 51]) {
        const tables = new Tables(5).map(0n, 0x9000n);
        const at = tables.entry(level, 0n);
        tables.change(at, { set: 1n << BigInt(width) });
        const table = at & ~0xfffn;
        expect(walker(tables, { maxPhysicalAddress: width }).translate(0n)).toEqual(fault(code, level, table));
        const wider = walker(tables, { maxPhysicalAddress: width + 1 }).translate(0n);
        expect(wider.kind).toBe(level === 1 ? 'page' : 'missing-table');
      }
    });

    test('among bits 20 to 13 of a 2 MiB page, and 29 to 13 of a 1 GiB page', () => {
      for (const [level, top] of [
        [2, 20],
        [3, 29],
      ] as const) {
        for (let bit = 13; bit <= top; bit++) {
          const tables = new Tables().map(0n, 0x4000_0000n | (1n << BigInt(bit)), { level });
          expect(walker(tables).translate(0n)).toEqual(fault(code, level, tables.entry(level, 0n)));
        }
        const tables = new Tables().map(0n, 1n << BigInt(top + 1), { level });
        expect(walker(tables).translate(0n).kind).toBe('page');
      }
    });

    test.each([4, 5])('is PS at level %i', (level) => {
      const tables = new Tables(5).map(0n, 0x9000n);
      tables.change(tables.entry(level, 0n), { set: PS });
      expect(walker(tables).translate(0n)).toEqual(fault(code, level, tables.entry(level, 0n)));
    });

    test('is PS at level 3 when the processor has no 1 GiB pages', () => {
      const tables = new Tables().map(0n, 0x4000_0000n, { level: 3 });
      expect(walker(tables, { page1G: false }).translate(0n)).toEqual(fault(code, 3, tables.entry(3, 0n)));
      const smaller = new Tables().map(0n, 0x4000_0000n, { level: 2 });
      expect(walker(smaller, { page1G: false }).translate(0n).kind).toBe('page');
    });

    test.each([4, 3, 2, 1])('is XD at level %i while EFER.NXE is 0', (level) => {
      const tables = new Tables().map(0n, 0x9000n);
      tables.change(tables.entry(level, 0n), { set: XD });
      expect(walker(tables, { efer: LME_LMA }).translate(0n)).toEqual(fault(code, level, tables.entry(level, 0n)));
      expect(walker(tables).translate(0n)).toEqual(page(0x9000n, 4096, true, true, false));
    });

    test('wins over rights, and is reported for every kind of access', () => {
      const tables = new Tables().map(0n, 0x9000n, { bits: 1n << 51n, above: 0n });
      const machine = walker(tables, { maxPhysicalAddress: 51 });
      const table = tables.entry(1, 0n);
      expect(machine.translate(0n, user | write)).toEqual(fault(0b01111, 1, table));
      expect(machine.translate(0n, fetch)).toEqual(fault(0b11001, 1, table));
    });
  });

  describe('rights', () => {
    test.each([4, 3, 2, 1])('R/W, U/S and XD count at level %i as at every other', (level) => {
      const tables = new Tables().map(0n, 0x9000n);
      const at = tables.entry(level, 0n);
      const table = tables.entry(1, 0n);
      tables.change(at, { clear: W });
      expect(walker(tables).translate(0n, write | user)).toEqual(fault(0b00111, 1, table));
      expect(walker(tables).translate(0n, user)).toEqual(page(0x9000n, 4096, false, true, true));
      tables.change(at, { set: W, clear: U });
      expect(walker(tables).translate(0n, user)).toEqual(fault(0b00101, 1, table));
      expect(walker(tables).translate(0n)).toEqual(page(0x9000n, 4096, true, false, true));
      tables.change(at, { set: U | XD });
      expect(walker(tables).translate(0n, user | fetch)).toEqual(fault(0b10101, 1, table));
      expect(walker(tables).translate(0n, fetch)).toEqual(fault(0b10001, 1, table));
      expect(walker(tables).translate(0n, user | write)).toEqual(page(0x9000n, 4096, true, true, false));
    });

    test('a supervisor write ignores R/W while CR0.WP is 0; a user write never does', () => {
      const tables = new Tables().map(0n, 0x9000n, { bits: U });
      const table = tables.entry(1, 0n);
      const on = walker(tables, { cr0: PG_PE | WP });
      const off = walker(tables, { cr0: PG_PE });
      expect(on.translate(0n, write)).toEqual(fault(0b00011, 1, table));
      expect(off.translate(0n, write)).toEqual(page(0x9000n, 4096, false, true, true));
      expect(off.translate(0n, write | user)).toEqual(fault(0b00111, 1, table));
    });

    test('CR4.SMEP forbids the supervisor to fetch from user pages', () => {
      const tables = new Tables().map(0n, 0x9000n).map(0x1000n, 0xa000n, { bits: W });
      const machine = walker(tables, { cr4: PAE | SMEP });
      expect(machine.translate(0n, fetch)).toEqual(fault(0b10001, 1, tables.entry(1, 0n)));
      expect(machine.translate(0n, fetch | user).kind).toBe('page');
      expect(machine.translate(0x1000n, fetch).kind).toBe('page');
      expect(machine.translate(0n, read).kind).toBe('page');
    });

    test('CR4.SMAP forbids the supervisor to read and write user pages, unless RFLAGS.AC is set', () => {
      const tables = new Tables().map(0n, 0x9000n).map(0x1000n, 0xa000n, { bits: W });
      const machine = walker(tables, { cr4: PAE | SMAP });
      const table = tables.entry(1, 0n);
      expect(machine.translate(0n, read)).toEqual(fault(0b00001, 1, table));
      expect(machine.translate(0n, write)).toEqual(fault(0b00011, 1, table));
      expect(machine.translate(0n, fetch).kind).toBe('page');
      expect(machine.translate(0n, user).kind).toBe('page');
      expect(machine.translate(0x1000n, write).kind).toBe('page');
      const allowed = walker(tables, { cr4: PAE | SMAP, rflags: AC });
      expect(allowed.translate(0n, write).kind).toBe('page');
    });

    test('a fetch is reported in the error code only with EFER.NXE or CR4.SMEP', () => {
      const tables = new Tables();
      const none = walker(tables, { efer: LME_LMA });
      expect(none.translate(0n, fetch | user)).toEqual(fault(0b00100, 4, tables.root));
      const smep = walker(tables, { efer: LME_LMA, cr4: PAE | SMEP });
      expect(smep.translate(0n, fetch | user)).toEqual(fault(0b10100, 4, tables.root));
      const nxe = walker(tables, { efer: LME_LMA | NXE });
      expect(nxe.translate(0n, fetch | user)).toEqual(fault(0b10100, 4, tables.root));
    });
  });

  describe('a table outside memory', () => {
    test('is named with its level', () => {
      const tables = new Tables().map(0n, 0x9000n);
      for (const level of [4, 3, 2]) {
        const at = tables.entry(level, 0n);
        const before = tables.read(at);
        tables.write(at, 0x8_0000_0000n | P | W | U);
        expect(walker(tables).translate(0n)).toEqual({
          kind: 'missing-table',
          level: level - 1,
          table: 0x8_0000_0000n,
        });
        tables.write(at, before);
      }
    });

    test('may be the root', () => {
      const machine = walker(new Tables(), { cr3: 0xf_ffff_ffff_f000n });
      expect(machine.translate(0n)).toEqual({ kind: 'missing-table', level: 4, table: 0xf_ffff_ffff_f000n });
    });

    test('does not matter to a leaf, which may point anywhere', () => {
      const tables = new Tables().map(0n, 0xf_ffff_c000_0000n, { level: 3 });
      expect(walker(tables).translate(1n)).toMatchObject({ physicalAddress: 0xf_ffff_c000_0001n });
    });
  });
});
