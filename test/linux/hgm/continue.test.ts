/**
 * UFFDIO_CONTINUE of pieces: which leaves it makes, and what it refuses. mm/userfaultfd.c and mm/hugetlb.c of the HGM series:
 * __mcopy_atomic_hugetlb, hugetlb_mcopy_atomic_pte; the recorded cases of FORMAT-hgm.md's kernels.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  PROT_READ,
  UFFDIO_CONTINUE_MODE_DONTWAKE,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { actor, together } from '../userfaultfd/stage.ts';
import {
  byteOf,
  continuePages,
  fill,
  folioOf,
  GIB1,
  type HgmScene,
  hgmScene,
  KIB4,
  leafSize,
  PAGES_1G,
  PAGES_2M,
  recount,
  shape,
  shapeAndFlags,
  VERSIONS,
} from './support.ts';

const WP_AND_MINOR = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;

/** UFFDIO_CONTINUE of pages: what it tells, with bytes as pages. */
function continued({ uffd, at }: HgmScene, page: number, pages: number, mode = 0): [string, number | string] {
  const { result, done } = uffd.continue(at + page * KIB4, pages * KIB4, mode);
  return [result, typeof done === 'number' ? done / KIB4 : done];
}

describe.each(VERSIONS)('$version', ({ version }) => {
  test('4 KiB: one leaf, in a table of which the rest is empty', () => {
    const scene = hgmScene({ version });
    expect(continued(scene, 5, 1)).toEqual(['OK', 1]);
    expect(shapeAndFlags(scene)).toEqual([[5, 1, 1, 'w']]);
    expect(scene.process.read(scene.at + 5 * KIB4)).toBe(byteOf(5));
    recount(scene.machine);
  });

  test('each leaf is the largest that begins there and does not reach behind the end', () => {
    const scene = hgmScene({ version, count: 3 });
    expect(continued(scene, 0, PAGES_2M + 2)).toEqual(['OK', PAGES_2M + 2]);
    expect(shape(scene)).toEqual([
      [0, 1, PAGES_2M],
      [PAGES_2M, 2, 1],
    ]);
  });

  test('[4 KiB, end of the third huge page): 511 small leaves, and two of 2 MiB', () => {
    const scene = hgmScene({ version, count: 3 });
    expect(continued(scene, 1, 3 * PAGES_2M - 1)).toEqual(['OK', 3 * PAGES_2M - 1]);
    expect(shape(scene)).toEqual([
      [1, 511, 1],
      [PAGES_2M, 2, PAGES_2M],
    ]);
  });

  test('[4 KiB, 1 GiB) of a 1 GiB page: 511 leaves of 4 KiB, 511 of 2 MiB', () => {
    const scene = hgmScene({ version, size: GIB1, count: 1 });
    expect(continued(scene, 1, PAGES_1G - 1)).toEqual(['OK', PAGES_1G - 1]);
    expect(shape(scene)).toEqual([
      [1, 511, 1],
      [PAGES_2M, 511, PAGES_2M],
    ]);
    expect(folioOf(scene.machine, 0).refcount).toBe(511 + 511 + 1);
    recount(scene.machine);
  });

  test('the whole huge page, of which 4 KiB are mapped: EEXIST, and its holes stay; the rest of it can be continued', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 0, 1);
    expect(continued(scene, 0, PAGES_2M)).toEqual(['EEXIST', 'EEXIST']);
    expect(shape(scene)).toEqual([[0, 1, 1]]);
    expect(continued(scene, 1, PAGES_2M - 1)).toEqual(['OK', PAGES_2M - 1]);
    expect(shape(scene)).toEqual([[0, 512, 1]]);
  });

  test('4 KiB or 2 MiB where a larger leaf is: EEXIST', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 0, PAGES_2M);
    expect(continued(scene, 7, 1)).toEqual(['EEXIST', 'EEXIST']);
    const gigantic = hgmScene({ version, size: GIB1, count: 1 });
    continuePages(gigantic, 0, PAGES_1G);
    expect(continued(gigantic, 7, 1)).toEqual(['EEXIST', 'EEXIST']);
    expect(continued(gigantic, PAGES_2M, PAGES_2M)).toEqual(['EEXIST', 'EEXIST']);
    expect(shape(gigantic)).toEqual([[0, 1, PAGES_1G]]);
  });

  test('up to something that is mapped: EAGAIN, with what was done; from there on: EEXIST', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 10, 1);
    expect(continued(scene, 4, 20)).toEqual(['EAGAIN', 6]);
    expect(shape(scene)).toEqual([[4, 7, 1]]);
    expect(continued(scene, 10, 20)).toEqual(['EEXIST', 'EEXIST']);
  });

  test('up to a page that the file does not have: EAGAIN; from there on: EFAULT, which leaves a table behind', () => {
    const scene = hgmScene({ version, filled: 1 });
    expect(continued(scene, PAGES_2M - 2, 4)).toEqual(['EAGAIN', 2]);
    expect(continued(scene, PAGES_2M, 1)).toEqual(['EFAULT', 'EFAULT']);
    expect(continued(scene, PAGES_2M, PAGES_2M)).toEqual(['EFAULT', 'EFAULT']);
    expect(leafSize(scene, PAGES_2M)).toBe(1);
    fill(scene.process, scene.file, scene.size, 1);
    expect(continued(scene, PAGES_2M, PAGES_2M)).toEqual(['EEXIST', 'EEXIST']);
    expect(shape(scene)).toEqual([[PAGES_2M - 2, 2, 1]]);
  });

  test('an empty table stands in the way of the whole huge page until a collapse', () => {
    const scene = hgmScene({ version });
    const { process, at, size } = scene;
    continuePages(scene, 3, 2);
    expect(process.madvise(at, size, MADV_DONTNEED)).toBe('OK');
    expect(shape(scene)).toEqual([]);
    expect(continued(scene, 0, PAGES_2M)).toEqual(['EEXIST', 'EEXIST']);
    expect(scene.uffd.copy(at, new Uint8Array(size)).result).toBe('EEXIST');
    expect(process.madvise(at, size, MADV_COLLAPSE)).toBe('OK');
    expect(shape(scene)).toEqual([[0, 1, PAGES_2M]]);
  });

  test('is measured in 4 KiB, where it has pieces; in huge pages otherwise', () => {
    const scene = hgmScene({ version });
    expect(scene.uffd.continue(scene.at + 1, KIB4).result).toBe('EINVAL');
    expect(scene.uffd.continue(scene.at, KIB4 + 1).result).toBe('EINVAL');
    expect(scene.uffd.continue(scene.at, 0).result).toBe('EINVAL');
    const plain = hgmScene({ version: 'none' });
    expect(continued(plain, 0, 1)).toEqual(['EINVAL', 'EINVAL']);
    expect(continued(plain, 0, PAGES_2M)).toEqual(['OK', PAGES_2M]);
  });

  test('beyond the mapping: ENOENT; unknown modes: EINVAL', () => {
    const scene = hgmScene({ version });
    expect(continued(scene, 2 * PAGES_2M - 1, 2)).toEqual(['ENOENT', 'ENOENT']);
    expect(continued(scene, 2 * PAGES_2M, 1)).toEqual(['ENOENT', 'ENOENT']);
    expect(continued(scene, 0, 1, 2)).toEqual(['EINVAL', 'EINVAL']);
  });

  test('UFFDIO_COPY and UFFDIO_WRITEPROTECT stay with whole huge pages, UFFDIO_ZEROPAGE does not exist', () => {
    const { uffd, at } = hgmScene({ version, mode: WP_AND_MINOR });
    expect(uffd.copy(at, new Uint8Array(KIB4)).result).toBe('EINVAL');
    expect(uffd.writeprotect(at, KIB4, UFFDIO_WRITEPROTECT_MODE_WP)).toBe('EINVAL');
    expect(uffd.writeprotect(at + KIB4, KIB4, 0)).toBe('EINVAL');
    expect(uffd.zeropage(at, KIB4).result).toBe('EINVAL');
  });

  test('into what may only be read: read-only leaves; into PROT_NONE: leaves that are there for nobody', () => {
    const scene = hgmScene({ version });
    const { process, at, size } = scene;
    process.mprotect(at, size, PROT_READ);
    continuePages(scene, 4, 1);
    process.mprotect(at, size, 0);
    continuePages(scene, 5, 1);
    expect(shapeAndFlags(scene)).toEqual([[4, 2, 1, 'nr']]);
    process.mprotect(at, size, 3);
    expect(shapeAndFlags(scene)).toEqual([[4, 2, 1, 'w']]);
    expect(process.write(at + 5 * KIB4, 1)).toBe('OK');
  });

  test('its leaf is marked as written and used', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 1, 1);
    const [leaf] = scene.process.mappedPages();
    expect(leaf!.entry & 0x60n).toBe(0x60n);
  });

  test('wakes who waits in the range, and nobody else; with DONTWAKE nobody', () => {
    const scene = hgmScene({ version, features: 0x800 });
    const { machine, process, uffd, at } = scene;
    const [near, far] = [process.thread(), process.thread()];
    const handler = process.thread();
    const order: string[] = [];
    function* access(name: string, thread: typeof near, page: number) {
      const value = yield* thread.read(at + page * KIB4 + 9);
      order.push(name);
      return value;
    }
    function* handle() {
      const messages = [yield* handler.uffdRead(uffd), yield* handler.uffdRead(uffd)];
      yield* handler.uffdFill(uffd, at + 8 * KIB4, KIB4, { kind: 'continue', mode: UFFDIO_CONTINUE_MODE_DONTWAKE });
      order.push('mapped, not woken');
      yield* handler.uffdFill(uffd, at, KIB4, { kind: 'continue', mode: 0 });
      while (!order.includes('near'))
        yield { on: { isFreeFor: () => true, describe: () => '' }, mode: 'wait' as const };
      order.push('far is woken');
      uffd.wake(at + 8 * KIB4, KIB4);
      return messages.length;
    }
    together([actor(near, access('near', near, 0)), actor(far, access('far', far, 8)), actor(handler, handle())]);
    expect(order).toEqual(['mapped, not woken', 'near', 'far is woken', 'far']);
    machine.check();
  });
});

describe('a marker in the way', () => {
  test('v2 splits it: the piece is mapped without protection, its neighbours keep the marker', () => {
    const scene = hgmScene({ mode: WP_AND_MINOR });
    scene.uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP);
    continuePages(scene, 3, 1);
    expect(shapeAndFlags(scene)).toEqual([
      [0, 3, 1, 'm'],
      [3, 1, 1, 'w'],
      [4, 508, 1, 'm'],
      [PAGES_2M, 1, PAGES_2M, 'm'],
    ]);
    expect(scene.process.write(scene.at + 3 * KIB4, 1)).toBe('OK');
  });

  test('v2 splits one of 1 GiB into 511 of 2 MiB and 511 of 4 KiB', () => {
    const scene = hgmScene({ mode: WP_AND_MINOR, size: GIB1, count: 1 });
    scene.uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP);
    continuePages(scene, 0, 1);
    expect(shapeAndFlags(scene)).toEqual([
      [0, 1, 1, 'w'],
      [1, 511, 1, 'm'],
      [PAGES_2M, 511, PAGES_2M, 'm'],
    ]);
  });

  test('RFC v2 cannot split it: EEXIST, and it stays; the whole huge page replaces it', () => {
    const scene = hgmScene({ version: 'rfc-v2', mode: WP_AND_MINOR });
    scene.uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP);
    expect(continued(scene, 3, 1)).toEqual(['EEXIST', 'EEXIST']);
    expect(shapeAndFlags(scene)).toEqual([[0, 2, PAGES_2M, 'm']]);
    expect(continued(scene, 0, PAGES_2M)).toEqual(['OK', PAGES_2M]);
    expect(shapeAndFlags(scene)).toEqual([
      [0, 1, PAGES_2M, 'w'],
      [PAGES_2M, 1, PAGES_2M, 'm'],
    ]);
  });
});
