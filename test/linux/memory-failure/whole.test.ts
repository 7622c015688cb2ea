/**
 * Memory failure of whole huge pages, as Linux 6.1 has it: mm/memory-failure.c, mm/madvise.c, mm/rmap.c.
 */
import { describe, expect, test } from 'vitest';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  type HgmVersion,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HWPOISON,
  MAP_SHARED,
} from '../../../src/linux/index.ts';
import { hgmScene } from '../hgm/support.ts';
import { counts, forkOf, granted, KIB4, MIB2, machineWith, mapPrivate, mapShared, RW } from '../support.ts';
import { cached, entries, frameAt, look, lookAt, lost, poison, SIZES } from './support.ts';

const WITHOUT: readonly { readonly version: HgmVersion }[] = [{ version: 'none' }, { version: 'rfc-v2' }];
const ROWS = SIZES.flatMap((row) => WITHOUT.map(({ version }) => ({ ...row, version })));

describe.each(ROWS)('a file, huge pages of $name, HGM $version', ({ size, shift, version }) => {
  function scene() {
    const machine = machineWith({ size, pages: 4, hgm: { version } });
    const process = machine.createProcess();
    const file = machine.memfdCreate({ hugePageSize: size });
    const at = mapShared(process, 2, { size, file });
    process.write(at, 1);
    process.write(at + size, 2);
    return { machine, process, file, at };
  }

  test('the whole huge page is lost, and no other; it counts as 4 KiB', () => {
    const { machine, process, at } = scene();
    expect(poison(process, at, 3)).toBe('OK');
    expect(lookAt(process, at, [0, 3, 511])).toEqual([lost(shift), lost(shift), lost(shift)]);
    expect(look(process, at + size)).toBe(2);
    expect(entries(process, at, 2 * size)).toEqual([
      [1, size / KIB4, 'bad'],
      [1, size / KIB4, 'mapped'],
    ]);
    expect([machine.hardwareCorrupted, process.mm.hugetlbUsage]).toEqual([1, size / KIB4]);
  });

  test('the page stays in the page cache, where every later fault finds it', () => {
    const { machine, process, file, at } = scene();
    poison(process, at, 3);
    const folio = cached(machine, 0);
    expect([folio.refcount, folio.leaves, folio.hwpoison]).toEqual([2, 0, true]);
    const other = machine.createProcess();
    const there = granted(other.mmap({ length: 2 * size, prot: RW, flags: MAP_SHARED, file }));
    expect([look(other, there), look(other, there + size)]).toEqual([lost(shift), 2]);
    const own = mapPrivate(other, 2, { size, file });
    expect(look(other, own)).toBe(lost(shift));
    expect(other.write(own, 1)).toBe('SIGBUS');
  });

  test('a second failure in the huge page is EHWPOISON, and counted; in the same 4 KiB it is not counted', () => {
    const { machine, process, at } = scene();
    const frame = frameAt(process, at);
    expect(machine.memoryFailure(frame + 3)).toBe('OK');
    expect(machine.memoryFailure(frame + 4)).toBe('EHWPOISON');
    expect(machine.memoryFailure(frame + 4)).toBe('EHWPOISON');
    expect(machine.hardwareCorrupted).toBe(2);
    expect(cached(machine, 0).refcount).toBe(2);
  });

  test('MADV_DONTNEED takes the entry away, and the next fault is SIGBUS again', () => {
    const { process, at } = scene();
    poison(process, at, 3);
    expect(process.madvise(at, size, MADV_DONTNEED)).toBe('OK');
    expect(entries(process, at, size)).toEqual([]);
    expect(look(process, at)).toBe(lost(shift));
  });

  test('a hole in the file takes the page away; a new one comes in its place, the bad one is nobody’s and not free', () => {
    const { machine, process, file, at } = scene();
    poison(process, at, 3);
    expect(file.fallocate(0, size, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)).toBe('OK');
    expect(process.read(at)).toBe(0);
    expect(process.write(at, 9)).toBe('OK');
    process.exit();
    file.close();
    machine.check();
    expect(counts(machine, size)).toEqual([4, 3, 0, 0]);
  });

  test('who has pinned it keeps it: EBUSY, though it is unmapped and counted', () => {
    const { machine, process, at } = scene();
    const pages = new Float64Array(1);
    const frame = frameAt(process, at);
    expect(process.pinUserPages(at, 1, 0, pages)).toBe(1);
    expect(machine.memoryFailure(frame)).toBe('EBUSY');
    expect(look(process, at)).toBe(lost(shift));
    expect(machine.hardwareCorrupted).toBe(1);
    process.unpinUserPages(pages);
    machine.check();
  });

  test('MADV_HWPOISON goes from huge page to huge page', () => {
    const { machine, process, at } = scene();
    expect(process.madvise(at + KIB4, 2 * size - KIB4, MADV_HWPOISON)).toBe('OK');
    expect([look(process, at), look(process, at + size)]).toEqual([lost(shift), lost(shift)]);
    expect(machine.hardwareCorrupted).toBe(2);
  });

  test('MADV_HWPOISON of what is lost already, or not mapped, is EFAULT; of nothing, OK; of no page’s start, EINVAL', () => {
    const { machine, process, at } = scene();
    poison(process, at, 0);
    expect(poison(process, at, 1)).toBe('EFAULT');
    expect(poison(process, at, (2 * size) / KIB4)).toBe('EFAULT');
    expect(process.madvise(at, 0, MADV_HWPOISON)).toBe('OK');
    expect(process.madvise(at + 1, KIB4, MADV_HWPOISON)).toBe('EINVAL');
    expect(machine.hardwareCorrupted).toBe(1);
  });

  test('MADV_HWPOISON of what was never touched faults it in', () => {
    const { machine } = scene();
    const process = machine.createProcess();
    const at = mapShared(process, 1, { size });
    expect(poison(process, at, 1)).toBe('OK');
    expect(look(process, at)).toBe(lost(shift));
  });
});

describe.each(SIZES)('a private mapping, huge pages of $name', ({ size, shift }) => {
  test('the page leaves the pool: nobody needs it any more', () => {
    const machine = machineWith({ size, pages: 4 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1, { size });
    process.write(at, 1);
    expect(poison(process, at, 3)).toBe('OK');
    expect(look(process, at)).toBe(lost(shift));
    expect(counts(machine, size)).toEqual([3, 3, 0, 0]);
    expect([machine.hardwareCorrupted, process.mm.hugetlbUsage]).toEqual([1, 0]);
  });

  test('after a fork the page is lost to parent and child', () => {
    const machine = machineWith({ size, pages: 4 });
    const parent = machine.createProcess();
    const at = mapPrivate(parent, 1, { size });
    parent.write(at, 1);
    const child = forkOf(parent);
    expect(poison(child, at, 3)).toBe('OK');
    expect([look(parent, at), look(child, at)]).toEqual([lost(shift), lost(shift)]);
    expect(counts(machine, size)).toEqual([3, 3, 0, 0]);
  });

  test('pinned, it is EBUSY; let go, it is free in the pool and is not given to anybody', () => {
    const machine = machineWith({ size, pages: 2 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1, { size });
    const pages = new Float64Array(1);
    process.write(at, 1);
    expect(process.pinUserPages(at, 1, 0, pages)).toBe(1);
    expect(machine.memoryFailure(pages[0]!)).toBe('EBUSY');
    expect(look(process, at)).toBe(lost(shift));
    process.unpinUserPages(pages);
    expect(counts(machine, size)).toEqual([2, 2, 0, 0]);
    expect(process.madvise(at, size, MADV_DONTNEED)).toBe('OK');
    expect(process.write(at, 1)).toBe('OK');
    expect(frameAt(process, at)).not.toBe(pages[0]);
    const two = mapPrivate(process, 1, { size });
    expect(look(process, two)).toBe('SIGBUS ADRERR');
  });

  test('MADV_DONTNEED, and a fault gets another page', () => {
    const machine = machineWith({ size, pages: 3 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1, { size });
    process.write(at, 1);
    poison(process, at, 3);
    process.madvise(at, size, MADV_DONTNEED);
    expect(process.read(at)).toBe(0);
  });
});

test('a page that is taken from a fork’s children for its owner: who has bad memory there loses the entry, and is owed nothing', () => {
  const machine = machineWith({ pages: 2 });
  const owner = machine.createProcess();
  const at = mapPrivate(owner, 1);
  owner.write(at, 1);
  const [copier, reader] = [forkOf(owner), forkOf(owner)];
  expect(copier.write(at, 2)).toBe('OK');
  expect(poison(copier, at, 3)).toBe('OK');
  expect(counts(machine)).toEqual([1, 0, 0, 0]);
  expect(owner.write(at, 3)).toBe('OK');
  expect([entries(copier, at, MIB2), entries(reader, at, MIB2)]).toEqual([[], []]);
  expect([copier, reader].map(({ vmas }) => vmas[0]!.reserveUnmapped)).toEqual([false, true]);
});

test('RFC v2: a huge page in pieces of 4 KiB is lost as a whole, each piece has its entry, and collapse leaves them', () => {
  const { machine, process, uffd, at, size } = hgmScene({ version: 'rfc-v2', size: MIB2, count: 1 });
  expect(uffd.continue(at, size / 2).result).toBe('OK');
  expect(uffd.continue(at + size / 2, size / 4).result).toBe('OK');
  expect(machine.memoryFailure(frameAt(process, at) + 5)).toBe('OK');
  expect(entries(process, at, size)).toEqual([[384, 1, 'bad']]);
  expect([process.mm.hugetlbUsage, cached(machine).leaves]).toEqual([0, 0]);
  expect(lookAt(process, at, [0, 5, 383, 400])).toEqual([lost(21), lost(21), lost(21), lost(21)]);
  expect(process.madvise(at, size, MADV_COLLAPSE)).toBe('EHWPOISON');
  expect(entries(process, at, size)).toEqual([[384, 1, 'bad']]);
});
