/**
 * Memory types. Intel SDM vol. 3A, sections 4.9 (PAT, PCD, PWT) and 12.5.2.2 (table 12-7: MTRRs and PAT together).
 */
import { describe, expect, test } from 'vitest';
import {
  effectiveMemoryType,
  type MemoryType,
  Mmu,
  type PageOutcome,
  patType,
  type Registers,
} from '../../src/index.ts';
import { explain } from '../../src/reference/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { P, Tables, U, W } from '../support/tables.ts';

const PWT = 1n << 3n;
const PCD = 1n << 4n;
/** PAT of a 4 KiB page, of a larger one. */
const PAT_4K = 1n << 7n;
const PAT_LARGE = 1n << 12n;

const mmuOf = (tables: Tables, registers: Partial<Registers> = {}) =>
  new Mmu(memoryWith(tables.frames, 'flat'), { cr3: tables.root, ...registers });

describe('the entry of IA32_PAT', () => {
  test.each([1, 2, 3])('is chosen by PAT, PCD and PWT of a leaf at level %i', (level) => {
    const pat = level === 1 ? PAT_4K : PAT_LARGE;
    for (let index = 0; index < 8; index++) {
      const bits = W | U | (index & 1 ? PWT : 0n) | (index & 2 ? PCD : 0n) | (index & 4 ? pat : 0n);
      const tables = new Tables().map(0n, 0x4000_0000n, { level, bits, above: W | U | PWT });
      const mmu = mmuOf(tables);
      const outcome = mmu.translate(0x123n) as PageOutcome;
      expect(mmu.explain(0x123n).outcome).toEqual(outcome);
      expect(outcome.patIndex).toBe(index);
      expect(outcome.physicalAddress).toBe(0x4000_0123n);
    }
  });

  test('is WB, WT, UC-, UC, and again, after a reset', () => {
    const reset = 0x0007_0406_0007_0406n;
    const types = Array.from({ length: 8 }, (_, index) => patType(reset, index));
    expect(types).toEqual(['WB', 'WT', 'UC-', 'UC', 'WB', 'WT', 'UC-', 'UC']);
  });

  test('may be any of six types; other encodings are refused, as by WRMSR', () => {
    const mmu = mmuOf(new Tables());
    mmu.setRegisters({ pat: 0x0706_0504_0100_0100n });
    expect(() => mmu.setRegisters({ pat: 0x0200n })).toThrow(
      new RangeError('pat: expected 0, 1, 4, 5, 6 or 7 in byte 1, got 0x2'),
    );
    expect(() => mmu.setRegisters({ pat: 0xffn << 56n })).toThrow(RangeError);
    expect(() => mmu.setRegisters({ mtrrDefault: 'UC-' as 'UC' })).toThrow(RangeError);
    expect(mmu.registers.pat).toBe(0x0706_0504_0100_0100n);
  });
});

test('the effective type is that of table 12-7', () => {
  const pat: MemoryType[] = ['UC', 'UC-', 'WC', 'WT', 'WB', 'WP'];
  const rows: Record<string, string> = {
    UC: 'UC UC WC UC UC UC',
    WC: 'UC WC WC UC WC UC',
    WT: 'UC UC WC WT WT WP',
    WB: 'UC UC WC WT WB WP',
    WP: 'UC WC WC WT WP WP',
  };
  for (const [mtrr, row] of Object.entries(rows)) {
    expect(pat.map((type) => effectiveMemoryType(type, mtrr as 'UC')).join(' ')).toBe(row);
  }
});

test('an Mmu combines its PAT and its MTRRs default', () => {
  const mmu = mmuOf(new Tables().map(0n, 0x9000n, { bits: PWT }));
  const type = () => mmu.memoryType(mmu.translate(0n) as PageOutcome);
  expect(type()).toBe('WT');
  mmu.setRegisters({ pat: 0x0100n });
  expect(type()).toBe('WC');
  mmu.setRegisters({ pat: 0x0600n, mtrrDefault: 'WC' });
  expect(type()).toBe('WC');
  mmu.setRegisters({ mtrrDefault: 'UC' });
  expect(type()).toBe('UC');
});

describe('a table is read', () => {
  const types = (tables: Tables, registers: Partial<Registers> = {}) =>
    mmuOf(tables, registers)
      .explain(0n)
      .steps.map(({ memoryType }) => memoryType);

  test('with PCD and PWT of the entry that points to it, the root with those of CR3', () => {
    const tables = new Tables().map(0n, 0x9000n);
    expect(types(tables)).toEqual(['WB', 'WB', 'WB', 'WB']);
    expect(types(tables, { cr3: tables.root | PWT })).toEqual(['WT', 'WB', 'WB', 'WB']);
    tables.change(tables.entry(3, 0n), { set: PCD | PWT });
    expect(types(tables, { cr3: tables.root | PCD })).toEqual(['UC', 'WB', 'UC', 'WB']);
  });

  test('with entry 0 of the PAT for the root while CR4.PCIDE is 1', () => {
    const tables = new Tables().map(0n, 0x9000n);
    const registers = { cr3: tables.root | PWT | PCD, cr4: (1n << 5n) | (1n << 17n), pat: 0x04n };
    expect(types(tables, registers)[0]).toBe('WT');
  });

  test('below the root by its own PCD and PWT also while CR4.PCIDE is 1', () => {
    const tables = new Tables().map(0n, 0x9000n, { above: W | U | PWT });
    const registers = { cr3: tables.root | PCD, cr4: (1n << 5n) | (1n << 17n) };
    expect(types(tables, registers)).toEqual(['WB', 'WT', 'WT', 'WT']);
  });

  test('and a page accessed, as uncacheable where the PAT holds what no processor accepts', () => {
    const tables = new Tables().map(0n, 0x9000n);
    const { registers, memory } = mmuOf(tables);
    const wrong = { ...registers, pat: 0x02n };
    expect(explain((at) => memory.readEntry(at), wrong, 0n, 0)).toMatchObject({ memoryType: 'UC' });
  });

  test('explain tells the type of the page, too, and none where there is no page', () => {
    const tables = new Tables().map(0n, 0x9000n, { bits: PCD | PWT });
    expect(mmuOf(tables).explain(0n).memoryType).toBe('UC');
    tables.change(tables.entry(1, 0n), { clear: P });
    expect(mmuOf(tables).explain(0n).memoryType).toBeUndefined();
  });
});
