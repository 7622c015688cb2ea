/**
 * /proc/PID/smaps of huge pages. fs/proc/task_mmu.c of Linux 6.1: smaps_hugetlb_range; of the HGM series: smaps_hugetlb_hgm_account.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_COLLAPSE,
  MADV_SPLIT,
  MAP_NORESERVE,
  PROT_NONE,
  type Process,
  type Smaps,
  UFFD_FEATURE_MINOR_HUGETLBFS,
  UFFDIO_REGISTER_MODE_MINOR,
} from '../../src/linux/index.ts';
import { pieces } from './pieces.ts';
import { forkOf, GIB1, KIB4, MIB2, machineWith, mapPrivate, mapShared, SIZES } from './support.ts';

/** Of the mapping of an address. */
function shown(process: Process, address: number): Smaps {
  return process.smaps(address, 1)[0]!;
}

describe.each(SIZES)('pages of $name', ({ size }) => {
  test('what is mapped here alone is private, what two processes map is shared, what nobody mapped is neither', () => {
    const machine = machineWith({ size, pages: 4 });
    const file = machine.memfdCreate({ hugePageSize: size });
    file.ftruncate(3 * size);
    const [one, other] = [machine.createProcess(), machine.createProcess()];
    const at = mapShared(one, 3, { size, file });
    const there = mapShared(other, 3, { size, file });
    one.write(at, 1);
    one.write(at + size, 1);
    other.read(there);
    expect(shown(one, at)).toMatchObject({ sharedHugetlb: size, privateHugetlb: size });
    expect(shown(other, there)).toMatchObject({ sharedHugetlb: size, privateHugetlb: 0 });
  });

  test('a private page is shared from fork on, until one of the two has copied it', () => {
    const machine = machineWith({ size, pages: 2 });
    const parent = machine.createProcess();
    const at = mapPrivate(parent, 1, { size });
    parent.write(at, 1);
    const child = forkOf(parent);
    expect(shown(parent, at)).toMatchObject({ sharedHugetlb: size, privateHugetlb: 0 });
    child.write(at, 2);
    expect(shown(parent, at)).toMatchObject({ sharedHugetlb: 0, privateHugetlb: size });
    expect(shown(child, at)).toMatchObject({ sharedHugetlb: 0, privateHugetlb: size });
  });

  test('a PROT_NONE mapping still has its pages', () => {
    const machine = machineWith({ size, pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1, { size });
    process.write(at, 1);
    process.mprotect(at, size, PROT_NONE);
    expect(shown(process, at)).toMatchObject({ privateHugetlb: size });
  });

  test('there is one for each mapping that overlaps the range, of all of it, with the size of its huge pages', () => {
    const machine = machineWith({ size, pages: 3 });
    const process = machine.createProcess();
    const first = mapPrivate(process, 2, { size, address: 64 * GIB1 });
    const second = mapPrivate(process, 1, { size, address: 96 * GIB1 });
    process.write(first, 1);
    const pages = { kernelPageSize: size, mmuPageSize: size };
    expect(process.smaps(first + size, second + 1 - first - size)).toMatchObject([
      { start: first, end: first + 2 * size, privateHugetlb: size, ...pages },
      { start: second, end: second + size, privateHugetlb: 0, ...pages },
    ]);
    expect(process.smaps(first + size, size)).toHaveLength(1);
    expect(process.smaps(first + 2 * size, size)).toEqual([]);
  });
});

test('pages that are mapped by a shared page table are shared, though their map count is 1', () => {
  const machine = machineWith({ pages: 1 });
  const file = machine.memfdCreate();
  file.ftruncate(GIB1);
  const pages = GIB1 / MIB2;
  const parts = { file, address: 64 * GIB1, flags: MAP_NORESERVE };
  const one = machine.createProcess();
  const other = machine.createProcess();
  const at = mapShared(one, pages, parts);
  mapShared(other, pages, parts);
  one.write(at, 1);
  other.read(at);
  expect([...machine.folios()][0]!.mapcount).toBe(1);
  expect(shown(one, at)).toMatchObject({ sharedHugetlb: MIB2, privateHugetlb: 0 });
});

describe('a huge page that is mapped in pieces', () => {
  test('has the bytes of its leaves, by their size', () => {
    const { process, at, uffd, whole } = pieces(GIB1);
    process.munmap(whole, GIB1);
    uffd.continue(at, KIB4);
    uffd.continue(at + KIB4, 2 * MIB2 - KIB4);
    const mapped = { hugetlbPudMapped: 0, hugetlbPmdMapped: MIB2, hugetlbPteMapped: MIB2 };
    expect(shown(process, at)).toMatchObject({ privateHugetlb: 2 * MIB2, sharedHugetlb: 0, ...mapped });
    process.madvise(at, GIB1, MADV_COLLAPSE);
    expect(shown(process, at)).toMatchObject({ hugetlbPudMapped: GIB1, hugetlbPmdMapped: 0, hugetlbPteMapped: 0 });
  });

  test('v2: each piece is shared or private by itself', () => {
    const { process, file, at, uffd, whole } = pieces(MIB2);
    process.munmap(whole, MIB2);
    uffd.continue(at, 3 * KIB4);
    expect(shown(process, at)).toMatchObject({ sharedHugetlb: 0, privateHugetlb: 3 * KIB4 });
    const there = mapShared(process, 1, { file });
    process.madvise(there, MIB2, MADV_SPLIT);
    const other = process.userfaultfd();
    other.api(UFFD_FEATURE_MINOR_HUGETLBFS);
    other.register(there, MIB2, UFFDIO_REGISTER_MODE_MINOR);
    other.continue(there + 2 * KIB4, 2 * KIB4);
    expect(shown(process, at)).toMatchObject({ sharedHugetlb: KIB4, privateHugetlb: 2 * KIB4 });
    expect(shown(process, there)).toMatchObject({ sharedHugetlb: KIB4, privateHugetlb: KIB4 });
  });

  test('RFC v2 takes a page for shared that two leaves map', () => {
    const { process, at, uffd, whole } = pieces(MIB2, 1, 1, 'rfc-v2');
    process.munmap(whole, MIB2);
    uffd.continue(at, KIB4);
    expect(shown(process, at)).toMatchObject({ sharedHugetlb: 0, privateHugetlb: KIB4 });
    uffd.continue(at + KIB4, KIB4);
    expect(shown(process, at)).toMatchObject({ sharedHugetlb: 2 * KIB4, privateHugetlb: 0 });
  });

  test('a leaf is shared if its first 4 KiB is: a whole one counts once for each of its pages', () => {
    const { process, at, uffd, whole } = pieces(MIB2);
    uffd.continue(at + KIB4, KIB4);
    expect(shown(process, whole)).toMatchObject({ sharedHugetlb: 0, privateHugetlb: MIB2 });
    uffd.continue(at, KIB4);
    expect(shown(process, whole)).toMatchObject({ sharedHugetlb: MIB2, privateHugetlb: 0 });
  });
});
