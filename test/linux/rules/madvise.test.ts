/**
 * Advice. mm/madvise.c of Linux 6.1: do_madvise, madvise_walk_vmas, madvise_dontneed_free_valid_vma, madvise_remove; the
 * sequences of tools/testing/selftests: hugetlb-madvise.c, hugetlb_fault_after_madv.c.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MAP_FIXED,
  PROT_READ,
} from '../../../src/linux/index.ts';
import {
  counts,
  faultsIn,
  folioAt,
  forkOf,
  KIB4,
  machineWith,
  mapPrivate,
  mapShared,
  pageAt,
  SIZES,
} from '../support.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  const setUp = (pages: number, mapped = pages, map = mapPrivate) => {
    const machine = machineWith({ size, pages });
    const process = machine.createProcess();
    const at = map(process, mapped, { size, flags: MAP_FIXED, address: 2 ** 40 });
    const touch = (page: number) => process.write(at + page * size, page + 1);
    for (let page = 0; page < mapped; page++) touch(page);
    const bytes = () => Array.from({ length: mapped }, (_, page) => process.read(at + page * size));
    return {
      machine,
      process,
      at,
      touch,
      bytes,
      now: () => counts(machine, size),
      free: () => counts(machine, size)[1],
    };
  };

  describe.each([MADV_DONTNEED, MADV_DONTNEED_LOCKED])('MADV_DONTNEED (%i)', (advice) => {
    test('frees private pages; the next touch finds zeros, and takes a page that is not promised', () => {
      const { process, at, bytes, now } = setUp(5);
      expect(now()).toEqual([5, 0, 0, 0]);
      expect(process.madvise(at, 5 * size, advice)).toBe('OK');
      expect(now()).toEqual([5, 5, 0, 0]);
      expect([...process.mappedPages()]).toEqual([]);
      expect(bytes()).toEqual([0, 0, 0, 0, 0]);
      expect(now()).toEqual([5, 0, 0, 0]);
    });

    test('rounds the length up to 4 KiB pages, and then the end down to a huge page', () => {
      const { process, at, bytes, now } = setUp(3);
      expect(process.madvise(at, 2 * size - KIB4, advice)).toBe('OK');
      expect(now()).toEqual([3, 1, 0, 0]);
      expect(process.madvise(at + size, KIB4, advice)).toBe('OK');
      expect(process.madvise(at + size, size - 1, advice)).toBe('OK');
      expect(now()).toEqual([3, 2, 0, 0]);
      expect(bytes()).toEqual([0, 0, 3]);
    });

    test('inside a huge page is EINVAL, and frees nothing', () => {
      const { process, at, bytes } = setUp(2);
      for (const start of [1, KIB4, size - KIB4, size + KIB4]) {
        expect(process.madvise(at + start, size, advice)).toBe('EINVAL');
      }
      expect(bytes()).toEqual([1, 2]);
    });

    test('before and behind the mapping is ENOMEM; what is mapped of the range goes all the same', () => {
      const { process, at, free } = setUp(3);
      expect(process.madvise(at - size, size, advice)).toBe('ENOMEM');
      expect(process.madvise(at + 3 * size, size, advice)).toBe('ENOMEM');
      expect(free()).toBe(0);
      expect(process.madvise(at - size, 2 * size, advice)).toBe('ENOMEM');
      expect(free()).toBe(1);
      expect(process.madvise(at + 2 * size, 2 * size, advice)).toBe('ENOMEM');
      expect(free()).toBe(2);
    });

    test('goes on behind a gap, and says ENOMEM then', () => {
      const { process, at, free } = setUp(3);
      process.munmap(at + size, size);
      expect(free()).toBe(1);
      expect(process.madvise(at, 3 * size, advice)).toBe('ENOMEM');
      expect(free()).toBe(3);
    });

    test('of no length is OK', () => {
      const { process, at, bytes } = setUp(1);
      expect(process.madvise(at, 0, advice)).toBe('OK');
      expect(bytes()).toEqual([1]);
    });
  });

  test('MADV_DONTNEED does not bring a reservation back: with all pages promised, the next touch is SIGBUS', () => {
    const { machine, process, at, now } = setUp(1);
    process.madvise(at, size, MADV_DONTNEED);
    expect(now()).toEqual([1, 1, 0, 0]);
    expect(process.vmas[0]!.privateMap!.count(0, 1)).toBe(1);
    const other = machine.createProcess();
    mapPrivate(other, 1, { size });
    expect(process.write(at, 1)).toBe('SIGBUS');
    expect(now()).toEqual([1, 1, 1, 0]);
  });

  test('MADV_DONTNEED of a page that nobody touched keeps its reservation', () => {
    const machine = machineWith({ size, pages: 2 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 2, { size });
    process.write(at, 1);
    process.madvise(at, 2 * size, MADV_DONTNEED);
    expect(counts(machine, size)).toEqual([2, 2, 1, 0]);
  });

  test('MADV_DONTNEED of a shared mapping frees nothing: the pages are in the file, and found again', () => {
    const { machine, process, at, bytes, now } = setUp(3, 3, mapShared);
    const folio = folioAt(process, at);
    expect(process.madvise(at, 3 * size, MADV_DONTNEED)).toBe('OK');
    expect(now()).toEqual([3, 0, 0, 0]);
    expect(folio).toMatchObject({ mapcount: 0, refcount: 1 });
    expect(process.mm.hugetlbUsage).toBe(0);
    expect(faultsIn(machine, () => expect(bytes()).toEqual([1, 2, 3]))).toBe(3);
  });

  test("MADV_DONTNEED of a private file mapping drops the process's own pages, and shows the file again", () => {
    const { machine, process, now } = setUp(4, 1, mapShared);
    const file = machine.memfdCreate({ hugePageSize: size });
    const writer = machine.createProcess();
    writer.write(mapShared(writer, 1, { size, file }), 8);
    const at = mapPrivate(process, 1, { size, file });
    process.write(at, 9);
    expect(now()).toEqual([4, 1, 0, 0]);
    expect(process.madvise(at, size, MADV_DONTNEED)).toBe('OK');
    expect(now()).toEqual([4, 2, 0, 0]);
    expect(process.read(at)).toBe(8);
    expect(now()).toEqual([4, 2, 0, 0]);
  });

  test("MADV_DONTNEED of the parent leaves the child's pages alone", () => {
    const { process, at, now } = setUp(2, 1);
    const child = forkOf(process);
    process.madvise(at, size, MADV_DONTNEED);
    expect(now()).toEqual([2, 1, 0, 0]);
    expect([process.read(at), child.read(at)]).toEqual([0, 1]);
    expect(folioAt(child, at)).toMatchObject({ mapcount: 1, refcount: 1 });
  });

  test('MADV_REMOVE takes the pages out of the file, for every mapping, with their reservations', () => {
    const { machine, process, at, bytes, now } = setUp(4, 3, mapShared);
    const child = forkOf(process);
    child.read(at + size);
    expect(process.madvise(at + size, size, MADV_REMOVE)).toBe('OK');
    expect(now()).toEqual([4, 2, 0, 0]);
    expect(pageAt(child, at + size)).toBeUndefined();
    expect([...process.vmas[0]!.inode.reserveMap]).toEqual([
      { from: 0, to: 1 },
      { from: 2, to: 3 },
    ]);
    expect(bytes()).toEqual([1, 0, 3]);
    expect(process.vmas[0]!.inode.size).toBe(3 * size);
    machine.check();
  });

  test('MADV_REMOVE looks where the mapping shows the file', () => {
    const { machine, process } = setUp(4, 1);
    const file = machine.memfdCreate({ hugePageSize: size });
    file.fallocate(0, 3 * size);
    const at = mapShared(process, 2, { size, file, offset: size });
    process.madvise(at, size, MADV_REMOVE);
    expect([0, 1, 2].map((index) => file.inode.pageCache.find(index) !== undefined)).toEqual([true, false, true]);
  });

  test('MADV_REMOVE of a part of a huge page writes zeros there', () => {
    const { process, at, now } = setUp(1, 1, mapShared);
    process.write(at + KIB4, 5);
    process.write(at + 2 * KIB4, 6);
    expect(process.madvise(at + KIB4, 1, MADV_REMOVE)).toBe('OK');
    expect([process.read(at), process.read(at + KIB4), process.read(at + 2 * KIB4)]).toEqual([1, 0, 6]);
    expect(now()).toEqual([1, 0, 0, 0]);
  });

  test('MADV_REMOVE of a private mapping is EACCES; of a shared one without PROT_WRITE it is permitted', () => {
    const { machine, process, at, bytes } = setUp(3, 1);
    expect(process.madvise(at, size, MADV_REMOVE)).toBe('EACCES');
    expect(bytes()).toEqual([1]);
    const file = machine.memfdCreate({ hugePageSize: size });
    file.fallocate(0, size);
    expect(process.madvise(mapPrivate(process, 1, { size, file }), size, MADV_REMOVE)).toBe('EACCES');
    expect(process.madvise(mapShared(process, 1, { size, file, prot: PROT_READ }), size, MADV_REMOVE)).toBe('OK');
    expect(file.inode.pageCache.size).toBe(0);
  });

  test('MADV_REMOVE stops at the first mapping that refuses it', () => {
    const { process, at } = setUp(4, 1, mapShared);
    mapPrivate(process, 1, { size, flags: MAP_FIXED, address: at + size });
    const last = mapShared(process, 1, { size, flags: MAP_FIXED, address: at + 2 * size });
    process.write(last, 3);
    expect(process.madvise(at, 3 * size, MADV_REMOVE)).toBe('EACCES');
    expect([process.read(at), process.read(last)]).toEqual([0, 3]);
  });

  test.each([MADV_DONTFORK, MADV_DOFORK])('advice %i inside a huge page is EINVAL if it changes anything', (advice) => {
    const { process, at } = setUp(2);
    const expected = advice === MADV_DONTFORK ? 'EINVAL' : 'OK';
    expect(process.madvise(at + KIB4, KIB4, advice)).toBe(expected);
    expect(process.madvise(at, KIB4, advice)).toBe(expected);
    expect(process.vmas).toHaveLength(1);
    expect(process.madvise(at, 2 * size, advice)).toBe('OK');
    expect(process.madvise(at + 1, size, advice)).toBe('EINVAL');
  });
});
