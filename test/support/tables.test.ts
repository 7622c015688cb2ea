import { describe, expect, test } from 'vitest';
import { P, PS, Tables, U, W } from './tables.ts';

describe('the page-table assembler', () => {
  test('makes one table a level on the way to a page', () => {
    const tables = new Tables().map(0x40_0000n, 0x1234_5000n);
    expect([...tables.frames.keys()]).toEqual([0x1000n, 0x2000n, 0x3000n, 0x4000n]);
    expect(tables.read(0x1000n)).toBe(0x2000n | P | W | U);
    expect(tables.read(0x2000n)).toBe(0x3000n | P | W | U);
    expect(tables.read(0x3000n + 2n * 8n)).toBe(0x4000n | P | W | U);
    expect(tables.read(0x4000n)).toBe(0x1234_5000n | P | W | U);
  });

  test('shares the tables of neighbours', () => {
    const tables = new Tables().map(0n, 0x5000n).map(0x1000n, 0x9000n);
    expect(tables.frames.size).toBe(4);
    expect(tables.entry(1, 0x1000n)).toBe(tables.entry(1, 0n) + 8n);
  });

  test('sets PS in large leaves, and stops at their level', () => {
    const tables = new Tables().map(0x20_0000n, 0x4000_0000n, { level: 2, bits: W });
    expect(tables.frames.size).toBe(3);
    expect(tables.read(tables.entry(2, 0x20_0000n))).toBe(0x4000_0000n | P | W | PS);
  });

  test('uses a fifth level where asked to', () => {
    const tables = new Tables(5).map(0xff00_0000_0000_0000n, 0n);
    expect(tables.entry(5, 0xff00_0000_0000_0000n)).toBe(0x1000n + 256n * 8n);
    expect(tables.frames.size).toBe(5);
  });

  test('changes single bits of an entry', () => {
    const tables = new Tables().map(0n, 0n);
    const at = tables.entry(1, 0n);
    expect(tables.change(at, { set: PS, clear: W | U }).read(at)).toBe(P | PS);
  });
});
