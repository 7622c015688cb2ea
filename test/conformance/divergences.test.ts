/**
 * Where other walkers are known to differ from the architecture: one test for each, so that we never do the same.
 */
import { describe, expect, test } from 'vitest';
import { Access, type Registers } from '../../src/index.ts';
import { IMPLEMENTATIONS } from '../support/implementations.ts';
import { A, D, G, P, PS, Tables, U, W, XD } from '../support/tables.ts';

const { write, fetch, user } = Access;

describe.each(IMPLEMENTATIONS)('$name', (implementation) => {
  const make = (tables: Tables, registers: Partial<Registers> = {}) =>
    implementation.make(tables.frames, { cr3: tables.root, ...registers });

  test('a page is writable only if every level says so (memflow: if any does)', () => {
    const tables = new Tables().map(0n, 0x9000n, { bits: W | U, above: U });
    expect(make(tables).translate(0n, write | user)).toMatchObject({ kind: 'page-fault', errorCode: 7 });
  });

  test('U/S exists (memflow: not at all)', () => {
    const tables = new Tables().map(0n, 0x9000n, { bits: W });
    expect(make(tables).translate(0n, user)).toMatchObject({ kind: 'page-fault', errorCode: 5 });
  });

  test('R/W, U/S and XD of the levels above the leaf count (blink: not)', () => {
    for (const [bits, access, errorCode] of [
      [U, user | write, 7],
      [W, user, 5],
      [W | U | XD, user | fetch, 0x15],
    ] as const) {
      const tables = new Tables().map(0n, 0x9000n, { bits: W | U, above: bits });
      expect(make(tables).translate(0n, access)).toMatchObject({ kind: 'page-fault', errorCode });
    }
  });

  test('A and D are set (blink: never; gem5: D never)', () => {
    const tables = new Tables().map(0n, 0x9000n);
    const walker = make(tables);
    walker.access(0n, write);
    expect(walker.entry(tables.entry(1, 0n))! & (A | D)).toBe(A | D);
    expect(walker.entry(tables.entry(4, 0n))! & (A | D)).toBe(A);
  });

  test('a large page stays one (blink, memflow: cut into 4 KiB)', () => {
    const tables = new Tables().map(0n, 0x4000_0000n, { level: 2 });
    expect(make(tables).translate(0x1f_ffffn)).toMatchObject({ physicalAddress: 0x401f_ffffn, pageSize: 0x20_0000 });
  });

  test('PS in a PDPTE maps 1 GiB (gem5: walked on as a table)', () => {
    const tables = new Tables().map(0n, 0x4000_0000n, { level: 3 });
    expect(make(tables).translate(0x3fff_ffffn)).toMatchObject({
      physicalAddress: 0x7fff_ffffn,
      pageSize: 0x4000_0000,
    });
  });

  test('reserved bits fault (gem5: assumed to be fine)', () => {
    const tables = new Tables().map(0n, 0x9000n, { bits: W | U | (1n << 45n) });
    const outcome = make(tables, { maxPhysicalAddress: 40 }).translate(0n);
    expect(outcome).toMatchObject({ kind: 'page-fault', errorCode: 9 });
  });

  test('reserved bits are those above MAXPHYADDR, not bits 51:48 (MemProcFS)', () => {
    const tables = new Tables().map(0n, 0xf_0000_0000_9000n);
    expect(make(tables).translate(0n)).toMatchObject({ physicalAddress: 0xf_0000_0000_9000n });
  });

  test('RSVD comes with P (QEMU: without)', () => {
    for (const level of [4, 3, 2, 1]) {
      const tables = new Tables().map(0n, 0x9000n);
      tables.change(tables.entry(level, 0n), { set: 1n << 51n });
      const outcome = make(tables, { maxPhysicalAddress: 51 }).translate(0n, user | write);
      expect(outcome).toMatchObject({ kind: 'page-fault', errorCode: 0b1111 });
    }
  });

  test('a table of 512 equal entries is a table (volatility3: invalid)', () => {
    const tables = new Tables().map(0n, 0x9000n);
    const leaf = tables.read(tables.entry(1, 0n));
    for (let i = 0n; i < 512n; i++) tables.write(tables.entry(1, i << 12n), leaf);
    expect(make(tables).translate(0x1f_f123n)).toMatchObject({ physicalAddress: 0x9123n });
  });

  test('bit 7 of a PTE is PAT, whatever it is above (a common mistake), and PAT is never part of an address', () => {
    const tables = new Tables()
      .map(0n, 0x9000n, { bits: PS })
      .map(0x20_0000n, 0x40_0000n, { level: 2, bits: 1n << 12n })
      .map(0x4000_0000n, 0x4000_0000n, { level: 3, bits: 1n << 12n });
    const walker = make(tables);
    expect(walker.translate(0n)).toMatchObject({ physicalAddress: 0x9000n, patIndex: 4 });
    expect(walker.translate(0x20_0000n)).toMatchObject({ physicalAddress: 0x40_0000n, patIndex: 4 });
    expect(walker.translate(0x4000_0000n)).toMatchObject({ physicalAddress: 0x4000_0000n, patIndex: 4 });
  });

  test('tables that look wrong are left as they are (MemProcFS: zeroed)', () => {
    const tables = new Tables().map(0n, 0x9000n);
    const wrong = 0xf_ffff_ffff_f000n | P | W | G;
    tables.write(tables.entry(1, 0x1000n), wrong);
    const walker = make(tables, { maxPhysicalAddress: 36 });
    walker.access(0x1000n);
    walker.access(0n);
    expect(walker.entry(tables.entry(1, 0x1000n))).toBe(wrong);
  });

  test('bit 8 of a PML4E is reserved on AMD only (QEMU: nowhere)', () => {
    const tables = new Tables().map(0n, 0x9000n);
    tables.change(tables.entry(4, 0n), { set: G });
    expect(make(tables, { vendor: 'amd' }).translate(0n)).toMatchObject({ kind: 'page-fault', errorCode: 9 });
    expect(make(tables).translate(0n).kind).toBe('page');
  });

  test('an address that is not canonical is no page fault (Bochs and QEMU agree; v86 and ChampSim know none)', () => {
    expect(make(new Tables()).translate(1n << 47n)).toEqual({ kind: 'non-canonical' });
  });
});
