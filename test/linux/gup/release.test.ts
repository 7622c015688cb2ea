/**
 * Giving back: whose pages they are by then, what becomes dirty, and what is free in the end. mm/gup.c of Linux 6.1:
 * unpin_user_pages_dirty_lock, unpin_user_page_range_dirty_lock.
 */
import { describe, expect, test } from 'vitest';
import { FOLL_WRITE, MADV_DONTNEED, MADV_REMOVE } from '../../../src/linux/index.ts';
import { folioOf, GIB, HUGE, map, PAGE, PAGES_OF_HUGE, scene } from './support.ts';

describe('pages outlive', () => {
  for (const [what, unmap] of [
    ['munmap', (process, at) => process.munmap(at, HUGE)],
    ['MADV_DONTNEED', (process, at) => process.madvise(at, HUGE, MADV_DONTNEED)],
    ['the process', (process) => process.exit()],
  ] as [string, (process: ReturnType<typeof scene>['process'], at: number) => unknown][]) {
    test(`${what}, until they are given back`, () => {
      for (const pins of [false, true]) {
        const { machine, process, at } = scene({ touched: true });
        const pages = new Float64Array(PAGES_OF_HUGE);
        if (pins) process.pinUserPages(at, pages.length, FOLL_WRITE, pages);
        else process.getUserPages(at, pages.length, FOLL_WRITE, pages);
        unmap(process, at);
        machine.check();
        expect(machine.hstate().freeHugePages).toBe(0);
        expect(machine.frames.readByte(pages[0]! * PAGE)).toBe(1);
        if (pins) machine.unpinUserPages(pages);
        else machine.putPages(pages);
        machine.check();
        expect(machine.hstate().freeHugePages).toBe(1);
      }
    });
  }

  test('a hole in their file', () => {
    const { machine, process, at } = scene({ shared: true, touched: true });
    const pages: number[] = [];
    process.pinUserPages(at, 1, FOLL_WRITE, pages);
    process.madvise(at, HUGE, MADV_REMOVE);
    expect(machine.hstate().freeHugePages).toBe(0);
    machine.check();
    process.unpinUserPages(pages);
    expect(machine.hstate().freeHugePages).toBe(1);
  });

  test('a shrinking pool: a pinned page is surplus until it is given back', () => {
    const { machine, process, at } = scene({ touched: true });
    const pages: number[] = [];
    process.pinUserPages(at, 1, FOLL_WRITE, pages);
    process.exit();
    expect(machine.setNrHugepages(HUGE, 0)).toBe(1);
    machine.unpinUserPages(pages);
    expect([machine.hstate().nrHugePages, machine.hstate().surplusHugePages]).toEqual([0, 0]);
  });
});

describe('dirty', () => {
  test('marks each huge page of the list, and takes its lock for it once', () => {
    const { machine, process, at } = scene({ count: 2, shared: true, touched: true });
    const folios = [folioOf(process, at), folioOf(process, at + HUGE)];
    for (const folio of folios) folio.dirty = false;
    const pages: number[] = [];
    process.pinUserPages(at, 1024, 0, pages);
    machine.trace = [];
    process.unpinUserPages(pages, 1024, true);
    expect(folios.map(({ dirty }) => dirty)).toEqual([true, true]);
    expect(machine.trace.filter(({ kind }) => kind === 'lock')).toHaveLength(2);
    process.pinUserPages(at, 1024, 0, pages);
    machine.trace = [];
    process.unpinUserPages(pages, 1024, true);
    expect(machine.trace.map(({ kind }) => kind)).not.toContain('lock');
  });

  test('is not what a plain unpin does', () => {
    const { process, at } = scene({ shared: true, touched: true });
    folioOf(process, at).dirty = false;
    const pages: number[] = [];
    process.pinUserPages(at, 1, 0, pages);
    process.unpinUserPages(pages);
    expect(folioOf(process, at).dirty).toBe(false);
  });
});

describe('a part of a list, in any order', () => {
  test('the first so many', () => {
    const { process, at } = scene({ touched: true });
    const pages = new Float64Array(100);
    process.pinUserPages(at, 100, 0, pages);
    process.unpinUserPages(pages, 40);
    expect(folioOf(process, at).pincount).toBe(60);
    process.unpinUserPages(pages.subarray(40));
    expect(folioOf(process, at).pincount).toBe(0);
  });

  test('huge pages that take turns', () => {
    const { process, at } = scene({ count: 2, touched: true });
    const pages: number[] = [];
    process.getUserPages(at, 1024, 0, pages);
    const shuffled = pages.map((_, index) => pages[(index * 513) % 1024]!);
    process.putPages(shuffled);
    expect([folioOf(process, at).getcount, folioOf(process, at + HUGE).getcount]).toEqual([0, 0]);
  });
});

describe('a range of frames', () => {
  test('goes from huge page to huge page', () => {
    const { machine, process } = scene();
    machine.setNrHugepages(HUGE, 9);
    const at = map(process, { count: 8, touched: true });
    const pages = new Float64Array(8 * PAGES_OF_HUGE);
    process.pinUserPages(at, pages.length, FOLL_WRITE, pages);
    const sorted = pages.slice().sort();
    expect(sorted.at(-1)! - sorted[0]!).toBe(pages.length - 1);
    process.unpinUserPageRange(sorted[0]! + 10, 1000, true);
    expect(machine.frames.folio(sorted[0]!).pincount).toBe(10);
    process.unpinUserPageRange(sorted[0]!, 10);
    machine.unpinUserPageRange(sorted[1010]!, pages.length - 1010);
    for (let page = 0; page < 8; page++) expect(folioOf(process, at + page * HUGE).pincount).toBe(0);
  });

  test('beyond the huge pages: thrown, and nothing given back', () => {
    const { process, at } = scene({ hugePageSize: GIB, touched: true });
    const { pfn, pages } = folioOf(process, at);
    process.pinUserPages(at, 1, 0, []);
    expect(() => process.unpinUserPageRange(pfn, pages + 1)).toThrow(/frame: expected a frame of a huge page/);
    expect(() => process.unpinUserPageRange(pfn, -1)).toThrow(RangeError);
    expect(folioOf(process, at).pincount).toBe(1);
  });
});
