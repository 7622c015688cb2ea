/**
 * MADV_COLLAPSE of huge pages. mm/hugetlb.c of the HGM series, v2: hugetlb_collapse; the recorded cases of FORMAT-hgm.md's kernels.
 */
import { describe, expect, test } from 'vitest';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FOLL_WRITE,
  MADV_COLLAPSE,
  MADV_SPLIT,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { mapPrivate, mapShared } from '../support.ts';
import {
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
  PAGES_1G,
  PAGES_2M,
  PROTS,
  recount,
  shape,
  shapeAndFlags,
  VERSIONS,
} from './support.ts';

/** MADV_COLLAPSE of pages. */
function collapsed({ process, at }: HgmScene, page: number, pages: number): unknown {
  return process.madvise(at + page * KIB4, pages * KIB4, MADV_COLLAPSE);
}

describe.each(VERSIONS)('$version', ({ version }) => {
  test('one leaf of the whole huge page takes the place of its table, and maps the holes, too', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 7, 3);
    const { count } = scene.machine.tables;
    expect(collapsed(scene, 0, PAGES_2M)).toBe('OK');
    expect(shapeAndFlags(scene)).toEqual([[0, 1, PAGES_2M, 'w']]);
    expect(scene.machine.tables.count).toBe(count - 1);
    expect(scene.process.read(scene.at + 500 * KIB4)).toBe(byteOf(500));
    expect(folioOf(scene.machine, 0)).toMatchObject({ refcount: 2, mapcount: 1, leaves: 1 });
    recount(scene.machine);
  });

  test('what is not mapped at all, or by one leaf already, stays as it is', () => {
    const scene = hgmScene({ version, count: 3 });
    continuePages(scene, PAGES_2M, PAGES_2M);
    continuePages(scene, 2 * PAGES_2M + 5, 1);
    expect(collapsed(scene, 0, 3 * PAGES_2M)).toBe('OK');
    expect(shape(scene)).toEqual([[PAGES_2M, 2, PAGES_2M]]);
  });

  test('no event: nothing is faulted in, and SIGBUS of userfaultfd is met by nobody', () => {
    const scene = hgmScene({ version, filled: 1 });
    continuePages(scene, 7, 1);
    expect(scene.uffd.continue(scene.at + PAGES_2M * KIB4, KIB4).result).toBe('EFAULT');
    expect(collapsed(scene, 0, 2 * PAGES_2M)).toBe('OK');
    /* The second huge page is not in the file: its table goes, and nothing comes. */
    expect(shape(scene)).toEqual([[0, 1, PAGES_2M]]);
    expect(leafSize(scene, PAGES_2M)).toBe(PAGES_2M);
    expect(scene.machine.hstate(MIB2).freeHugePages).toBe(3);
  });

  test('a page that was punched out of the file leaves an empty entry, where it can be continued whole', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 0, 4);
    ok(scene.file.fallocate(0, scene.size, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
    expect(leafSize(scene, 0)).toBe(1);
    expect(collapsed(scene, 0, PAGES_2M)).toBe('OK');
    expect(leafSize(scene, 0)).toBe(PAGES_2M);
    expect(shape(scene)).toEqual([]);
  });

  test('the head of a range that does not begin with a huge page stays in pieces', () => {
    const scene = hgmScene({ version, count: 3 });
    for (const page of [1, PAGES_2M + 1, 2 * PAGES_2M + 1]) continuePages(scene, page, 1);
    expect(collapsed(scene, 1, 3 * PAGES_2M - 1)).toBe('OK');
    expect(shape(scene)).toEqual([
      [1, 1, 1],
      [PAGES_2M, 2, PAGES_2M],
    ]);
  });

  test('part of a huge page that is mapped by one leaf cannot be collapsed by itself', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 0, PAGES_2M);
    /* EEXIST, of which the loop over VMAs in v2 as posted made EINVAL. */
    expect(collapsed(scene, 0, 1)).toBe('EEXIST');
    expect(shape(scene)).toEqual([[0, 1, PAGES_2M]]);
  });

  test('part of a huge page that is not mapped: an empty table is made', () => {
    const scene = hgmScene({ version });
    expect(collapsed(scene, 3, 2)).toBe('OK');
    expect(shape(scene)).toEqual([]);
    expect(leafSize(scene, 0)).toBe(1);
    expect(leafSize(scene, PAGES_2M)).not.toBe(1);
  });

  test('2 MiB of a 1 GiB page become one leaf; then the rest of it, all of it', () => {
    const scene = hgmScene({ version, size: GIB1, count: 1 });
    continuePages(scene, 0, 1);
    continuePages(scene, PAGES_2M + 3, 1);
    expect(collapsed(scene, 0, PAGES_2M)).toBe('OK');
    expect(shape(scene)).toEqual([
      [0, 1, PAGES_2M],
      [PAGES_2M + 3, 1, 1],
    ]);
    recount(scene.machine);
    expect(collapsed(scene, PAGES_2M, PAGES_1G - PAGES_2M)).toBe('OK');
    expect(shape(scene)).toEqual([[0, 2, PAGES_2M]]);
    expect(collapsed(scene, 0, PAGES_1G)).toBe('OK');
    expect(shape(scene)).toEqual([[0, 1, PAGES_1G]]);
    expect(scene.process.read(scene.at + (PAGES_1G - 1) * KIB4)).toBe(byteOf(PAGES_1G - 1));
    recount(scene.machine);
  });

  test('a table under a table goes, too', () => {
    const scene = hgmScene({ version, size: GIB1, count: 1 });
    const { tables } = scene.machine;
    for (const page of [0, PAGES_2M, 9 * PAGES_2M + 4]) continuePages(scene, page, 1);
    /* Root, PUD table, PMD table, three tables of 4 KiB entries. */
    expect(tables.count).toBe(6);
    expect(collapsed(scene, 0, PAGES_1G)).toBe('OK');
    expect(shape(scene)).toEqual([[0, 1, PAGES_1G]]);
    expect(tables.count).toBe(2);
  });

  test("the new leaf has the mapping's rights", () => {
    const scene = hgmScene({ version, count: 3 });
    for (const page of [1, PAGES_2M + 1, 2 * PAGES_2M + 1]) continuePages(scene, page, 1);
    ok(scene.process.mprotect(scene.at, MIB2, PROTS.r));
    ok(scene.process.mprotect(scene.at + MIB2, MIB2, PROTS.none));
    expect(collapsed(scene, 0, 3 * PAGES_2M)).toBe('OK');
    expect(shapeAndFlags(scene)).toEqual([
      [0, 1, PAGES_2M, 'r'],
      [PAGES_2M, 1, PAGES_2M, 'nr'],
      [2 * PAGES_2M, 1, PAGES_2M, 'w'],
    ]);
    expect(scene.process.write(scene.at, 1)).toBe('SIGSEGV');
  });

  test("userfaultfd's write protection is lost: of leaves, and markers", () => {
    const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;
    const scene = hgmScene({ version, mode });
    continuePages(scene, 1, 1);
    ok(scene.uffd.writeprotect(scene.at, MIB2, UFFDIO_WRITEPROTECT_MODE_WP));
    expect(shapeAndFlags(scene)).toEqual([
      [0, 1, 1, 'm'],
      [1, 1, 1, 'ru'],
      [2, 510, 1, 'm'],
    ]);
    expect(collapsed(scene, 0, PAGES_2M)).toBe('OK');
    expect(shapeAndFlags(scene)).toEqual([[0, 1, PAGES_2M, 'w']]);
    expect(scene.process.write(scene.at, 1)).toBe('OK');
  });

  test('what was written stays, dirty or not; a pin stays with its page', () => {
    const scene = hgmScene({ version });
    const { machine, process, at } = scene;
    continuePages(scene, 1, 2);
    process.write(at + KIB4, 200);
    const pages: number[] = [];
    expect(process.pinUserPages(at + KIB4, 2, FOLL_WRITE, pages)).toBe(2);
    folioOf(machine, 0).dirty = false;
    expect(collapsed(scene, 0, PAGES_2M)).toBe('OK');
    const folio = folioOf(machine, 0);
    expect(folio).toMatchObject({ dirty: true, pincount: 2, refcount: 4 });
    expect(pages).toEqual([folio.pfn + 1, folio.pfn + 2]);
    expect(process.read(at + KIB4)).toBe(200);
    process.unpinUserPages(pages);
    recount(machine);
  });

  test('one mapping is collapsed, the others of the file are not', () => {
    const scene = hgmScene({ version });
    const { machine, process, file } = scene;
    const other = mapShared(process, 2, { file, address: 2 ** 42 });
    process.read(other);
    continuePages(scene, 0, 4);
    const folio = folioOf(machine, 0);
    expect(folio.leaves).toBe(5);
    collapsed(scene, 0, PAGES_2M);
    expect(folio).toMatchObject({ leaves: 2, mapcount: 2, refcount: 3 });
    recount(machine);
  });

  test('without HGM: OK, and nothing happens; private: EINVAL; over a gap: ENOMEM, when the rest is done', () => {
    const scene = hgmScene({ version, count: 4, mode: UFFDIO_REGISTER_MODE_MINOR, pages: 8 });
    const { process, at } = scene;
    const plain = mapShared(process, 1, { file: scene.file, address: 2 ** 42 });
    expect(process.madvise(plain, MIB2, MADV_COLLAPSE)).toBe('OK');
    const own = mapPrivate(process, 1);
    expect(process.madvise(own, MIB2, MADV_COLLAPSE)).toBe('EINVAL');
    continuePages(scene, 1, 1);
    continuePages(scene, 3 * PAGES_2M + 1, 1);
    process.munmap(at + MIB2, MIB2);
    expect(collapsed(scene, 0, 4 * PAGES_2M)).toBe('ENOMEM');
    expect(shape(scene)).toEqual([
      [0, 1, PAGES_2M],
      [3 * PAGES_2M, 1, PAGES_2M],
    ]);
  });

  test('it does not undo HGM', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 1, 1);
    collapsed(scene, 0, 2 * PAGES_2M);
    continuePages(scene, PAGES_2M + 9, 1);
    expect(shape(scene)).toEqual([
      [0, 1, PAGES_2M],
      [PAGES_2M + 9, 1, 1],
    ]);
  });
});

test('Linux 6.1 has neither MADV_COLLAPSE of huge pages nor MADV_SPLIT', () => {
  const { process, at } = hgmScene({ version: 'none' });
  expect(process.madvise(at, MIB2, MADV_COLLAPSE)).toBe('EINVAL');
  expect(process.madvise(at, MIB2, MADV_SPLIT)).toBe('EINVAL');
});
