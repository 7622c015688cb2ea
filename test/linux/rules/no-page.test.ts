/**
 * A fault where nothing is mapped. mm/hugetlb.c of Linux 6.1: hugetlb_fault, hugetlb_no_page; arch/x86/mm/fault.c:
 * access_error.
 */
import { describe, expect, test } from 'vitest';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MAP_NORESERVE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/linux/index.ts';
import {
  A,
  counts,
  D,
  entryOf,
  faultsIn,
  folioAt,
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
  W,
} from '../support.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  const setUp = (pages: number) => {
    const machine = machineWith({ size, pages });
    return { machine, process: machine.createProcess(), now: () => counts(machine, size) };
  };

  test('a first touch takes a page from the pool and consumes its reservation', () => {
    const { process, now } = setUp(4);
    const at = mapPrivate(process, 2, { size });
    expect(now()).toEqual([4, 4, 2, 0]);
    expect(process.write(at + size, 7)).toBe('OK');
    expect(now()).toEqual([4, 3, 1, 0]);
    expect(process.read(at + size)).toBe(7);
    expect(process.read(at)).toBe(0);
    expect(now()).toEqual([4, 2, 0, 0]);
  });

  test('a page is mapped as a whole: no other address in it faults again', () => {
    const { machine, process } = setUp(1);
    const at = mapPrivate(process, 1, { size });
    expect(faultsIn(machine, () => process.write(at + size - 1, 1))).toBe(1);
    expect(faultsIn(machine, () => process.write(at, 2))).toBe(0);
    expect(faultsIn(machine, () => process.read(at + size / 2))).toBe(0);
    expect([...process.mappedPages()]).toMatchObject([{ address: at, bytes: size, level: size === MIB2 ? 2 : 3 }]);
    expect(process.mm.hugetlbUsage).toBe(size / KIB4);
  });

  test('a new page reads as zero, whatever its last owner wrote', () => {
    const { process } = setUp(1);
    const first = mapPrivate(process, 1, { size });
    process.write(first + 5, 7);
    const { pfn } = folioAt(process, first);
    process.munmap(first, size);
    const second = mapPrivate(process, 1, { size });
    expect(process.read(second + 5)).toBe(0);
    expect(folioAt(process, second).pfn).toBe(pfn);
  });

  test('a private page is anonymous, exclusive, mapped once, and has the reference of its entry', () => {
    const { process } = setUp(1);
    const at = mapPrivate(process, 1, { size });
    process.read(at);
    expect(folioAt(process, at)).toMatchObject({
      anon: true,
      anonExclusive: true,
      mapcount: 1,
      refcount: 1,
      pageCache: undefined,
      restoreReserve: false,
      uptodate: true,
      migratable: true,
    });
    expect(process.vmas[0]!.anonVma).toBe(true);
  });

  test("a shared page goes into the file's page cache, which has a second reference", () => {
    const { process } = setUp(2);
    const at = mapShared(process, 2, { size });
    process.read(at + size);
    const folio = folioAt(process, at + size);
    const { pageCache } = process.vmas[0]!.inode;
    expect(folio).toMatchObject({ anon: false, anonExclusive: false, mapcount: 1, refcount: 2, index: 1, dirty: true });
    expect(pageCache.find(1)).toBe(folio);
    expect(pageCache.size).toBe(1);
    expect(process.vmas[0]!.anonVma).toBe(false);
  });

  test('a read maps a private page read-only and clean', () => {
    const { process } = setUp(1);
    const at = mapPrivate(process, 1, { size });
    process.read(at);
    expect(pageAt(process, at)!.entry).toBe(entryOf(folioAt(process, at), P | U | A | PS | NX));
  });

  test('a write maps a private page writable and dirty, in one fault', () => {
    const { machine, process } = setUp(1);
    const at = mapPrivate(process, 1, { size });
    expect(faultsIn(machine, () => process.write(at, 1))).toBe(1);
    expect(pageAt(process, at)!.entry).toBe(entryOf(folioAt(process, at), P | W | U | A | D | PS | SOFT_DIRTY | NX));
  });

  test('a read of a writable shared mapping maps the page writable and dirty at once', () => {
    const { machine, process } = setUp(1);
    const at = mapShared(process, 1, { size });
    process.read(at);
    expect(pageAt(process, at)!.entry).toBe(entryOf(folioAt(process, at), P | W | U | A | D | PS | SOFT_DIRTY | NX));
    expect(faultsIn(machine, () => process.write(at, 1))).toBe(0);
  });

  test('a shared mapping without PROT_WRITE maps read-only, one with PROT_EXEC without NX', () => {
    const { machine, process } = setUp(2);
    const file = machine.memfdCreate({ hugePageSize: size });
    file.ftruncate(size);
    const read = mapShared(process, 1, { size, file, prot: PROT_READ });
    const execute = mapShared(process, 1, { size, file, prot: PROT_READ | PROT_EXEC });
    process.read(read);
    process.read(execute);
    expect(pageAt(process, read)!.entry).toBe(entryOf(folioAt(process, read), P | U | A | PS | NX));
    expect(pageAt(process, execute)!.entry).toBe(entryOf(folioAt(process, execute), P | U | A | PS));
  });

  test('a page that is in the file already is mapped, too, and none is taken', () => {
    const { machine, process, now } = setUp(2);
    const file = machine.memfdCreate({ hugePageSize: size });
    const first = mapShared(process, 1, { size, file });
    process.write(first, 9);
    expect(now()).toEqual([2, 1, 0, 0]);
    const other = machine.createProcess();
    const second = mapShared(other, 1, { size, file });
    expect(other.read(second)).toBe(9);
    expect(now()).toEqual([2, 1, 0, 0]);
    expect(folioAt(other, second)).toBe(folioAt(process, first));
    expect(folioAt(other, second)).toMatchObject({ mapcount: 2, refcount: 3 });
  });

  test("behind the file's end an access is SIGBUS and takes nothing, reserved or not", () => {
    const { machine, process, now } = setUp(4);
    const file = machine.memfdCreate({ hugePageSize: size });
    file.ftruncate(size);
    const at = mapShared(process, 2, { size, file, prot: PROT_READ });
    expect(process.read(at + size)).toBe('SIGBUS');
    expect(now()).toEqual([4, 4, 2, 0]);
    expect(process.read(at)).toBe(0);
  });

  test('the end counts in whole huge pages', () => {
    const { machine, process } = setUp(2);
    const file = machine.memfdCreate({ hugePageSize: size });
    expect(file.fallocate(0, size + KIB4)).toBe('OK');
    expect(file.size).toBe(size + KIB4);
    expect(file.fallocate(0, 2 * size, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)).toBe('OK');
    const at = mapShared(process, 2, { size, file, prot: PROT_READ });
    expect(process.read(at)).toBe(0);
    expect(process.read(at + size)).toBe('SIGBUS');
  });

  test('the end is asked for a missing page only: one that is in the file behind the end is mapped', () => {
    const { machine, process } = setUp(2);
    const file = machine.memfdCreate({ hugePageSize: size });
    file.fallocate(size, size, FALLOC_FL_KEEP_SIZE);
    expect(file.size).toBe(0);
    const at = mapShared(process, 2, { size, file, prot: PROT_READ });
    expect(process.read(at + size)).toBe(0);
    expect(process.read(at)).toBe('SIGBUS');
  });

  test('where the pool has no page left, an access without a reservation is SIGBUS, and works when one is back', () => {
    const { machine, process, now } = setUp(1);
    const other = machine.createProcess();
    other.write(mapPrivate(other, 1, { size }), 1);
    const at = mapPrivate(process, 1, { size, flags: MAP_NORESERVE });
    expect(process.write(at, 1)).toBe('SIGBUS');
    expect(pageAt(process, at)).toBeUndefined();
    expect(now()).toEqual([1, 0, 0, 0]);
    other.exit();
    expect(process.write(at, 1)).toBe('OK');
    expect(now()).toEqual([1, 0, 0, 0]);
  });

  test('the order of events: the page, its reservation, the entry', () => {
    const { machine, process } = setUp(1);
    const at = mapShared(process, 1, { size });
    const events = traced(machine, () => process.read(at)).filter(
      (event) =>
        /^(fault|page|entry)$/.test(event.kind) || (event.kind === 'count' && event.count === 'resv_huge_pages'),
    );
    const folio = folioAt(process, at);
    const { entry } = pageAt(process, at)!;
    expect(events).toEqual([
      { kind: 'fault', task: 'process 0', address: at, errorCode: 4 },
      { kind: 'page', task: 'process 0', what: 'allocated', pfn: folio.pfn, bytes: size },
      {
        kind: 'count',
        task: 'process 0',
        count: 'resv_huge_pages',
        of: `the ${size === MIB2 ? '2 MiB' : '1 GiB'} pool`,
        before: 1,
        after: 0,
      },
      {
        kind: 'entry',
        task: 'process 0',
        process: 'process 0',
        address: at,
        level: size === MIB2 ? 2 : 3,
        levels: 4,
        before: 0n,
        after: entry,
      },
    ]);
  });
});

describe('an access that the mapping does not permit', () => {
  const setUp = (prot: number) => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    return { machine, process, at: mapPrivate(process, 1, { prot }) };
  };

  test('is SIGSEGV outside of every mapping', () => {
    const { process, at } = setUp(RW);
    expect(process.read(at - 1)).toBe('SIGSEGV');
    expect(process.write(at + MIB2, 1)).toBe('SIGSEGV');
  });

  test('is SIGSEGV for a write without PROT_WRITE, be the page there or not', () => {
    const { process, at } = setUp(PROT_READ);
    expect(process.write(at, 1)).toBe('SIGSEGV');
    expect(pageAt(process, at)).toBeUndefined();
    expect(process.read(at)).toBe(0);
    expect(process.write(at, 1)).toBe('SIGSEGV');
  });

  test('is SIGSEGV for anything under PROT_NONE, and maps nothing', () => {
    const { machine, process, at } = setUp(PROT_NONE);
    expect(process.read(at)).toBe('SIGSEGV');
    expect(process.write(at, 1)).toBe('SIGSEGV');
    expect(counts(machine)).toEqual([1, 1, 1, 0]);
  });

  test('a mapping that may be written may be read, too', () => {
    const { process, at } = setUp(PROT_WRITE);
    expect(process.read(at)).toBe(0);
    expect(process.write(at, 1)).toBe('OK');
    expect(process.read(at)).toBe(1);
  });
});
