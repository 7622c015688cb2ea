/**
 * munmap and the end of a process. mm/mmap.c of Linux 6.1: do_mas_munmap, do_mas_align_munmap, unmap_region, exit_mmap;
 * mm/hugetlb.c: hugetlb_vm_op_split, __unmap_hugepage_range_final, hugetlb_vm_op_close.
 */
import { describe, expect, test } from 'vitest';
import { MAP_FIXED } from '../../../src/linux/index.ts';
import {
  counts,
  folioAt,
  forkOf,
  KIB4,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  pageAt,
  SIZES,
  traced,
} from '../support.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  const setUp = (pages: number, mapped = pages, map = mapPrivate) => {
    const machine = machineWith({ size, pages });
    const process = machine.createProcess();
    const at = map(process, mapped, { size });
    return { machine, process, at, now: () => counts(machine, size) };
  };

  test('private pages go back to the pool, shared ones stay in their file', () => {
    const { machine, process, at, now } = setUp(4, 1);
    const file = machine.memfdCreate({ hugePageSize: size });
    const there = mapShared(process, 1, { size, file });
    process.write(at, 1);
    process.write(there, 2);
    process.munmap(at, size);
    process.munmap(there, size);
    expect(now()).toEqual([4, 3, 0, 0]);
    expect(file.inode.pageCache.find(0)).toMatchObject({ mapcount: 0, refcount: 1 });
    expect(process.mm.hugetlbUsage).toBe(0);
    expect(process.read(at)).toBe('SIGSEGV');
    expect(process.read(mapShared(process, 1, { size, file }))).toBe(2);
  });

  test('a page that a child has, too, stays until that has gone', () => {
    const { process, at, now } = setUp(1);
    process.write(at, 1);
    const child = forkOf(process);
    process.munmap(at, size);
    expect(now()).toEqual([1, 0, 0, 0]);
    child.munmap(at, size);
    expect(now()).toEqual([1, 1, 0, 0]);
  });

  test('that it was written is noted in a page that others keep', () => {
    const { process, at } = setUp(2);
    process.write(at, 1);
    process.read(at + size);
    const child = forkOf(process);
    const pages = [folioAt(child, at), folioAt(child, at + size)];
    expect(pages.map(({ dirty }) => dirty)).toEqual([false, false]);
    process.munmap(at, 2 * size);
    expect(pages.map(({ dirty }) => dirty)).toEqual([true, false]);
  });

  test('the middle of a mapping goes, and leaves two', () => {
    const { process, at, now } = setUp(5);
    for (let page = 0; page < 5; page++) process.write(at + page * size, page);
    expect(process.munmap(at + size, 2 * size)).toBe('OK');
    expect(process.vmas.map(({ start, end, pgoff }) => [start - at, end - at, pgoff * KIB4])).toEqual([
      [0, size, 0],
      [3 * size, 5 * size, 3 * size],
    ]);
    expect([process.read(at), process.read(at + size), process.read(at + 4 * size)]).toEqual([0, 'SIGSEGV', 4]);
    expect(now()).toEqual([5, 2, 0, 0]);
  });

  test('several mappings and the gaps between them go at once', () => {
    const { process, at } = setUp(6, 2);
    mapPrivate(process, 1, { size, flags: MAP_FIXED, address: at - 2 * size });
    mapPrivate(process, 2, { size, flags: MAP_FIXED, address: at + 3 * size });
    expect(process.munmap(at - 2 * size, 6 * size)).toBe('OK');
    expect(process.vmas.map(({ start, end }) => [start - at, end - at])).toEqual([[4 * size, 5 * size]]);
  });

  test('inside a huge page it is EINVAL, and nothing goes', () => {
    const { process, at, now } = setUp(2);
    process.write(at, 1);
    for (const [start, length] of [
      [KIB4, size],
      [0, KIB4],
      [0, size + KIB4],
      [size - KIB4, 2 * size],
    ] as const) {
      expect(process.munmap(at + start, length)).toBe('EINVAL');
    }
    expect(now()).toEqual([2, 1, 1, 0]);
    expect(process.vmas).toHaveLength(1);
  });

  test('where only the end is inside a huge page, the mapping has been cut at the start already', () => {
    const { process, at, now } = setUp(3);
    process.write(at + size, 1);
    expect(process.munmap(at + size, KIB4)).toBe('EINVAL');
    expect(process.vmas.map(({ start }) => start - at)).toEqual([0, size]);
    expect(process.read(at + size)).toBe(1);
    expect(now()).toEqual([3, 2, 2, 0]);
  });

  test('ends outside of every mapping may lie anywhere', () => {
    const { process, at } = setUp(1);
    expect(process.munmap(at - KIB4, size + 2 * KIB4)).toBe('OK');
    expect(process.vmas).toEqual([]);
  });

  test('where nothing is mapped it is OK; no length, a part of a 4 KiB page and kernel addresses are EINVAL', () => {
    const { process, at } = setUp(1);
    expect(process.munmap(at - 8 * size, size)).toBe('OK');
    expect(process.munmap(at, 0)).toBe('EINVAL');
    expect(process.munmap(at + 1, size)).toBe('EINVAL');
    expect(process.munmap(2 ** 47, size)).toBe('EINVAL');
    expect(process.munmap(at, 2 ** 47)).toBe('EINVAL');
    expect(process.vmas).toHaveLength(1);
  });

  test('a length is rounded up to 4 KiB pages', () => {
    const { process, at } = setUp(1);
    expect(process.munmap(at, size - 1)).toBe('OK');
    expect(process.vmas).toEqual([]);
  });

  test('page tables go with the last mapping that they could serve', () => {
    const { machine, process } = setUp(1);
    process.munmap(process.vmas[0]!.start, size);
    const address = 2 ** 40;
    machine.setNrHugepages(size, 4);
    for (const at of [address, address + 2 * size]) {
      process.write(mapPrivate(process, 1, { size, flags: MAP_FIXED, address: at }), 1);
    }
    const perRange = size === MIB2 ? 2 : 1;
    expect(machine.tables.count).toBe(1 + perRange);
    process.munmap(address, size);
    expect(machine.tables.count).toBe(1 + perRange);
    const events = traced(machine, () => process.munmap(address + 2 * size, size));
    expect(machine.tables.count).toBe(1);
    const freed = events.flatMap((event) => (event.kind === 'table' ? [[event.what, event.level]] : []));
    expect(freed).toEqual(
      size === MIB2
        ? [
            ['freed', 2],
            ['freed', 3],
          ]
        : [['freed', 3]],
    );
  });

  test('the lock of a shared mapping goes with it, before i_mmap_rwsem is released', () => {
    const { machine, process, at } = setUp(1, 1, mapShared);
    process.read(at);
    const vma = process.vmas[0]!;
    const vmaLock = vma.vmaLock!;
    const events = traced(machine, () => process.munmap(at, size));
    expect([vma.vmaLock, vmaLock.vma, vmaLock.lock.isHeld]).toEqual([undefined, undefined, false]);
    const locks = events.flatMap((event) => {
      const isAsked = (event.kind === 'lock' || event.kind === 'unlock') && /^(vma_lock|i_mmap)/.test(event.lock);
      return isAsked ? [`${event.kind} ${event.lock.split(' ')[0]}`] : [];
    });
    expect(locks.slice(0, 4)).toEqual(['lock vma_lock', 'lock i_mmap_rwsem', 'unlock vma_lock', 'unlock i_mmap_rwsem']);
  });

  test('the end of a process leaves nothing behind', () => {
    const { machine, process, at, now } = setUp(4, 2);
    process.write(at, 1);
    process.write(mapShared(process, 1, { size }), 2);
    expect(pageAt(process, at)).toBeDefined();
    process.exit();
    expect(now()).toEqual([4, 4, 0, 0]);
    expect([machine.tables.count, machine.inodes.size, machine.processes.size]).toEqual([0, 0, 0]);
    expect([...machine.folios()]).toEqual([]);
    expect(process.alive).toBe(false);
  });
});
