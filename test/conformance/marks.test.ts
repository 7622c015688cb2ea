/**
 * The accessed and dirty flags. Intel SDM vol. 3A, section 4.8.
 */
import { describe, expect, test } from 'vitest';
import { Access, type Registers } from '../../src/index.ts';
import { ACCESSORS } from '../support/implementations.ts';
import { A, D, P, PS, Tables, U, W, XD } from '../support/tables.ts';

const { read, write, fetch, user } = Access;

describe.each(ACCESSORS)('$name', (implementation) => {
  /** A and D in the entries on the way to an address after an access, from the root down: `A A A AD`. */
  const marksAfter = (
    tables: Tables,
    access: number,
    registers: Partial<Registers> = {},
    va = 0n,
    probe = false,
  ): string => {
    const walker = implementation.make(tables.frames, {
      cr3: tables.root,
      ...(tables.levels === 5 ? { cr4: (1n << 5n) | (1n << 12n) } : {}),
      ...registers,
    });
    if (probe) walker.translate(va, access);
    else walker.access(va, access);
    const letters: string[] = [];
    let table = tables.root;
    for (let level: number = tables.levels; level >= 1; level--) {
      const entry = walker.entry(table + ((va >> BigInt(12 + 9 * (level - 1))) & 511n) * 8n);
      if (entry === undefined) break;
      letters.push(`${entry & A ? 'A' : ''}${entry & D ? 'D' : ''}` || '-');
      if (!(entry & P) || (level > 1 && entry & PS)) break;
      table = entry & 0xf_ffff_ffff_f000n;
    }
    return letters.join(' ');
  };
  const page = (bits = W | U, level = 1) => new Tables().map(0n, 0x4000_0000n, { bits, level });

  test('sets A on every level, D only in the leaf of a write', () => {
    expect(marksAfter(page(), read)).toBe('A A A A');
    expect(marksAfter(page(), user | fetch)).toBe('A A A A');
    expect(marksAfter(page(), write)).toBe('A A A AD');
    expect(marksAfter(new Tables(5).map(0n, 0x9000n), user | write)).toBe('A A A A AD');
  });

  test('sets them in large leaves', () => {
    expect(marksAfter(page(W, 2), write)).toBe('A A AD');
    expect(marksAfter(page(W, 3), write)).toBe('A AD');
    expect(marksAfter(page(W, 3), read)).toBe('A A');
  });

  test('a probe sets nothing', () => {
    expect(marksAfter(page(), write, {}, 0n, true)).toBe('- - - -');
  });

  test('leaves bits alone that are set, also D of a page that is read', () => {
    expect(marksAfter(page(W | U | A | D), read)).toBe('A A A AD');
    expect(marksAfter(page(W | U | D), read)).toBe('A A A AD');
  });

  test('a fault for rights sets neither in the leaf, but A above it', () => {
    expect(marksAfter(page(U), user | write)).toBe('A A A -');
    expect(marksAfter(page(W), user)).toBe('A A A -');
    expect(marksAfter(page(U | XD), fetch)).toBe('A A A -');
    expect(marksAfter(page(U | (3n << 59n)), user, { cr4: (1n << 5n) | (1n << 22n), pkru: 1 << 6 })).toBe('A A A -');
  });

  test('an entry that is not present, or has reserved bits set, is not changed; those used before it have A', () => {
    for (const level of [4, 3, 2, 1]) {
      const hole = page();
      hole.change(hole.entry(level, 0n), { clear: P });
      expect(marksAfter(hole, write)).toBe([...Array<string>(4 - level).fill('A'), '-'].join(' '));
      const wrong = page();
      wrong.change(wrong.entry(level, 0n), { set: 1n << 51n });
      expect(marksAfter(wrong, write, { maxPhysicalAddress: 51 })).toBe(
        [...Array<string>(4 - level).fill('A'), '-', ...(level === 1 ? [] : [])].join(' '),
      );
    }
  });

  test('a table outside memory leaves A in the entry that points to it', () => {
    const tables = page();
    tables.write(tables.entry(3, 0n), 0xf_0000_0000_0000n | P | W | U);
    expect(marksAfter(tables, read)).toBe('A A');
  });

  test('a refused address sets nothing', () => {
    expect(marksAfter(page(), write, {}, 1n << 47n)).toBe('-');
    expect(marksAfter(page(), fetch, { cr4: (1n << 5n) | (1n << 27n) })).toBe('- - - -');
  });
});
