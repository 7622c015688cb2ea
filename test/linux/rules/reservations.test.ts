/**
 * Reservations of shared mappings: they are the file's. mm/hugetlb.c of Linux 6.1: hugetlb_reserve_pages,
 * hugetlb_unreserve_pages, alloc_huge_page, vma_has_reserves.
 */
import { describe, expect, test } from 'vitest';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MAP_NORESERVE,
  PROT_NONE,
  PROT_READ,
} from '../../../src/linux/index.ts';
import {
  atEveryStep,
  counts,
  folioAt,
  MIB2,
  machineWith,
  mapShared,
  mounted,
  SIZES,
  shared,
  traced,
  work,
} from '../support.ts';

const HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

describe.each(SIZES)('pages of $name', ({ size }) => {
  const setUp = (pages: number) => {
    const machine = machineWith({ size, pages });
    const file = machine.memfdCreate({ hugePageSize: size });
    const process = machine.createProcess();
    return { machine, file, process, now: () => counts(machine, size) };
  };
  const regions = (file: ReturnType<typeof setUp>['file']) => [...file.inode.reserveMap];

  test.each([PROT_NONE, PROT_READ])('a shared mapping reserves its pages, whatever its rights (PROT %i)', (prot) => {
    const { machine, file, process, now } = setUp(4);
    const events = traced(machine, () => mapShared(process, 2, { size, file, prot }));
    expect(now()).toEqual([4, 4, 2, 0]);
    expect(regions(file)).toEqual([{ from: 0, to: 2 }]);
    expect(events.filter(({ kind }) => kind === 'count')).toMatchObject([
      { count: 'resv_huge_pages', before: 0, after: 2 },
    ]);
  });

  test('a second mapping of the same part reserves nothing more, in any process', () => {
    const { machine, file, process, now } = setUp(4);
    mapShared(process, 2, { size, file });
    mapShared(machine.createProcess(), 2, { size, file });
    expect(now()).toEqual([4, 4, 2, 0]);
  });

  test('of a mapping that overlaps others, what lies between them is reserved', () => {
    const { file, process, now } = setUp(8);
    mapShared(process, 1, { size, file });
    mapShared(process, 1, { size, file, offset: 3 * size });
    expect(regions(file)).toEqual([
      { from: 0, to: 1 },
      { from: 3, to: 4 },
    ]);
    mapShared(process, 5, { size, file });
    expect(now()).toEqual([8, 8, 5, 0]);
    expect(regions(file)).toEqual([{ from: 0, to: 5 }]);
  });

  test('they last when the mapping is gone, until the file is gone', () => {
    const { machine, file, process, now } = setUp(4);
    const at = mapShared(process, 2, { size, file });
    process.read(at);
    process.munmap(at, 2 * size);
    expect(now()).toEqual([4, 3, 1, 0]);
    file.close();
    expect(now()).toEqual([4, 4, 0, 0]);
    expect(machine.inodes.size).toBe(0);
  });

  test('a fault consumes the reservation in the pool, and leaves the entry in the map', () => {
    const { file, process, now } = setUp(4);
    const at = mapShared(process, 2, { size, file });
    process.read(at);
    expect(now()).toEqual([4, 3, 1, 0]);
    expect(regions(file)).toEqual([{ from: 0, to: 2 }]);
  });

  test('where the pool cannot promise all pages, mmap is ENOMEM and promises none', () => {
    const { file, process, now } = setUp(2);
    expect(process.mmap(shared(3, { size, file }))).toBe('ENOMEM');
    expect(now()).toEqual([2, 2, 0, 0]);
    expect(regions(file)).toEqual([]);
    expect(file.inode.reserveMap.addsInProgress).toBe(0);
    expect(process.vmas).toEqual([]);
    expect(file.size).toBe(0);
    expect(process.mmap(shared(2, { size, file }))).toBeTypeOf('number');
  });

  test('MAP_NORESERVE reserves nothing; its faults take pages that are not promised, and make entries', () => {
    const { file, process, now } = setUp(2);
    const at = mapShared(process, 2, { size, file, flags: MAP_NORESERVE });
    expect(now()).toEqual([2, 2, 0, 0]);
    expect(regions(file)).toEqual([]);
    process.read(at + size);
    expect(now()).toEqual([2, 1, 0, 0]);
    expect(regions(file)).toEqual([{ from: 1, to: 2 }]);
  });

  test('MAP_NORESERVE cannot take a page that is promised to another file', () => {
    const { machine, file, process, now } = setUp(1);
    mapShared(machine.createProcess(), 1, { size });
    const at = mapShared(process, 1, { size, file, flags: MAP_NORESERVE });
    expect(process.read(at)).toBe('SIGBUS');
    expect(now()).toEqual([1, 1, 1, 0]);
    expect(regions(file)).toEqual([]);
  });

  test('MAP_NORESERVE on a part that another mapping reserved consumes that reservation', () => {
    const { machine, file, process, now } = setUp(1);
    mapShared(machine.createProcess(), 1, { size, file });
    const at = mapShared(process, 1, { size, file, flags: MAP_NORESERVE });
    expect(process.read(at)).toBe(0);
    expect(now()).toEqual([1, 0, 0, 0]);
  });

  test('a page that is in the file already needs no reservation', () => {
    const { file, process, now } = setUp(4);
    file.fallocate(0, size);
    expect(now()).toEqual([4, 3, 0, 0]);
    mapShared(process, 2, { size, file });
    expect(now()).toEqual([4, 3, 1, 0]);
  });

  test('fallocate consumes the reservations of mappings', () => {
    const { file, process, now } = setUp(2);
    mapShared(process, 2, { size, file });
    expect(file.fallocate(size, size)).toBe('OK');
    expect(now()).toEqual([2, 1, 1, 0]);
  });

  test('fallocate cannot take a page that is promised to another file: ENOSPC', () => {
    const { machine, file, now } = setUp(2);
    mapShared(machine.createProcess(), 1, { size });
    expect(file.fallocate(0, 2 * size)).toBe('ENOSPC');
    expect(now()).toEqual([2, 1, 1, 0]);
    expect(file.inode.pageCache.size).toBe(1);
    expect(file.size).toBe(0);
  });

  test('a hole removes only the reservations of pages that it finds', () => {
    const { file, process, now } = setUp(4);
    const at = mapShared(process, 3, { size, file });
    process.read(at + size);
    expect(now()).toEqual([4, 3, 2, 0]);
    expect(file.fallocate(0, 3 * size, HOLE)).toBe('OK');
    expect(now()).toEqual([4, 4, 2, 0]);
    expect(regions(file)).toEqual([
      { from: 0, to: 1 },
      { from: 2, to: 3 },
    ]);
  });

  test('a page in a hole has no reservation: the next fault takes one that is not promised', () => {
    const { file, process, now } = setUp(4);
    const at = mapShared(process, 2, { size, file });
    process.write(at, 1);
    file.fallocate(0, size, HOLE);
    expect(process.read(at)).toBe(0);
    expect(now()).toEqual([4, 3, 1, 0]);
    expect(regions(file)).toEqual([{ from: 0, to: 2 }]);
  });

  test('a page in a hole is SIGBUS where all pages are promised to others', () => {
    const { machine, file, process, now } = setUp(1);
    const at = mapShared(process, 1, { size, file });
    process.write(at, 1);
    file.fallocate(0, size, HOLE);
    mapShared(machine.createProcess(), 1, { size });
    expect(process.read(at)).toBe('SIGBUS');
    expect(now()).toEqual([1, 1, 1, 0]);
  });

  test('a truncation removes all reservations behind the end, used or not; growing brings none back', () => {
    const { file, process, now } = setUp(4);
    const at = mapShared(process, 4, { size, file });
    process.read(at);
    process.read(at + 2 * size);
    expect(now()).toEqual([4, 2, 2, 0]);
    expect(file.ftruncate(size)).toBe('OK');
    expect(now()).toEqual([4, 3, 0, 0]);
    expect(regions(file)).toEqual([{ from: 0, to: 1 }]);
    file.ftruncate(4 * size);
    expect(now()).toEqual([4, 3, 0, 0]);
    expect(process.read(at + size)).toBe(0);
    expect(now()).toEqual([4, 2, 0, 0]);
  });

  test('a page that is freed while nobody maps it keeps no reservation', () => {
    const { file, process, now } = setUp(2);
    const at = mapShared(process, 1, { size, file });
    process.read(at);
    expect(folioAt(process, at).restoreReserve).toBe(false);
    process.exit();
    file.ftruncate(0);
    expect(now()).toEqual([2, 2, 0, 0]);
  });
});

describe('while mmap reserves a page, a fault of another mapping takes it', () => {
  const start = (withMount: boolean) => () => {
    const machine = machineWith({ pages: 2, checks: false });
    const mount = withMount ? mounted(machine, { size: 2 * MIB2, minSize: MIB2 }) : undefined;
    const file = mount?.create() ?? machine.memfdCreate();
    file.ftruncate(MIB2);
    const [mapping, other] = [machine.createProcess(), machine.createProcess()];
    const at = mapShared(other, 1, { file, flags: MAP_NORESERVE });
    const [mapper, toucher] = [mapping.thread(), other.thread()];
    const works = [work(mapper, mapper.mmap(shared(1, { file }))), work(toucher, toucher.read(at))] as const;
    return { machine, mount, file, works };
  };

  test('wherever they meet, the page is counted once', () => {
    const runs = atEveryStep(start(false), ({ machine, file }, [mapped, read]) => {
      expect([typeof mapped, read]).toEqual(['number', 0]);
      machine.check();
      expect(counts(machine)).toEqual([2, 1, 0, 0]);
      expect(file.inode.reserveMap.count(0, 1)).toBe(1);
      expect(file.inode.reserveMap.addsInProgress).toBe(0);
    });
    expect(runs).toBeGreaterThan(10);
  });

  test("nor does a mount's account count it twice", () => {
    atEveryStep(start(true), ({ machine, mount }) => {
      machine.check();
      expect(counts(machine)).toEqual([2, 1, 0, 0]);
      expect(mount!.subpool).toMatchObject({ usedPages: 1, reservedPages: 0 });
    });
  });
});
