/**
 * Page faults under high-granularity mapping: a hole is filled by a leaf of its own size, never by a finer one. mm/hugetlb.c of the HGM series:
 * hugetlb_fault, hugetlb_no_page; the recorded cases of FORMAT-hgm.md's kernels.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_WRITE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import {
  byteOf,
  continuePages,
  folioOf,
  GIB1,
  type HgmParts,
  type HgmScene,
  hgmScene,
  KIB4,
  MIB2,
  ok,
  PAGES_1G,
  PAGES_2M,
  PROTS,
  recount,
  shape,
  shapeAndFlags,
  VERSIONS,
} from './support.ts';

/** A mapping in which pieces were continued, and that userfaultfd has no more. */
function pieces(parts: HgmParts, ...ranges: readonly [page: number, pages: number][]): HgmScene {
  const scene = hgmScene(parts);
  for (const [page, pages] of ranges) continuePages(scene, page, pages);
  ok(scene.uffd.unregister(scene.at, scene.length));
  return scene;
}

describe.each(VERSIONS)('$version', ({ version }) => {
  const large = { version, size: GIB1, count: 1 };

  test('an untouched 1 GiB page: one leaf of 1 GiB', () => {
    const scene = pieces(large);
    expect(scene.process.read(scene.at + 5 * KIB4)).toBe(byteOf(5));
    expect(shape(scene)).toEqual([[0, 1, PAGES_1G]]);
  });

  test('the first half mapped: 2 MiB leaves for the other', () => {
    const scene = pieces(large, [0, PAGES_1G / 2]);
    const page = PAGES_1G / 2 + 3 * PAGES_2M;
    expect(scene.process.read(scene.at + page * KIB4)).toBe(byteOf(page));
    expect(shape(scene)).toEqual([
      [0, 256, PAGES_2M],
      [page, 1, PAGES_2M],
    ]);
    recount(scene.machine);
  });

  test('the first 4 KiB mapped: 4 KiB for the second, 2 MiB behind 2 MiB', () => {
    const scene = pieces(large, [0, 1]);
    expect(scene.process.read(scene.at + KIB4)).toBe(byteOf(1));
    expect(scene.process.write(scene.at + MIB2 + 7 * KIB4, 1)).toBe('OK');
    expect(shape(scene)).toEqual([
      [0, 2, 1],
      [PAGES_2M, 1, PAGES_2M],
    ]);
    expect(folioOf(scene.machine, 0).refcount).toBe(4);
    recount(scene.machine);
  });

  test('a hole of 4 KiB in a 2 MiB page: 4 KiB, whatever the access is', () => {
    const scene = pieces({ version }, [0, 1]);
    const { process, at } = scene;
    expect(process.read(at + 9 * KIB4)).toBe(byteOf(9));
    expect(process.write(at + 11 * KIB4 + 5, 1)).toBe('OK');
    const pages: number[] = [];
    expect(process.getUserPages(at + 13 * KIB4, 1, FOLL_WRITE, pages)).toBe(1);
    process.putPages(pages);
    ok(process.madvise(at + 15 * KIB4, 2 * KIB4, MADV_POPULATE_READ));
    ok(process.madvise(at + 19 * KIB4, 2 * KIB4, MADV_POPULATE_WRITE));
    expect(shape(scene)).toEqual([
      [0, 1, 1],
      [9, 1, 1],
      [11, 1, 1],
      [13, 1, 1],
      [15, 2, 1],
      [19, 2, 1],
    ]);
    expect(pages).toEqual([folioOf(scene.machine, 0).pfn + 13]);
    recount(scene.machine);
  });

  test('populating all of it fills every hole by leaves of its size', () => {
    const scene = pieces({ version, count: 3 }, [5, 1], [PAGES_2M, PAGES_2M]);
    ok(scene.process.madvise(scene.at, scene.length, MADV_POPULATE_READ));
    expect(shape(scene)).toEqual([
      [0, 512, 1],
      [PAGES_2M, 2, PAGES_2M],
    ]);
  });

  test('a hole, and no page in the file: a new huge page, of which the leaf maps a piece', () => {
    const scene = hgmScene({ version, filled: 0 });
    /* It fails, and leaves a table. */
    expect(scene.uffd.continue(scene.at, KIB4).done).toBe('EFAULT');
    ok(scene.uffd.unregister(scene.at, scene.length));
    expect(scene.process.read(scene.at + 3 * KIB4)).toBe(0);
    expect(shape(scene)).toEqual([[3, 1, 1]]);
    expect(scene.machine.hstate(MIB2).freeHugePages).toBe(3);
    recount(scene.machine);
  });

  test('behind the end of the file: SIGBUS, also in a finer table', () => {
    const scene = pieces({ version }, [PAGES_2M, 1]);
    ok(scene.file.ftruncate(MIB2));
    expect(shape(scene)).toEqual([]);
    expect(scene.process.read(scene.at + MIB2)).toBe('SIGBUS');
    expect(scene.process.read(scene.at + MIB2 + KIB4)).toBe('SIGBUS');
  });

  test('a read-only leaf in a writable mapping is made writable by a write, alone of its neighbours', () => {
    /* With wp armed mprotect does not give the right to write back: the fault does. */
    const scene = hgmScene({ version, mode: UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP });
    continuePages(scene, 3, 3);
    ok(scene.process.mprotect(scene.at, MIB2, PROTS.r));
    ok(scene.process.mprotect(scene.at, MIB2, PROTS.rw));
    expect(shapeAndFlags(scene)).toEqual([[3, 3, 1, 'r']]);
    expect(scene.process.write(scene.at + 4 * KIB4, 1)).toBe('OK');
    expect(shapeAndFlags(scene)).toEqual([
      [3, 1, 1, 'r'],
      [4, 1, 1, 'w'],
      [5, 1, 1, 'r'],
    ]);
    recount(scene.machine);
  });

  test('over a marker: the new leaf is write-protected, and has the size of the marker', () => {
    const scene = hgmScene({ version, mode: UFFDIO_REGISTER_MODE_WP });
    continuePages(scene, 0, 1);
    ok(scene.uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP));
    expect(scene.process.read(scene.at + 7 * KIB4)).toBe(byteOf(7));
    expect(scene.process.read(scene.at + MIB2)).toBe(byteOf(PAGES_2M));
    expect(scene.process.write(scene.at + 7 * KIB4, 1)).toBe('SIGBUS');
    expect(shapeAndFlags(scene)).toEqual([
      [0, 1, 1, 'ru'],
      [1, 6, 1, 'm'],
      [7, 1, 1, 'ru'],
      [8, 504, 1, 'm'],
      [PAGES_2M, 1, PAGES_2M, 'ru'],
    ]);
    ok(scene.uffd.writeprotect(scene.at, MIB2, 0));
    expect(shapeAndFlags(scene).at(-1)).toEqual([PAGES_2M, 1, PAGES_2M, 'ru']);
    expect(scene.process.write(scene.at + 7 * KIB4, 1)).toBe('OK');
  });

  test('minor and missing faults are told of holes of any size', () => {
    const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_MISSING;
    const scene = hgmScene({ version, mode, features: 0, filled: 1, count: 2 });
    const { process, uffd, at } = scene;
    continuePages(scene, 0, 1);
    uffd.continue(at + MIB2, KIB4);
    const told = [at + 3 * KIB4, at + MIB2 + 3 * KIB4].map((address) => {
      const thread = process.thread();
      const path = thread.read(address + 9);
      /* Up to where it waits. */
      for (thread.task.preemptible = true; !uffd.pending; ) path.next();
      const message = uffd.read();
      thread.task.killed = true;
      while (!path.next().done);
      return message;
    });
    /* The minor fault's address is the 4 KiB page's in v2, the huge page's in RFC v2; the missing one's is always the huge page's. */
    expect(told).toMatchObject([
      { address: version === 'v2' ? at + 3 * KIB4 : at, flags: 4 },
      { address: at + MIB2, flags: 0 },
    ]);
  });
});
