/**
 * What a child gets. kernel/fork.c of Linux 6.1: dup_mmap; mm/memory.c: vma_needs_copy; mm/hugetlb.c:
 * copy_hugetlb_page_range.
 */
import { describe, expect, test } from 'vitest';
import { MADV_DOFORK, MADV_DONTFORK, PROT_NONE, PROT_READ } from '../../../src/linux/index.ts';
import {
  A,
  counts,
  D,
  entryOf,
  faultsIn,
  folioAt,
  forkOf,
  KIB4,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  NX,
  P,
  PS,
  pageAt,
  RW,
  SIZES,
  SOFT_DIRTY,
  traced,
  U,
} from '../support.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  const setUp = (pages: number, tables = 2 ** 21) => {
    const machine = machineWith({ size, pages, tables });
    return { machine, process: machine.createProcess(), now: () => counts(machine, size) };
  };

  test('a private page is mapped by both, read-only, still dirty, and belongs to neither', () => {
    const { process, now } = setUp(2);
    const at = mapPrivate(process, 1, { size });
    process.write(at, 1);
    const folio = folioAt(process, at);
    const child = forkOf(process);
    const readOnly = entryOf(folio, P | U | A | D | PS | SOFT_DIRTY | NX);
    expect([pageAt(process, at)!.entry, pageAt(child, at)!.entry]).toEqual([readOnly, readOnly]);
    expect(folio).toMatchObject({ mapcount: 2, refcount: 2, anon: true, anonExclusive: false });
    expect(now()).toEqual([2, 1, 0, 0]);
    expect(child.mm.hugetlbUsage).toBe(size / KIB4);
  });

  test('a page that was only read is mapped clean by the child, too', () => {
    const { process } = setUp(2);
    const at = mapPrivate(process, 1, { size });
    process.read(at);
    const child = forkOf(process);
    expect(pageAt(child, at)!.entry).toBe(entryOf(folioAt(process, at), P | U | A | PS | NX));
  });

  test('empty entries stay empty', () => {
    const { process } = setUp(3);
    const at = mapPrivate(process, 3, { size });
    process.write(at + size, 1);
    const child = forkOf(process);
    expect([...child.mappedPages()].map(({ address }) => address)).toEqual([at + size]);
  });

  test('fork copies no entries of a mapping that never had a page of its own', () => {
    const { machine, process } = setUp(2);
    const file = machine.memfdCreate({ hugePageSize: size });
    const shared = mapShared(process, 1, { size, file });
    process.write(shared, 5);
    const copy = mapPrivate(process, 1, { size, file });
    process.read(copy);
    expect(file.inode.pageCache.find(0)).toMatchObject({ mapcount: 2, refcount: 3 });
    const child = forkOf(process);
    expect([...child.mappedPages()]).toEqual([]);
    expect(child.mm.hugetlbUsage).toBe(0);
    expect(faultsIn(machine, () => expect(child.read(shared)).toBe(5))).toBe(1);
    expect(faultsIn(machine, () => expect(child.read(copy)).toBe(5))).toBe(1);
    expect(file.inode.pageCache.find(0)).toMatchObject({ mapcount: 4, refcount: 5 });
  });

  test("a mapping that has a page of its own is copied with its file's pages", () => {
    const { machine, process } = setUp(4);
    const file = machine.memfdCreate({ hugePageSize: size });
    file.fallocate(0, 2 * size);
    const at = mapPrivate(process, 2, { size, file });
    process.read(at);
    process.write(at + size, 1);
    const child = forkOf(process);
    expect([...child.mappedPages()]).toHaveLength(2);
    expect(folioAt(child, at)).toMatchObject({ anon: false, mapcount: 2, refcount: 3 });
    expect(folioAt(child, at + size)).toMatchObject({ anon: true, mapcount: 2, refcount: 2 });
  });

  test('each piece of a split mapping has its own history, which begins with that of the whole', () => {
    const { process } = setUp(3);
    const at = mapPrivate(process, 3, { size });
    process.mprotect(at + size, size, PROT_READ);
    process.write(at, 1);
    process.mprotect(at, size, PROT_READ);
    process.mprotect(at, size, RW);
    expect(process.vmas.map(({ anonVma }) => anonVma)).toEqual([true, false, false]);
    expect(forkOf(process).vmas.map(({ anonVma }) => anonVma)).toEqual([true, false, false]);
  });

  test('the child has the same ranges, rights and files, and shares what is written to a file', () => {
    const { machine, process } = setUp(4);
    const file = machine.memfdCreate({ hugePageSize: size });
    mapShared(process, 1, { size, file, prot: PROT_READ });
    const at = mapShared(process, 1, { size, file, offset: size });
    mapPrivate(process, 1, { size, prot: PROT_NONE });
    const child = forkOf(process);
    const parts = (of: typeof process) =>
      of.vmas.map(({ start, end, flags, pgoff, inode }) => [start, end, flags, pgoff, inode]);
    expect(parts(child)).toEqual(parts(process));
    child.write(at, 6);
    expect(process.read(at)).toBe(6);
    expect(file.inode.references).toBe(5);
  });

  test('a mapping with MADV_DONTFORK is not there for the child; MADV_DOFORK undoes that', () => {
    const { process } = setUp(3);
    const at = mapPrivate(process, 3, { size });
    process.write(at + size, 1);
    expect(process.madvise(at + size, size, MADV_DONTFORK)).toBe('OK');
    expect(process.vmas).toHaveLength(3);
    const child = forkOf(process);
    expect(child.vmas.map(({ start }) => start)).toEqual([at, at + 2 * size]);
    expect(child.read(at + size)).toBe('SIGSEGV');
    expect(folioAt(process, at + size)).toMatchObject({ mapcount: 1, anonExclusive: true });
    process.madvise(at, 3 * size, MADV_DOFORK);
    expect(forkOf(process).read(at + size)).toBe(1);
  });

  test('no page is taken, and none is needed: a fork succeeds with an empty pool', () => {
    const { process, now } = setUp(2);
    const at = mapPrivate(process, 2, { size });
    process.write(at, 1);
    process.write(at + size, 2);
    const child = forkOf(process);
    expect(now()).toEqual([2, 0, 0, 0]);
    expect([child.read(at), child.read(at + size)]).toEqual([1, 2]);
  });

  test("a child's mapping of a shared file has a lock of its own", () => {
    const { process } = setUp(2);
    mapShared(process, 1, { size });
    const child = forkOf(process);
    const [own, other] = [process.vmas[0]!.vmaLock!, child.vmas[0]!.vmaLock!];
    expect(own).not.toBe(other);
    expect([own.vma, other.vma]).toEqual([process.vmas[0], child.vmas[0]]);
  });

  test("the child's page-table lock is taken before the parent's", () => {
    const { machine, process } = setUp(1);
    const at = mapPrivate(process, 1, { size });
    process.write(at, 1);
    const events = traced(machine, () => forkOf(process));
    const entries = events.flatMap((event) => (event.kind === 'entry' ? [event.process] : []));
    expect(entries).toEqual(['process 0', 'process 1']);
    const locks = events.flatMap((event) => (event.kind === 'lock' ? [event.lock] : []));
    const pageTables = locks.filter((lock) => /^page.table/.test(lock));
    const nameOf = (of: typeof process) => {
      const { entryAddress } = [...of.mappedPages()][0]!;
      if (size !== MIB2) return `page_table_lock of process ${of.number}`;
      return `page-table lock of table 0x${(entryAddress - (entryAddress % KIB4)).toString(16)}`;
    };
    const child = [...machine.processes][1]!;
    expect(pageTables.slice(-2)).toEqual([nameOf(child), nameOf(process)]);
    expect(locks.slice(0, 2)).toEqual(['mmap_lock of process 0', 'mmap_lock of process 1']);
  });

  test('without memory for page tables it is ENOMEM, and the child is gone again', () => {
    const perProcess = size === MIB2 ? 3 : 2;
    const { machine, process, now } = setUp(2, KIB4 * (1 + 2 * perProcess - 1));
    const at = mapPrivate(process, 2, { size });
    process.write(at, 1);
    expect(machine.tables.count).toBe(perProcess);
    expect(process.fork()).toBe('ENOMEM');
    expect(machine.processes.size).toBe(1);
    expect(machine.tables.count).toBe(perProcess);
    expect(folioAt(process, at)).toMatchObject({ mapcount: 1, refcount: 1 });
    expect(now()).toEqual([2, 1, 1, 0]);
    expect(process.write(at, 2)).toBe('OK');
    expect(process.vmas[0]!.inode.references).toBe(1);
  });

  test('without memory for a root table it is ENOMEM, too', () => {
    const { machine, process } = setUp(1, 2 * KIB4);
    expect(process.fork()).toBe('ENOMEM');
    expect(() => machine.createProcess()).toThrow(RangeError);
    process.exit();
    expect(machine.createProcess().fork()).toBe('ENOMEM');
  });
});
