/**
 * Pools: growing, shrinking, surplus pages, no memory left. mm/hugetlb.c of Linux 6.1: set_max_huge_pages,
 * gather_surplus_pages, return_unused_surplus_pages, alloc_surplus_huge_page, free_huge_page.
 */
import { describe, expect, test } from 'vitest';
import { MAP_NORESERVE, Machine } from '../../../src/linux/index.ts';
import {
  counts,
  folioAt,
  forkOf,
  GIB1,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  privately,
  SIZES,
  traced,
} from '../support.ts';

describe.each(SIZES)('a pool of $name pages', ({ size }) => {
  const setUp = (pages: number, memoryPages = 64) => {
    const machine = machineWith({ size, pages, memoryBytes: memoryPages * size });
    return { machine, process: machine.createProcess(), now: () => counts(machine, size) };
  };

  test('grows as far as there is memory', () => {
    const { machine, now } = setUp(1, 3);
    expect(machine.setNrHugepages(size, 2)).toBe(2);
    expect(machine.setNrHugepages(size, 5)).toBe(3);
    expect(now()).toEqual([3, 3, 0, 0]);
  });

  test('gives memory back when it shrinks, for it to grow again', () => {
    const { machine, now } = setUp(3, 3);
    expect(machine.setNrHugepages(size, 1)).toBe(1);
    expect(now()).toEqual([1, 1, 0, 0]);
    expect(machine.setNrHugepages(size, 3)).toBe(3);
  });

  test('keeps what is promised when it shrinks; what is in use or promised becomes surplus', () => {
    const { machine, process, now } = setUp(6);
    const at = mapPrivate(process, 3, { size });
    process.write(at, 1);
    expect(now()).toEqual([6, 5, 2, 0]);
    expect(machine.setNrHugepages(size, 0)).toBe(3);
    expect(now()).toEqual([3, 2, 2, 3]);
    expect(process.write(at + size, 2)).toBe('OK');
    expect(now()).toEqual([3, 1, 1, 3]);
  });

  test('becomes smaller then as its pages come free, and their reservations', () => {
    const { machine, process, now } = setUp(6);
    const at = mapPrivate(process, 3, { size });
    process.write(at, 1);
    machine.setNrHugepages(size, 0);
    process.munmap(at, size);
    expect(now()).toEqual([2, 2, 2, 2]);
    process.munmap(at + size, 2 * size);
    expect(now()).toEqual([0, 0, 0, 0]);
  });

  test('makes no more surplus than it has to', () => {
    const { machine, process, now } = setUp(4);
    process.write(mapPrivate(process, 1, { size }), 1);
    expect(machine.setNrHugepages(size, 2)).toBe(2);
    expect(now()).toEqual([2, 1, 0, 0]);
    expect(machine.setNrHugepages(size, 0)).toBe(1);
    expect(now()).toEqual([1, 0, 0, 1]);
  });

  test('makes surplus pages its own before it takes memory', () => {
    const { machine, process, now } = setUp(2, 3);
    const at = mapPrivate(process, 2, { size });
    process.write(at, 1);
    machine.setNrHugepages(size, 0);
    expect(now()).toEqual([2, 1, 1, 2]);
    expect(machine.setNrHugepages(size, 1)).toBe(2);
    expect(now()).toEqual([2, 1, 1, 1]);
    expect(machine.setNrHugepages(size, 3)).toBe(3);
    expect(now()).toEqual([3, 2, 1, 0]);
  });

  test('records pages that come and go', () => {
    const { machine, process } = setUp(1);
    const at = mapPrivate(process, 1, { size });
    process.write(at, 1);
    const { pfn } = folioAt(process, at);
    const events = traced(machine, () => process.munmap(at, size));
    expect(events.filter(({ kind }) => kind === 'page')).toEqual([
      { kind: 'page', task: 'process 0', what: 'freed', pfn, bytes: size },
    ]);
  });
});

describe('overcommit', () => {
  const setUp = (pages: number, overcommit: number, memoryPages = 64) => {
    const machine = machineWith({ pages, overcommit, memoryBytes: memoryPages * MIB2 });
    return { machine, process: machine.createProcess(), now: () => counts(machine) };
  };

  test('a reservation that the pool cannot meet makes surplus pages at once', () => {
    const { process, now } = setUp(1, 2);
    mapPrivate(process, 3);
    expect(now()).toEqual([3, 3, 3, 2]);
  });

  test('one that exceeds it is ENOMEM, and the pages that were made go back', () => {
    const { process, now } = setUp(1, 2, 3);
    expect(process.mmap(privately(4))).toBe('ENOMEM');
    expect(now()).toEqual([1, 1, 0, 0]);
    expect(process.mmap(privately(3))).toBeTypeOf('number');
  });

  test('one for which there is no memory is ENOMEM, too', () => {
    const { process, now } = setUp(1, 8, 2);
    expect(process.mmap(privately(3))).toBe('ENOMEM');
    expect(now()).toEqual([1, 1, 0, 0]);
    expect(process.mmap(privately(2))).toBeTypeOf('number');
  });

  test('unused reservations take their surplus pages with them', () => {
    const { process, now } = setUp(1, 2);
    const at = mapPrivate(process, 3);
    process.write(at, 1);
    expect(now()).toEqual([3, 2, 2, 2]);
    process.munmap(at + MIB2, 2 * MIB2);
    expect(now()).toEqual([1, 0, 0, 0]);
    process.munmap(at, MIB2);
    expect(now()).toEqual([1, 1, 0, 0]);
  });

  test('a fault without a reservation makes its page itself', () => {
    const { process, now } = setUp(0, 1);
    const at = mapPrivate(process, 2, { flags: MAP_NORESERVE });
    expect(process.write(at, 1)).toBe('OK');
    expect(now()).toEqual([1, 0, 0, 1]);
    expect(process.write(at + MIB2, 1)).toBe('SIGBUS');
    process.exit();
    expect(now()).toEqual([0, 0, 0, 0]);
  });

  test("so does an owner's copy, before it takes the page from its child", () => {
    const { process, now } = setUp(1, 1);
    const at = mapPrivate(process, 1);
    process.write(at, 1);
    const child = forkOf(process);
    expect(process.write(at, 2)).toBe('OK');
    expect(now()).toEqual([2, 0, 0, 1]);
    expect(child.read(at)).toBe(1);
  });

  test('while there is surplus, whichever page comes free leaves the pool', () => {
    const { machine, process, now } = setUp(1, 1);
    const own = mapPrivate(process, 1);
    process.write(own, 1);
    const other = machine.createProcess();
    other.write(mapPrivate(other, 1, { flags: MAP_NORESERVE }), 1);
    expect(now()).toEqual([2, 0, 0, 1]);
    process.munmap(own, MIB2);
    expect(now()).toEqual([1, 0, 0, 0]);
    other.exit();
    expect(now()).toEqual([1, 1, 0, 0]);
  });

  test('a lower limit takes no page away, but permits no new one', () => {
    const { machine, process, now } = setUp(0, 2);
    const at = mapPrivate(process, 3, { flags: MAP_NORESERVE });
    process.write(at, 1);
    expect(machine.setNrOvercommitHugepages(MIB2, 1)).toBe('OK');
    expect(process.write(at + MIB2, 1)).toBe('SIGBUS');
    expect(now()).toEqual([1, 0, 0, 1]);
    expect(machine.setNrOvercommitHugepages(MIB2, 2)).toBe('OK');
    expect(process.write(at + MIB2, 1)).toBe('OK');
    expect(now()).toEqual([2, 0, 0, 2]);
  });

  test('surplus that shrinking made counts against the limit', () => {
    const { machine, process, now } = setUp(1, 1);
    const at = mapPrivate(process, 2, { flags: MAP_NORESERVE });
    process.write(at, 1);
    machine.setNrHugepages(MIB2, 0);
    expect(now()).toEqual([1, 0, 0, 1]);
    expect(process.write(at + MIB2, 1)).toBe('SIGBUS');
  });

  test('1 GiB pages are never surplus: EINVAL', () => {
    const machine = machineWith({ size: GIB1, pages: 1 });
    expect(machine.setNrOvercommitHugepages(GIB1, 1)).toBe('EINVAL');
    expect(machine.setNrOvercommitHugepages(GIB1, 0)).toBe('EINVAL');
    expect(machine.hstate(GIB1).nrOvercommitHugePages).toBe(0);
  });
});

describe('both sizes at once', () => {
  const setUp = (memoryBytes = 2 ** 46) => {
    const pools = [
      { hugePageSize: MIB2, pages: 4 },
      { hugePageSize: GIB1, pages: 2 },
    ];
    const machine = new Machine({ pools, memoryBytes, checks: true });
    return { machine, process: machine.createProcess() };
  };

  test('each has its own pool, reservations and level of the page table', () => {
    const { machine, process } = setUp();
    const small = mapPrivate(process, 3);
    const large = mapShared(process, 1, { size: GIB1 });
    process.write(small, 1);
    process.write(large, 2);
    expect(counts(machine)).toEqual([4, 3, 2, 0]);
    expect(counts(machine, GIB1)).toEqual([2, 1, 0, 0]);
    const levels = [...process.mappedPages()].map(({ level, bytes }) => [level, bytes]).sort();
    expect(levels).toEqual([
      [2, MIB2],
      [3, GIB1],
    ]);
    process.exit();
    expect([counts(machine), counts(machine, GIB1)]).toEqual([
      [4, 4, 0, 0],
      [2, 2, 0, 0],
    ]);
  });

  test('one pool does not lend to the other', () => {
    const { process } = setUp();
    expect(process.mmap(privately(3, { size: GIB1 }))).toBe('ENOMEM');
    expect(process.mmap(privately(5))).toBe('ENOMEM');
  });

  test('memory that one pool has is not there for the other until it is given back', () => {
    const machine = machineWith({ size: GIB1, pages: 1, memoryBytes: GIB1 });
    expect(machine.setNrHugepages(MIB2, 4)).toBe(0);
    machine.setNrHugepages(GIB1, 0);
    expect(machine.setNrHugepages(MIB2, 600)).toBe(512);
    expect(machine.setNrHugepages(GIB1, 1)).toBe(0);
  });
});
