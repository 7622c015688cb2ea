/**
 * What a call on a mapping with high-granularity mapping leaves behind that failed. The HGM series, RFC v2: hugetlb_hgm_walk,
 * __mcopy_atomic_hugetlb, userfaultfd_register, hugetlb_collapse; v2: hugetlb_alloc_pmd, hugetlb_alloc_pte, hugetlb_split_pte_markers,
 * move_hugetlb_page_tables.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_SPLIT,
  MAP_FIXED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  type Process,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
  type UserfaultFile,
  VM_UFFD_MINOR,
} from '../../../src/linux/index.ts';
import { entries, frameAt } from '../memory-failure/support.ts';
import { machineWith, mapPrivate, mapShared } from '../support.ts';
import { actor, serve, together } from '../userfaultfd/stage.ts';
import {
  continuePages,
  GIB1,
  type HgmScene,
  hgmFeature,
  hgmScene,
  KIB4,
  leafSize,
  MIB2,
  ok,
  PAGES_2M,
  recount,
  shape,
  shapeAndFlags,
  VERSIONS,
} from './support.ts';

const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED;

describe("RFC v2: UFFDIO_CONTINUE in a fork's child, which has the feature, but not HGM", () => {
  /** The child of a process with two huge pages of a file, and the child's userfaultfd. */
  function forked(): { readonly scene: HgmScene; readonly child: Process; readonly uffd: UserfaultFile } {
    const features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_EVENT_FORK;
    const scene = hgmScene({ version: 'rfc-v2', count: 3, features });
    const { process } = scene;
    const [forker, reader] = [process.thread(), process.thread()];
    const [child, messages] = together([actor(forker, forker.fork()), actor(reader, serve(reader, scene.uffd, 1))]);
    return { scene, child: child as Process, uffd: (messages as { ufd: UserfaultFile }[])[0]!.ufd };
  }

  test('4 KiB: EINVAL, of the walk, which has made the table for huge pages; mincore sees it', () => {
    const { scene, child, uffd } = forked();
    const look = () => child.mincore(scene.at, 4 * KIB4);
    expect(look()).toEqual(new Uint8Array([1, 1, 1, 0]));
    expect(uffd.continue(scene.at + 987 * KIB4, KIB4)).toEqual({ result: 'EINVAL', done: 'EINVAL' });
    expect(look()).toEqual(new Uint8Array(4));
    recount(scene.machine);
  });

  test('whole huge pages up to 4 KiB of the next: EAGAIN, with the whole ones', () => {
    const { scene, child, uffd } = forked();
    expect(uffd.continue(scene.at, 2 * MIB2 + KIB4)).toEqual({ result: 'EAGAIN', done: 2 * MIB2 });
    expect(shape({ ...scene, process: child })).toEqual([[0, 2, PAGES_2M]]);
  });

  test('between 4 KiB pages: EINVAL, before anything is made', () => {
    const { scene, child, uffd } = forked();
    expect(uffd.continue(scene.at + 1, KIB4).result).toBe('EINVAL');
    expect(child.mincore(scene.at, KIB4)).toEqual(new Uint8Array([1]));
  });
});

test('RFC v2: what UFFDIO_REGISTER came to before a mapping that cannot have HGM stays registered, and the cut in that one stays', () => {
  const machine = machineWith({ pages: 6, hgm: { version: 'rfc-v2' } });
  const process = machine.createProcess();
  const at = mapShared(process, 2, { address: 2 ** 40, flags: MAP_FIXED });
  mapPrivate(process, 2, { address: at + 2 * MIB2, flags: MAP_FIXED });
  const uffd = process.userfaultfd();
  ok(uffd.api(hgmFeature('rfc-v2')).result);
  expect(uffd.register(at, 3 * MIB2, UFFDIO_REGISTER_MODE_MINOR).result).toBe('EINVAL');
  const seen = process.vmas.map(({ start, flags }) => [(start - at) / MIB2, (flags & VM_UFFD_MINOR) !== 0]);
  expect(seen).toEqual([
    [0, true],
    [2, false],
    [3, false],
  ]);
});

test('v2: a marker that was split for a UFFDIO_CONTINUE stays split when the file has no page: EFAULT', () => {
  const mode = UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR;
  const scene = hgmScene({ mode, filled: 0 });
  ok(scene.uffd.writeprotect(scene.at, MIB2, UFFDIO_WRITEPROTECT_MODE_WP));
  expect(shapeAndFlags(scene)).toEqual([[0, 1, PAGES_2M, 'm']]);
  expect(scene.uffd.continue(scene.at + 3 * KIB4, KIB4).result).toBe('EFAULT');
  expect(shapeAndFlags(scene)).toEqual([[0, PAGES_2M, 1, 'm']]);
});

describe.each(VERSIONS)('$version: memory for tables is used up', ({ version }) => {
  /** A process with `count` mapped huge pages of 1 GiB, and so many tables. */
  function scarce(tables: number, count: number): HgmScene {
    const size = GIB1;
    const machine = machineWith({ size, pages: count, hgm: { version }, tables: tables * KIB4 });
    const process = machine.createProcess();
    const file = machine.memfdCreate({ hugePageSize: size });
    const at = mapShared(process, count, { size, file, address: 2 ** 40, flags: MAP_FIXED });
    for (let page = 0; page < count; page++) ok(process.write(at + page * size, 1 + page));
    ok(process.madvise(at, count * size, MADV_DONTNEED));
    if (version === 'v2') ok(process.madvise(at, count * size, MADV_SPLIT));
    const uffd = process.userfaultfd();
    ok(uffd.api(UFFD_FEATURE_SIGBUS | hgmFeature(version)).result);
    ok(uffd.register(at, count * size, UFFDIO_REGISTER_MODE_MINOR).result);
    return { machine, process, file, uffd, size, at, length: count * size };
  }

  test('UFFDIO_CONTINUE of 4 KiB of 1 GiB: ENOMEM; the table of 2 MiB entries that there was memory for stays', () => {
    /* A page that is never used, the root, one table of 1 GiB entries, one of 2 MiB. */
    const scene = scarce(4, 1);
    expect(scene.uffd.continue(scene.at, KIB4).result).toBe('ENOMEM');
    expect([leafSize(scene, 0), scene.machine.tables.count]).toEqual([PAGES_2M, 3]);
    expect(scene.uffd.continue(scene.at, GIB1).result).toBe('EEXIST');
    expect(scene.uffd.continue(scene.at, MIB2).result).toBe('OK');
  });

  test('mremap: ENOMEM, and every piece is back in its place', () => {
    /* At the new place, one table for each of two huge pages is wanted, and one is left. */
    const scene = scarce(6, 2);
    const { process, at, length } = scene;
    continuePages(scene, 0, PAGES_2M);
    continuePages(scene, 2 ** 18 + PAGES_2M, PAGES_2M);
    const before = shape(scene);
    expect(process.mremap(at, length, length, MOVE, at + 8 * GIB1)).toBe('ENOMEM');
    expect(shape(scene)).toEqual(before);
    expect(shape({ ...scene, at: at + 8 * GIB1 })).toEqual([]);
    expect([scene.machine.tables.count, process.read(at)]).toEqual([4, 1]);
    recount(scene.machine);
  });
});

describe('RFC v2: MADV_COLLAPSE over bad memory', () => {
  /** Two huge pages in pieces, one of which is bad. */
  function bad(page: number): HgmScene {
    const scene = hgmScene({ version: 'rfc-v2' });
    for (const first of [0, PAGES_2M]) continuePages(scene, first, 3);
    expect(scene.machine.memoryFailure(frameAt(scene.process, scene.at + page * MIB2))).toBe('OK');
    return scene;
  }
  const BAD = [3, 1, 'bad'];
  const COLLAPSED = [1, PAGES_2M, 'mapped'];

  test('is EHWPOISON where the last huge page is bad; the others are collapsed', () => {
    const { process, at, length } = bad(1);
    expect(process.madvise(at, length, MADV_COLLAPSE)).toBe('EHWPOISON');
    expect(entries(process, at, length)).toEqual([COLLAPSED, BAD]);
  });

  test('is OK where a good one is behind it, which the loop looks at after it', () => {
    const { process, at, length } = bad(0);
    expect(process.madvise(at, length, MADV_COLLAPSE)).toBe('OK');
    expect(entries(process, at, length)).toEqual([BAD, COLLAPSED]);
  });
});
