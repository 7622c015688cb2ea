/**
 * Where mmap maps, and what it refuses. mm/mmap.c of Linux 6.1: ksys_mmap_pgoff, do_mmap, get_unmapped_area;
 * arch/x86/mm/hugetlbpage.c: hugetlb_get_unmapped_area; fs/hugetlbfs/inode.c: hugetlbfs_file_mmap.
 */
import { describe, expect, test } from 'vitest';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGE_SHIFT,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  PROT_NONE,
  PROT_READ,
} from '../../../src/linux/index.ts';
import {
  counts,
  GIB1,
  KIB4,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  privately,
  RW,
  SIZES,
  shared,
} from '../support.ts';

const TASK_SIZE = 2 ** 47 - KIB4;
const MAP_SHARED_VALIDATE = 3;
const MAP_SYNC = 0x8_0000;

describe.each(SIZES)('pages of $name', ({ size }) => {
  const setUp = (pages = 8) => {
    const machine = machineWith({ size, pages });
    return { machine, process: machine.createProcess(), now: () => counts(machine, size) };
  };

  test('a length is rounded up to huge pages', () => {
    const { process, now } = setUp();
    const at = process.mmap({ ...privately(1, { size }), length: size + 1 }) as number;
    expect(process.vmas.map(({ start, end }) => [start, end])).toEqual([[at, at + 2 * size]]);
    expect(now()).toEqual([8, 8, 2, 0]);
    expect(process.mmap({ ...shared(1, { size }), length: 1 })).toBeTypeOf('number');
    expect(now()).toEqual([8, 8, 3, 0]);
  });

  test('without an address mappings go from the top down, each aligned to a huge page', () => {
    const { process } = setUp();
    const first = mapPrivate(process, 2, { size });
    const second = mapPrivate(process, 1, { size });
    expect([first % size, second]).toEqual([0, first - size]);
    process.munmap(first, 2 * size);
    expect(mapPrivate(process, 2, { size })).toBe(first);
    expect(process.vmas.map(({ start }) => start)).toEqual([second, first]);
  });

  test('a gap that is large enough is used before the room below', () => {
    const { process } = setUp();
    const at = mapPrivate(process, 4, { size });
    process.munmap(at + size, 2 * size);
    expect(mapPrivate(process, 2, { size })).toBe(at + size);
    expect(mapPrivate(process, 2, { size })).toBe(at - 2 * size);
  });

  test('an address is a hint, rounded down to a huge page; where it is taken another is found', () => {
    const { process } = setUp();
    const hint = 2 ** 40;
    expect(mapPrivate(process, 1, { size, address: hint + size - 1 })).toBe(hint);
    const other = mapPrivate(process, 1, { size, address: hint });
    expect(other).toBeGreaterThan(hint + size);
    expect(mapPrivate(process, 2, { size, address: hint - size })).toBe(other - 2 * size);
    expect(mapPrivate(process, 1, { size, address: 2 ** 47 })).toBe(other - 3 * size);
  });

  test('MAP_FIXED maps exactly there, and what was there goes, whole or in part', () => {
    const { process, now } = setUp();
    const at = mapPrivate(process, 3, { size });
    for (const page of [0, 1, 2]) process.write(at + page * size, page + 1);
    expect(mapPrivate(process, 1, { size, flags: MAP_FIXED, address: at + size })).toBe(at + size);
    expect(process.vmas).toHaveLength(3);
    expect([0, 1, 2].map((page) => process.read(at + page * size))).toEqual([1, 0, 3]);
    expect(now()).toEqual([8, 5, 0, 0]);
  });

  test('MAP_FIXED inside a huge page is EINVAL, at the end of the address space ENOMEM', () => {
    const { process } = setUp();
    const fixed = (address: number) => process.mmap(privately(1, { size, flags: MAP_FIXED, address }));
    expect(fixed(2 ** 40 + KIB4)).toBe('EINVAL');
    expect(fixed(2 ** 40 + 1)).toBe('EINVAL');
    expect(fixed(2 ** 47 - size)).toBe('ENOMEM');
    expect(fixed(2 ** 47)).toBe('ENOMEM');
    expect(fixed(2 ** 47 - 2 * size)).toBe(2 ** 47 - 2 * size);
  });

  test('of an address that is both inside a huge page and too high, the alignment is looked at first', () => {
    const { process } = setUp();
    expect(process.mmap(privately(1, { size, flags: MAP_FIXED, address: 2 ** 47 - KIB4 }))).toBe('EINVAL');
  });

  test('MAP_FIXED_NOREPLACE is EEXIST where anything is mapped, and that stays', () => {
    const { process, now } = setUp();
    const at = mapPrivate(process, 2, { size });
    process.write(at, 1);
    for (const [address, pages] of [
      [at, 1],
      [at - size, 2],
      [at + size, 2],
    ] as const) {
      expect(process.mmap(privately(pages, { size, flags: MAP_FIXED_NOREPLACE, address }))).toBe('EEXIST');
    }
    expect(process.read(at)).toBe(1);
    expect(now()).toEqual([8, 7, 1, 0]);
    const below = at - 2 * size;
    expect(process.mmap(privately(2, { size, flags: MAP_FIXED_NOREPLACE, address: below }))).toBe(below);
    expect(process.mmap(privately(1, { size, flags: MAP_FIXED_NOREPLACE, address: 2 ** 40 + KIB4 }))).toBe('EINVAL');
  });

  test('a part of a file begins between huge pages: EINVAL otherwise', () => {
    const { machine, process, now } = setUp();
    const file = machine.memfdCreate({ hugePageSize: size });
    for (const offset of [1, KIB4, size - KIB4, size + KIB4, 3 * size - 1]) {
      expect(process.mmap(shared(1, { size, file, offset }))).toBe('EINVAL');
      expect(process.mmap(privately(1, { size, offset }))).toBe('EINVAL');
    }
    expect(process.vmas).toEqual([]);
    expect([file.size, machine.inodes.size]).toEqual([0, 1]);
    expect(now()).toEqual([8, 8, 0, 0]);
    expect(process.mmap(shared(1, { size, file, offset: 2 * size }))).toBeTypeOf('number');
    expect(process.vmas[0]!.pgoff).toBe((2 * size) / KIB4);
  });

  test('a mapping that may be written makes the file as long as itself, private or shared; others do not', () => {
    const { machine, process } = setUp();
    const file = machine.memfdCreate({ hugePageSize: size });
    mapShared(process, 1, { size, file, prot: PROT_READ });
    mapPrivate(process, 1, { size, file, prot: PROT_NONE });
    expect(file.size).toBe(0);
    mapPrivate(process, 1, { size, file });
    expect(file.size).toBe(size);
    mapShared(process, 2, { size, file, offset: size });
    expect(file.size).toBe(3 * size);
    mapShared(process, 1, { size, file });
    expect(file.size).toBe(3 * size);
  });

  test('an anonymous mapping has a file as long as itself; what lies behind cannot be read', () => {
    const { process } = setUp();
    const at = mapShared(process, 1, { size, prot: PROT_READ, offset: size });
    expect(process.read(at)).toBe('SIGBUS');
    expect(process.read(mapShared(process, 1, { size, prot: PROT_READ }))).toBe(0);
    expect(process.write(mapShared(process, 1, { size, offset: size }), 1)).toBe('OK');
  });

  test('neighbours with the same rights and file are never joined', () => {
    const { machine, process } = setUp();
    const file = machine.memfdCreate({ hugePageSize: size });
    const at = mapShared(process, 1, { size, file, address: 2 ** 40 });
    mapShared(process, 1, { size, file, address: at + size, offset: size });
    expect(process.vmas).toHaveLength(2);
  });

  test('no length is EINVAL, more than the address space ENOMEM', () => {
    const { process } = setUp();
    expect(process.mmap({ ...privately(1, { size }), length: 0 })).toBe('EINVAL');
    expect(process.mmap({ ...privately(1, { size }), length: TASK_SIZE + 1 })).toBe('ENOMEM');
    expect(process.mmap({ ...privately(1, { size }), length: 2 ** 48 })).toBe('ENOMEM');
  });

  test('MAP_SHARED_VALIDATE is MAP_SHARED, but refuses flags that it does not know: EOPNOTSUPP', () => {
    const { process, now } = setUp();
    const { flags, ...rest } = shared(1, { size });
    expect(process.mmap({ ...rest, flags: flags | MAP_SYNC })).toBeTypeOf('number');
    const validated = (flags & ~MAP_SHARED) | MAP_SHARED_VALIDATE;
    expect(process.mmap({ ...rest, flags: validated | MAP_SYNC })).toBe('EOPNOTSUPP');
    expect(process.mmap({ ...rest, flags: validated })).toBeTypeOf('number');
    expect(process.vmas.map(({ mayShare }) => mayShare)).toEqual([true, true]);
    expect(now()).toEqual([8, 8, 2, 0]);
  });
});

describe('arguments of mmap', () => {
  const setUp = () => {
    const machine = machineWith({ pages: 4 });
    return { machine, process: machine.createProcess() };
  };

  test('without a size MAP_HUGETLB means 2 MiB; sizes that are not there are EINVAL', () => {
    const { process } = setUp();
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    expect(process.mmap({ length: 1, prot: RW, flags })).toBeTypeOf('number');
    expect(process.vmas[0]!.hstate.size).toBe(MIB2);
    for (const log of [12, 16, 22, 29, 31]) {
      expect(process.mmap({ length: MIB2, prot: RW, flags: flags + log * 2 ** MAP_HUGE_SHIFT })).toBe('EINVAL');
    }
  });

  test('neither private nor shared is EINVAL', () => {
    const { machine, process } = setUp();
    const file = machine.memfdCreate();
    for (const type of [0, 4, 8, 0xf]) {
      expect(process.mmap({ length: MIB2, prot: RW, flags: type | MAP_ANONYMOUS | MAP_HUGETLB })).toBe('EINVAL');
      expect(process.mmap({ length: MIB2, prot: RW, flags: type, file })).toBe('EINVAL');
    }
    expect([process.vmas.length, machine.inodes.size, file.inode.references]).toEqual([0, 1, 1]);
  });

  test('without a file and without MAP_ANONYMOUS it is EBADF, whatever else is wrong', () => {
    const { process } = setUp();
    expect(process.mmap({ length: MIB2, prot: RW, flags: MAP_SHARED })).toBe('EBADF');
    expect(process.mmap({ length: MIB2, prot: RW, flags: MAP_PRIVATE | MAP_HUGETLB })).toBe('EBADF');
    expect(process.mmap({ length: 0, prot: RW, flags: 0 })).toBe('EBADF');
  });

  test("with a file its page size counts, and MAP_HUGETLB's is not looked at", () => {
    const machine = machineWith({ size: GIB1, pages: 1 });
    const process = machine.createProcess();
    const file = machine.memfdCreate({ hugePageSize: GIB1 });
    const at = process.mmap({ length: 1, prot: RW, flags: MAP_SHARED | MAP_HUGETLB, file }) as number;
    expect(process.vmas[0]).toMatchObject({ start: at, end: at + GIB1 });
  });

  test('every machine finds the same addresses, with 4 levels of tables or 5', () => {
    for (const levels of [4, 5] as const) {
      const machine = new Machine({ levels, pools: [{ hugePageSize: MIB2, pages: 1 }], checks: true });
      const process = machine.createProcess();
      const at = mapPrivate(process, 1);
      expect(at).toBe(2 ** 47 - 2 ** 32 - MIB2);
      process.write(at, 1);
      expect(process.read(at)).toBe(1);
      expect(machine.tables.count).toBe(levels - 1);
    }
  });
});
