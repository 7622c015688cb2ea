/**
 * The entries of pages that move. include/linux/swapops.h, arch/x86/include/asm/pgtable_64.h of Linux 6.1.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  makeMigrationEntry,
  swpClearUffdWp,
  swpMkuffdWp,
  swpUffdWp,
  wrprotectMigrationEntry,
} from '../../../src/linux/base/migration-entry.ts';
import { Machine, type MigrationEntry, Pte, readMigrationEntry } from '../../../src/linux/index.ts';

const machines = { 4: new Machine({ tables: 4096 }), 5: new Machine({ tables: 4096, levels: 5 }) };
const TYPES = { read: 23n, exclusive: 24n, write: 25n };
const plain: MigrationEntry = {
  kind: 'read',
  pfn: 0x12_3456,
  young: false,
  dirty: false,
  softDirty: false,
  uffdWp: false,
};

/** `__swp_entry`: by the kernel's arithmetic. */
function swpEntry(type: bigint, offset: bigint): bigint {
  return BigInt.asUintN(64, BigInt.asUintN(64, ~offset << 14n) >> 5n) | (type << 59n);
}

describe.each([
  [4, 34n],
  [5, 40n],
] as const)('with %i levels of tables', (levels, bits) => {
  const machine = machines[levels];
  const made = (parts: Partial<MigrationEntry>): Pte => makeMigrationEntry(machine, { ...plain, ...parts });

  test.each(['read', 'exclusive', 'write'] as const)('type and frame number, inverted: %s', (kind) => {
    expect(made({ kind }).value).toBe(swpEntry(TYPES[kind], 0x12_3456n));
  });

  test('A and D stand above the frame number, soft-dirty and write protection below it', () => {
    const pfn = 0x12_3456n;
    expect(made({ young: true }).value).toBe(swpEntry(23n, pfn | (1n << bits)));
    expect(made({ dirty: true }).value).toBe(swpEntry(23n, pfn | (2n << bits)));
    expect(made({ softDirty: true }).value).toBe(swpEntry(23n, pfn) | 2n);
    expect(made({ uffdWp: true }).value).toBe(swpEntry(23n, pfn) | 4n);
  });

  const entries = fc.record<MigrationEntry>({
    kind: fc.constantFrom('read', 'exclusive', 'write'),
    pfn: fc.integer({ min: 0, max: 2 ** Number(bits) - 1 }),
    young: fc.boolean(),
    dirty: fc.boolean(),
    softDirty: fc.boolean(),
    uffdWp: fc.boolean(),
  });

  test('what was put in can be read, and nobody takes it for anything else', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const pte = makeMigrationEntry(machine, entry);
        expect(readMigrationEntry(machine, pte)).toEqual(entry);
        expect(pte).toMatchObject({
          isMigration: true,
          present: false,
          none: false,
          noneMostly: false,
          isMarker: false,
        });
      }),
    );
  });

  test('who loses the right to write keeps A and D, not soft-dirty and write protection', () => {
    fc.assert(
      fc.property(entries, fc.constantFrom('read', 'exclusive'), (entry, kind) => {
        const pte = wrprotectMigrationEntry(makeMigrationEntry(machine, entry), kind);
        expect(readMigrationEntry(machine, pte)).toEqual({ ...entry, kind, softDirty: false, uffdWp: false });
      }),
    );
  });

  test("userfaultfd's protection comes and goes without anything else", () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const pte = makeMigrationEntry(machine, entry);
        expect(readMigrationEntry(machine, swpMkuffdWp(pte))).toEqual({ ...entry, uffdWp: true });
        expect(readMigrationEntry(machine, swpClearUffdWp(pte))).toEqual({ ...entry, uffdWp: false });
        expect(swpUffdWp(pte)).toBe(entry.uffdWp);
      }),
    );
  });
});

test('neither an empty entry, nor a marker, nor a leaf, PROT_NONE or not, is a page that moves', () => {
  for (const value of [0n, 0xf7ff_ffff_ffff_fc00n, 0x8000_0001_0000_08e7n, 0x000f_fffe_ffff_f9e2n]) {
    expect(Pte.from(value).isMigration).toBe(false);
  }
});
