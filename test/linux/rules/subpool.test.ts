/**
 * Limits of a mount. mm/hugetlb.c of Linux 6.1: hugepage_new_subpool, hugepage_subpool_get_pages,
 * hugepage_subpool_put_pages, free_huge_page.
 */
import { describe, expect, test } from 'vitest';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_NORESERVE } from '../../../src/linux/index.ts';
import {
  counts,
  forkOf,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  mounted,
  privately,
  SIZES,
  shared,
} from '../support.ts';

describe.each(SIZES)('min_size of a mount, pages of $name', ({ size }) => {
  const setUp = (pages: number, minimum: number) => {
    const machine = machineWith({ size, pages });
    const mount = mounted(machine, { hugePageSize: size, minSize: minimum * size });
    const process = machine.createProcess();
    return { machine, mount, subpool: mount.subpool!, process, now: () => counts(machine, size) };
  };

  test('is reserved in the pool by the mount: ENOMEM where that cannot be', () => {
    const { machine, now, subpool } = setUp(4, 2);
    expect(now()).toEqual([4, 4, 2, 0]);
    expect(subpool).toMatchObject({ reservedPages: 2, usedPages: 0 });
    expect(machine.mountHugetlbfs({ hugePageSize: size, minSize: 3 * size })).toBe('ENOMEM');
    expect(now()).toEqual([4, 4, 2, 0]);
  });

  test('is used up first: what a mapping reserves beyond it is asked of the pool', () => {
    const { mount, process, subpool, now } = setUp(4, 2);
    mapShared(process, 1, { size, file: mount.create() });
    expect(now()).toEqual([4, 4, 2, 0]);
    expect(subpool.reservedPages).toBe(1);
    mapShared(process, 2, { size, file: mount.create() });
    expect(now()).toEqual([4, 4, 3, 0]);
    expect(subpool.reservedPages).toBe(0);
  });

  test('is reserved again when a reservation ends, and no more than it', () => {
    const { mount, process, subpool, now } = setUp(4, 2);
    const at = mapPrivate(process, 3, { size, file: mount.create() });
    expect(now()).toEqual([4, 4, 3, 0]);
    process.munmap(at, size);
    expect(now()).toEqual([4, 4, 3, 0]);
    expect(subpool.reservedPages).toBe(1);
    process.munmap(at + size, 2 * size);
    expect(now()).toEqual([4, 4, 2, 0]);
    expect(subpool.reservedPages).toBe(2);
  });

  test('gives fallocate its page, and takes a freed one back as reserved', () => {
    const { mount, subpool, now } = setUp(2, 1);
    const file = mount.create();
    expect(file.fallocate(0, size)).toBe('OK');
    expect(now()).toEqual([2, 1, 0, 0]);
    expect(subpool.reservedPages).toBe(0);
    file.fallocate(0, size, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    expect(now()).toEqual([2, 2, 1, 0]);
    expect(subpool.reservedPages).toBe(1);
  });

  test('gives a MAP_NORESERVE mapping its page, though all others are promised', () => {
    const { machine, mount, process, now } = setUp(2, 1);
    mapPrivate(machine.createProcess(), 1, { size });
    const at = mapShared(process, 1, { size, file: mount.create(), flags: MAP_NORESERVE });
    expect(process.read(at)).toBe(0);
    expect(now()).toEqual([2, 1, 1, 0]);
  });

  test('grows by a fault that found no page: the next takes one that is promised to another', () => {
    const { machine, mount, subpool, process, now } = setUp(2, 1);
    mapPrivate(machine.createProcess(), 1, { size });
    const at = mapShared(process, 2, { size, file: mount.create(), flags: MAP_NORESERVE });
    process.read(at);
    expect(process.read(at + size)).toBe('SIGBUS');
    expect(now()).toEqual([2, 1, 1, 0]);
    expect(subpool.reservedPages).toBe(1);
    expect(process.read(at + size)).toBe(0);
    expect(now()).toEqual([2, 0, 0, 0]);
  });

  test('grows by an mmap that the pool refused: the next is granted', () => {
    const { mount, subpool, process, now } = setUp(1, 1);
    const file = mount.create();
    file.fallocate(0, size);
    expect(subpool.reservedPages).toBe(0);
    expect(process.mmap(shared(2, { size, file }))).toBe('ENOMEM');
    expect(subpool.reservedPages).toBe(1);
    expect(process.mmap(shared(2, { size, file }))).toBeTypeOf('number');
    expect(now()).toEqual([1, 0, 0, 0]);
  });

  test('does not give a private MAP_NORESERVE mapping its page, since that owns no reservations', () => {
    const { mount, subpool, process, now } = setUp(1, 1);
    const at = mapPrivate(process, 1, { size, file: mount.create(), flags: MAP_NORESERVE });
    expect(process.read(at)).toBe('SIGBUS');
    expect(now()).toEqual([1, 1, 1, 0]);
    expect(subpool.reservedPages).toBe(1);
  });

  test('is given back by umount', () => {
    const { machine, mount, now } = setUp(2, 2);
    mount.umount();
    expect(now()).toEqual([2, 2, 0, 0]);
    expect(machine.subpools.size).toBe(0);
  });

  test('lasts after umount until its last page is free', () => {
    const { machine, mount, now } = setUp(4, 2);
    const file = mount.create();
    file.fallocate(0, size);
    mount.umount();
    expect(now()).toEqual([4, 3, 1, 0]);
    file.close();
    expect(now()).toEqual([4, 4, 0, 0]);
    expect(machine.subpools.size).toBe(0);
  });

  test('lasts after umount until its last page is free, also if nothing else is reserved', () => {
    const { machine, mount, now } = setUp(1, 1);
    const file = mount.create();
    file.fallocate(0, size);
    expect(now()).toEqual([1, 0, 0, 0]);
    mount.umount();
    file.close();
    expect(now()).toEqual([1, 1, 0, 0]);
    expect(machine.subpools.size).toBe(0);
  });
});

describe('size of a mount', () => {
  const setUp = (pages: number, maximum: number, minimum?: number) => {
    const machine = machineWith({ pages });
    const options = { size: maximum * MIB2, ...(minimum === undefined ? {} : { minSize: minimum * MIB2 }) };
    const mount = mounted(machine, options);
    return { machine, mount, subpool: mount.subpool!, process: machine.createProcess(), now: () => counts(machine) };
  };

  test('counts whole huge pages', () => {
    const machine = machineWith({ pages: 4 });
    expect(mounted(machine, { size: 2 * MIB2 - 1 }).subpool).toMatchObject({ maxPages: 1, minPages: -1 });
    expect(mounted(machine, {}).subpool).toBeUndefined();
  });

  test('bounds what is reserved: ENOMEM, and nothing is charged', () => {
    const { mount, subpool, process, now } = setUp(8, 2);
    const file = mount.create();
    expect(process.mmap(shared(3, { file }))).toBe('ENOMEM');
    expect(process.mmap(privately(3, { file }))).toBe('ENOMEM');
    expect(subpool.usedPages).toBe(0);
    expect(now()).toEqual([8, 8, 0, 0]);
    mapShared(process, 2, { file });
    expect(subpool.usedPages).toBe(2);
    expect(process.mmap(privately(1, { file }))).toBe('ENOMEM');
  });

  test('is charged nothing where the pool refuses', () => {
    const { mount, subpool, process, now } = setUp(1, 4);
    expect(process.mmap(shared(2, { file: mount.create() }))).toBe('ENOMEM');
    expect(subpool.usedPages).toBe(0);
    expect(now()).toEqual([1, 1, 0, 0]);
  });

  test('bounds fallocate: ENOSPC', () => {
    const { mount, subpool } = setUp(8, 2);
    const file = mount.create();
    expect(file.fallocate(0, 3 * MIB2)).toBe('ENOSPC');
    expect(file.inode.pageCache.size).toBe(2);
    expect(subpool.usedPages).toBe(2);
    file.close();
    expect(subpool.usedPages).toBe(0);
  });

  test('bounds faults of MAP_NORESERVE mappings: SIGBUS', () => {
    const { mount, subpool, process, now } = setUp(8, 1);
    const at = mapShared(process, 2, { file: mount.create(), flags: MAP_NORESERVE });
    expect(process.read(at)).toBe(0);
    expect(process.read(at + MIB2)).toBe('SIGBUS');
    expect(subpool.usedPages).toBe(1);
    expect(now()).toEqual([8, 7, 0, 0]);
  });

  test('is not charged a second time by the fault that uses a reservation', () => {
    const { mount, subpool, process } = setUp(8, 1);
    const at = mapPrivate(process, 1, { file: mount.create() });
    expect(subpool.usedPages).toBe(1);
    expect(process.write(at, 1)).toBe('OK');
    expect(subpool.usedPages).toBe(1);
    process.exit();
    expect(subpool.usedPages).toBe(0);
  });

  test("bounds a child's copies: SIGBUS; an owner takes its page from the child then, though the pool has pages", () => {
    const { mount, subpool, process, now } = setUp(8, 1);
    const at = mapPrivate(process, 1, { file: mount.create() });
    process.write(at, 1);
    const child = forkOf(process);
    expect(child.write(at, 2)).toBe('SIGBUS');
    expect(process.write(at, 3)).toBe('OK');
    expect(child.read(at)).toBe('SIGBUS');
    expect(subpool.usedPages).toBe(1);
    expect(now()).toEqual([8, 7, 0, 0]);
  });

  test('with a minimum: only below the minimum does a freed page stay reserved', () => {
    const { mount, subpool, now } = setUp(8, 3, 1);
    const file = mount.create();
    file.fallocate(0, 3 * MIB2);
    expect(now()).toEqual([8, 5, 0, 0]);
    expect(subpool).toMatchObject({ usedPages: 3, reservedPages: 0 });
    file.ftruncate(MIB2);
    expect(now()).toEqual([8, 7, 0, 0]);
    expect(subpool).toMatchObject({ usedPages: 1, reservedPages: 0 });
    file.ftruncate(0);
    expect(now()).toEqual([8, 8, 1, 0]);
    expect(subpool).toMatchObject({ usedPages: 0, reservedPages: 1 });
  });
});
