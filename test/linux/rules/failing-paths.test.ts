/**
 * What a call leaves behind that failed: page tables, pages, reservations, rights. mm/hugetlb.c of Linux 6.1: hugetlb_fault, hugetlb_no_page,
 * hugetlb_mcopy_atomic_pte, copy_hugetlb_page_range, move_huge_pte, hugetlb_change_protection; mm/userfaultfd.c: __mcopy_atomic_hugetlb;
 * fs/hugetlbfs/inode.c: hugetlbfs_fallocate, hugetlbfs_file_mmap; mm/madvise.c: madvise_inject_error.
 *
 * Whether there is a page table for a range, mincore tells: without one it asks the page cache, with one it sees empty entries.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_WRITE,
  type HugetlbFile,
  MADV_HWPOISON,
  MAP_FIXED,
  MAP_NORESERVE,
  type Machine,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  type Process,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
  type UserfaultFile,
} from '../../../src/linux/index.ts';
import { entries } from '../memory-failure/support.ts';
import {
  counts,
  faultsIn,
  folioAt,
  forkOf,
  GIB1,
  KIB4,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  pageAt,
  privately,
  W,
} from '../support.ts';

const AT = 2 ** 40;
/** In the next table of 2 MiB entries. */
const NEXT_TABLE = AT + GIB1;

interface Scene {
  readonly machine: Machine;
  readonly process: Process;
  readonly file: HugetlbFile;
}

/** A file of four huge pages, of which the first three have memory; nobody maps it. */
function scene(pages = 8, tables = 2 ** 21): Scene {
  const machine = machineWith({ pages, tables, hgm: { version: 'none' } });
  const file = machine.memfdCreate();
  expect(file.fallocate(0, 3 * MIB2)).toBe('OK');
  expect(file.ftruncate(4 * MIB2)).toBe('OK');
  return { machine, process: machine.createProcess(), file };
}

/** Of the first four 4 KiB pages so many as are in core: 3 where mincore takes them for the file's huge pages, 0 where it sees a table. */
function inCore(process: Process, at = AT): number {
  const pages = process.mincore(at, 4 * KIB4);
  if (typeof pages === 'string') throw new Error(pages);
  return pages.reduce((sum, page) => sum + page, 0);
}
const NO_TABLE = 3;
const TABLE = 0;

/** A userfaultfd, and a range that it is for. A fault that it would handle is SIGBUS. */
function registered(process: Process, at: number, length: number, mode: number, features = 0): UserfaultFile {
  const uffd = process.userfaultfd();
  expect(uffd.api(UFFD_FEATURE_SIGBUS | features).result).toBe('OK');
  expect(uffd.register(at, length, mode).result).toBe('OK');
  return uffd;
}

describe('a fault that fails', () => {
  test('behind the end of the file: SIGBUS, and there is a page table', () => {
    const { process, file } = scene();
    mapShared(process, 5, { file, address: AT, flags: MAP_NORESERVE, prot: PROT_READ });
    expect(inCore(process)).toBe(NO_TABLE);
    expect(process.read(AT + 4 * MIB2)).toBe('SIGBUS');
    expect(inCore(process)).toBe(TABLE);
  });

  test('of a pool without pages: SIGBUS, a page table, and nothing else', () => {
    const { machine, process, file } = scene(3);
    mapShared(process, 4, { file, address: AT, flags: MAP_NORESERVE });
    expect(process.write(AT + 3 * MIB2, 1)).toBe('SIGBUS');
    expect(inCore(process)).toBe(TABLE);
    expect([...file.inode.reserveMap]).toEqual([{ from: 0, to: 3 }]);
    expect(counts(machine)).toEqual([3, 0, 0, 0]);
  });

  test.each([
    { name: 'missing', mode: UFFDIO_REGISTER_MODE_MISSING, page: 3 },
    { name: 'minor', mode: UFFDIO_REGISTER_MODE_MINOR, page: 1 },
  ])("that is userfaultfd's, $name: a page table", ({ mode, page }) => {
    const { process, file } = scene();
    mapShared(process, 4, { file, address: AT });
    registered(process, AT, 4 * MIB2, mode);
    expect(process.read(AT + page * MIB2)).toBe('SIGBUS');
    expect(inCore(process)).toBe(TABLE);
  });

  test('for want of rights: no table, as hugetlb_fault is not even asked', () => {
    const { process, file } = scene();
    mapShared(process, 4, { file, address: AT, prot: PROT_READ });
    expect(process.write(AT, 1)).toBe('SIGSEGV');
    expect(inCore(process)).toBe(NO_TABLE);
  });
});

describe('GUP that fails', () => {
  test('of a mapping that refuses it makes no table', () => {
    const { process, file } = scene();
    mapShared(process, 4, { file, address: AT, prot: PROT_READ });
    expect(process.getUserPages(AT, 1, FOLL_WRITE | FOLL_FORCE)).toBe('EFAULT');
    expect(inCore(process)).toBe(NO_TABLE);
  });

  test('of a hole, for a core file, makes no table; for anybody else it makes one', () => {
    const { process, file } = scene(3);
    mapShared(process, 4, { file, address: AT, flags: MAP_NORESERVE });
    expect(process.getUserPages(AT + 3 * MIB2, 1, FOLL_DUMP)).toBe('EFAULT');
    expect(inCore(process)).toBe(NO_TABLE);
    expect(process.getUserPages(AT + 3 * MIB2, 1, 0)).toBe('EFAULT');
    expect(inCore(process)).toBe(TABLE);
  });

  test('a buffer that cannot be pinned to its end keeps no pin, and the pages that were faulted in', () => {
    const { machine, process } = scene(4);
    mapPrivate(process, 2, { address: AT, flags: MAP_NORESERVE });
    expect(process.registerBuffer(AT, 2 * MIB2)).toBe('EFAULT');
    expect(folioAt(process, AT)).toMatchObject({ pincount: 0, refcount: 1, anonExclusive: true });
    expect(counts(machine)).toEqual([4, 0, 0, 0]);
  });
});

describe('UFFDIO_COPY and UFFDIO_CONTINUE that fail', () => {
  const BOTH = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR;
  const bytes = new Uint8Array(MIB2);

  function shared(pages?: number, flags = 0): Scene & { readonly uffd: UserfaultFile } {
    const made = scene(pages);
    mapShared(made.process, 4, { file: made.file, address: AT, flags });
    return { ...made, uffd: registered(made.process, AT, 4 * MIB2, BOTH) };
  }

  test('for their arguments make no table', () => {
    const { process, uffd } = shared();
    expect(uffd.continue(AT + KIB4, MIB2).result).toBe('EINVAL');
    expect(uffd.copy(AT, bytes.subarray(0, KIB4)).result).toBe('EINVAL');
    expect(uffd.zeropage(AT, MIB2).result).toBe('EINVAL');
    expect(uffd.continue(AT, 8 * MIB2).result).toBe('ENOENT');
    expect(inCore(process)).toBe(NO_TABLE);
  });

  test('for a page that the file has, or has not, made a table before they looked', () => {
    for (const fill of [
      ({ uffd }: { uffd: UserfaultFile }) => expect(uffd.copy(AT, bytes).result).toBe('EEXIST'),
      ({ uffd }: { uffd: UserfaultFile }) => expect(uffd.continue(AT + 3 * MIB2, MIB2).result).toBe('EFAULT'),
    ]) {
      const made = shared();
      fill(made);
      expect(inCore(made.process)).toBe(TABLE);
      expect(counts(made.machine)).toEqual([8, 5, 1, 0]);
    }
  });

  test('without a free page: ENOMEM, a table, and nothing else', () => {
    const { machine, process, file, uffd } = shared(3, MAP_NORESERVE);
    expect(uffd.copy(AT + 3 * MIB2, bytes).result).toBe('ENOMEM');
    expect(inCore(process)).toBe(TABLE);
    expect([...file.inode.reserveMap]).toEqual([{ from: 0, to: 3 }]);
    expect(counts(machine)).toEqual([3, 0, 0, 0]);
  });

  test('from a source that is not all there: EFAULT, a table; the page is free, and its reservation what it was', () => {
    for (const flags of [0, MAP_NORESERVE]) {
      const { machine, process, file, uffd } = shared(8, flags);
      const before = [counts(machine), [...file.inode.reserveMap]];
      expect(uffd.copy(AT + 3 * MIB2, bytes.subarray(0, KIB4), 0, MIB2).result).toBe('EFAULT');
      expect(inCore(process)).toBe(TABLE);
      expect([counts(machine), [...file.inode.reserveMap]]).toEqual(before);
    }
  });

  test('the same in a private mapping, whose owner has the reservation, and whose child has none', () => {
    const { machine, process, file } = scene();
    mapPrivate(process, 4, { file, address: AT });
    const child = forkOf(process);
    const before = counts(machine);
    for (const mapper of [process, child]) {
      const uffd = registered(mapper, AT, 4 * MIB2, UFFDIO_REGISTER_MODE_MISSING);
      expect(uffd.copy(AT + 3 * MIB2, bytes.subarray(0, KIB4), 0, MIB2).result).toBe('EFAULT');
      expect(counts(machine)).toEqual(before);
      expect([inCore(mapper), mapper.vmas[0]!.privateMap?.count(0, 4) ?? 0]).toEqual([TABLE, 0]);
    }
  });

  test('behind the end of the file: EFAULT, a table; the page is free, and no reservation is left', () => {
    const { machine, process, file, uffd } = shared();
    file.ftruncate(3 * MIB2);
    expect(counts(machine)).toEqual([8, 5, 0, 0]);
    expect(uffd.copy(AT + 3 * MIB2, bytes).result).toBe('EFAULT');
    expect(inCore(process)).toBe(TABLE);
    expect(counts(machine)).toEqual([8, 5, 0, 0]);
    expect([...file.inode.reserveMap]).toEqual([{ from: 0, to: 3 }]);
  });

  test('in a private mapping: fork copies its entries from now on, as for one with pages of its own', () => {
    const childHas = (fails: boolean): boolean => {
      const { process, file } = scene();
      mapPrivate(process, 4, { file, address: AT });
      const uffd = registered(process, AT, 4 * MIB2, UFFDIO_REGISTER_MODE_MISSING);
      process.read(AT);
      expect(uffd.copy(fails ? AT : AT + KIB4, bytes).result).toBe(fails ? 'EEXIST' : 'EINVAL');
      return pageAt(forkOf(process), AT) !== undefined;
    };
    expect([childHas(true), childHas(false)]).toEqual([true, false]);
  });
});

test('a copy on write that finds no page leaves a mapping of which fork copies nothing: it still has no page of its own', () => {
  const { process, file } = scene(3);
  mapPrivate(process, 4, { file, address: AT, flags: MAP_NORESERVE });
  expect(process.write(AT, 1)).toBe('SIGBUS');
  expect(pageAt(process, AT)!.entry & W).toBe(0n);
  expect(pageAt(forkOf(process), AT)).toBeUndefined();
});

test('UFFDIO_WRITEPROTECT for which there is no table is OK, and has protected what lies before', () => {
  /* A page that is never used, the root, and two tables down to the first huge page; none is left for the second. */
  const { process, file } = scene(8, 4 * KIB4);
  const at = NEXT_TABLE - MIB2;
  mapShared(process, 2, { file, address: at });
  const uffd = registered(process, at, 2 * MIB2, UFFDIO_REGISTER_MODE_WP);
  expect(uffd.writeprotect(at, 2 * MIB2, UFFDIO_WRITEPROTECT_MODE_WP)).toBe('OK');
  expect(entries(process, at, 2 * MIB2)).toEqual([[1, 512, 'marker']]);
});

describe('a fork that fails', () => {
  test('leaves the private pages that it came to read-only, and shared by nobody: a write takes a fault, and no copy', () => {
    /* A page that is never used, root and two tables for the first mapping, one more for the second; the child gets as far as the first. */
    const machine = machineWith({ pages: 4, tables: 8 * KIB4 });
    const process = machine.createProcess();
    for (const at of [AT, NEXT_TABLE]) {
      mapPrivate(process, 1, { address: at, flags: MAP_FIXED });
      process.write(at, 1);
    }
    expect(process.fork()).toBe('ENOMEM');
    expect([AT, NEXT_TABLE].map((at) => (pageAt(process, at)!.entry & W) !== 0n)).toEqual([false, true]);
    expect([AT, NEXT_TABLE].map((at) => folioAt(process, at).anonExclusive)).toEqual([false, true]);
    const folio = folioAt(process, AT);
    expect(faultsIn(machine, () => process.write(AT, 2))).toBe(1);
    expect(folioAt(process, AT)).toBe(folio);
    expect([folio.anonExclusive, folio.mapcount]).toEqual([true, 1]);
  });
});

describe('mremap that fails', () => {
  /** Two huge pages, each with a table of its own; memory for tables ends with the first one's move. */
  function failing(features: number): { readonly process: Process; readonly at: number } {
    const machine = machineWith({ pages: 3, tables: 6 * KIB4 });
    const process = machine.createProcess();
    const at = NEXT_TABLE - MIB2;
    mapPrivate(process, 2, { address: at, flags: MAP_FIXED });
    for (const page of [0, 1]) process.write(at + page * MIB2, 1 + page);
    const uffd = registered(process, at, 2 * MIB2, UFFDIO_REGISTER_MODE_WP, features);
    expect(uffd.writeprotect(at, 2 * MIB2, UFFDIO_WRITEPROTECT_MODE_WP)).toBe('OK');
    const target = at + 4 * GIB1;
    expect(process.mremap(at, 2 * MIB2, 2 * MIB2, MREMAP_MAYMOVE | MREMAP_FIXED, target)).toBe('ENOMEM');
    return { process, at };
  }

  test('has everything back, but for the write protection of what had moved, if the userfaultfd is not told of moves', () => {
    const { process, at } = failing(0);
    expect([0, 1].map((page) => process.read(at + page * MIB2))).toEqual([1, 2]);
    expect([0, 1].map((page) => process.write(at + page * MIB2, 9))).toEqual(['OK', 'SIGBUS']);
  });

  test('with EVENT_REMAP has the protection back, too', () => {
    const { process, at } = failing(UFFD_FEATURE_EVENT_REMAP);
    expect([0, 1].map((page) => process.write(at + page * MIB2, 9))).toEqual(['SIGBUS', 'SIGBUS']);
  });

  test('leaves no table at the new place', () => {
    const { process } = failing(0);
    expect(process.mm.machine.tables.count).toBe(4);
  });
});

describe('what has memory, or a size, by a call that fails', () => {
  test('fallocate: the pages that there were stay, behind the end of the file, where they are mapped', () => {
    const machine = machineWith({ pages: 2 });
    const file = machine.memfdCreate();
    expect(file.fallocate(0, 3 * MIB2)).toBe('ENOSPC');
    expect([file.size, file.inode.pageCache.size]).toEqual([0, 2]);
    const process = machine.createProcess();
    mapShared(process, 3, { file, address: AT, prot: PROT_READ, flags: MAP_NORESERVE });
    expect([0, 1, 2].map((page) => process.read(AT + page * MIB2))).toEqual([0, 0, 'SIGBUS']);
  });

  test('mmap: the file is as long as before, and has the reservations of before', () => {
    const { machine, process, file } = scene(4);
    mapShared(process, 4, { file, address: AT });
    const before = [file.size, counts(machine), [...file.inode.reserveMap]];
    expect(process.mmap({ ...privately(5, { file }), flags: 1 })).toBe('ENOMEM');
    expect([file.size, counts(machine), [...file.inode.reserveMap]]).toEqual(before);
  });

  test('MADV_HWPOISON: what had turned bad stays bad; what was faulted in for it stays, too', () => {
    const { machine, process, file } = scene(3);
    mapShared(process, 4, { file, address: AT, flags: MAP_NORESERVE });
    expect(process.madvise(AT + MIB2, 3 * MIB2, MADV_HWPOISON)).toBe('EFAULT');
    expect(machine.hardwareCorrupted).toBe(2);
    expect(process.madvise(AT, 2 * MIB2, MADV_HWPOISON)).toBe('EFAULT');
    expect(machine.hardwareCorrupted).toBe(3);
    expect(entries(process, AT, 4 * MIB2)).toEqual([[3, 512, 'bad']]);
  });
});
