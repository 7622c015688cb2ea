/**
 * Faults that the series had as it was posted, each behind its HGM_POSTED_ bit, as the recorded kernels have them; and that by default it
 * is right.
 */
import { describe, expect, test } from 'vitest';
import {
  HGM_POSTED_COLLAPSE_LOOP,
  HGM_POSTED_COLLAPSE_NOT_COUNTED,
  HGM_POSTED_FOLLOW_PAGE,
  HGM_POSTED_FORK_TRY_GET,
  HGM_POSTED_GUP_UNITS,
  HGM_POSTED_MARKER_OVER_TABLE,
  HGM_POSTED_PAGEWALK_OVERRUN,
  HGM_POSTED_PARTIAL_COLLAPSE,
  HGM_POSTED_PROT_NONE_PUD,
  HGM_POSTED_SPLIT_LOSES_HGM,
  HGM_POSTED_SPLIT_UNSHARES_FIRST,
  HGM_POSTED_WP_BUG,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MADV_SPLIT,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  UFFD_FEATURE_EVENT_FORK,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
  VM_HUGETLB_HGM,
} from '../../../src/linux/index.ts';
import { forkOf, machineWith, mapShared } from '../support.ts';
import { actor, serve, together } from '../userfaultfd/stage.ts';
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
  shape,
  shapeAndFlags,
} from './support.ts';

const WP_AND_MINOR = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;

/** A scene that has a fault, and one that has not. */
function both(bit: number, parts: HgmParts = {}): [posted: HgmScene, right: HgmScene] {
  const at = (posted: number): HgmScene => hgmScene({ version: 'rfc-v2', ...parts, posted });
  return [at(bit), at(0)];
}

describe('populating by pages instead of bytes', () => {
  test('64 leaves of 2 MiB, of which 7 are there: the 8th is faulted in, and then it is over', () => {
    for (const posted of [HGM_POSTED_GUP_UNITS, 0]) {
      const scene = hgmScene({ version: 'rfc-v2', posted, count: 64, pages: 64, filled: 0, checks: false });
      ok(scene.file.fallocate(0, 64 * MIB2));
      continuePages(scene, 0, 7 * PAGES_2M);
      ok(scene.uffd.unregister(scene.at, scene.length));
      expect(scene.process.madvise(scene.at, scene.length, MADV_POPULATE_READ)).toBe('OK');
      expect(shape(scene)).toEqual([[0, posted ? 8 : 64, PAGES_2M]]);
    }
  });

  test('8192 pages, of which the first 4 KiB are mapped: the second, and then it is over', () => {
    const [posted, right] = both(HGM_POSTED_GUP_UNITS, { count: 64, pages: 64, filled: 1, checks: false });
    for (const scene of [posted, right]) {
      continuePages(scene, 0, 1);
      ok(scene.uffd.unregister(scene.at, scene.length));
      expect(scene.process.madvise(scene.at, 8192 * KIB4, MADV_POPULATE_READ)).toBe('OK');
    }
    expect(shape(posted)).toEqual([[0, 2, 1]]);
    expect(shape(right)).toEqual([
      [0, 512, 1],
      [PAGES_2M, 15, PAGES_2M],
    ]);
  });

  test('who wants the pages gets all of them either way', () => {
    for (const { process, uffd, at, length } of both(HGM_POSTED_GUP_UNITS)) {
      ok(uffd.unregister(at, length));
      const pages: number[] = [];
      expect(process.getUserPages(at, 1024, 0, pages)).toBe(1024);
      process.putPages(pages);
    }
  });
});

test('a write to a 4 KiB leaf that is read-only without wp: a BUG', () => {
  const results = both(HGM_POSTED_WP_BUG, { mode: WP_AND_MINOR, checks: false }).map((scene) => {
    continuePages(scene, 3, 2);
    ok(scene.process.mprotect(scene.at, MIB2, PROTS.r));
    ok(scene.process.mprotect(scene.at, MIB2, PROTS.rw));
    return scene.process.write(scene.at + 3 * KIB4, 1);
  });
  expect(results).toEqual(['BUG', 'OK']);
});

test('a machine that checks its counts has no more to say about them once something was left half done', () => {
  const [posted] = both(HGM_POSTED_WP_BUG, { mode: WP_AND_MINOR, checks: true });
  continuePages(posted, 3, 2);
  ok(posted.process.mprotect(posted.at, MIB2, PROTS.r));
  ok(posted.process.mprotect(posted.at, MIB2, PROTS.rw));
  const before = folioOf(posted.machine, 0).refcount;
  expect(posted.process.write(posted.at + 3 * KIB4, 1)).toBe('BUG');
  expect(folioOf(posted.machine, 0).refcount).toBe(before + 1);
  expect(posted.process.madvise(posted.at, MIB2, MADV_DONTNEED)).toBe('OK');
});

test('write protection of what is partly mapped puts one marker over the table, whose pages are lost', () => {
  const [posted, right] = both(HGM_POSTED_MARKER_OVER_TABLE, { mode: WP_AND_MINOR });
  for (const scene of [posted, right]) {
    continuePages(scene, 3, 2);
    ok(scene.uffd.writeprotect(scene.at, MIB2, UFFDIO_WRITEPROTECT_MODE_WP));
  }
  expect(shapeAndFlags(posted)).toEqual([[0, 1, PAGES_2M, 'm']]);
  expect(shapeAndFlags(right)).toEqual([
    [0, 3, 1, 'm'],
    [3, 2, 1, 'ru'],
    [5, 507, 1, 'm'],
  ]);
  /* As recorded: 2 pages stay counted, and in the end the huge page is not free. */
  expect(posted.process.read(posted.at + 3 * KIB4)).toBe('SIGBUS');
  ok(posted.process.madvise(posted.at, MIB2, MADV_DONTNEED));
  expect(shapeAndFlags(posted)).toEqual([[0, 1, PAGES_2M, 'm']]);
  expect(folioOf(posted.machine, 0).refcount).toBe(3);
  for (const { machine, process, file } of [posted, right]) {
    process.exit();
    file.close();
    expect(machine.hstate(MIB2).freeHugePages).toBe(machine === posted.machine ? 3 : 4);
  }
});

describe('a VMA that was cut off another has no HGM, over tables that have', () => {
  /* mprotect_fixup makes the part below the range a new VMA, and the part behind it; do_mas_align_munmap only the latter. */
  test.each([
    {
      name: 'mprotect of the middle',
      act: ({ process, at }: HgmScene) => process.mprotect(at + MIB2, MIB2, PROTS.r),
      below: 'HANG',
    },
    {
      name: 'munmap of the middle',
      act: ({ process, at }: HgmScene) => process.munmap(at + MIB2, MIB2),
      below: 'SIGBUS',
    },
  ])('$name: what is mapped is read by the processor, a fault behind it goes round for ever', ({ act, below }) => {
    const results = both(HGM_POSTED_SPLIT_LOSES_HGM, { count: 3, checks: false }).map((scene) => {
      for (const page of [3, 2 * PAGES_2M + 3]) continuePages(scene, page, 5);
      expect(act(scene)).toBe('OK');
      const { process, at } = scene;
      return [2 * PAGES_2M + 3, 2 * PAGES_2M, 0].map((page) => process.read(at + page * KIB4));
    });
    expect(results).toEqual([
      [byteOf(2 * PAGES_2M + 3), 'HANG', below],
      [byteOf(2 * PAGES_2M + 3), 'SIGBUS', 'SIGBUS'],
    ]);
  });

  test('and cannot be unmapped itself', () => {
    const results = both(HGM_POSTED_SPLIT_LOSES_HGM, { count: 3, checks: false }).map((scene) => {
      continuePages(scene, 3, 1);
      return scene.process.munmap(scene.at, MIB2);
    });
    expect(results).toEqual(['HANG', 'OK']);
  });

  test('mremap moves the pieces as they are, to a VMA without HGM: a fault there goes round for ever', () => {
    const results = both(HGM_POSTED_SPLIT_LOSES_HGM, { checks: false }).map((scene) => {
      continuePages(scene, 3, 1);
      const to = scene.at + 8 * GIB1;
      scene.process.mremap(scene.at, scene.length, scene.length, MREMAP_MAYMOVE | MREMAP_FIXED, to);
      expect(shape({ ...scene, at: to })).toEqual([[3, 1, 1]]);
      const hgm = scene.process.vmas.map(({ flags }) => (flags & VM_HUGETLB_HGM) !== 0);
      return [hgm, scene.process.read(to + 3 * KIB4), scene.process.read(to)];
    });
    expect(results).toEqual([
      [[false], byteOf(3), 'HANG'],
      [[true], byteOf(3), byteOf(0)],
    ]);
  });
});

test('mincore from inside a leaf answers for as much behind it, wherever the next leaf is', () => {
  const results = both(HGM_POSTED_PAGEWALK_OVERRUN, { count: 3, checks: false }).map((scene) => {
    continuePages(scene, 0, PAGES_2M);
    scene.uffd.continue(scene.at + PAGES_2M * KIB4, KIB4);
    const incore = scene.process.mincore(scene.at + 600 * KIB4 - MIB2, 510 * KIB4) as Uint8Array;
    return incore.reduce((sum, one) => sum + one, 0);
  });
  expect(results).toEqual([510, 424 + 1]);
});

test('a collapse does not count its leaf: usage is too small, and below 0 in the end', () => {
  for (const version of ['rfc-v2', 'v2'] as const) {
    const [posted, right] = both(HGM_POSTED_COLLAPSE_NOT_COUNTED, { version });
    for (const scene of [posted, right]) {
      continuePages(scene, 0, 511);
      ok(scene.process.madvise(scene.at, MIB2, MADV_COLLAPSE));
    }
    expect([posted, right].map(({ process }) => process.mm.hugetlbUsage)).toEqual([0, 512]);
    for (const { process, at, length } of [posted, right]) ok(process.munmap(at, length));
    expect([posted, right].map(({ process }) => process.mm.hugetlbUsage)).toEqual([-512, 0]);
  }
});

test('a collapse of 2 MiB of a 1 GiB page is a BUG', () => {
  for (const version of ['rfc-v2', 'v2'] as const) {
    const parts = { version, size: GIB1, count: 1, checks: false };
    const results = both(HGM_POSTED_PARTIAL_COLLAPSE, parts).map((scene) => {
      continuePages(scene, 0, 1);
      return scene.process.madvise(scene.at, MIB2, MADV_COLLAPSE);
    });
    expect(results).toEqual(['BUG', 'OK']);
  }
});

describe('a PROT_NONE leaf of 1 GiB', () => {
  test('goes back to what it was; as posted, who takes it for a table looks again for ever', () => {
    const results = both(HGM_POSTED_PROT_NONE_PUD, { size: GIB1, count: 1, checks: false }).map((scene) => {
      continuePages(scene, 0, PAGES_1G);
      ok(scene.process.mprotect(scene.at, GIB1, PROTS.none));
      return scene.process.mprotect(scene.at, GIB1, PROTS.rw);
    });
    expect(results).toEqual(['HANG', 'OK']);
  });

  test('is unmapped, also without HGM', () => {
    const results = both(HGM_POSTED_PROT_NONE_PUD, { size: GIB1, count: 1, mode: 0, checks: false }).map((scene) => {
      scene.process.read(scene.at);
      ok(scene.process.mprotect(scene.at, GIB1, PROTS.none));
      return scene.process.munmap(scene.at, GIB1);
    });
    expect(results).toEqual(['HANG', 'OK']);
  });

  test('has no room for pieces: CONTINUE and MADV_COLLAPSE of a part find that something is there', () => {
    for (const version of ['rfc-v2', 'v2'] as const) {
      for (const scene of both(HGM_POSTED_PROT_NONE_PUD, { version, size: GIB1, count: 1 })) {
        const { process, uffd, at } = scene;
        continuePages(scene, 0, PAGES_1G);
        ok(process.mprotect(at, GIB1, PROTS.none));
        for (const pages of [1, PAGES_2M, PAGES_1G])
          expect(uffd.continue(at, pages * KIB4)).toMatchObject({ result: 'EEXIST' });
        expect(process.madvise(at, MIB2, MADV_COLLAPSE)).toBe('EEXIST');
        expect(shapeAndFlags(scene)).toEqual([[0, 1, PAGES_1G, 'nr']]);
      }
    }
  });

  test('of 2 MiB and 4 KiB make no trouble, as posted', () => {
    const scene = hgmScene({ posted: HGM_POSTED_PROT_NONE_PUD, size: GIB1, count: 1, checks: false });
    continuePages(scene, 0, PAGES_2M + 1);
    ok(scene.process.mprotect(scene.at, GIB1, PROTS.none));
    ok(scene.process.mprotect(scene.at, GIB1, PROTS.rw));
    expect(shapeAndFlags(scene)).toEqual([
      [0, 1, PAGES_2M, 'w'],
      [PAGES_2M, 1, 1, 'w'],
    ]);
  });
});

describe("v2's loop over VMAs in MADV_COLLAPSE", () => {
  test('goes on after an error: to the next VMA, until there is none: EEXIST becomes EINVAL', () => {
    const results = both(HGM_POSTED_COLLAPSE_LOOP, { version: 'v2', count: 2 }).map((scene) => {
      continuePages(scene, 0, PAGES_2M);
      return scene.process.madvise(scene.at, KIB4, MADV_COLLAPSE);
    });
    expect(results).toEqual(['EINVAL', 'EEXIST']);
  });

  test('an error is lost where the next VMA makes none', () => {
    const results = both(HGM_POSTED_COLLAPSE_LOOP, { version: 'v2', count: 2 }).map((scene) => {
      continuePages(scene, 0, PAGES_2M);
      ok(scene.process.mprotect(scene.at + MIB2, MIB2, PROTS.r));
      return scene.process.madvise(scene.at, KIB4, MADV_COLLAPSE);
    });
    expect(results).toEqual(['OK', 'EEXIST']);
  });
});

test('follow_page adds the offset in the huge page to a small leaf: another page, or beyond the huge page', () => {
  const [posted, right] = both(HGM_POSTED_FOLLOW_PAGE, { version: 'v2' });
  for (const scene of [posted, right]) continuePages(scene, 300, 1);
  const frames = [posted, right].map(({ machine, process, at }) => {
    return process.followPage(at + 300 * KIB4, 0)! - folioOf(machine, 0).pfn;
  });
  expect(frames).toEqual([600, 300]);
});

test('MADV_SPLIT gives up shared tables before it finds out that the range is no good', () => {
  const shared = [HGM_POSTED_SPLIT_UNSHARES_FIRST, 0].map((posted) => {
    const machine = machineWith({ pages: 600, hgm: { posted } });
    const one = machine.createProcess();
    const at = mapShared(one, 512, { file: machine.memfdCreate(), address: 2 ** 40 });
    one.write(at, 1);
    const two = forkOf(one);
    two.read(at);
    expect(two.madvise(at, MIB2 + KIB4, MADV_SPLIT)).toBe('EINVAL');
    return [...two.mappedPages()].length;
  });
  expect(shared).toEqual([0, 1]);
});

test('a lock that a fork has leaked is waited for at entries that are empty, too', () => {
  const version = 'v2';
  const scene = hgmScene({
    posted: HGM_POSTED_FORK_TRY_GET,
    version,
    mode: WP_AND_MINOR,
    features: UFFD_FEATURE_EVENT_FORK,
  });
  continuePages(scene, 3, 1);
  expect(scene.process.fork()).toBe('HANG');
});

test('a fork that copies a leaf keeps page-table locks, which the end of the child waits for', () => {
  const results = both(HGM_POSTED_FORK_TRY_GET, {
    version: 'v2',
    mode: WP_AND_MINOR,
    features: UFFD_FEATURE_EVENT_FORK,
    checks: false,
  }).map((scene) => {
    continuePages(scene, 3, 1);
    const [forker, reader] = [scene.process.thread(), scene.process.thread()];
    try {
      const [child] = together([actor(forker, forker.fork()), actor(reader, serve(reader, scene.uffd, 1))]);
      return typeof child === 'string' ? child : 'a child';
    } catch (error) {
      return (error as Error).name;
    }
  });
  expect(results[0]).not.toBe('a child');
  expect(results[1]).toBe('a child');
});
