/**
 * A caller's mistakes: a TypeError or RangeError that names the argument, what was expected, and the value.
 */
import { describe, expect, test } from 'vitest';
import {
  type HugetlbFile,
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  Machine,
  type Process,
} from '../../src/linux/index.ts';
import { GIB1, MIB2, machineWith, mapPrivate, privately, RW } from './support.ts';

const machine = machineWith({ pages: 4 });
const SAFE = '0x1fffffffffffff';

/** [what is called, the class of the error, its message] */
type Mistake<T> = readonly [name: string, call: (on: T) => unknown, kind: typeof TypeError, message: string];

const integer = (name: string, min: string, max: string, value: string) =>
  `${name}: expected an integer from ${min} to ${max}, got ${value}`;

function refuses<T>(on: () => T, mistakes: readonly Mistake<T>[]): void {
  test.each(mistakes)('%s', (_, call, kind, message) => {
    const target = on();
    let error: unknown;
    try {
      call(target);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message).toBe(message);
    machine.check();
  });
}

/** For values that TypeScript would not let through. */
const wrong = (value: unknown): never => value as never;

describe('new Machine refuses', () => {
  refuses<undefined>(
    () => undefined,
    [
      ['levels', () => new Machine({ levels: wrong(3) }), RangeError, 'levels: expected 4 or 5, got 0x3'],
      [
        'levels that are no number',
        () => new Machine({ levels: wrong('5') }),
        RangeError,
        'levels: expected 4 or 5, got "5"',
      ],
      [
        'less than no memory',
        () => new Machine({ memoryBytes: -1 }),
        RangeError,
        integer('memoryBytes', '0x0', '0x8000000000000', '-0x1'),
      ],
      [
        'memory that is no number',
        () => new Machine({ memoryBytes: wrong(1n) }),
        TypeError,
        'memoryBytes: expected a number, got 0x1',
      ],
      [
        'no fault mutex',
        () => new Machine({ faultMutexes: 0 }),
        RangeError,
        integer('faultMutexes', '0x1', '0x10000', '0x0'),
      ],
      [
        'a pool of another size',
        () => new Machine({ pools: [{ hugePageSize: 2 ** 22 }] }),
        RangeError,
        'hugePageSize: expected 0x200000 or 0x40000000, got 0x400000',
      ],
      [
        'a pool of less than no pages',
        () => new Machine({ pools: [{ hugePageSize: MIB2, pages: -1 }] }),
        RangeError,
        integer('pages', '0x0', '0x100000000', '-0x1'),
      ],
      [
        'surplus pages of 1 GiB',
        () => new Machine({ pools: [{ hugePageSize: GIB1, overcommit: 2 }] }),
        RangeError,
        'overcommit: expected 0x0 for pages of 0x40000000 bytes, got 0x2',
      ],
    ],
  );
});

describe('a machine refuses', () => {
  refuses<Machine>(
    () => machine,
    [
      [
        'a size between the two',
        (on) => on.hstate(2 ** 25),
        RangeError,
        'hugePageSize: expected 0x200000 or 0x40000000, got 0x2000000',
      ],
      [
        'a size below them',
        (on) => on.hstate(4096),
        RangeError,
        integer('hugePageSize', '0x200000', '0x40000000', '0x1000'),
      ],
      [
        'a size that is no number',
        (on) => on.hstate(wrong('2M')),
        TypeError,
        'hugePageSize: expected a number, got "2M"',
      ],
      [
        'half a page in a pool',
        (on) => on.setNrHugepages(MIB2, 0.5),
        RangeError,
        integer('count', '0x0', '0x100000000', '0.5'),
      ],
      [
        'a pool that is not there',
        (on) => on.setNrHugepages(2 ** 29, 1),
        RangeError,
        'hugePageSize: expected 0x200000 or 0x40000000, got 0x20000000',
      ],
      [
        'less than no surplus',
        (on) => on.setNrOvercommitHugepages(MIB2, -3),
        RangeError,
        integer('count', '0x0', '0x100000000', '-0x3'),
      ],
      [
        'a file of another page size',
        (on) => on.memfdCreate({ hugePageSize: 2 ** 22 }),
        RangeError,
        'hugePageSize: expected 0x200000 or 0x40000000, got 0x400000',
      ],
      [
        'a mount of less than no size',
        (on) => on.mountHugetlbfs({ size: -1 }),
        RangeError,
        integer('size', '0x0', SAFE, '-0x1'),
      ],
      [
        'a minimum above the maximum',
        (on) => on.mountHugetlbfs({ size: MIB2, minSize: MIB2 + 1 }),
        RangeError,
        integer('minSize', '0x0', '0x200000', '0x200001'),
      ],
    ],
  );

  test('a root table for which there is no memory', () => {
    const small = machineWith({ tables: 8192 });
    small.createProcess();
    expect(() => small.createProcess()).toThrow(
      new RangeError('tables: expected room for a root table, got 0x2000 bytes, all in use'),
    );
  });

  test('an access for which there is no memory for tables', () => {
    const small = machineWith({ tables: 8192, pages: 1 });
    const process = small.createProcess();
    const at = mapPrivate(process, 1);
    expect(() => process.read(at)).toThrow(RangeError);
    expect(() => process.read(at)).toThrow(/^tables: expected room for another page table, got 0x2000 bytes/);
    process.exit();
    small.check();
  });
});

describe('a process refuses', () => {
  const [at, beyond] = [2 ** 40, 2 ** 53];
  const range = (name: string, value: string) => integer(name, '0x0', SAFE, value);
  refuses<Process>(
    () => machine.createProcess(),
    [
      ['read below 0', (on) => on.read(-1), RangeError, range('address', '-0x1')],
      ['read of a broken address', (on) => on.read(1.5), RangeError, range('address', '1.5')],
      ['read of NaN', (on) => on.read(Number.NaN), RangeError, range('address', 'NaN')],
      ['read beyond exact numbers', (on) => on.read(beyond), RangeError, range('address', '0x20000000000000')],
      ['read of a bigint', (on) => on.read(wrong(1n)), TypeError, 'address: expected a number, got 0x1'],
      ['read of nothing', (on) => on.read(wrong(undefined)), TypeError, 'address: expected a number, got undefined'],
      ['write below 0', (on) => on.write(-4096, 1), RangeError, range('address', '-0x1000')],
      ['write of 256', (on) => on.write(at, 256), RangeError, integer('value', '0x0', '0xff', '0x100')],
      ['write of a text', (on) => on.write(at, wrong('a')), TypeError, 'value: expected a number, got "a"'],
      ['mmap at -1', (on) => on.mmap(privately(1, { address: -1 })), RangeError, range('address', '-0x1')],
      ['mmap of -1 bytes', (on) => on.mmap({ ...privately(1), length: -1 }), RangeError, range('length', '-0x1')],
      [
        'mmap with half a right',
        (on) => on.mmap(privately(1, { prot: 0.5 })),
        RangeError,
        integer('prot', '0x0', '0x7fffffff', '0.5'),
      ],
      [
        'mmap with flags of 33 bits',
        (on) => on.mmap({ length: MIB2, prot: RW, flags: 2 ** 32 }),
        RangeError,
        integer('flags', '0x0', '0xffffffff', '0x100000000'),
      ],
      [
        'mmap from offset -1',
        (on) => on.mmap(privately(1, { offset: -4096 })),
        RangeError,
        integer('offset', '0x0', '0x1fffffffdfffff', '-0x1000'),
      ],
      [
        'mmap without MAP_HUGETLB',
        (on) => on.mmap({ length: 4096, prot: RW, flags: MAP_PRIVATE | MAP_ANONYMOUS }),
        RangeError,
        'flags: expected MAP_HUGETLB, got 0x22: the model maps huge pages only',
      ],
      ['munmap at -1', (on) => on.munmap(-1, MIB2), RangeError, range('address', '-0x1')],
      [
        'munmap of -1 bytes',
        (on) => on.munmap(at, -1),
        RangeError,
        integer('length', '0x0', '0x1ffeffffffffff', '-0x1'),
      ],
      ['mprotect at half a byte', (on) => on.mprotect(0.5, MIB2, RW), RangeError, range('address', '0.5')],
      [
        'mprotect without rights',
        (on) => on.mprotect(at, MIB2, wrong(null)),
        TypeError,
        'prot: expected a number, got null',
      ],
      ['mremap at -1', (on) => on.mremap(-1, MIB2, MIB2, 0), RangeError, range('address', '-0x1')],
      ['mremap to -1', (on) => on.mremap(at, MIB2, MIB2, 3, -1), RangeError, range('address', '-0x1')],
      [
        'mremap with flag -1',
        (on) => on.mremap(at, MIB2, MIB2, -1),
        RangeError,
        integer('flags', '0x0', '0x7fffffff', '-0x1'),
      ],
      ['madvise at -1', (on) => on.madvise(-1, MIB2, MADV_DONTNEED), RangeError, range('address', '-0x1')],
      [
        'mincore of half a byte',
        (on) => on.mincore(at, 0.5),
        RangeError,
        integer('length', '0x0', '0x1ffeffffffffff', '0.5'),
      ],
      ['pagemap of -1 pages', (on) => on.pagemap(at, -1), RangeError, integer('pages', '0x0', '0x1000000', '-0x1')],
      ['pagemap at -1', (on) => on.pagemap(-1), RangeError, range('address', '-0x1')],
    ],
  );

  test('an advice that the model does not know', () => {
    const process = machine.createProcess();
    expect(() => process.madvise(at, MIB2, 3)).toThrow(RangeError);
    expect(() => process.madvise(at, MIB2, 3)).toThrow(/^advice: expected one of 4, .*24.*, got 3$/);
  });
});

describe('a file refuses', () => {
  refuses<HugetlbFile>(
    () => machine.memfdCreate(),
    [
      ['a size below 0', (on) => on.ftruncate(-1), RangeError, integer('bytes', '0x0', SAFE, '-0x1')],
      ['a size that is no number', (on) => on.ftruncate(wrong('1')), TypeError, 'bytes: expected a number, got "1"'],
      ['an offset below 0', (on) => on.fallocate(-1, 1), RangeError, integer('offset', '0x0', SAFE, '-0x1')],
      ['half a byte', (on) => on.fallocate(0, 0.5), RangeError, integer('length', '0x0', SAFE, '0.5')],
      [
        'an end beyond exact numbers',
        (on) => on.fallocate(2 ** 52, 2 ** 52),
        RangeError,
        integer('length', '0x0', '0xfffffffffffff', '0x10000000000000'),
      ],
    ],
  );
});
