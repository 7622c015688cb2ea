/**
 * Threads that meet in the same pieces: at every lock another one may come in between. Whatever the order, all come to an end, every count agrees
 * with the page tables, and nobody reads what was never written.
 */
import { describe, expect, test } from 'vitest';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FOLL_WRITE,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  type Path,
  type Syscalls,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { actor, seeded, together } from '../userfaultfd/stage.ts';
import {
  byteOf,
  continuePages,
  GIB1,
  type HgmScene,
  hgmScene,
  KIB4,
  ok,
  PAGES_2M,
  PROTS,
  recount,
  VERSIONS,
} from './support.ts';

type Act = (thread: Syscalls, scene: HgmScene) => Path<unknown>;

const HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const MOVED = 16 * GIB1;

/** What a thread may do with the first huge page, of which the first two 4 KiB pages are mapped. */
const ACTS: Readonly<Record<string, Act>> = {
  'reads a hole': (thread, { at }) => thread.read(at + 5 * KIB4),
  'writes a leaf': (thread, { at }) => thread.write(at + KIB4, byteOf(1)),
  'writes a hole': (thread, { at }) => thread.write(at + 5 * KIB4, byteOf(5)),
  'continues 4 KiB': (thread, { at, uffd }) =>
    thread.uffdFill(uffd, at + 5 * KIB4, KIB4, { kind: 'continue', mode: 0 }),
  'continues more': (thread, { at, uffd }) =>
    thread.uffdFill(uffd, at + 2 * KIB4, 6 * KIB4, { kind: 'continue', mode: 0 }),
  'continues all': (thread, { at, uffd, size }) => thread.uffdFill(uffd, at, size, { kind: 'continue', mode: 0 }),
  collapses: (thread, { at, size }) => thread.madvise(at, size, MADV_COLLAPSE),
  'empties it': (thread, { at, size }) => thread.madvise(at, size, MADV_DONTNEED),
  'unmaps it': (thread, { at, size }) => thread.munmap(at, size),
  'moves it': (thread, { at, size }) => thread.mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at + MOVED),
  'punches a hole': (thread, { file, size }) => thread.fallocate(file, 0, size, HOLE),
  truncates: (thread, { file }) => thread.ftruncate(file, 0),
  protects: (thread, { at, size }) => thread.mprotect(at, size, PROTS.r),
  'write-protects': (thread, { at, uffd, size }) =>
    thread.uffdWriteprotect(uffd, at, size, UFFDIO_WRITEPROTECT_MODE_WP),
  resolves: (thread, { at, uffd, size }) => thread.uffdWriteprotect(uffd, at, size, 0),
  populates: (thread, { at }) => thread.madvise(at, 8 * KIB4, MADV_POPULATE_READ),
  *'takes pages'(thread, { at }) {
    const pages: number[] = [];
    const got = yield* thread.getUserPages(at, 8, 0, pages);
    if (typeof got === 'number') yield* thread.putPages(pages, got);
    return got;
  },
  *'pins pages'(thread, { at }) {
    const pages: number[] = [];
    const got = yield* thread.pinUserPagesFast(at, 8, FOLL_WRITE, pages);
    if (typeof got === 'number') yield* thread.unpinUserPages(pages, got);
    return got;
  },
  'follows a page': (thread, { at }) => thread.followPage(at + KIB4, 0),
  *forks(thread) {
    const child = yield* thread.fork();
    return typeof child === 'string' ? child : 'a child';
  },
  'looks at it': (thread, { at }) => thread.mincore(at, 8 * KIB4),
};
const NAMES = Object.keys(ACTS);

/**
 * Who goes on, the same for the same seed: now one step each, now hundreds of one. Who goes over a table takes a lock for each of its 512 entries,
 * so that turns of one step would never let another thread do all its work in between.
 */
function inBursts(seed: number): (count: number) => number {
  const next = seeded(seed);
  let left = 0;
  let who = 0;
  return (count) => {
    if (left-- <= 0) {
      who = next(4);
      left = next(2 ** next(11));
    }
    return who % count;
  };
}

/** A scene whose first pieces are mapped; with minor faults armed, or not. */
function start(version: 'rfc-v2' | 'v2', mode: number, size = 2 ** 21): HgmScene {
  const scene = hgmScene({ version, mode, size, count: 1, checks: false });
  continuePages(scene, 0, 2);
  return scene;
}

/** That all is well when everybody is done. */
function settled(scene: HgmScene, results: readonly unknown[]): void {
  const { machine, process, file, at } = scene;
  for (const result of results) expect(['HANG', 'BUG']).not.toContain(result);
  machine.check();
  recount(machine);
  for (const place of [at, at + MOVED]) {
    for (const page of [0, 1, 5, 300]) {
      const value = process.read(place + page * KIB4);
      if (typeof value === 'number') expect([0, byteOf(page)]).toContain(value);
    }
  }
  for (const one of [...machine.processes]) one.exit();
  file.close();
  expect([machine.tables.count, machine.hstate(scene.size).freeHugePages]).toEqual([0, 3]);
}

const WP_AND_MINOR = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;

describe.each(VERSIONS)('$version', ({ version }) => {
  const which = version as 'rfc-v2' | 'v2';
  const central = ['collapses', 'continues 4 KiB', 'empties it'];
  const pairs = central.flatMap((one, index) =>
    NAMES.filter((other) => central.indexOf(other) < 0 || central.indexOf(other) >= index).map((other) => ({
      one,
      other,
    })),
  );

  test.each(pairs)('one $one, another $other', ({ one, other }) => {
    for (let seed = 0; seed < 4; seed++) {
      const scene = start(which, seed % 2 ? WP_AND_MINOR : UFFDIO_REGISTER_MODE_WP);
      const actors = [one, other].map((name) => {
        const thread = scene.process.thread();
        return actor(thread, ACTS[name]!(thread, scene));
      });
      settled(scene, together(actors, inBursts(seed)));
    }
  });

  test('four threads in random order', () => {
    const pick = seeded(11);
    for (let round = 0; round < 40; round++) {
      const mode = round % 2 ? WP_AND_MINOR : UFFDIO_REGISTER_MODE_WP;
      const scene = start(which, mode);
      const actors = Array.from({ length: 4 }, () => {
        const thread = scene.process.thread();
        return actor(thread, ACTS[NAMES[pick(NAMES.length)]!]!(thread, scene));
      });
      settled(scene, together(actors, inBursts(round)));
    }
  });

  test('four threads in a 1 GiB page, whose tables are two levels deep', () => {
    const pick = seeded(13);
    for (let round = 0; round < 6; round++) {
      const scene = start(which, round % 2 ? WP_AND_MINOR : UFFDIO_REGISTER_MODE_WP, GIB1);
      continuePages(scene, 3 * PAGES_2M, PAGES_2M);
      const actors = Array.from({ length: 4 }, () => {
        const thread = scene.process.thread();
        return actor(thread, ACTS[NAMES[pick(NAMES.length)]!]!(thread, scene));
      });
      settled(scene, together(actors, inBursts(round)));
    }
  });

  test('a collapse and a truncation, which take the VMA lock and the page lock in different orders, do not wait for each other', () => {
    for (const shrink of ['punches a hole', 'truncates']) {
      for (let steps = 0; steps < 12; steps++) {
        const scene = start(which, UFFDIO_REGISTER_MODE_WP);
        const [collapser, other] = [scene.process.thread(), scene.process.thread()];
        const actors = [actor(collapser, ACTS.collapses!(collapser, scene)), actor(other, ACTS[shrink]!(other, scene))];
        /* Some steps of the collapse; then the truncation, as far as it comes. */
        let turn = 0;
        const results = together(actors, (count) => (turn++ < steps ? 0 : count - 1));
        expect(results).toEqual(['OK', 'OK']);
        settled(scene, results);
      }
    }
  });

  test('a collapse waits for the walk that is under way, and no walk meets a table that went', () => {
    /* RFC v2: the VMA lock; v2: mmap_lock, too. */
    for (let seed = 0; seed < 15; seed++) {
      const scene = start(which, UFFDIO_REGISTER_MODE_WP);
      const [reader, collapser] = [scene.process.thread(), scene.process.thread()];
      function* readAll(): Path<unknown[]> {
        const values: unknown[] = [];
        for (let page = 0; page < 4; page++) values.push(yield* reader.read(scene.at + page * KIB4));
        return values;
      }
      const actors = [actor(reader, readAll()), actor(collapser, ACTS.collapses!(collapser, scene))];
      const [values, collapsed] = together(actors, inBursts(seed));
      expect(values).toEqual([0, 1, 2, 3].map(byteOf));
      expect(collapsed).toBe('OK');
      ok(scene.process.madvise(scene.at, scene.size, MADV_COLLAPSE));
      settled(scene, []);
    }
  });
});
