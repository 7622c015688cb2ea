/**
 * Moving. mm/mremap.c of Linux 6.1: mremap, mremap_to, vma_to_resize, move_vma; mm/hugetlb.c: move_hugetlb_page_tables,
 * clear_vma_resv_huge_pages.
 */
import { describe, expect, test } from 'vitest';
import { MAP_FIXED, MAP_NORESERVE, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../../../src/linux/index.ts';
import {
  counts,
  folioAt,
  forkOf,
  GIB1,
  KIB4,
  machineWith,
  mapPrivate,
  mapShared,
  pageAt,
  privately,
  SIZES,
  traced,
} from '../support.ts';

const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED;
const GIB512 = 2 ** 39;

describe.each(SIZES)('pages of $name', ({ size }) => {
  /** A mapping far from others; `target` is free. */
  const setUp = (pages: number, mapped = pages, map = mapPrivate) => {
    const machine = machineWith({ size, pages });
    const process = machine.createProcess();
    const at = map(process, mapped, { size, flags: MAP_FIXED, address: 2 * GIB512 });
    return { machine, process, at, target: at + 64 * size, now: () => counts(machine, size) };
  };

  test('mremap never grows huge pages: EINVAL', () => {
    const { process, at, target } = setUp(4, 1);
    for (const flags of [0, MREMAP_MAYMOVE, MOVE]) {
      expect(process.mremap(at, size, 2 * size, flags, target)).toBe('EINVAL');
      expect(process.mremap(at, size, size + 1, flags, target)).toBe('EINVAL');
      expect(process.mremap(at, 0, size, flags, target)).toBe('EINVAL');
    }
    expect(process.vmas).toHaveLength(1);
  });

  test('lengths are rounded up to huge pages: a few bytes more are no growth', () => {
    const { process, at } = setUp(1);
    expect(process.mremap(at, KIB4, size, 0)).toBe(at);
    expect(process.mremap(at, 1, 2 * KIB4, 0)).toBe(at);
  });

  test('a shorter length unmaps the rest, and gives back its pages and reservations', () => {
    const { process, at, now } = setUp(4);
    process.write(at, 1);
    process.write(at + 2 * size, 2);
    expect(process.mremap(at, 4 * size, 2 * size, MREMAP_MAYMOVE)).toBe(at);
    expect(now()).toEqual([4, 3, 1, 0]);
    expect([process.read(at), process.read(at + 2 * size)]).toEqual([1, 'SIGSEGV']);
  });

  test('a move takes the entry along: the same page, mapped once, found at the new address only', () => {
    const { machine, process, at, target, now } = setUp(4, 2);
    process.write(at + size, 7);
    const { entry, folio } = pageAt(process, at + size)!;
    const events = traced(machine, () => {
      expect(process.mremap(at, 2 * size, 2 * size, MOVE, target)).toBe(target);
    });
    expect(pageAt(process, target + size)).toMatchObject({ entry, folio });
    expect(folio).toMatchObject({ mapcount: 1, refcount: 1, anonExclusive: true });
    expect([process.read(at + size), process.read(target + size)]).toEqual(['SIGSEGV', 7]);
    expect(now()).toEqual([4, 3, 1, 0]);
    expect(events.filter(({ kind }) => kind === 'entry')).toMatchObject([
      { address: at + size, before: entry, after: 0n },
      { address: target + size, before: 0n, after: entry },
    ]);
    expect(process.vmas.map(({ start, pgoff }) => [start, pgoff])).toEqual([[target, 0]]);
  });

  test('the reservations move, too: the new mapping owns them, and gives them back', () => {
    const { machine, process, at, target, now } = setUp(2);
    process.write(at, 1);
    process.mremap(at, 2 * size, 2 * size, MOVE, target);
    expect(now()).toEqual([2, 1, 1, 0]);
    expect(process.vmas[0]).toMatchObject({ ownsReserves: true, privateMap: { references: 1 } });
    expect(machine.createProcess().mmap(privately(1, { size }))).toBe('ENOMEM');
    expect(process.write(target + size, 2)).toBe('OK');
    process.munmap(target, 2 * size);
    expect(now()).toEqual([2, 2, 0, 0]);
  });

  test('a part that moves shows its part of the file', () => {
    const { process, at, target } = setUp(3, 3, mapShared);
    for (const page of [0, 1, 2]) process.write(at + page * size, page + 1);
    expect(process.mremap(at + size, size, size, MOVE, target)).toBe(target);
    expect(process.vmas.map(({ start, pgoff }) => [start - at, pgoff * KIB4])).toEqual([
      [0, 0],
      [2 * size, 2 * size],
      [target - at, size],
    ]);
    expect([at, at + size, at + 2 * size, target].map((place) => process.read(place))).toEqual([1, 'SIGSEGV', 3, 2]);
  });

  test('a part that moves leaves the rest without reservations, which nobody gets back', () => {
    const { process, at, target, now } = setUp(4, 3);
    process.write(at + size, 1);
    expect(now()).toEqual([4, 3, 2, 0]);
    expect(process.mremap(at + size, size, size, MOVE, target)).toBe(target);
    expect(now()).toEqual([4, 3, 2, 0]);
    expect(process.vmas.map(({ ownsReserves }) => ownsReserves)).toEqual([false, false, true]);
    expect(process.write(at, 2)).toBe('OK');
    expect(now()).toEqual([4, 2, 2, 0]);
    expect(process.write(at + 2 * size, 3)).toBe('SIGBUS');
    process.exit();
    expect(now()).toEqual([4, 4, 2, 0]);
  });

  test('what is mapped at a fixed new place goes', () => {
    const { machine, process, at, target, now } = setUp(3, 1);
    mapPrivate(process, 2, { size, flags: MAP_FIXED, address: target });
    process.write(at, 1);
    process.write(target, 2);
    expect(process.mremap(at, size, size, MOVE, target)).toBe(target);
    expect(process.read(target)).toBe(1);
    expect(now()).toEqual([3, 2, 1, 0]);
    expect(process.vmas.map(({ start }) => start)).toEqual([target, target + size]);
    machine.check();
  });

  test('shorter and elsewhere at once: the rest goes first', () => {
    const { process, at, target, now } = setUp(3);
    for (const page of [0, 1, 2]) process.write(at + page * size, page + 1);
    expect(process.mremap(at, 3 * size, size, MOVE, target)).toBe(target);
    expect(process.vmas.map(({ start }) => start)).toEqual([target]);
    expect(process.read(target)).toBe(1);
    expect(now()).toEqual([3, 2, 0, 0]);
  });

  test("a child's mapping moves without reservations", () => {
    const { process, at, target, now } = setUp(4, 2);
    process.write(at, 1);
    const child = forkOf(process);
    expect(child.mremap(at, 2 * size, 2 * size, MOVE, target)).toBe(target);
    expect(folioAt(child, target)).toBe(folioAt(process, at));
    expect(folioAt(child, target)).toMatchObject({ mapcount: 2, refcount: 2 });
    expect(now()).toEqual([4, 3, 1, 0]);
    child.exit();
    expect(now()).toEqual([4, 3, 1, 0]);
  });

  test('MREMAP_DONTUNMAP is EINVAL, after what was at the new place has gone', () => {
    const { process, at, target } = setUp(2, 1);
    mapPrivate(process, 1, { size, flags: MAP_FIXED, address: target });
    expect(process.mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)).toBe('EINVAL');
    expect(process.vmas).toHaveLength(2);
    expect(process.mremap(at, size, size, MOVE | MREMAP_DONTUNMAP, target)).toBe('EINVAL');
    expect(process.vmas.map(({ start }) => start)).toEqual([at]);
  });

  test('addresses inside a huge page, old or new, are EINVAL', () => {
    const { process, at, target } = setUp(2);
    expect(process.mremap(at + KIB4, size, size, MOVE, target)).toBe('EINVAL');
    expect(process.mremap(at, size, size, MOVE, target + KIB4)).toBe('EINVAL');
    expect(process.mremap(at, size, size, 0, KIB4)).toBe('EINVAL');
    expect(process.mremap(at + 1, size, size, 0)).toBe('EINVAL');
    expect(process.vmas).toHaveLength(1);
  });

  test('ranges that overlap, or leave the address space, are EINVAL', () => {
    const { process, at } = setUp(4);
    expect(process.mremap(at, 2 * size, 2 * size, MOVE, at + size)).toBe('EINVAL');
    expect(process.mremap(at + size, 2 * size, 2 * size, MOVE, at)).toBe('EINVAL');
    expect(process.mremap(at, size, size, MOVE, 2 ** 47 - size)).toBe('EINVAL');
    expect(process.mremap(at, size, size, MOVE, 2 ** 47)).toBe('EINVAL');
    expect(process.vmas).toHaveLength(1);
  });

  test('unknown flags, MREMAP_FIXED without MREMAP_MAYMOVE and no new length are EINVAL', () => {
    const { process, at, target } = setUp(1);
    expect(process.mremap(at, size, size, 8)).toBe('EINVAL');
    expect(process.mremap(at, size, size, MREMAP_FIXED, target)).toBe('EINVAL');
    expect(process.mremap(at, size, 0, MREMAP_MAYMOVE)).toBe('EINVAL');
    expect(process.mremap(at, size, size, MREMAP_DONTUNMAP)).toBe('EINVAL');
  });

  test('where nothing is mapped it is EFAULT, and so is a move of more than one mapping', () => {
    const { process, at, target } = setUp(3);
    expect(process.mremap(target, size, size, MREMAP_MAYMOVE)).toBe('EFAULT');
    process.mprotect(at + size, 2 * size, 1);
    expect(process.mremap(at, 2 * size, 2 * size, MOVE, target)).toBe('EFAULT');
    expect(process.vmas).toHaveLength(2);
  });

  test('without a fixed place a mapping stays where it is', () => {
    const { process, at } = setUp(2);
    expect(process.mremap(at, 2 * size, 2 * size, MREMAP_MAYMOVE, at + 8 * size)).toBe(at);
    expect(process.vmas.map(({ start }) => start)).toEqual([at]);
  });

  test('without memory for page tables it is ENOMEM, and everything is back where it was', () => {
    const perRange = size === 2 ** 21 ? 2 : 1;
    const machine = machineWith({ size, pages: 2, tables: KIB4 * (2 + perRange) });
    const process = machine.createProcess();
    const at = mapPrivate(process, 2, { size, flags: MAP_FIXED, address: 2 * GIB512 });
    process.write(at, 1);
    expect(process.mremap(at, 2 * size, 2 * size, MOVE, 4 * GIB512)).toBe('ENOMEM');
    expect(process.vmas.map(({ start }) => start)).toEqual([at]);
    expect(process.read(at)).toBe(1);
    expect(process.vmas[0]!.ownsReserves).toBe(true);
    expect(counts(machine, size)).toEqual([2, 1, 1, 0]);
  });
});

describe('moves that Linux 6.1 gets wrong', () => {
  test('a shared mapping of 1 GiB cannot move to an aligned place: it waits for a lock that it has', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const at = mapShared(process, 512, { flags: MAP_FIXED | MAP_NORESERVE, address: GIB512 });
    process.write(at, 1);
    expect(process.mremap(at, GIB1, GIB1, MOVE, GIB512 + 4 * GIB1)).toBe('HANG');
  });

  test.each([
    { rest: 8, result: 'ENOMEM', why: '0 bytes, as an int: too few' },
    { rest: 5, result: 'moved', why: '1 GiB: enough for one page' },
    { rest: 6, result: 'moved', why: '-2 GiB, which is a large number without a sign' },
    { rest: 7, result: 'moved', why: '-1 GiB, likewise' },
  ])('1 GiB pages without a table, $rest GiB before its end would be: $why', ({ rest, result }) => {
    const machine = machineWith({ size: GIB1, pages: 1 });
    const process = machine.createProcess();
    const at = 3 * GIB512 - rest * GIB1;
    const target = GIB512;
    mapPrivate(process, 1, { size: GIB1, flags: MAP_FIXED, address: at });
    const expected = result === 'moved' ? target : result;
    expect(process.mremap(at, GIB1, GIB1, MOVE, target)).toBe(expected);
    expect(process.vmas.map(({ start }) => start)).toEqual([result === 'moved' ? target : at]);
    expect(process.vmas[0]!.ownsReserves).toBe(true);
    expect(counts(machine, GIB1)).toEqual([1, 1, 1, 0]);
  });
});
