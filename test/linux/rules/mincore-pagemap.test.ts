/**
 * What the kernel tells about pages. mm/mincore.c of Linux 6.1: do_mincore, mincore_hugetlb, __mincore_unmapped_range;
 * fs/proc/task_mmu.c: pagemap_hugetlb_range, pagemap_pte_hole.
 */
import { describe, expect, test } from 'vitest';
import {
  MAP_FIXED,
  PM_FILE,
  PM_MMAP_EXCLUSIVE,
  PM_PRESENT,
  PM_SOFT_DIRTY,
  PROT_NONE,
} from '../../../src/linux/index.ts';
import { FRAME, folioAt, forkOf, KIB4, MIB2, machineWith, mapPrivate, mapShared, pageAt, SIZES } from '../support.ts';

const GIB512 = 2 ** 39;

describe.each(SIZES)('mincore, pages of $name', ({ size }) => {
  const setUp = (pages: number, map = mapPrivate) => {
    const machine = machineWith({ size, pages: pages + 1 });
    const process = machine.createProcess();
    const at = map(process, pages, { size, flags: MAP_FIXED, address: GIB512 });
    /** The answer for the last and the first 4 KiB around a boundary between pages. */
    const around = (boundary: number, of = process) => of.mincore(at + boundary - KIB4, 2 * KIB4);
    return { machine, process, at, around };
  };

  test('says 1 for every 4 KiB of a page that is mapped, and 0 for the rest of its table', () => {
    const { process, at, around } = setUp(3);
    process.read(at + size);
    expect([around(size), around(2 * size)]).toEqual([new Uint8Array([0, 1]), new Uint8Array([1, 0])]);
    expect(process.mincore(at + size, size)).toEqual(new Uint8Array(size / KIB4).fill(1));
  });

  test('says 0 for a page of the file that is not mapped, where there is a table', () => {
    const { machine, process, around } = setUp(2, mapShared);
    const { inode, start } = process.vmas[0]!;
    process.read(start);
    process.read(start + size);
    const other = forkOf(process);
    other.read(start);
    expect(inode.pageCache.size).toBe(2);
    expect(around(size, other)).toEqual(new Uint8Array([1, 0]));
    expect(around(size)).toEqual(new Uint8Array([1, 1]));
    machine.check();
  });

  test('a page under PROT_NONE is 1', () => {
    const { process, at } = setUp(1);
    process.read(at);
    process.mprotect(at, size, PROT_NONE);
    expect(process.mincore(at, KIB4)).toEqual(new Uint8Array([1]));
  });

  test('without a table private memory is 0', () => {
    const { process, at } = setUp(2);
    expect(process.mincore(at, size + KIB4)).toEqual(new Uint8Array(size / KIB4 + 1));
  });

  test('a length counts in parts of 4 KiB pages; none is an empty answer', () => {
    const { process, at } = setUp(1);
    expect(process.mincore(at, 0)).toEqual(new Uint8Array(0));
    expect(process.mincore(at, KIB4 + 1)).toHaveLength(2);
  });

  test('an address inside a 4 KiB page is EINVAL, anything that is not mapped ENOMEM', () => {
    const { process, at } = setUp(1);
    expect(process.mincore(at + 1, KIB4)).toBe('EINVAL');
    expect(process.mincore(at - KIB4, KIB4)).toBe('ENOMEM');
    expect(process.mincore(at, size + KIB4)).toBe('ENOMEM');
    expect(process.mincore(2 ** 47 - KIB4, KIB4)).toBe('ENOMEM');
  });
});

describe('mincore without a table', () => {
  test('asks the page cache, and takes the 4 KiB pages of a huge page for huge pages of the file', () => {
    const machine = machineWith({ pages: 8 });
    const file = machine.memfdCreate();
    for (const index of [1, 3]) file.fallocate(index * MIB2, MIB2);
    const process = machine.createProcess();
    const at = mapShared(process, 2, { file });
    const vector = process.mincore(at, 2 * MIB2) as Uint8Array;
    const ones = [...vector.keys()].filter((page) => vector[page] === 1);
    expect(ones).toEqual([1, 3, 512, 514]);
    expect(vector.every((byte) => byte <= 1)).toBe(true);
  });

  test('begins anew wherever the range begins', () => {
    const machine = machineWith({ pages: 8 });
    const file = machine.memfdCreate();
    file.fallocate(0, MIB2);
    const process = machine.createProcess();
    const at = mapShared(process, 1, { file });
    expect(process.mincore(at, 2 * KIB4)).toEqual(new Uint8Array([1, 0]));
    expect(process.mincore(at + 9 * KIB4, 2 * KIB4)).toEqual(new Uint8Array([1, 0]));
  });
});

describe.each(SIZES)('pagemap, pages of $name', ({ size }) => {
  const setUp = (pages: number, map = mapPrivate) => {
    const machine = machineWith({ size, pages });
    const process = machine.createProcess();
    const at = map(process, pages, { size, flags: MAP_FIXED, address: GIB512 });
    return { process, at, map: (offset: number, of = process) => of.pagemap(at + offset)[0]! };
  };

  test('a private page: present, soft-dirty, exclusive, and the number of the very 4 KiB frame', () => {
    const { process, at, map } = setUp(2);
    process.read(at);
    const { pfn } = folioAt(process, at);
    const flags = PM_PRESENT | PM_SOFT_DIRTY | PM_MMAP_EXCLUSIVE;
    expect(map(0)).toBe(flags | BigInt(pfn));
    expect(map(3 * KIB4)).toBe(flags | BigInt(pfn + 3));
    expect(map(size - 1)).toBe(flags | BigInt(pfn + size / KIB4 - 1));
    expect(pageAt(process, at)!.pagemap).toBe(map(0));
  });

  test('a page that a child has, too, is not exclusive', () => {
    const { process, at, map } = setUp(2);
    process.write(at, 1);
    const child = forkOf(process);
    const shared = PM_PRESENT | PM_SOFT_DIRTY | BigInt(folioAt(process, at).pfn);
    expect([map(0), map(0, child)]).toEqual([shared, shared]);
    child.exit();
    expect(map(0)).toBe(shared | PM_MMAP_EXCLUSIVE);
  });

  test("a file's page says so, and is exclusive while one entry maps it", () => {
    const { process, at, map } = setUp(1, mapShared);
    process.read(at);
    const file = PM_PRESENT | PM_SOFT_DIRTY | PM_FILE | BigInt(folioAt(process, at).pfn);
    expect(map(0)).toBe(file | PM_MMAP_EXCLUSIVE);
    forkOf(process).read(at);
    expect(map(0)).toBe(file);
  });

  test('under PROT_NONE the frame number is the right one, not the inverted one', () => {
    const { process, at, map } = setUp(1);
    process.write(at, 1);
    const before = map(KIB4);
    process.mprotect(at, size, PROT_NONE);
    expect(map(KIB4)).toBe(before);
    expect((pageAt(process, at)!.entry & FRAME) >> 12n).not.toBe(before & ((1n << 55n) - 1n));
  });

  test('an empty place in a mapping is soft-dirty, with a table or without; outside there is nothing', () => {
    const { process, at, map } = setUp(2);
    expect(map(0)).toBe(PM_SOFT_DIRTY);
    process.read(at + size);
    expect(map(0)).toBe(PM_SOFT_DIRTY);
    expect([map(-KIB4), map(2 * size)]).toEqual([0n, 0n]);
  });

  test('a range is answered page by page, from the start of the first 4 KiB on', () => {
    const { process, at, map } = setUp(2);
    process.read(at);
    const entries = process.pagemap(at + size - KIB4 + 5, 2);
    expect([...entries]).toEqual([map(size - KIB4), PM_SOFT_DIRTY]);
  });
});
