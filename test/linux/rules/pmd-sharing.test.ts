/**
 * One table of 2 MiB entries for several mappings. mm/hugetlb.c of Linux 6.1: want_pmd_share, page_table_shareable,
 * huge_pmd_share, huge_pmd_unshare, hugetlb_split.
 */
import { describe, expect, test } from 'vitest';
import {
  type HugetlbFile,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MAP_FIXED,
  MAP_NORESERVE,
  PROT_READ,
  type Process,
} from '../../../src/linux/index.ts';
import {
  counts,
  faultsIn,
  folioAt,
  forkOf,
  GIB1,
  KIB4,
  type MappingParts,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  pageAt,
  RW,
  traced,
} from '../support.ts';

const ADDRESS = 2 ** 40;
const ALL = GIB1 / MIB2;
/** Whose events about page tables are looked at. */
const BY_SECOND = { kind: 'table', task: 'process 1', process: 'process 1' } as const;

describe('mappings of the same 1 GiB of a file', () => {
  const setUp = () => {
    const machine = machineWith({ pages: 4 });
    const file = machine.memfdCreate();
    file.ftruncate(2 * GIB1);
    return { machine, file, first: machine.createProcess(), second: machine.createProcess() };
  };
  const map = (
    process: Process,
    file: HugetlbFile,
    { address = ADDRESS, flags = 0, ...parts }: MappingParts = {},
    pages = ALL,
  ) => mapShared(process, pages, { file, address, flags: flags | MAP_FIXED | MAP_NORESERVE, ...parts });
  /** Physical address of the table that maps an address. */
  const tableOf = (process: Process, address: number) => {
    const { entryAddress } = pageAt(process, address)!;
    return entryAddress - (entryAddress % KIB4);
  };
  /** Whether two mappings, each touched at its first page, use one table. */
  const share = (one: Process, at: number, other: Process, there: number) => {
    one.read(at);
    other.read(there);
    return tableOf(one, at) === tableOf(other, there);
  };

  test('use one table: what one process has touched is there for the other', () => {
    const { machine, file, first, second } = setUp();
    map(first, file);
    map(second, file, { address: 3 * ADDRESS });
    first.write(ADDRESS, 1);
    const events = traced(machine, () => second.write(3 * ADDRESS + MIB2, 2));
    const table = tableOf(first, ADDRESS);
    expect(tableOf(second, 3 * ADDRESS)).toBe(table);
    expect(events.flatMap((event) => (event.kind === 'table' && event.level === 2 ? [event] : []))).toEqual([
      { ...BY_SECOND, what: 'shared', address: 3 * ADDRESS, table, level: 2 },
    ]);
    expect(machine.tables.page(table).shareCount).toBe(1);
    expect(faultsIn(machine, () => expect(second.read(3 * ADDRESS)).toBe(1))).toBe(0);
    expect(faultsIn(machine, () => expect(first.read(ADDRESS + MIB2)).toBe(2))).toBe(0);
    expect(folioAt(first, ADDRESS)).toMatchObject({ mapcount: 1, refcount: 2 });
  });

  test('of one process do, too', () => {
    const { file, first } = setUp();
    map(first, file);
    map(first, file, { address: ADDRESS + 2 * GIB1 });
    expect(share(first, ADDRESS, first, ADDRESS + 2 * GIB1)).toBe(true);
  });

  test('do when a child faults, since fork copies none of it', () => {
    const { machine, file, first } = setUp();
    map(first, file);
    first.write(ADDRESS, 1);
    const child = forkOf(first);
    expect(pageAt(child, ADDRESS)).toBeUndefined();
    expect(share(first, ADDRESS, child, ADDRESS)).toBe(true);
    expect(machine.tables.page(tableOf(first, ADDRESS)).shareCount).toBe(1);
  });

  test('use one table a 1 GiB', () => {
    const { file, first, second } = setUp();
    map(first, file, {}, 2 * ALL);
    map(second, file, { offset: GIB1 }, ALL);
    first.read(ADDRESS);
    expect(share(first, ADDRESS + GIB1, second, ADDRESS)).toBe(true);
    expect(tableOf(first, ADDRESS)).not.toBe(tableOf(second, ADDRESS));
  });

  test('do not if one covers less than the whole 1 GiB, whichever it is', () => {
    for (const short of [0, 1]) {
      const { file, first, second } = setUp();
      map(first, file, {}, short === 0 ? ALL - 1 : ALL);
      map(second, file, {}, short === 1 ? ALL - 1 : ALL);
      expect(share(first, ADDRESS, second, ADDRESS)).toBe(false);
      expect(folioAt(first, ADDRESS).mapcount).toBe(2);
    }
  });

  test('do not if one is not aligned to 1 GiB, whichever it is', () => {
    for (const shifted of [0, 1]) {
      const { file, first, second } = setUp();
      const at = [ADDRESS, ADDRESS];
      at[shifted]! += MIB2;
      map(first, file, { address: at[0]! });
      map(second, file, { address: at[1]! });
      expect(share(first, at[0]!, second, at[1]!)).toBe(false);
    }
  });

  test('do not if the 1 GiB begin elsewhere in the file', () => {
    const { file, first, second } = setUp();
    map(first, file);
    map(second, file, { offset: MIB2 });
    expect(share(first, ADDRESS + MIB2, second, ADDRESS)).toBe(false);
  });

  test('do not if their rights or other flags differ', () => {
    const { file, first, second } = setUp();
    map(first, file);
    map(second, file, { prot: PROT_READ });
    expect(share(first, ADDRESS, second, ADDRESS)).toBe(false);
    map(second, file, { address: 2 * ADDRESS });
    expect(share(first, ADDRESS, second, 2 * ADDRESS)).toBe(true);
    expect(first.vmas[0]!.flags).toBe(second.vmas[1]!.flags);
  });

  test('do not if only one was mapped MAP_NORESERVE', () => {
    const { machine, file, first, second } = setUp();
    machine.setNrHugepages(MIB2, ALL);
    map(first, file);
    mapShared(second, ALL, { file, address: ADDRESS, flags: MAP_FIXED });
    expect(share(first, ADDRESS, second, ADDRESS)).toBe(false);
  });

  test('do not if one is private', () => {
    const { file, first, second } = setUp();
    map(first, file);
    mapPrivate(second, ALL, { file, address: ADDRESS, flags: MAP_FIXED | MAP_NORESERVE });
    expect(share(first, ADDRESS, second, ADDRESS)).toBe(false);
  });

  test('do not if one has no lock, which Linux may have had no memory for; whichever it is', () => {
    for (const lockless of [0, 1]) {
      const { file, first, second } = setUp();
      map(first, file);
      map(second, file);
      [first, second][lockless]!.vmas[0]!.vmaLock = undefined;
      expect(share(first, ADDRESS, second, ADDRESS)).toBe(false);
    }
  });

  test('do not if each has its table already, though nothing else is in the way any more', () => {
    const { machine, file, first, second } = setUp();
    map(first, file);
    map(second, file, { prot: PROT_READ });
    expect(share(first, ADDRESS, second, ADDRESS)).toBe(false);
    second.mprotect(ADDRESS, GIB1, RW);
    expect(second.vmas[0]!.flags).toBe(first.vmas[0]!.flags);
    expect(share(first, ADDRESS + MIB2, second, ADDRESS + MIB2)).toBe(false);
    expect([first, second].map((process) => machine.tables.page(tableOf(process, ADDRESS)).shareCount)).toEqual([0, 0]);
  });

  test('of 1 GiB pages have no such table', () => {
    const machine = machineWith({ size: GIB1, pages: 1 });
    const file = machine.memfdCreate({ hugePageSize: GIB1 });
    const [first, second] = [machine.createProcess(), machine.createProcess()];
    for (const process of [first, second]) {
      process.read(mapShared(process, 1, { size: GIB1, file, address: ADDRESS, flags: MAP_FIXED }));
    }
    expect(folioAt(first, ADDRESS)).toMatchObject({ mapcount: 2, refcount: 3 });
    expect(machine.tables.count).toBe(4);
  });

  describe('that share', () => {
    /** Both processes, with two pages in their common table, which hold 1 and 2. */
    const sharing = () => {
      const parts = setUp();
      const { machine, file, first, second } = parts;
      map(first, file);
      map(second, file);
      first.write(ADDRESS, 1);
      second.write(ADDRESS + MIB2, 2);
      const table = tableOf(first, ADDRESS);
      const shares = () => machine.tables.page(table).shareCount;
      expect([tableOf(second, ADDRESS), shares()]).toEqual([table, 1]);
      return { ...parts, table, shares };
    };

    test('part when one changes its rights: it has nothing mapped then, and finds a table of its own', () => {
      const { machine, first, second, table, shares } = sharing();
      const events = traced(machine, () => second.mprotect(ADDRESS, GIB1, PROT_READ));
      expect(events.filter(({ kind }) => kind === 'table')).toEqual([
        { ...BY_SECOND, what: 'unshared', address: ADDRESS, table, level: 2 },
      ]);
      expect([...second.mappedPages()]).toEqual([]);
      expect(shares()).toBe(0);
      expect(folioAt(first, ADDRESS).mapcount).toBe(1);
      expect(faultsIn(machine, () => first.write(ADDRESS, 3))).toBe(0);
      expect(second.read(ADDRESS)).toBe(3);
      expect(tableOf(second, ADDRESS)).not.toBe(table);
      expect(folioAt(first, ADDRESS).mapcount).toBe(2);
      expect(second.write(ADDRESS, 4)).toBe('SIGSEGV');
    });

    test('share again when the rights are the same again, if it needed no table of its own meanwhile', () => {
      const { second, table, shares } = sharing();
      second.mprotect(ADDRESS, GIB1, PROT_READ);
      second.mprotect(ADDRESS, GIB1, RW);
      expect(second.read(ADDRESS)).toBe(1);
      expect([tableOf(second, ADDRESS), shares()]).toEqual([table, 1]);
    });

    test('part when one is unmapped; the table goes with the last', () => {
      const { machine, first, second, shares } = sharing();
      const before = machine.tables.count;
      second.munmap(ADDRESS, GIB1);
      expect(shares()).toBe(0);
      expect(machine.tables.count).toBe(before - 1);
      expect([first.read(ADDRESS), first.read(ADDRESS + MIB2)]).toEqual([1, 2]);
      first.munmap(ADDRESS, GIB1);
      expect(machine.tables.count).toBe(2);
      expect(counts(machine)).toEqual([4, 2, 0, 0]);
    });

    test('part in whichever order they go, also when the one goes that made the table', () => {
      const { first, second, shares, machine } = sharing();
      first.exit();
      expect(shares()).toBe(0);
      expect([second.read(ADDRESS), second.read(ADDRESS + MIB2)]).toEqual([1, 2]);
      second.exit();
      expect(machine.tables.count).toBe(0);
    });

    test('part when one is cut inside the 1 GiB, though nothing is unmapped: its pieces get a table of its own', () => {
      const { machine, first, second, table, shares } = sharing();
      expect(second.madvise(ADDRESS + 2 * MIB2, MIB2, MADV_DONTFORK)).toBe('OK');
      expect(second.vmas).toHaveLength(3);
      expect([...second.mappedPages()]).toEqual([]);
      expect(shares()).toBe(0);
      expect([second.read(ADDRESS), second.read(ADDRESS + MIB2)]).toEqual([1, 2]);
      expect(tableOf(second, ADDRESS)).not.toBe(table);
      expect(faultsIn(machine, () => expect(first.read(ADDRESS)).toBe(1))).toBe(0);
    });

    test('part when a piece is unmapped', () => {
      const { first, second, table, shares } = sharing();
      expect(second.munmap(ADDRESS + 2 * MIB2, MIB2)).toBe('OK');
      expect(shares()).toBe(0);
      expect([second.read(ADDRESS), second.read(ADDRESS + MIB2)]).toEqual([1, 2]);
      expect(tableOf(first, ADDRESS)).toBe(table);
    });

    test('stay together where a larger mapping is cut between two 1 GiB', () => {
      const { machine, file, first, second } = setUp();
      map(first, file, {}, 2 * ALL);
      map(second, file, {}, 2 * ALL);
      for (const at of [ADDRESS, ADDRESS + GIB1]) expect(share(first, at, second, at)).toBe(true);
      second.madvise(ADDRESS, GIB1, MADV_DONTFORK);
      expect(second.vmas).toHaveLength(2);
      for (const at of [ADDRESS, ADDRESS + GIB1]) {
        expect(tableOf(second, at)).toBe(tableOf(first, at));
        expect(machine.tables.page(tableOf(first, at)).shareCount).toBe(1);
      }
    });

    test('part when one drops a single page: all of its 1 GiB is unmapped, and the entry stays for the other', () => {
      const { machine, first, second, table, shares } = sharing();
      expect(second.madvise(ADDRESS, MIB2, MADV_DONTNEED)).toBe('OK');
      expect([...second.mappedPages()]).toEqual([]);
      expect([...first.mappedPages()]).toHaveLength(2);
      expect([folioAt(first, ADDRESS).mapcount, shares()]).toEqual([1, 0]);
      expect(faultsIn(machine, () => expect(second.read(ADDRESS + MIB2)).toBe(2))).toBe(1);
      expect([tableOf(second, ADDRESS), shares()]).toEqual([table, 1]);
    });

    test('part when the file is truncated; the last one takes the pages out', () => {
      const { machine, file, first, second } = sharing();
      expect(file.ftruncate(MIB2)).toBe('OK');
      expect(counts(machine)).toEqual([4, 3, 0, 0]);
      expect([first.read(ADDRESS), second.read(ADDRESS)]).toEqual([1, 1]);
      expect([first.read(ADDRESS + MIB2), second.read(ADDRESS + MIB2)]).toEqual(['SIGBUS', 'SIGBUS']);
    });
  });
});
