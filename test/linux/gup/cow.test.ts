/**
 * The cases of tools/testing/selftests/vm/cow.c that run on huge pages, each named after its function there, written anew. What
 * a child and a parent must not see of each other, whoever holds their pages.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_LONGTERM,
  FOLL_WRITE,
  MADV_DONTNEED,
  MAP_PRIVATE,
  type Pipe,
  PROT_READ,
} from '../../../src/linux/index.ts';
import { folioOf, fork, GIB, HUGE, RW, type Scene, scene } from './support.ts';

const sizes = [
  ['2 MiB', HUGE],
  ['1 GiB', GIB],
] as const;

/** What a pipe's pages hold at their start. */
function peek(pipe: Pipe): number {
  const byte = new Uint8Array(1);
  expect(pipe.read(byte)).toBe(1);
  return byte[0]!;
}

describe.each(sizes)('private memory, %s pages', (_, hugePageSize) => {
  const touched = (pool = 3): Scene => scene({ hugePageSize, pool, touched: true });

  test('test_cow_in_parent: what the child had at the fork, it keeps', () => {
    const { process, at } = touched();
    const child = fork(process);
    process.write(at, 99);
    expect([process.read(at), child.read(at)]).toEqual([99, 1]);
  });

  test('test_cow_in_parent_mprotect: also if the parent took its own right to write away and back', () => {
    const { process, at } = touched();
    const child = fork(process);
    process.mprotect(at, hugePageSize, PROT_READ);
    process.mprotect(at, hugePageSize, RW);
    process.write(at, 99);
    expect([process.read(at), child.read(at)]).toEqual([99, 1]);
  });

  for (const again of [false, true]) {
    const name = again ? 'test_vmsplice_in_child_mprotect' : 'test_vmsplice_in_child';
    test(`${name}: hugetlb leaks, as cow.c knows: a child that has spliced its page and unmapped it sees the parent's write`, () => {
      const { process, at } = touched();
      const child = fork(process);
      const pipe = process.machine.createPipe();
      expect(child.vmsplice(pipe, at, 1)).toBe(1);
      child.munmap(at, hugePageSize);
      if (again) {
        process.mprotect(at, hugePageSize, PROT_READ);
        process.mprotect(at, hugePageSize, RW);
      }
      process.write(at, 99);
      expect(peek(pipe)).toBe(99);
    });
  }

  test('test_vmsplice_before_fork: the parent splices, forks, and writes: a reference does not hold, so the pipe has the old page', () => {
    const { process, at } = touched();
    const pipe = process.machine.createPipe();
    expect(process.vmsplice(pipe, at, 1)).toBe(1);
    fork(process);
    process.write(at, 99);
    expect(peek(pipe)).toBe(1);
  });

  test('test_vmsplice_after_fork: the parent splices what it shares with the child, and writes: likewise', () => {
    const { process, at } = touched();
    const child = fork(process);
    const pipe = process.machine.createPipe();
    expect(process.vmsplice(pipe, at, 1)).toBe(1);
    process.write(at, 99);
    expect([peek(pipe), child.read(at)]).toEqual([1, 1]);
  });

  for (const [name, mprotects] of [
    ['test_iouring_ro', true],
    ['test_iouring_fork', false],
  ] as const) {
    test(`${name}: a registered buffer stays the parent's page, and what the device writes is read there`, () => {
      const { process, at } = touched();
      expect(process.registerBuffer(at, hugePageSize)).toBe('OK');
      const { pfn } = folioOf(process, at);
      if (mprotects) {
        process.mprotect(at, hugePageSize, PROT_READ);
        process.mprotect(at, hugePageSize, RW);
      } else fork(process);
      process.write(at, 99);
      expect(folioOf(process, at).pfn).toBe(pfn);
      process.mm.machine.frames.writeByte(pfn * 4096 + 5, 42);
      expect(process.read(at + 5)).toBe(42);
    });
  }

  for (const fast of [false, true]) {
    const way = fast ? 'fast_' : '';
    const pin = ({ process, at }: Scene, pages: number[]): unknown =>
      fast ? process.pinUserPagesFast(at, 1, FOLL_LONGTERM, pages) : process.pinUserPages(at, 1, FOLL_LONGTERM, pages);
    /** Read through the pin what the process has written. */
    const isConsistent = ({ process, at, machine }: Scene, pages: number[]): void => {
      process.write(at, 77);
      expect(machine.frames.readByte(pages[0]! * 4096)).toBe(77);
      process.unpinUserPages(pages);
      machine.check();
    };

    test(`test_ro_${way}pin_on_shared: a page that a child has, too, is unshared first`, () => {
      const all = touched();
      fork(all.process);
      const pages: number[] = [];
      expect(pin(all, pages)).toBe(1);
      isConsistent(all, pages);
    });

    test(`test_ro_${way}pin_on_ro_previously_shared: a page that a child had, which has ended, too`, () => {
      const all = touched();
      fork(all.process).exit();
      const pages: number[] = [];
      expect(pin(all, pages)).toBe(1);
      isConsistent(all, pages);
    });

    test(`test_ro_${way}pin_on_ro_exclusive: a page of one's own, read-only by mprotect, is pinned as it is`, () => {
      const all = touched();
      const { process, at } = all;
      const { pfn } = folioOf(process, at);
      process.mprotect(at, hugePageSize, PROT_READ);
      const pages: number[] = [];
      expect(pin(all, pages)).toBe(1);
      expect(pages).toEqual([pfn]);
      process.mprotect(at, hugePageSize, RW);
      isConsistent(all, pages);
    });
  }

  test('a copy that finds no page: the reader who pins is refused', () => {
    const { process, at } = touched(1);
    const child = fork(process);
    expect(child.pinUserPages(at, 1, 0, [])).toBe('EFAULT');
    expect(child.pinUserPagesFast(at, 1, 0, [])).toBe('EFAULT');
  });
});

describe.each(sizes)('private mappings of a file, %s pages', (_, hugePageSize) => {
  test("test_cow: a write is the writer's own", () => {
    const { machine, process } = scene({ hugePageSize, pool: 3 });
    const file = machine.memfdCreate({ hugePageSize });
    file.fallocate(0, hugePageSize);
    const at = process.mmap({ length: hugePageSize, prot: RW, flags: MAP_PRIVATE, file }) as number;
    const { pfn } = file.inode.pageCache.find(0)!;
    expect(process.read(at)).toBe(0);
    process.write(at, 9);
    expect([process.read(at), machine.frames.readByte(pfn * 4096)]).toEqual([9, 0]);
  });

  for (const fast of [false, true]) {
    test(`test_ro_${fast ? 'fast_' : ''}pin: 6.1 pins the file's page, and a later write goes to a copy: the pin does not see it`, () => {
      const { machine, process } = scene({ hugePageSize, pool: 3 });
      const file = machine.memfdCreate({ hugePageSize });
      file.fallocate(0, hugePageSize);
      const at = process.mmap({ length: hugePageSize, prot: RW, flags: MAP_PRIVATE, file }) as number;
      const pages: number[] = [];
      const flags = FOLL_LONGTERM;
      const got = fast ? process.pinUserPagesFast(at, 1, flags, pages) : process.pinUserPages(at, 1, flags, pages);
      expect(got).toBe(1);
      process.write(at, 9);
      expect(machine.frames.readByte(pages[0]! * 4096)).toBe(0);
      process.unpinUserPages(pages);
    });
  }
});

describe('a pinned page at a fork', () => {
  test('is copied for the child at once: the parent keeps the one that the device has', () => {
    const { process, at } = scene({ pool: 2, touched: true });
    const pages: number[] = [];
    process.pinUserPages(at, 1, FOLL_WRITE, pages);
    const child = fork(process);
    expect(process.machine.hstate().freeHugePages).toBe(0);
    expect([folioOf(process, at).pfn, folioOf(process, at).anonExclusive]).toEqual([pages[0], true]);
    process.write(at, 50);
    expect([process.mm.machine.frames.readByte(pages[0]! * 4096), child.read(at)]).toEqual([50, 1]);
    process.unpinUserPages(pages);
  });

  test('without a page for the copy the fork fails: ENOMEM', () => {
    const { machine, process, at } = scene({ touched: true });
    const pages: number[] = [];
    process.pinUserPages(at, 1, FOLL_WRITE, pages);
    expect(process.fork()).toBe('ENOMEM');
    expect(machine.processes.size).toBe(1);
    process.unpinUserPages(pages);
    expect(typeof process.fork()).toBe('object');
  });

  test('once given back it is shared again', () => {
    const { machine, process, at } = scene({ pool: 2, touched: true });
    const pages: number[] = [];
    process.pinUserPages(at, 1, FOLL_WRITE, pages);
    process.unpinUserPages(pages);
    const child = fork(process);
    expect(machine.hstate().freeHugePages).toBe(1);
    expect(folioOf(child, at)).toBe(folioOf(process, at));
  });

  test('only references do not count', () => {
    const { machine, process, at } = scene({ pool: 2, touched: true });
    const pages: number[] = [];
    process.getUserPages(at, 1, FOLL_WRITE, pages);
    fork(process);
    expect(machine.hstate().freeHugePages).toBe(1);
    process.putPages(pages);
  });

  test('that was dropped by the parent before is no matter of the fork', () => {
    const { machine, process, at } = scene({ pool: 2, touched: true });
    const pages: number[] = [];
    process.pinUserPages(at, 1, FOLL_WRITE, pages);
    process.madvise(at, HUGE, MADV_DONTNEED);
    expect(typeof process.fork()).toBe('object');
    expect(machine.hstate().freeHugePages).toBe(1);
    process.unpinUserPages(pages);
    expect(machine.hstate().freeHugePages).toBe(2);
  });
});
