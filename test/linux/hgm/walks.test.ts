/**
 * Walks through finer tables. mm/hugetlb.c of the HGM series, v2: hugetlb_full_walk_alloc, hugetlb_hgm_walk, hugetlb_alloc_largest_pte,
 * for_each_hgm_shift, hugetlb_pte_present_leaf.
 */
import { describe, expect, test } from 'vitest';
import { Lock, LockRank } from '../../../src/linux/base/lock.ts';
import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_SPLIT,
  MAP_SHARED,
  type Path,
  Pte,
  run,
  type Task,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
  type Vma,
  type Work,
} from '../../../src/linux/index.ts';
import { hgmSizes } from '../../../src/linux/mm/hgm-enabled.ts';
import { HugetlbPte } from '../../../src/linux/mm/hugetlb-pte.ts';
import { hugetlbAllocLargestPte, hugetlbFullWalkAlloc } from '../../../src/linux/page-tables/hgm-walk.ts';
import { hugetlbFullWalk } from '../../../src/linux/page-tables/page-table.ts';
import { atEveryStep, machineWith, traced, work } from '../support.ts';
import {
  continuePages,
  GIB1,
  type HgmScene,
  hgmFeature,
  hgmScene,
  KIB4,
  MIB2,
  ok,
  PAGES_2M,
  RW,
  recount,
  shape,
  VERSIONS,
} from './support.ts';

/** A walk as a fault would do it: with the VMA lock. */
function* underVmaLock<T>(vma: Vma, task: Task, walk: () => Path<T>): Path<T> {
  yield* vma.hugetlbLock!.read(task);
  const result = yield* walk();
  vma.hugetlbLock!.unlock(task);
  return result;
}

/** Runs one in a scene's VMA. */
function walked<T>({ process }: HgmScene, walk: (task: Task) => Path<T>): T {
  const { task } = process.thread();
  return run(underVmaLock(process.vmas[0]!, task, () => walk(task)));
}

/** Where a walk to `size` bytes at a 4 KiB page ends: 4 KiB pages of the entry, or the error. */
function reached(scene: HgmScene, page: number, size: number): number | string {
  const [vma] = scene.process.vmas;
  const hpte = walked(scene, (task) => hugetlbFullWalkAlloc(task, vma!, scene.at + page * KIB4, size));
  return typeof hpte === 'string' ? hpte : hpte.pages;
}

function largest(scene: HgmScene, from: number, to: number): number | string {
  const [vma] = scene.process.vmas;
  const walk = hugetlbAllocLargestPte;
  const hpte = walked(scene, (task) => walk(task, vma!, scene.at + from * KIB4, scene.at + to * KIB4));
  return typeof hpte === 'string' ? hpte : hpte.pages;
}

test('sizes of leaves: those of the pools up to the own, and 4 KiB, the largest first', () => {
  expect(hgmSizes(hgmScene().process.vmas[0]!)).toEqual([MIB2, KIB4]);
  expect(hgmSizes(hgmScene({ size: GIB1, count: 1 }).process.vmas[0]!)).toEqual([GIB1, MIB2, KIB4]);
});

describe('what is a leaf', () => {
  const lock = new Lock('some lock', LockRank.pageTable);
  const place = (shift: number): HugetlbPte => new HugetlbPte(0x1000, shift, lock);
  const pte = (value: bigint): Pte => Pte.from(value);

  test('a present entry of 4 KiB, and a larger one with PS; without PS it is a table', () => {
    expect(place(12).isPresentLeaf(pte(0x20_0007n))).toBe(true);
    expect(place(21).isPresentLeaf(pte(0x20_0087n))).toBe(true);
    expect(place(30).isPresentLeaf(pte(0x4000_0087n))).toBe(true);
    expect(place(21).isPresentLeaf(pte(0x20_0067n))).toBe(false);
    expect(place(30).isPresentLeaf(pte(0x20_0067n))).toBe(false);
  });

  test('PROT_NONE is one, of any size; what is not present is none', () => {
    expect(place(12).isPresentLeaf(pte(0x20_0100n))).toBe(true);
    expect(place(21).isPresentLeaf(pte(0x20_0180n))).toBe(true);
    expect(place(30).isPresentLeaf(pte(0x4000_0180n))).toBe(true);
    for (const shift of [12, 21, 30]) expect(place(shift).isPresentLeaf(pte(0xf7ff_ffff_ffff_fc00n))).toBe(false);
  });
});

describe.each(VERSIONS)('$version', ({ version }) => {
  test('a walk makes tables down to its target, and no further', () => {
    const scene = hgmScene({ version, size: GIB1, count: 1 });
    const { tables } = scene.machine;
    expect(reached(scene, 0, GIB1)).toBe(GIB1 / KIB4);
    const { count } = tables;
    expect(reached(scene, 3, MIB2)).toBe(PAGES_2M);
    expect(tables.count).toBe(count + 1);
    expect(reached(scene, 3, KIB4)).toBe(1);
    expect(tables.count).toBe(count + 2);
    expect(shape(scene)).toEqual([]);
  });

  test('with size 0 it makes no finer tables, and ends where those that are there end', () => {
    const scene = hgmScene({ version });
    expect(reached(scene, 3, 0)).toBe(PAGES_2M);
    continuePages(scene, 9, 1);
    expect(reached(scene, 3, 0)).toBe(1);
    expect(reached(scene, PAGES_2M + 3, 0)).toBe(PAGES_2M);
  });

  test('it ends at its size also where a table is there', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 9, 1);
    expect(reached(scene, 0, MIB2)).toBe(PAGES_2M);
  });

  test('it ends at a leaf on the way', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 0, PAGES_2M);
    expect(reached(scene, 3, KIB4)).toBe(PAGES_2M);
  });

  test('a marker on the way: v2 splits it, RFC v2 fails', () => {
    const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;
    const scene = hgmScene({ version, mode });
    ok(scene.uffd.writeprotect(scene.at, MIB2, UFFDIO_WRITEPROTECT_MODE_WP));
    expect(reached(scene, 3, KIB4)).toBe(version === 'v2' ? 1 : 'EEXIST');
    expect(shape(scene)).toEqual(version === 'v2' ? [[0, 512, 1]] : [[0, 1, PAGES_2M]]);
  });

  test('all markers are in the new table before it can be seen', () => {
    if (version !== 'v2') return;
    const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;
    const scene = hgmScene({ version, mode });
    ok(scene.uffd.writeprotect(scene.at, MIB2, UFFDIO_WRITEPROTECT_MODE_WP));
    const { tables } = scene.machine;
    const writes: number[] = [];
    const write = tables.write.bind(tables);
    tables.write = (at, pte) => {
      writes.push(at);
      write(at, pte);
    };
    reached(scene, 3, KIB4);
    const top = hugetlbFullWalk(scene.process.vmas[0]!, scene.at)!;
    expect(writes).toHaveLength(513);
    expect(writes.slice(0, 512)).not.toContain(writes[512]);
    expect(Math.floor(writes[0]! / 4096)).toBe(Math.floor(top.ptep / 4096));
  });

  test('the largest leaf begins at the start, and ends at or before the end; never where a larger one is', () => {
    const scene = hgmScene({ version, size: GIB1, count: 1 });
    expect(largest(scene, 0, 4 * PAGES_2M)).toBe(PAGES_2M);
    expect(largest(scene, PAGES_2M, 2 * PAGES_2M - 1)).toBe(1);
    expect(largest(scene, 2 * PAGES_2M, GIB1 / KIB4)).toBe(PAGES_2M);
    expect(largest(scene, 1, GIB1 / KIB4)).toBe(1);
    continuePages(scene, 3 * PAGES_2M, PAGES_2M);
    expect(largest(scene, 3 * PAGES_2M, 3 * PAGES_2M + 1)).toBe('EEXIST');
  });

  test('no memory for a table: UFFDIO_CONTINUE and MADV_COLLAPSE fail with ENOMEM, and nothing has changed', () => {
    const hgm = { version } as const;
    /* Root, PUD table, PMD table, and one page that is never used. */
    const machine = machineWith({ pages: 4, hgm, tables: 4 * KIB4, checks: true });
    const process = machine.createProcess();
    const file = machine.memfdCreate();
    const at = process.mmap({ address: 2 ** 40, length: MIB2, prot: RW, flags: MAP_SHARED, file }) as number;
    process.write(at, 1);
    process.madvise(at, MIB2, MADV_DONTNEED);
    process.madvise(at, MIB2, MADV_SPLIT);
    const uffd = process.userfaultfd();
    uffd.api(hgmFeature(version));
    ok(uffd.register(at, MIB2, UFFDIO_REGISTER_MODE_MINOR).result);
    expect(uffd.continue(at, KIB4)).toEqual({ result: 'ENOMEM', done: 'ENOMEM' });
    expect(process.madvise(at, KIB4, MADV_COLLAPSE)).toBe('ENOMEM');
    expect([...process.mappedPages()]).toEqual([]);
    expect(uffd.continue(at, MIB2).result).toBe('OK');
  });

  test('two walks put a table at the same place: one is used, the other is freed', () => {
    let freed = 0;
    atEveryStep(
      () => {
        const scene = hgmScene({ version, checks: false });
        const { tables } = scene.machine;
        const free = tables.free.bind(tables);
        tables.free = (page) => {
          freed++;
          free(page);
        };
        const [vma] = scene.process.vmas;
        const walk = (page: number) => {
          const thread = scene.process.thread();
          return work(
            thread,
            underVmaLock(vma!, thread.task, () =>
              hugetlbFullWalkAlloc(thread.task, vma!, scene.at + page * KIB4, KIB4),
            ),
          );
        };
        const works: [Work<unknown>, Work<unknown>] = [walk(3), walk(4)];
        return { scene, works };
      },
      ({ scene }, results) => {
        const [one, two] = results as HugetlbPte[];
        expect([one!.size, two!.size, two!.ptep - one!.ptep]).toEqual([KIB4, KIB4, 8]);
        /* Root, PUD, PMD, PTE table. */
        expect(scene.machine.tables.count).toBe(4);
        scene.machine.check();
      },
    );
    expect(freed).toBeGreaterThan(0);
  });

  test('two threads continue neighbours: both are mapped, whoever makes the table', () => {
    atEveryStep(
      () => {
        const scene = hgmScene({ version, checks: false });
        const piece = (page: number) => {
          const thread = scene.process.thread();
          return work(thread, thread.uffdFill(scene.uffd, scene.at + page * KIB4, KIB4, { kind: 'continue', mode: 0 }));
        };
        const works: [Work<unknown>, Work<unknown>] = [piece(3), piece(4)];
        return { scene, works };
      },
      ({ scene }, results) => {
        expect(results).toEqual([
          { result: 'OK', done: KIB4 },
          { result: 'OK', done: KIB4 },
        ]);
        expect(shape(scene)).toEqual([[3, 2, 1]]);
        expect(scene.machine.tables.count).toBe(4);
        scene.machine.check();
        recount(scene.machine);
      },
    );
  });
});

test('without HGM there is no table below the huge page to be walked, and none is made: EINVAL', () => {
  const scene = hgmScene({ version: 'none' });
  const events = traced(scene.machine, () => scene.uffd.continue(scene.at, MIB2));
  expect(events.filter((event) => event.kind === 'table').map((event) => event.level)).toEqual([3, 2]);
  expect(reached(scene, PAGES_2M + 3, 0)).toBe(PAGES_2M);
  expect(reached(scene, PAGES_2M + 3, KIB4)).toBe('EINVAL');
});
