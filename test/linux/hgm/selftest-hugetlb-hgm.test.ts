/**
 * tools/testing/selftests/mm/hugetlb-hgm.c of the HGM series (v2, patch 44), told anew: two huge pages, of which halves of what is left are
 * mapped, so that every size of leaf there is gets used, up to the last 4 KiB, which stays unmapped. RFC v2 turns HGM on by the feature.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_COLLAPSE,
  type Process,
  UFFD_EVENT_FORK,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { actor, pagemap, serve, together } from '../userfaultfd/stage.ts';
import {
  byteOf,
  continuePages,
  filledPages,
  GIB1,
  type HgmParts,
  type HgmScene,
  hgmScene,
  KIB4,
  MIB2,
  PAGES_1G,
  PAGES_2M,
  type Run,
  recount,
  runs,
  shape,
  shapeAndFlags,
} from './support.ts';

const ROWS = (['rfc-v2', 'v2'] as const).flatMap((version) => [
  { version, name: '2 MiB', size: MIB2 },
  { version, name: '1 GiB', size: GIB1 },
]);
const FEATURES = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_EVENT_FORK;

/** All but the last 4 KiB, mapped half by half. Contents everywhere but there. */
function mapped(parts: HgmParts, before?: (scene: HgmScene) => void): HgmScene {
  const scene = hgmScene({ ...parts, checks: parts.size === MIB2, features: FEATURES });
  const pages = scene.length / KIB4;
  const last = scene.process.mmap({ address: 2 ** 42, length: scene.length, prot: 3, flags: 1, file: scene.file });
  if (typeof last === 'string') throw new Error(last);
  scene.process.write(last + (pages - 1) * KIB4, 0);
  scene.process.munmap(last, scene.length);
  before?.(scene);
  let page = 0;
  for (let half = pages / 2; half >= 1; half /= 2) {
    continuePages(scene, page, half);
    page += half;
  }
  return scene;
}

/** 4 KiB pages of both huge pages that have contents, but for the very last one. */
function writtenPages({ size, length }: HgmScene): number[] {
  return [0, size / KIB4]
    .flatMap((first) => filledPages(size).map((page) => first + page))
    .filter((page) => page !== length / KIB4 - 1);
}

function expectContents(process: Process, scene: HgmScene): void {
  const written = writtenPages(scene);
  expect(written.map((page) => process.read(scene.at + page * KIB4))).toEqual(written.map(byteOf));
}

/** What `mapped` maps. */
function halves(size: number): [number, number, number][] {
  if (size === MIB2) {
    return [
      [0, 1, PAGES_2M],
      [PAGES_2M, 511, 1],
    ];
  }
  return [
    [0, 1, PAGES_1G],
    [PAGES_1G, 511, PAGES_2M],
    [2 * PAGES_1G - PAGES_2M, 511, 1],
  ];
}

describe.each(ROWS)('$version, $name pages', ({ version, size }) => {
  test('contents are seen through leaves of every size, and nothing behind them', () => {
    const scene = mapped({ version, size });
    expect(shape(scene)).toEqual(halves(size));
    expectContents(scene.process, scene);
    expect(scene.process.read(scene.at + scene.length - 1)).toBe('SIGBUS');
    expect(scene.process.write(scene.at + scene.length - KIB4, 1)).toBe('SIGBUS');
    recount(scene.machine);
  });

  test('a fork with EVENT_FORK and write protection copies the tables exactly', () => {
    const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;
    const scene = mapped({ version, size, mode });
    const { process, uffd, machine, at, length } = scene;
    const [forker, reader] = [process.thread(), process.thread()];
    const [forked, messages] = together([actor(forker, forker.fork()), actor(reader, serve(reader, uffd, 1))]);
    const child = forked as Process;
    expect((messages as { event: number }[])[0]!.event).toBe(UFFD_EVENT_FORK);
    expect(runs(child, at, length)).toEqual(shapeAndFlags(scene));
    expect(child.mm.hugetlbUsage).toBe(process.mm.hugetlbUsage);
    expectContents(child, scene);
    for (const either of [process, child]) expect(either.read(at + length - 1)).toBe('SIGBUS');
    recount(machine);
    child.exit();
    recount(machine);
  });

  test('MADV_COLLAPSE maps two whole huge pages: contents stay, the last 4 KiB are there, with zeros', () => {
    const scene = mapped({ version, size });
    expect(scene.process.write(scene.at + scene.length - KIB4, 1)).toBe('SIGBUS');
    expect(scene.process.madvise(scene.at, scene.length, MADV_COLLAPSE)).toBe('OK');
    expect(shape(scene)).toEqual([[0, 2, size / KIB4]]);
    expectContents(scene.process, scene);
    expect(scene.process.read(scene.at + scene.length - KIB4)).toBe(0);
    expect(scene.process.write(scene.at + scene.length - KIB4, 7)).toBe('OK');
    recount(scene.machine);
  });

  test('MADV_COLLAPSE in parent and child after a fork', () => {
    const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;
    const scene = mapped({ version, size, mode });
    const { process, uffd, machine, at, length } = scene;
    const [forker, reader] = [process.thread(), process.thread()];
    const [forked] = together([actor(forker, forker.fork()), actor(reader, serve(reader, uffd, 1))]);
    const child = forked as Process;
    expect(child.madvise(at, length, MADV_COLLAPSE)).toBe('OK');
    expect(shape(scene)).toEqual(halves(size));
    expect(process.madvise(at, length, MADV_COLLAPSE)).toBe('OK');
    expect(runs(child, at, length)).toEqual(runs(process, at, length));
    child.write(at, 99);
    expect(process.read(at)).toBe(99);
    recount(machine);
  });

  test('in the end everything is free', () => {
    const { machine, process, file } = mapped({ version, size });
    process.exit();
    file.close();
    expect(machine.hstate(size).freeHugePages).toBe(machine.hstate(size).nrHugePages);
    expect(machine.tables.count).toBe(0);
  });
});

describe.each(ROWS.filter(({ version }) => version === 'v2'))('write protection before it, $name pages', (row) => {
  const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;
  const protect = ({ uffd, at, length }: HgmScene): unknown =>
    uffd.writeprotect(at, length, UFFDIO_WRITEPROTECT_MODE_WP);

  test('what is continued is not protected any more; the last 4 KiB, of a marker that was split, are', () => {
    const scene = mapped({ ...row, mode }, protect);
    const { process, at, length } = scene;
    const last = at + length - KIB4;
    expect(pagemap(process, last)).toBe('none wp');
    expect(pagemap(process, last - KIB4)).toBe('present');
    expect(pagemap(process, at)).toBe('present');
    const expected: Run[] = halves(row.size).map(([page, count, size]) => [page, count, size, 'w']);
    expect(shapeAndFlags(scene)).toEqual([...expected, [length / KIB4 - 1, 1, 1, 'm']]);
  });

  test('the fork copies the markers, too; a collapse loses them', () => {
    const scene = mapped({ ...row, mode }, protect);
    const { process, uffd, machine, at, length } = scene;
    const [forker, reader] = [process.thread(), process.thread()];
    const [forked] = together([actor(forker, forker.fork()), actor(reader, serve(reader, uffd, 1))]);
    const child = forked as Process;
    expect(runs(child, at, length)).toEqual(shapeAndFlags(scene));
    expect(process.madvise(at, length, MADV_COLLAPSE)).toBe('OK');
    expect(shapeAndFlags(scene)).toEqual([[0, 2, row.size / KIB4, 'w']]);
    expect(process.write(at + length - 1, 1)).toBe('OK');
    expect(pagemap(child, at + length - KIB4)).toBe('none wp');
    recount(machine);
  });
});
