/**
 * Those who look at pieces without changing them: mincore, pagemap, GUP, follow_page; and the end of the process that has them. mm/hugetlb.c of the
 * HGM series, v2: follow_hugetlb_page, hugetlb_follow_page_mask; mm/mincore.c, fs/proc/task_mmu.c.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_GET,
  FOLL_WRITE,
  MADV_SPLIT,
  PM_MMAP_EXCLUSIVE,
  PM_PRESENT,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { mapShared } from '../support.ts';
import {
  byteOf,
  continuePages,
  folioOf,
  GIB1,
  type HgmScene,
  hgmFeature,
  hgmScene,
  KIB4,
  MIB2,
  ok,
  PAGES_1G,
  PAGES_2M,
  recount,
  shape,
  VERSIONS,
} from './support.ts';

const WP_AND_MINOR = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;

describe.each(VERSIONS)('$version', ({ version }) => {
  test('mincore says 1 for leaves, 0 for holes and markers', () => {
    const scene = hgmScene({ version, mode: WP_AND_MINOR });
    continuePages(scene, 3, 2);
    ok(scene.uffd.writeprotect(scene.at, MIB2, UFFDIO_WRITEPROTECT_MODE_WP));
    const incore = [...(scene.process.mincore(scene.at, 8 * KIB4) as Uint8Array)];
    expect(incore).toEqual([0, 0, 0, 1, 1, 0, 0, 0]);
    expect([...(scene.process.mincore(scene.at + 4 * KIB4, 3 * KIB4) as Uint8Array)]).toEqual([1, 0, 0]);
  });

  test('pagemap has the frame of each 4 KiB page, whatever leaf maps it, and says of each whether it is mapped once', () => {
    const scene = hgmScene({ version, mapcounts: 'subpages' });
    continuePages(scene, 3, 2);
    continuePages(scene, PAGES_2M, PAGES_2M);
    const other = hgmPiece(scene, 4);
    const { pfn } = folioOf(scene.machine, 0);
    const [hole, one, two] = scene.process.pagemap(scene.at + 2 * KIB4, 3);
    expect(hole! & PM_PRESENT).toBe(0n);
    expect([one! & 0xff_ffffn, two! & 0xff_ffffn]).toEqual([BigInt(pfn + 3), BigInt(pfn + 4)]);
    expect([one! & PM_MMAP_EXCLUSIVE, two! & PM_MMAP_EXCLUSIVE]).toEqual([PM_MMAP_EXCLUSIVE, 0n]);
    expect(scene.process.pagemap(scene.at + MIB2 + 5 * KIB4)[0]! & 0xff_ffffn).toBe(
      BigInt(folioOf(scene.machine, 1).pfn + 5),
    );
    expect(other).toBe(byteOf(4));
  });

  test('GUP over leaves of all sizes and holes: every page once, in order; the leaf that is missing is faulted in', () => {
    const scene = hgmScene({ version, size: GIB1, count: 1, checks: false });
    const { machine, process, uffd, at, length } = scene;
    continuePages(scene, 0, 3);
    continuePages(scene, PAGES_2M, PAGES_2M);
    ok(uffd.unregister(at, length));
    const pages: number[] = [];
    expect(process.getUserPages(at + KIB4, 1200, FOLL_WRITE | FOLL_GET, pages)).toBe(1200);
    const { pfn } = folioOf(machine, 0);
    expect(pages).toEqual(Array.from({ length: 1200 }, (_, index) => pfn + 1 + index));
    expect(shape(scene)).toEqual([
      [0, 512, 1],
      [PAGES_2M, 2, PAGES_2M],
    ]);
    expect(folioOf(machine, 0).getcount).toBe(1200);
    process.putPages(pages);
    machine.check();
  });

  test('GUP ends at a hole that userfaultfd would handle: what was found before it counts', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 0, 3);
    const pages: number[] = [];
    expect(scene.process.getUserPages(scene.at, 512, 0, pages)).toBe(3);
    expect(scene.process.getUserPages(scene.at + 3 * KIB4, 1, 0, pages)).toBe('EFAULT');
    expect(scene.process.getUserPagesFastOnly(scene.at, 512, 0, pages)).toBe(3);
    scene.process.putPages(pages, 3);
    scene.process.putPages(pages, 3);
    recount(scene.machine);
  });

  test('follow_page finds the page of a small leaf, of a leaf of 2 MiB, and none in a hole', () => {
    const scene = hgmScene({ version, size: GIB1, count: 1 });
    continuePages(scene, 300, 1);
    continuePages(scene, 3 * PAGES_2M, PAGES_2M);
    const { pfn } = folioOf(scene.machine, 0);
    const found = [300, 301, 3 * PAGES_2M + 77, 5].map((page) => scene.process.followPage(scene.at + page * KIB4, 0));
    expect(found).toEqual([pfn + 300, undefined, pfn + 3 * PAGES_2M + 77, undefined]);
  });

  test('the end of a process takes all of it, pins stay', () => {
    const scene = hgmScene({ version, count: 1 });
    const { machine, process, file } = scene;
    continuePages(scene, 0, 5);
    const pages: number[] = [];
    process.pinUserPages(scene.at, 5, FOLL_WRITE, pages);
    const folio = folioOf(machine, 0);
    process.exit();
    file.close();
    expect([folio.refcount, folio.leaves, machine.tables.count]).toEqual([5, 0, 0]);
    machine.unpinUserPages(pages);
    expect(machine.hstate(MIB2).freeHugePages).toBe(3);
  });

  test('1 GiB mapped by 4 KiB only: 2^18 leaves, counted and given back', () => {
    const scene = hgmScene({ version, size: GIB1, count: 1, checks: false });
    for (let page = 0; page < PAGES_1G; page += PAGES_2M) {
      continuePages(scene, page, 1);
      continuePages(scene, page + 1, PAGES_2M - 1);
    }
    const folio = folioOf(scene.machine, 0);
    expect([folio.refcount, folio.leaves, scene.process.mm.hugetlbUsage]).toEqual([PAGES_1G + 1, PAGES_1G, PAGES_1G]);
    ok(scene.process.munmap(scene.at, GIB1));
    expect([folio.refcount, folio.leaves, scene.process.mm.hugetlbUsage]).toEqual([1, 0, 0]);
    expect(scene.machine.tables.count).toBe(1);
  });
});

/** Another mapping with HGM, of which a page is read. */
function hgmPiece({ machine, process, file }: HgmScene, page: number): unknown {
  const at = mapShared(process, 2, { file, address: 2 ** 42 });
  if (machine.hgm === 'v2') process.madvise(at, 2 * MIB2, MADV_SPLIT);
  const uffd = process.userfaultfd();
  uffd.api(hgmFeature(machine.hgm));
  uffd.register(at, 2 * MIB2, UFFDIO_REGISTER_MODE_MINOR);
  uffd.continue(at + page * KIB4, KIB4);
  return process.read(at + page * KIB4);
}
