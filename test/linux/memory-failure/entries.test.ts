/**
 * The entry that stands for bad memory, and the splitting of leaves: include/linux/swapops.h of Linux 6.1; hugetlb_split_to_shift.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PTE_NONE, PTE_UFFD_WP_MARKER } from '../../../src/linux/base/pte.ts';
import { run } from '../../../src/linux/base/task.ts';
import { MADV_SPLIT, PROT_READ, Pte } from '../../../src/linux/index.ts';
import { hugetlbFullWalk } from '../../../src/linux/page-tables/page-table.ts';
import { hugetlbSplitToShift } from '../../../src/linux/page-tables/split-leaf.ts';
import { recount } from '../hgm/support.ts';
import { entryOf, folioAt, GIB1, KIB4, MIB2, machineWith, mapShared, P, pageAt, RW, U, W } from '../support.ts';
import { entries } from './support.ts';

describe('the entry', () => {
  test('type 22 stands in bits 63:59, the frame number inverted in bits 58:9', () => {
    expect(Pte.hwpoison(0).value).toBe((22n << 59n) | (((1n << 50n) - 1n) << 9n));
    expect(Pte.hwpoison(0x12345).value).toBe((22n << 59n) | (((1n << 50n) - 1n - 0x12345n) << 9n));
  });

  test('it has its frame number, and is nothing else: not present, not empty, no marker, no large leaf', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 - 1 }), (pfn) => {
        const pte = Pte.hwpoison(pfn);
        expect(pte.hwpoisonPfn).toBe(pfn);
        expect([pte.isHwpoison, pte.present, pte.none, pte.noneMostly, pte.huge]).toEqual([
          true,
          false,
          false,
          false,
          false,
        ]);
      }),
    );
  });

  test('nothing else is it, whatever the upper bits of what is present', () => {
    expect([PTE_NONE, PTE_UFFD_WP_MARKER].map((pte) => pte.isHwpoison)).toEqual([false, false]);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (bits) => {
        expect(Pte.from(bits | P).isHwpoison).toBe(false);
        expect(Pte.from(bits | (1n << 8n)).isHwpoison).toBe(false);
      }),
    );
  });
});

/** A huge page that is mapped by one leaf, and may be mapped in pieces. */
function scene(size: number, prot = RW) {
  const machine = machineWith({ size, pages: 1, tables: 2 ** 23 });
  const process = machine.createProcess();
  const at = mapShared(process, 1, { size, address: 2 ** 40, prot: RW });
  process.madvise(at, size, MADV_SPLIT);
  process.write(at, 1);
  if (prot !== RW) process.mprotect(at, size, prot);
  const { task } = process.thread();
  const vma = process.vmas[0]!;
  const split = (address: number, shift: number) => {
    return run(hugetlbSplitToShift(task, vma, hugetlbFullWalk(vma, address)!, address, shift));
  };
  return { machine, process, at, size, split };
}

describe('hugetlb_split_to_shift', () => {
  test('2 MiB: 512 leaves of 4 KiB', () => {
    const { machine, process, at, split } = scene(MIB2);
    expect(split(at + 77 * KIB4, 12)).toBe('OK');
    expect(entries(process, at, MIB2)).toEqual([[512, 1, 'mapped']]);
    recount(machine);
  });

  test('1 GiB to 2 MiB: 512 leaves of 2 MiB; then one of those to 4 KiB', () => {
    const { machine, process, at, split } = scene(GIB1);
    expect(split(at + 5, 21)).toBe('OK');
    expect(entries(process, at, GIB1)).toEqual([[512, 512, 'mapped']]);
    recount(machine);
    expect(split(at + GIB1 - 1, 12)).toBe('OK');
    expect(entries(process, at, GIB1)).toEqual([
      [511, 512, 'mapped'],
      [512, 1, 'mapped'],
    ]);
    recount(machine);
  });

  test('1 GiB to 4 KiB: as large as can be everywhere else, 511 leaves of 2 MiB and 512 of 4 KiB', () => {
    const { machine, process, at, split } = scene(GIB1);
    const before = folioAt(process, at).refcount;
    expect(split(at + 3 * MIB2 + 9 * KIB4, 12)).toBe('OK');
    expect(entries(process, at, GIB1)).toEqual([
      [3, 512, 'mapped'],
      [512, 1, 'mapped'],
      [508, 512, 'mapped'],
    ]);
    expect(folioAt(process, at).refcount).toBe(before + 1022);
    recount(machine);
  });

  test.each([
    { name: 'writable', prot: RW },
    { name: 'read-only', prot: PROT_READ },
    { name: 'PROT_NONE', prot: 0 },
  ])('$name: every piece maps what was there, with the same bits but PS', ({ prot }) => {
    for (const size of [MIB2, GIB1]) {
      const { process, at, split } = scene(size, prot);
      const folio = folioAt(process, at);
      const whole = Pte.from(pageAt(process, at)!.entry);
      split(at + 12 * KIB4, 12);
      for (const { address, bytes, entry } of process.mappedPages()) {
        const piece = Pte.from(entry);
        expect(piece.pfn).toBe(folio.pfn + (address - at) / KIB4);
        expect(piece.lo & 0xf7f).toBe(whole.lo & 0xf7f);
        expect(piece.huge).toBe(bytes > KIB4);
      }
    }
  });

  test('the entry of the first piece, bit for bit', () => {
    const { process, at, split } = scene(MIB2);
    const before = pageAt(process, at)!.entry;
    expect(before).toBe(entryOf(folioAt(process, at), before & 0xfff0_0000_0000_0fffn));
    split(at, 12);
    expect(pageAt(process, at)!.entry).toBe(before & ~(1n << 7n));
    expect(before & (P | W | U)).toBe(P | W | U);
  });

  test('a hole or a marker is EAGAIN; bad memory EHWPOISON; and nothing changes', () => {
    const { machine, process, at, split } = scene(MIB2);
    const { tables } = machine;
    const place = hugetlbFullWalk(process.vmas[0]!, at)!.ptep;
    const mapped = tables.read(place);
    const count = tables.count;
    for (const [pte, result] of [
      [PTE_NONE, 'EAGAIN'],
      [PTE_UFFD_WP_MARKER, 'EAGAIN'],
      [Pte.hwpoison(mapped.pfn), 'EHWPOISON'],
    ] as const) {
      tables.write(place, pte);
      expect(split(at, 12)).toBe(result);
      expect([tables.read(place).value, tables.count]).toEqual([pte.value, count]);
    }
    tables.write(place, mapped);
    machine.check();
  });

  test('no memory for all of the tables is ENOMEM: the leaf is what it was, and none is kept', () => {
    const machine = machineWith({ size: GIB1, pages: 1, tables: 4096 * 4 });
    const process = machine.createProcess();
    const at = mapShared(process, 1, { size: GIB1, address: 2 ** 40 });
    process.madvise(at, GIB1, MADV_SPLIT);
    process.write(at, 1);
    const before = pageAt(process, at)!.entry;
    const count = machine.tables.count;
    const vma = process.vmas[0]!;
    const { task } = process.thread();
    expect(run(hugetlbSplitToShift(task, vma, hugetlbFullWalk(vma, at)!, at, 12))).toBe('ENOMEM');
    expect([pageAt(process, at)!.entry, machine.tables.count]).toEqual([before, count]);
    machine.check();
  });
});
