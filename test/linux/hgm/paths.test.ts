/**
 * The other ways through the kernel that meet pieces: unmapping, mprotect, fork, mremap, truncation. mm/hugetlb.c of the HGM series,
 * v2: __unmap_hugepage_range, hugetlb_change_protection, copy_hugetlb_page_range, move_hugetlb_page_tables.
 */
import { describe, expect, test } from 'vitest';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_DONTNEED,
  MADV_REMOVE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  type Process,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { mapPrivate, mapShared } from '../support.ts';
import { actor, serve, together } from '../userfaultfd/stage.ts';
import {
  ALL,
  byteOf,
  continuePages,
  folioOf,
  GIB1,
  type HgmScene,
  hgmScene,
  KIB4,
  leafSize,
  MIB2,
  ok,
  PAGES_2M,
  PROTS,
  recount,
  runs,
  shape,
  shapeAndFlags,
} from './support.ts';

const WP_AND_MINOR = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;

/** Leaves of all sizes that there are, and holes: in the first huge page pieces, the second whole. */
function mixed(parts: Parameters<typeof hgmScene>[0]): HgmScene {
  const scene = hgmScene(parts);
  const pages = scene.size / KIB4;
  continuePages(scene, 1, 2);
  continuePages(scene, 9, 1);
  if (pages > PAGES_2M) continuePages(scene, 3 * PAGES_2M, 2 * PAGES_2M);
  continuePages(scene, pages, pages);
  return scene;
}

describe.each(ALL)('$version, counts per $mapcounts, huge pages of $size bytes', ({ version, mapcounts, size }) => {
  const parts = { version, mapcounts, size };
  const pages = size / KIB4;

  test("map counts: the huge page has those of its size, each 4 KiB page the others; per head, all are the huge page's", () => {
    const scene = mixed(parts);
    const { machine, process } = scene;
    const other = mapShared(process, 2, { size, file: scene.file, address: 2 ** 42 });
    process.read(other);
    const folio = folioOf(machine, 0);
    const pieces = size === MIB2 ? 3 : 5;
    expect(folio.leaves).toBe(pieces + 1);
    expect(folio.refcount).toBe(pieces + 2);
    const counted = [0, 1, 2, 3, 9, 3 * PAGES_2M + 7].filter((page) => page < pages);
    const expected = mapcounts === 'head' ? counted.map(() => pieces + 1) : [1, 2, 2, 1, 2, 2].slice(0, counted.length);
    expect(counted.map((page) => folio.pageMapcount(page))).toEqual(expected);
    expect(folioOf(machine, 1).mapcount).toBe(1);
    recount(machine);
  });

  test('munmap takes all leaves and tables, and only those of the range', () => {
    const scene = mixed(parts);
    const { machine, process, at } = scene;
    ok(process.munmap(at, size));
    expect(shape(scene)).toEqual([[pages, 1, pages]]);
    expect(process.mm.hugetlbUsage).toBe(pages);
    recount(machine);
    ok(process.munmap(at + size, size));
    expect([process.mm.hugetlbUsage, machine.tables.count]).toEqual([0, 1]);
  });

  test('MADV_DONTNEED begins with a huge page, and ends with the last whole one', () => {
    const scene = mixed(parts);
    const { machine, process, at } = scene;
    expect(process.madvise(at + KIB4, size, MADV_DONTNEED)).toBe('EINVAL');
    ok(process.madvise(at, size - KIB4, MADV_DONTNEED));
    expect(shape(scene)[0]).toEqual([1, 2, 1]);
    ok(process.madvise(at, 2 * size - KIB4, MADV_DONTNEED));
    expect(shape(scene)).toEqual([[pages, 1, pages]]);
    expect(leafSize(scene, 0)).toBe(1);
    recount(machine);
  });

  test('a hole punched into the file takes the page out of pieces and whole mappings', () => {
    for (const punch of [
      ({ file }: HgmScene) => file.fallocate(0, size, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),
      ({ process, at }: HgmScene) => process.madvise(at, size, MADV_REMOVE),
    ]) {
      const scene = mixed(parts);
      const { machine, process } = scene;
      const other = mapShared(process, 2, { size, file: scene.file, address: 2 ** 42 });
      process.read(other);
      ok(punch(scene));
      expect(shape(scene)).toEqual([[pages, 1, pages]]);
      expect(runs(process, other, 2 * size)).toEqual([]);
      expect(process.read(other)).toBe(0);
      recount(machine);
    }
  });

  test('a truncation takes the pages behind the new end', () => {
    const scene = mixed(parts);
    ok(scene.file.ftruncate(size));
    expect(shape(scene).every(([page]) => page < pages)).toBe(true);
    ok(scene.file.ftruncate(0));
    expect(shape(scene)).toEqual([]);
    expect(scene.machine.hstate(size).freeHugePages).toBe(4);
    recount(scene.machine);
  });

  test('mprotect, down and back, changes every leaf and no hole', () => {
    const scene = mixed(parts);
    const before = shapeAndFlags(scene);
    const { process, at, length } = scene;
    ok(process.mprotect(at, length, PROTS.r));
    expect(shapeAndFlags(scene)).toEqual(before.map(([page, count, each]) => [page, count, each, 'r']));
    expect(process.write(at + KIB4, 1)).toBe('SIGSEGV');
    ok(process.mprotect(at, length, PROTS.none));
    expect(shapeAndFlags(scene)).toEqual(before.map(([page, count, each]) => [page, count, each, 'nr']));
    expect(process.read(at + KIB4)).toBe('SIGSEGV');
    ok(process.mprotect(at, length, PROTS.rw));
    expect(shapeAndFlags(scene)).toEqual(before);
    expect(process.read(at + KIB4)).toBe(byteOf(1));
    recount(scene.machine);
  });

  test('write protection puts markers into holes, as large as they are; resolving takes them away again', () => {
    const scene = mixed({ ...parts, mode: WP_AND_MINOR });
    const before = shapeAndFlags(scene);
    ok(scene.uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP));
    const after = shapeAndFlags(scene);
    expect(
      after.filter(([, , , flags]) => flags === 'ru').map(([page, count, each]) => [page, count, each, 'w']),
    ).toEqual(before);
    const markers = after.filter(([, , , flags]) => flags === 'm');
    const small = [
      [0, 1, 1, 'm'],
      [3, 6, 1, 'm'],
      [10, 502, 1, 'm'],
    ];
    const large = [
      [PAGES_2M, 2, PAGES_2M, 'm'],
      [5 * PAGES_2M, 507, PAGES_2M, 'm'],
    ];
    expect(markers).toEqual(size === MIB2 ? small : [...small, ...large]);
    expect(scene.process.write(scene.at + KIB4, 1)).toBe('SIGBUS');
    ok(scene.uffd.writeprotect(scene.at, scene.length, 0));
    /* Resolved leaves stay read-only until they are written. */
    expect(shapeAndFlags(scene).some(([, , , flags]) => flags === 'm')).toBe(false);
    expect(scene.process.write(scene.at + KIB4, 1)).toBe('OK');
    recount(scene.machine);
  });

  test('MADV_DONTNEED of what is write-protected leaves markers of the size of the leaves; munmap nothing', () => {
    const scene = mixed({ ...parts, mode: WP_AND_MINOR });
    ok(scene.uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP));
    const before = shape(scene);
    ok(scene.process.madvise(scene.at, scene.length, MADV_DONTNEED));
    expect(shapeAndFlags(scene).every(([, , , flags]) => flags === 'm')).toBe(true);
    const covered = (list: [number, number, number][]) => list.reduce((sum, [, count, each]) => sum + count * each, 0);
    expect(covered(shape(scene))).toBe(covered(before));
    ok(scene.process.munmap(scene.at, scene.length));
    expect(scene.machine.tables.count).toBe(1);
  });

  test('mremap moves every leaf and marker as it is', () => {
    const features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_EVENT_REMAP;
    const scene = mixed({ ...parts, mode: WP_AND_MINOR, features });
    ok(scene.uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP));
    const before = shapeAndFlags(scene);
    const { machine, process, uffd, at, length } = scene;
    const to = at + 16 * GIB1;
    const [mover, reader] = [process.thread(), process.thread()];
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    together([actor(mover, mover.mremap(at, length, length, flags, to)), actor(reader, serve(reader, uffd, 1))]);
    expect(runs(process, to, length)).toEqual(before);
    expect(shape(scene)).toEqual([]);
    machine.check();
    recount(machine);
  });

  test('mremap without EVENT_REMAP: markers are lost, leaves are not protected any more', () => {
    const scene = mixed({ ...parts, mode: WP_AND_MINOR });
    const before = shapeAndFlags(scene);
    ok(scene.uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP));
    const { process, at, length } = scene;
    const to = at + 16 * GIB1;
    expect(process.mremap(at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to)).toBe(to);
    expect(runs(process, to, length)).toEqual(before.map(([page, count, each]) => [page, count, each, 'r']));
    expect(process.write(to + KIB4, 1)).toBe('OK');
    recount(scene.machine);
  });

  test('a fork with wp armed gives the child the same leaves and markers, of the same pages', () => {
    const features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_EVENT_FORK;
    const scene = mixed({ ...parts, mode: WP_AND_MINOR, features });
    ok(scene.uffd.writeprotect(scene.at, size, UFFDIO_WRITEPROTECT_MODE_WP));
    const { machine, process, uffd, at, length } = scene;
    const [forker, reader] = [process.thread(), process.thread()];
    const [forked] = together([actor(forker, forker.fork()), actor(reader, serve(reader, uffd, 1))]);
    const child = forked as Process;
    expect(runs(child, at, length)).toEqual(shapeAndFlags(scene));
    const entries = (one: Process) => [...one.mappedPages()].map(({ entry }) => entry);
    expect(entries(child)).toEqual(entries(process));
    machine.check();
    recount(machine);
    child.exit();
    recount(machine);
  });

  test('a private mapping of the same file has the huge page whole, and copies all of it', () => {
    const scene = mixed({ ...parts, count: 2, pages: 5 });
    const { machine, process, file } = scene;
    const own = mapPrivate(process, 1, { size, file, address: 2 ** 42 });
    expect(process.read(own + KIB4)).toBe(byteOf(1));
    expect(process.write(own + KIB4, 250)).toBe('OK');
    expect(process.read(scene.at + KIB4)).toBe(byteOf(1));
    expect(process.read(own + 2 * KIB4)).toBe(byteOf(2));
    expect(runs(process, own, size)).toEqual([[0, 1, pages, 'w']]);
    recount(machine);
  });
});
