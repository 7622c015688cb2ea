/**
 * Memory failure of 4 KiB with HGM v2: Jiaqi Yan's series (2023), and the cases of bad memory in tools/testing/selftests/mm/hugetlb-hgm.c.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_COLLAPSE,
  MADV_SPLIT,
  MAP_SHARED,
  type Process,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { isPmdShared } from '../../../src/linux/page-tables/pmd-share.ts';
import { byteOf, continuePages, hgmScene } from '../hgm/support.ts';
import { granted, KIB4, MIB2, machineWith, mapPrivate, mapShared, RW } from '../support.ts';
import { cached, entries, frameAt, look, lookAt, lost, mapsBadMemory, poison, SIZES } from './support.ts';

const BAD = [0, 128, 256];
const GOOD = [1, 2, 127, 129, 255, 257, 511];

/** A file of two huge pages, mapped shared twice by one process; the first pages have their numbers for contents. */
function scene(size: number) {
  const machine = machineWith({ size, pages: 4, tables: 2 ** 23 });
  const process = machine.createProcess();
  const file = machine.memfdCreate({ hugePageSize: size });
  const at = mapShared(process, 2, { size, file, address: 2 ** 40 });
  const alias = mapShared(process, 2, { size, file, address: 2 ** 41 });
  for (let page = 0; page < 512; page++) process.write(at + page * KIB4, page & 255);
  return { machine, process, file, at, alias, size, length: 2 * size };
}

function expectPieces(process: Process, at: number): void {
  expect(lookAt(process, at, BAD)).toEqual(BAD.map(() => lost(12)));
  expect(lookAt(process, at, GOOD)).toEqual(GOOD.map((page) => page & 255));
}

describe.each(SIZES)('huge pages of $name', ({ size }) => {
  test('MADV_HWPOISON at pages 0, 128 and 256: exactly those 4 KiB are SIGBUS, HardwareCorrupted is 3, the others are there', () => {
    const { machine, process, at } = scene(size);
    for (const page of BAD) expect(poison(process, at, page)).toBe('OK');
    expect(machine.hardwareCorrupted).toBe(BAD.length);
    expectPieces(process, at);
    expect(process.write(at + KIB4, 99)).toBe('OK');
    expect(process.write(at + 128 * KIB4, 99)).toBe('SIGBUS');
    expect(mapsBadMemory(machine)).toBe(false);
  });

  test('still so after MADV_COLLAPSE, which leaves the huge page in pieces and goes on to the next', () => {
    const { process, at, length } = scene(size);
    process.write(at + size, 5);
    expect(process.madvise(at, length, MADV_SPLIT)).toBe('OK');
    for (const page of BAD) poison(process, at, page);
    const before = entries(process, at, length);
    expect(process.madvise(at, length, MADV_COLLAPSE)).toBe('OK');
    expect(entries(process, at, length)).toEqual(before);
    expectPieces(process, at);
    expect(process.read(at + size)).toBe(5);
  });

  test('the leaf is split as little as can be: of 1 GiB, 511 leaves of 2 MiB and 511 of 4 KiB are left', () => {
    const { process, at } = scene(size);
    poison(process, at, 3);
    const pieces: ReturnType<typeof entries> = [
      [3, 1, 'mapped'],
      [1, 1, 'bad'],
      [508, 1, 'mapped'],
    ];
    if (size > 2 ** 21) pieces.push([511, 512, 'mapped']);
    expect(entries(process, at, size)).toEqual(pieces);
    expect(process.mm.hugetlbUsage).toBe(size / KIB4 - 1);
  });

  test('the last 4 KiB of a huge page', () => {
    const { process, at } = scene(size);
    const last = size / KIB4 - 1;
    expect(poison(process, at, last)).toBe('OK');
    expect(look(process, at + size - 1)).toBe(lost(12));
    expect(lookAt(process, at, [0, 510])).toEqual([0, 254]);
    expect(process.write(at + size - KIB4 - 1, 7)).toBe('OK');
    expect(process.read(at + size)).toBe(0);
  });

  test('every mapping loses them, in every process; who has only faulted later, too', () => {
    const { machine, process, file, at, alias, length } = scene(size);
    const other = machine.createProcess();
    const there = granted(other.mmap({ length, prot: RW, flags: MAP_SHARED, file }));
    expect([process.read(alias + KIB4), other.read(there + KIB4)]).toEqual([1, 1]);
    const child = granted(process.fork());
    for (const page of BAD) poison(process, at, page);
    expectPieces(process, at);
    expectPieces(process, alias);
    expectPieces(other, there);
    expectPieces(child, alias);
    expect(mapsBadMemory(machine)).toBe(false);
  });

  test('a mapping with nothing but markers of write protection loses the same 4 KiB, and its markers stay on the others', () => {
    const { process, at, alias, length } = scene(size);
    process.madvise(alias, length, MADV_SPLIT);
    const uffd = process.userfaultfd();
    uffd.api(UFFD_FEATURE_SIGBUS);
    expect(uffd.register(alias, length, UFFDIO_REGISTER_MODE_WP).result).toBe('OK');
    uffd.writeprotect(alias, length, UFFDIO_WRITEPROTECT_MODE_WP);
    expect(entries(process, alias, length)).toEqual([[2, size / KIB4, 'marker']]);
    for (const page of BAD) poison(process, at, page);
    expectPieces(process, alias);
    expect(process.write(alias + KIB4, 1)).toBe('SIGBUS');
    expect(process.siginfo?.lsb).toBeUndefined();
    uffd.writeprotect(alias, length, 0);
    expect(process.write(alias + KIB4, 1)).toBe('OK');
  });

  test('a hole is filled by the largest pieces without bad memory', () => {
    const { process, at, alias, length } = scene(size);
    process.madvise(alias, length, MADV_SPLIT);
    poison(process, at, 3);
    expect(entries(process, alias, size)).toEqual([]);
    expect(process.read(alias + size - 1)).toBe(0);
    expect(entries(process, alias, size)).toEqual([[1, size > 2 ** 21 ? 512 : 1, 'mapped']]);
    expect(process.read(alias + 2 * KIB4)).toBe(2);
    expect(look(process, alias + 3 * KIB4)).toBe(lost(12));
    /* Only the entry beside it: nothing is mapped in the bad page's place. */
    expect(entries(process, alias, 2 ** 20)).toEqual([[1, 1, 'mapped']]);
  });

  test('a mapping that comes later has no HGM, and finds the whole huge page lost; with MADV_SPLIT it is not', () => {
    const { process, file, at, length } = scene(size);
    poison(process, at, 3);
    const late = granted(process.mmap({ length, prot: RW, flags: MAP_SHARED, file }));
    expect(look(process, late)).toBe(lost(Math.log2(size)));
    expect(process.madvise(late, length, MADV_SPLIT)).toBe('OK');
    expect(lookAt(process, late, [0, 3, 4])).toEqual([0, lost(12), 4]);
  });

  test('a second failure in the same huge page is one of its own; in the same 4 KiB it is EHWPOISON, and not counted', () => {
    const { machine, process, at } = scene(size);
    const frame = frameAt(process, at);
    expect(machine.memoryFailure(frame + 7)).toBe('OK');
    expect(machine.memoryFailure(frame + 8)).toBe('OK');
    expect(machine.memoryFailure(frame + 7)).toBe('EHWPOISON');
    expect(machine.hardwareCorrupted).toBe(2);
    expect(lookAt(process, at, [6, 7, 8, 9])).toEqual([6, lost(12), lost(12), 9]);
  });

  test('HGM is on from then on, without MADV_SPLIT: 4 KiB can be continued in the other huge pages', () => {
    const { process, at, alias } = scene(size);
    process.write(at + size, 5);
    poison(process, at, 3);
    const uffd = process.userfaultfd();
    uffd.api(UFFD_FEATURE_SIGBUS);
    uffd.register(alias + size, size, UFFDIO_REGISTER_MODE_MINOR);
    expect(uffd.continue(alias + size, KIB4)).toEqual({ result: 'OK', done: KIB4 });
    expect(process.read(alias + size)).toBe(5);
  });

  test('rights, dirt and write protection of a leaf are those of its pieces', () => {
    const { process, at, alias, length } = scene(size);
    process.read(alias);
    process.mprotect(alias, length, 0);
    poison(process, at, 3);
    expect(process.read(alias)).toBe('SIGSEGV');
    process.mprotect(alias, length, RW);
    expect(lookAt(process, alias, [2, 3, 4])).toEqual([2, lost(12), 4]);
    expect(process.write(alias + 4 * KIB4, 9)).toBe('OK');
    expect(process.read(at + 4 * KIB4)).toBe(9);
  });

  test('the file keeps the page for good: closed and unmapped, it does not come back to the pool', () => {
    const { machine, process, file, at } = scene(size);
    const hstate = machine.hstate(size);
    poison(process, at, 3);
    const folio = cached(machine);
    process.exit();
    file.close();
    machine.check();
    expect([hstate.nrHugePages, hstate.freeHugePages, hstate.resvHugePages]).toEqual([4, 3, 0]);
    expect([folio.refcount, folio.leaves, folio.pageCache]).toEqual([1, 0, undefined]);
    expect(machine.tables.count).toBe(0);
  });

  test('where a private mapping maps the page, too, the whole huge page is lost to all', () => {
    const { machine, process, file, at } = scene(size);
    const own = mapPrivate(process, 2, { size, file });
    expect(process.read(own)).toBe(0);
    expect(poison(process, at, 3)).toBe('OK');
    for (const start of [at, own]) expect(look(process, start)).toBe(lost(Math.log2(size)));
    expect([process.mm.hugetlbUsage, machine.hardwareCorrupted]).toEqual([0, 1]);
  });

  test('a private mapping that has a copy of its own is not in the way', () => {
    const { process, file, at } = scene(size);
    const own = mapPrivate(process, 2, { size, file });
    process.write(own + 3 * KIB4, 77);
    expect(poison(process, at, 3)).toBe('OK');
    expect(lookAt(process, at, [2, 3, 4])).toEqual([2, lost(12), 4]);
    expect(lookAt(process, own, [2, 3, 4])).toEqual([2, 77, 4]);
  });
});

test('a shared page table is given up first, by everybody who has it', () => {
  const machine = machineWith({ pages: 520, tables: 2 ** 23 });
  const [one, two] = [machine.createProcess(), machine.createProcess()];
  const file = machine.memfdCreate();
  const [here, there] = [one, two].map((process) => mapShared(process, 512, { file, address: 2 ** 40 })) as [
    number,
    number,
  ];
  one.write(here, 1);
  expect(two.read(there)).toBe(1);
  expect(two.mm.hasSharedTables).toBe(true);
  expect(poison(one, here, 1)).toBe('OK');
  expect(lookAt(one, here, [0, 1, 2])).toEqual([1, lost(12), 0]);
  expect(lookAt(two, there, [0, 1, 2])).toEqual([1, lost(12), 0]);
  expect(mapsBadMemory(machine)).toBe(false);
  expect([isPmdShared(one.mm, here), isPmdShared(two.mm, there)]).toEqual([false, false]);
});

test('the whole huge page is lost though one mapping has it in pieces: each says so, 4 KiB of the bad one, else all', () => {
  const scene = hgmScene({ count: 1 });
  const { machine, process, file, at } = scene;
  continuePages(scene, 0, 8);
  const own = mapPrivate(process, 1, { file });
  expect(process.read(own)).toBe(byteOf(0));
  expect(machine.memoryFailure(frameAt(process, at) + 3)).toBe('OK');
  expect(entries(process, at, MIB2)).toEqual([[8, 1, 'bad']]);
  expect(lookAt(process, at, [2, 3, 4])).toEqual([lost(21), lost(12), lost(21)]);
  expect(look(process, own)).toBe(lost(21));
});

test('memory for tables is used up: EBUSY, the leaf is what it was, and nothing leaks', () => {
  const machine = machineWith({ pages: 2, tables: 4096 * 6 });
  const process = machine.createProcess();
  const at = mapShared(process, 2);
  process.write(at, 1);
  while (machine.tables.count < 5) machine.tables.allocate(12);
  const before = entries(process, at, 2 ** 22);
  const tables = machine.tables.count;
  expect(poison(process, at, 1)).toBe('EBUSY');
  expect(entries(process, at, 2 ** 22)).toEqual(before);
  expect(machine.tables.count).toBe(tables);
  expect(machine.hardwareCorrupted).toBe(1);
});
