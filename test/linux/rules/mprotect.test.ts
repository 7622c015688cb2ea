/**
 * Other rights. mm/mprotect.c of Linux 6.1: do_mprotect_pkey, mprotect_fixup; mm/hugetlb.c: hugetlb_change_protection;
 * arch/x86/include/asm/pgtable.h: pte_modify; pgtable-invert.h: flip_protnone_guard.
 */
import { describe, expect, test } from 'vitest';
import { PM_PRESENT, PROT_EXEC, PROT_NONE, PROT_READ } from '../../../src/linux/index.ts';
import {
  A,
  counts,
  D,
  entryOf,
  FRAME,
  faultsIn,
  folioAt,
  forkOf,
  KIB4,
  machineWith,
  mapPrivate,
  mapShared,
  NX,
  P,
  PROTNONE,
  PS,
  pageAt,
  RW,
  SIZES,
  SOFT_DIRTY,
  U,
  W,
} from '../support.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  const setUp = (pages: number, map = mapPrivate, prot = RW) => {
    const machine = machineWith({ size, pages });
    const process = machine.createProcess();
    const at = map(process, pages, { size, prot });
    return { machine, process, at, entry: (page = 0) => pageAt(process, at + page * size)!.entry };
  };

  test('PROT_READ takes W from the entry, and leaves D', () => {
    const { process, at, entry } = setUp(1);
    process.write(at, 1);
    expect(process.mprotect(at, size, PROT_READ)).toBe('OK');
    expect(entry()).toBe(entryOf(folioAt(process, at), P | U | A | D | PS | SOFT_DIRTY | NX));
    expect(process.write(at, 2)).toBe('SIGSEGV');
    expect(process.read(at)).toBe(1);
  });

  test('PROT_EXEC takes NX from the entry, and gives it back', () => {
    const { process, at, entry } = setUp(1);
    process.read(at);
    process.mprotect(at, size, PROT_READ | PROT_EXEC);
    expect(entry() & NX).toBe(0n);
    process.mprotect(at, size, PROT_READ);
    expect(entry() & NX).toBe(NX);
  });

  test('write permission puts W into the entries of a shared mapping at once', () => {
    const { machine, process, at, entry } = setUp(2, mapShared, PROT_READ);
    process.read(at);
    process.mprotect(at, 2 * size, RW);
    expect(entry()).toBe(entryOf(folioAt(process, at), P | W | U | A | PS | NX));
    expect(faultsIn(machine, () => process.write(at, 1))).toBe(0);
    expect(entry() & D).toBe(D);
    expect(pageAt(process, at + size)).toBeUndefined();
  });

  test('write permission leaves the entries of a private mapping read-only: the fault decides', () => {
    const { machine, process, at, entry } = setUp(1, mapPrivate, PROT_READ);
    process.read(at);
    process.mprotect(at, size, RW);
    expect(entry() & W).toBe(0n);
    expect(faultsIn(machine, () => process.write(at, 1))).toBe(1);
  });

  test("PROT_NONE takes P, sets the kernel's own bit, inverts the frame number, and keeps A, D and PS", () => {
    const { process, at, entry } = setUp(1);
    process.write(at, 1);
    const { pfn } = folioAt(process, at);
    process.mprotect(at, size, PROT_NONE);
    const inverted = ~(BigInt(pfn) << 12n) & FRAME;
    expect(entry()).toBe(inverted | A | D | PS | PROTNONE | SOFT_DIRTY);
    expect(folioAt(process, at).pfn).toBe(pfn);
  });

  test('a page that comes back from PROT_NONE is the same, with the same content and bits', () => {
    const { process, at, entry } = setUp(1);
    process.write(at, 1);
    const folio = folioAt(process, at);
    process.mprotect(at, size, PROT_NONE);
    process.mprotect(at, size, PROT_READ);
    expect(entry()).toBe(entryOf(folio, P | U | A | D | PS | SOFT_DIRTY | NX));
    expect(process.read(at)).toBe(1);
    expect(folio).toMatchObject({ mapcount: 1, refcount: 1, anonExclusive: true });
  });

  test('under PROT_NONE the processor finds nothing, and the kernel still does', () => {
    const { process, at } = setUp(1);
    process.write(at, 1);
    process.mprotect(at, size, PROT_NONE);
    expect([process.read(at), process.write(at, 2)]).toEqual(['SIGSEGV', 'SIGSEGV']);
    expect(process.mmu.translate(BigInt(at)).kind).toBe('page-fault');
    expect(process.pagemap(at)[0]! & PM_PRESENT).toBe(PM_PRESENT);
    expect(process.mincore(at, KIB4)).toEqual(new Uint8Array([1]));
    expect(folioAt(process, at).mapcount).toBe(1);
    expect(process.mm.hugetlbUsage).toBe(size / KIB4);
  });

  test('an empty entry stays empty under PROT_NONE', () => {
    const { process, at } = setUp(2);
    process.write(at, 1);
    process.mprotect(at, 2 * size, PROT_NONE);
    expect(pageAt(process, at + size)).toBeUndefined();
    process.mprotect(at, 2 * size, RW);
    expect(process.read(at + size)).toBe(0);
  });

  test('a page under PROT_NONE is unmapped and freed by munmap', () => {
    const { machine, process, at } = setUp(1);
    process.write(at, 1);
    process.mprotect(at, size, PROT_NONE);
    expect(process.munmap(at, size)).toBe('OK');
    expect(counts(machine, size)).toEqual([1, 1, 0, 0]);
  });

  test('a page under PROT_NONE is copied by fork, still inverted, and by mremap', () => {
    const { process, at, entry } = setUp(1);
    process.write(at, 1);
    process.mprotect(at, size, PROT_NONE);
    const child = forkOf(process);
    expect(pageAt(child, at)!.entry).toBe(entry());
    expect(folioAt(child, at)).toMatchObject({ mapcount: 2, refcount: 2, anonExclusive: false });
    const target = at - 4 * size;
    expect(child.mremap(at, size, size, 3, target)).toBe(target);
    child.mprotect(target, size, PROT_READ);
    expect(child.read(target)).toBe(1);
  });

  test('a part of a mapping becomes a mapping of its own; no neighbours are ever joined', () => {
    const { process, at } = setUp(4);
    expect(process.mprotect(at + size, 2 * size, PROT_READ)).toBe('OK');
    const ranges = () => process.vmas.map(({ start, end, pgoff }) => [start - at, end - at, pgoff * KIB4]);
    const three = [
      [0, size, 0],
      [size, 3 * size, size],
      [3 * size, 4 * size, 3 * size],
    ];
    expect(ranges()).toEqual(three);
    expect(process.mprotect(at + size, 2 * size, RW)).toBe('OK');
    expect(ranges()).toEqual(three);
    expect(process.write(at + 2 * size, 1)).toBe('OK');
  });

  test('reservations stay with the pieces', () => {
    const { machine, process, at } = setUp(4);
    process.write(at + size, 1);
    process.mprotect(at + size, 2 * size, PROT_READ);
    expect(counts(machine, size)).toEqual([4, 3, 3, 0]);
    for (const page of [0, 2, 3]) expect(process.read(at + page * size)).toBe(0);
    expect(counts(machine, size)).toEqual([4, 0, 0, 0]);
  });

  test('inside a huge page it is EINVAL, and the rights stay', () => {
    const { process, at } = setUp(2);
    for (const [start, length] of [
      [KIB4, size],
      [0, KIB4],
      [size - KIB4, KIB4],
      [KIB4, 2 * size - KIB4],
    ] as const) {
      expect(process.mprotect(at + start, length, PROT_READ)).toBe('EINVAL');
    }
    expect(process.vmas).toHaveLength(1);
    expect(process.write(at, 1)).toBe('OK');
  });

  test('where only the end is inside a huge page, the mapping has been cut at the start already', () => {
    const { process, at } = setUp(3);
    expect(process.mprotect(at + size, KIB4, PROT_READ)).toBe('EINVAL');
    expect(process.vmas.map(({ start }) => start - at)).toEqual([0, size]);
    expect(process.write(at + size, 1)).toBe('OK');
  });

  test('the rights that are there already can be given to any part', () => {
    const { process, at } = setUp(2);
    expect(process.mprotect(at + KIB4, KIB4, RW)).toBe('OK');
    expect(process.vmas).toHaveLength(1);
  });

  test('over a gap it is ENOMEM, after what lies before has changed', () => {
    const { process, at } = setUp(3);
    process.munmap(at + size, size);
    expect(process.mprotect(at, 3 * size, PROT_READ)).toBe('ENOMEM');
    expect([process.write(at, 1), process.write(at + 2 * size, 1)]).toEqual(['SIGSEGV', 'OK']);
    expect(process.mprotect(at + size, 2 * size, PROT_READ)).toBe('ENOMEM');
    expect(process.write(at + 2 * size, 1)).toBe('OK');
  });

  test('an address inside a 4 KiB page and unknown rights are EINVAL; no length is OK', () => {
    const { process, at } = setUp(1);
    expect(process.mprotect(at + 1, size, PROT_READ)).toBe('EINVAL');
    expect(process.mprotect(at + 1, 0, PROT_READ)).toBe('EINVAL');
    expect(process.mprotect(at, 0, 0x10)).toBe('OK');
    expect(process.mprotect(at, size, 0x10)).toBe('EINVAL');
    expect(process.write(at, 1)).toBe('OK');
  });

  test('PROT_SEM, 0x8, is a known right without a meaning', () => {
    const { process, at } = setUp(1);
    expect(process.mprotect(at, size, PROT_READ | 0x8)).toBe('OK');
    expect([process.read(at), process.write(at, 1)]).toEqual([0, 'SIGSEGV']);
  });
});
