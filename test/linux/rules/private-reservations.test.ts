/**
 * Reservations of private mappings: they belong to whoever called mmap. mm/hugetlb.c of Linux 6.1:
 * hugetlb_reserve_pages, hugetlb_vm_op_open, hugetlb_vm_op_close, hugetlb_dup_vma_private, restore_reserve_on_error.
 */
import { describe, expect, test } from 'vitest';
import { run, Task } from '../../../src/linux/base/task.ts';
import { MAP_FIXED, MAP_NORESERVE, PROT_NONE, PROT_READ } from '../../../src/linux/index.ts';
import { restoreReserveOnError } from '../../../src/linux/pool/reserve-map.ts';
import { counts, forkOf, MIB2, machineWith, mapPrivate, mapShared, privately, RW, SIZES } from '../support.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  const setUp = (pages: number) => {
    const machine = machineWith({ size, pages });
    return { machine, process: machine.createProcess(), now: () => counts(machine, size) };
  };

  test.each([PROT_NONE, PROT_READ, RW])(
    'all pages are reserved, since mprotect may permit writes (PROT %i)',
    (prot) => {
      const { process, now } = setUp(4);
      mapPrivate(process, 3, { size, prot });
      expect(now()).toEqual([4, 4, 3, 0]);
      expect(process.vmas[0]).toMatchObject({ ownsReserves: true, reserveUnmapped: false });
      expect([...process.vmas[0]!.privateMap!]).toEqual([]);
    },
  );

  test('all pages are reserved, though the file has them, and for every mapping again', () => {
    const { machine, process, now } = setUp(8);
    const file = machine.memfdCreate({ hugePageSize: size });
    file.fallocate(0, 2 * size);
    mapPrivate(process, 2, { size, file });
    mapPrivate(process, 2, { size, file });
    expect(now()).toEqual([8, 6, 4, 0]);
    expect([...file.inode.reserveMap]).toEqual([{ from: 0, to: 2 }]);
  });

  test('an entry in the map says that the reservation was consumed', () => {
    const { process, now } = setUp(4);
    const at = mapPrivate(process, 3, { size });
    process.read(at + size);
    expect(now()).toEqual([4, 3, 2, 0]);
    expect([...process.vmas[0]!.privateMap!]).toEqual([{ from: 1, to: 2 }]);
  });

  test('a mapping from the middle of a file counts from the start of the file', () => {
    const { machine, process } = setUp(4);
    const file = machine.memfdCreate({ hugePageSize: size });
    const at = mapPrivate(process, 2, { size, file, offset: 5 * size });
    process.read(at + size);
    expect([...process.vmas[0]!.privateMap!]).toEqual([{ from: 6, to: 7 }]);
  });

  test('munmap gives back what was not consumed, and the pages', () => {
    const { process, now } = setUp(4);
    const at = mapPrivate(process, 3, { size });
    process.read(at);
    expect(process.munmap(at, 3 * size)).toBe('OK');
    expect(now()).toEqual([4, 4, 0, 0]);
  });

  test('munmap of a part gives back that part, and the pieces share the map', () => {
    const { process, now } = setUp(8);
    const at = mapPrivate(process, 5, { size });
    process.read(at);
    process.read(at + 2 * size);
    expect(now()).toEqual([8, 6, 3, 0]);
    expect(process.munmap(at + 2 * size, 2 * size)).toBe('OK');
    expect(now()).toEqual([8, 7, 2, 0]);
    const [low, high] = process.vmas;
    expect(low!.privateMap).toBe(high!.privateMap);
    expect(low!.privateMap!.references).toBe(2);
    process.munmap(at, size);
    expect(now()).toEqual([8, 8, 2, 0]);
    process.munmap(at + size, size);
    process.munmap(at + 4 * size, size);
    expect(now()).toEqual([8, 8, 0, 0]);
  });

  test('MAP_NORESERVE reserves nothing, has no map, and can take no promised page', () => {
    const { machine, process, now } = setUp(2);
    const at = mapPrivate(process, 2, { size, flags: MAP_NORESERVE });
    expect(now()).toEqual([2, 2, 0, 0]);
    expect(process.vmas[0]).toMatchObject({ ownsReserves: false, privateMap: undefined });
    mapPrivate(machine.createProcess(), 1, { size });
    expect(process.read(at)).toBe(0);
    expect(process.read(at + size)).toBe('SIGBUS');
    expect(now()).toEqual([2, 1, 1, 0]);
  });

  test('where the pool cannot promise all pages, mmap is ENOMEM and maps nothing', () => {
    const { machine, process, now } = setUp(2);
    mapPrivate(process, 1, { size });
    expect(process.mmap(privately(2, { size }))).toBe('ENOMEM');
    expect(now()).toEqual([2, 2, 1, 0]);
    expect(process.vmas).toHaveLength(1);
    expect(machine.inodes.size).toBe(1);
  });

  test('MAP_FIXED gives back the reservations of what it replaces before it takes its own', () => {
    const { process, now } = setUp(2);
    const at = mapPrivate(process, 2, { size });
    process.read(at);
    expect(mapPrivate(process, 2, { size, flags: MAP_FIXED, address: at })).toBe(at);
    expect(now()).toEqual([2, 2, 2, 0]);
  });

  test('a MAP_FIXED that is refused its pages has unmapped what was there', () => {
    const { process, now } = setUp(2);
    const at = mapPrivate(process, 1, { size });
    mapPrivate(process, 1, { size });
    process.read(at);
    const other = at - 4 * size;
    expect(process.mmap(privately(2, { size, flags: MAP_FIXED, address: other }))).toBe('ENOMEM');
    expect(process.vmas).toHaveLength(2);
    expect(process.mmap(privately(3, { size, flags: MAP_FIXED, address: at }))).toBe('ENOMEM');
    expect(process.read(at)).toBe('SIGSEGV');
    expect(now()).toEqual([2, 2, 1, 0]);
  });

  test("a fork's child owns no reservations, and gives none back", () => {
    const { process, now } = setUp(4);
    const at = mapPrivate(process, 3, { size });
    process.read(at);
    const child = forkOf(process);
    expect(now()).toEqual([4, 3, 2, 0]);
    expect(child.vmas[0]).toMatchObject({ ownsReserves: false, privateMap: undefined });
    child.exit();
    expect(now()).toEqual([4, 3, 2, 0]);
  });

  test("the parent's exit gives back what is unused; a page that the child has, too, stays", () => {
    const { process, now } = setUp(4);
    const at = mapPrivate(process, 3, { size });
    process.write(at, 1);
    const child = forkOf(process);
    process.exit();
    expect(now()).toEqual([4, 3, 0, 0]);
    expect(child.read(at)).toBe(1);
    child.exit();
    expect(now()).toEqual([4, 4, 0, 0]);
  });
});

/*
 * A page was allocated and is given back unmapped. "Missing" is an index that is not in the map: of a shared mapping it has no
 * reservation, of a private one it has.
 */
describe.each([
  { kind: 'shared', map: mapShared },
  { kind: 'private', map: mapPrivate },
] as const)('a page of a $kind mapping that comes back unmapped', ({ kind, map }) => {
  test.each([
    { consumed: true, reserved: true, after: true, says: 'the map said so already: it stays' },
    { consumed: true, reserved: false, after: true, says: 'the map says that it has one again' },
    { consumed: false, reserved: true, after: false, says: 'the map says that it has none' },
    { consumed: false, reserved: false, after: false, says: 'the map said so already: it stays' },
  ])('consumed a reservation: $consumed, has one in the map: $reserved: $says', ({ consumed, reserved, after }) => {
    const machine = machineWith({ pages: 4, checks: false });
    const process = machine.createProcess();
    const at = map(process, 3);
    const vma = process.vmas[0]!;
    const task = new Task(machine, 'test');
    const { reserveMap } = vma;
    const isEntry = (has: boolean): boolean => has === (kind === 'shared');
    run(reserveMap!.delete(task, 1, 2));
    if (isEntry(reserved)) {
      run(reserveMap!.change(task, 1, 2));
      run(reserveMap!.add(task, 1, 2));
    }
    run(restoreReserveOnError(task, vma, at + MIB2, consumed));
    expect(reserveMap!.count(1, 2)).toBe(isEntry(after) ? 1 : 0);
    expect(reserveMap!.count(0, 1) + reserveMap!.count(2, 3)).toBe(kind === 'shared' ? 2 : 0);
    expect(reserveMap!.addsInProgress).toBe(0);
  });
});
