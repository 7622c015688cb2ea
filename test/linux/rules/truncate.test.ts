/**
 * Taking pages out of a file. fs/hugetlbfs/inode.c of Linux 6.1: hugetlb_vmtruncate, hugetlbfs_punch_hole,
 * hugetlbfs_zero_partial_page, remove_inode_hugepages, hugetlbfs_fallocate, hugetlbfs_evict_inode.
 */
import { describe, expect, test } from 'vitest';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  type HugetlbFile,
  MAP_NORESERVE,
  type Path,
  PROT_READ,
  type Syscalls,
} from '../../../src/linux/index.ts';
import {
  atEveryStep,
  counts,
  folioAt,
  forkOf,
  KIB4,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  pageAt,
  SIZES,
  work,
} from '../support.ts';

const HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

describe.each(SIZES)('pages of $name', ({ size }) => {
  /** A file of some pages with a shared mapping. */
  const setUp = (pages: number, mapped: number) => {
    const machine = machineWith({ size, pages });
    const file = machine.memfdCreate({ hugePageSize: size });
    const process = machine.createProcess();
    const at = mapShared(process, mapped, { size, file });
    return { machine, file, process, at, now: () => counts(machine, size) };
  };

  describe('a truncation', () => {
    test('unmaps and frees the pages behind the new end: SIGBUS there', () => {
      const { machine, file, process, at, now } = setUp(4, 3);
      const other = machine.createProcess();
      const there = mapShared(other, 2, { size, file, offset: size });
      for (const page of [0, 1, 2]) process.write(at + page * size, page + 1);
      other.read(there + size);
      expect(file.ftruncate(2 * size)).toBe('OK');
      expect(file.size).toBe(2 * size);
      expect(now()).toEqual([4, 2, 0, 0]);
      expect([process.read(at), process.read(at + size), process.read(at + 2 * size)]).toEqual([1, 2, 'SIGBUS']);
      expect([other.read(there), other.read(there + size)]).toEqual([2, 'SIGBUS']);
      expect(process.mm.hugetlbUsage).toBe((2 * size) / KIB4);
    });

    test('takes the pages of a private mapping, too', () => {
      const { machine, file, process, at, now } = setUp(4, 1);
      process.write(at, 1);
      const owner = machine.createProcess();
      const own = mapPrivate(owner, 2, { size, file });
      owner.write(own, 2);
      expect(now()).toEqual([4, 2, 1, 0]);
      file.ftruncate(0);
      expect(now()).toEqual([4, 4, 1, 0]);
      expect([owner.read(own), owner.read(own + size)]).toEqual(['SIGBUS', 'SIGBUS']);
      expect(owner.vmas[0]!.privateMap!.count(0, 2)).toBe(1);
      owner.exit();
      expect(now()).toEqual([4, 4, 0, 0]);
    });

    test('leaves a mapping alone that lies before the new end', () => {
      const { file, process, at } = setUp(4, 2);
      process.write(at, 1);
      const entry = pageAt(process, at)!.entry;
      file.ftruncate(2 * size);
      file.ftruncate(size);
      expect(pageAt(process, at)!.entry).toBe(entry);
    });

    test('removes pages that fallocate has put behind the end', () => {
      const { file, now } = setUp(4, 1);
      file.fallocate(2 * size, size, FALLOC_FL_KEEP_SIZE);
      expect(now()).toEqual([4, 3, 1, 0]);
      file.ftruncate(2 * size);
      expect(now()).toEqual([4, 4, 1, 0]);
    });

    test('to a part of a huge page is EINVAL, and does nothing', () => {
      const { file, process, at, now } = setUp(2, 2);
      process.write(at + size, 1);
      for (const bytes of [1, KIB4, size + KIB4, 2 * size - 1]) expect(file.ftruncate(bytes)).toBe('EINVAL');
      expect(file.size).toBe(2 * size);
      expect(process.read(at + size)).toBe(1);
      expect(now()).toEqual([2, 1, 1, 0]);
    });

    test('to more bytes takes no page; a page that came back reads as zero', () => {
      const { file, process, at, now } = setUp(2, 1);
      process.write(at, 9);
      file.ftruncate(0);
      expect(file.ftruncate(8 * size)).toBe('OK');
      expect(now()).toEqual([2, 2, 0, 0]);
      expect(process.read(at)).toBe(0);
    });
  });

  describe('a hole', () => {
    test('unmaps and frees whole pages everywhere; a shared mapping finds zeros next', () => {
      const { machine, file, process, at, now } = setUp(4, 3);
      const other = machine.createProcess();
      const there = mapShared(other, 3, { size, file });
      for (const page of [0, 1, 2]) process.write(at + page * size, page + 1);
      other.read(there + size);
      expect(file.fallocate(size, size, HOLE)).toBe('OK');
      expect(file.size).toBe(3 * size);
      expect(now()).toEqual([4, 2, 0, 0]);
      expect([pageAt(process, at + size), pageAt(other, there + size)]).toEqual([undefined, undefined]);
      expect([process.read(at), process.read(at + size), process.read(at + 2 * size)]).toEqual([1, 0, 3]);
      expect(now()).toEqual([4, 1, 0, 0]);
      expect(other.read(there + size)).toBe(0);
      expect(now()).toEqual([4, 1, 0, 0]);
    });

    test("takes a private mapping's own pages, too: what the process wrote is lost", () => {
      const { machine, file, process, at, now } = setUp(4, 1);
      process.write(at, 1);
      const owner = machine.createProcess();
      const own = mapPrivate(owner, 1, { size, file });
      owner.write(own, 2);
      expect(now()).toEqual([4, 2, 0, 0]);
      file.fallocate(0, size, HOLE);
      expect(now()).toEqual([4, 4, 0, 0]);
      expect(owner.read(own)).toBe(0);
      expect(folioAt(owner, own).anon).toBe(true);
      expect(now()).toEqual([4, 3, 0, 0]);
    });

    test("leaves a child's copy of a page elsewhere in the file alone", () => {
      const { machine, file, now } = setUp(8, 1);
      const owner = machine.createProcess();
      const own = mapPrivate(owner, 2, { size, file });
      owner.write(own + size, 2);
      const child = forkOf(owner);
      file.fallocate(0, size, HOLE);
      expect(child.read(own + size)).toBe(2);
      expect(now()).toEqual([8, 7, 2, 0]);
    });

    test('in parts of pages writes zeros there, and frees nothing', () => {
      const { file, process, at, now } = setUp(4, 2);
      const places = [0, 99, 100, size - 1, size, size + 99, size + 100];
      for (const place of places) process.write(at + place, 7);
      expect(file.fallocate(100, size, HOLE)).toBe('OK');
      expect(places.map((place) => process.read(at + place))).toEqual([7, 7, 0, 0, 0, 0, 7]);
      expect(now()).toEqual([4, 2, 0, 0]);
      expect(folioAt(process, at).mapcount).toBe(1);
    });

    test('inside one page writes zeros there', () => {
      const { file, process, at } = setUp(1, 1);
      const places = [KIB4 - 1, KIB4, 3 * KIB4 - 1, 3 * KIB4];
      for (const place of places) process.write(at + place, 7);
      file.fallocate(KIB4, 2 * KIB4, HOLE);
      expect(places.map((place) => process.read(at + place))).toEqual([7, 0, 0, 7]);
    });

    test('from the middle of one page to the middle of the third frees the second', () => {
      const { file, process, at, now } = setUp(4, 3);
      const half = size / 2;
      for (let place = 0; place < 3 * size; place += half) process.write(at + place, 7);
      file.fallocate(half, 2 * size, HOLE);
      expect(now()).toEqual([4, 2, 0, 0]);
      const bytes = [0, 1, 2, 3, 4, 5].map((place) => process.read(at + place * half));
      expect(bytes).toEqual([7, 0, 0, 0, 0, 7]);
    });

    test('where nothing is in memory, in parts or behind the end, does nothing', () => {
      const { file, now } = setUp(4, 2);
      expect(file.fallocate(KIB4, size, HOLE)).toBe('OK');
      expect(file.fallocate(size, 9 * size, HOLE)).toBe('OK');
      expect(now()).toEqual([4, 4, 2, 0]);
      expect(file.inode.pageCache.size).toBe(0);
      expect(file.size).toBe(2 * size);
    });
  });

  describe('fallocate', () => {
    test('fills every page that it touches a part of, and makes the file as long as it was told', () => {
      const { machine, file, now } = setUp(4, 1);
      const empty = machine.memfdCreate({ hugePageSize: size });
      expect(empty.fallocate(size - 1, 2)).toBe('OK');
      expect([empty.size, empty.inode.pageCache.size]).toEqual([size + 1, 2]);
      expect(file.size).toBe(size);
      expect(now()).toEqual([4, 2, 1, 0]);
    });

    test('does not touch pages that are there, nor the size with KEEP_SIZE or where the file is longer', () => {
      const { file, process, at, now } = setUp(4, 2);
      process.write(at, 5);
      expect(file.fallocate(0, size)).toBe('OK');
      expect(process.read(at)).toBe(5);
      expect(file.fallocate(2 * size, size, FALLOC_FL_KEEP_SIZE)).toBe('OK');
      expect(file.size).toBe(2 * size);
      expect(now()).toEqual([4, 2, 1, 0]);
    });

    test('refuses an empty range with EINVAL, modes that it does not know and a hole without KEEP_SIZE with EOPNOTSUPP', () => {
      const { file } = setUp(1, 1);
      expect(file.fallocate(0, 0)).toBe('EINVAL');
      expect(file.fallocate(0, 0, 0x40)).toBe('EINVAL');
      expect(file.fallocate(0, size, 0x40)).toBe('EOPNOTSUPP');
      expect(file.fallocate(0, size, FALLOC_FL_PUNCH_HOLE)).toBe('EOPNOTSUPP');
    });
  });

  test('a closed file lives as long as it is mapped, and goes with its pages then', () => {
    const { machine, file, process, at, now } = setUp(2, 2);
    process.write(at, 3);
    file.close();
    expect(process.read(at)).toBe(3);
    expect(now()).toEqual([2, 1, 1, 0]);
    const child = forkOf(process);
    process.munmap(at, 2 * size);
    expect(child.read(at)).toBe(3);
    child.exit();
    expect(now()).toEqual([2, 2, 0, 0]);
    expect(machine.inodes.size).toBe(0);
  });
});

describe('a fault meets', () => {
  /** A thread that touches the only page of a file, and one that takes it out of the file. */
  const start =
    (flags: number, filled: boolean, change: (thread: Syscalls, file: HugetlbFile) => Path<unknown>) => () => {
      const machine = machineWith({ pages: 2, checks: false });
      const file = machine.memfdCreate();
      file.ftruncate(MIB2);
      const process = machine.createProcess();
      const at = mapShared(process, 1, { file, flags, prot: PROT_READ });
      if (filled) file.fallocate(0, MIB2);
      const [toucher, changer] = [process.thread(), machine.createProcess().thread()];
      const works = [work(toucher, toucher.read(at)), work(changer, change(changer, file))] as const;
      return { machine, file, process, at, works };
    };
  const punch = (thread: Syscalls, file: HugetlbFile) => thread.fallocate(file, 0, MIB2, HOLE);
  const truncate = (thread: Syscalls, file: HugetlbFile) => thread.ftruncate(file, 0);

  test('a hole: afterwards the page is mapped and in the file, or neither', () => {
    const runs = atEveryStep(start(0, true, punch), ({ machine, file, process, at }, results) => {
      expect(results).toEqual([0, 'OK']);
      machine.check();
      expect(pageAt(process, at)?.folio).toBe(file.inode.pageCache.find(0));
      process.exit();
      file.close();
      expect(counts(machine)).toEqual([2, 2, 0, 0]);
    });
    expect(runs).toBeGreaterThan(10);
  });

  test('a truncation of a page that is in the file: it maps it before, or gets SIGBUS', () => {
    const seen = new Set<unknown>();
    atEveryStep(start(0, true, truncate), ({ machine, process, at, file }, [read, truncated]) => {
      expect(truncated).toBe('OK');
      seen.add(read);
      machine.check();
      expect([pageAt(process, at), file.inode.pageCache.size]).toEqual([undefined, 0]);
      expect(counts(machine)).toEqual([2, 2, 0, 0]);
    });
    expect(seen).toEqual(new Set([0, 'SIGBUS']));
  });

  test('a truncation of a page that is not reserved: it gets a page or SIGBUS, and nothing is lost in the end', () => {
    const seen = new Set<unknown>();
    atEveryStep(start(MAP_NORESERVE, false, truncate), ({ machine, file, process }, [read, truncated]) => {
      expect(truncated).toBe('OK');
      seen.add(read);
      process.exit();
      file.close();
      expect(counts(machine)).toEqual([2, 2, 0, 0]);
    });
    expect(seen).toEqual(new Set([0, 'SIGBUS']));
  });

  test('a truncation that takes its reservation after it has asked: one too many is given back', () => {
    const seen = new Set<unknown>();
    atEveryStep(start(0, false, truncate), ({ machine, file, process }, [read, truncated]) => {
      expect(truncated).toBe('OK');
      process.exit();
      file.close();
      const [pages, free, reserved, surplus] = counts(machine);
      expect([pages, free, surplus]).toEqual([2, 2, 0]);
      seen.add(`${read} ${reserved}`);
    });
    expect(seen).toEqual(new Set(['0 0', '0 -1', 'SIGBUS 0']));
  });
});
