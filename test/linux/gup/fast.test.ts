/**
 * GUP-fast. mm/gup.c of Linux 6.1: internal_get_user_pages_fast, lockless_pages_from_mm, gup_huge_pmd.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_FAST_ONLY,
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_WRITE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/linux/index.ts';
import { folioOf, fork, framesFrom, GIB, HUGE, leafOf, PAGE, PAGES_OF_HUGE, scene, splitLeaf } from './support.ts';

describe('the range', () => {
  test('the start is rounded down to a page', () => {
    const { process, at } = scene({ touched: true });
    const pages: number[] = [];
    expect(process.getUserPagesFast(at + 4095, 2, 0, pages)).toBe(2);
    expect(pages).toEqual(framesFrom(folioOf(process, at).pfn, 2));
    process.putPages(pages);
  });

  test('one that goes beyond 64 bits: 0', () => {
    const { process, at } = scene();
    expect(process.getUserPagesFast(at, 2 ** 52, 0, [])).toBe(0);
    expect(process.pinUserPagesFast(2 ** 52, 2 ** 52, 0, [])).toBe(0);
  });

  test("one beyond a program's addresses: EFAULT, also where 5 levels have them", () => {
    const { process, at } = scene({ touched: true });
    expect(process.getUserPagesFast(2 ** 47 - PAGE, 1, 0, [])).toBe('EFAULT');
    expect(process.getUserPagesFast(at, 2 ** 40, 0, [])).toBe('EFAULT');
    expect(process.getUserPagesFastOnly(2 ** 47, 1, 0, [])).toBe(0);
    const five = scene({ touched: true, options: { levels: 5 } });
    expect(five.process.getUserPagesFast(2 ** 52 * 1.5, 1, 0, [])).toBe('EFAULT');
    const pages: number[] = [];
    expect(five.process.getUserPagesFast(five.at, 3, FOLL_WRITE, pages)).toBe(3);
    five.process.putPages(pages);
  });
});

describe('without a lock', () => {
  test('present pages are taken, and no lock is', () => {
    const { machine, process, at } = scene({ count: 3, touched: true });
    machine.trace = [];
    const pages: number[] = [];
    expect(process.pinUserPagesFast(at, 3 * PAGES_OF_HUGE, FOLL_WRITE, pages)).toBe(3 * PAGES_OF_HUGE);
    expect(machine.trace.map(({ kind }) => kind)).not.toContain('lock');
    process.unpinUserPages(pages);
  });

  test('from leaf to leaf of all sizes', () => {
    const { process, at } = scene({ hugePageSize: GIB, count: 2, shared: true, touched: true });
    splitLeaf(process, at);
    splitLeaf(process, at + HUGE);
    const [first, second] = [folioOf(process, at).pfn, folioOf(process, at + GIB).pfn];
    const pages = new Float64Array(2 * 262144 - 7);
    expect(process.getUserPagesFastOnly(at + 3 * PAGE, pages.length, FOLL_WRITE, pages)).toBe(pages.length);
    expect(pages).toEqual(Float64Array.from([...framesFrom(first + 3, 262141), ...framesFrom(second, 262140)]));
    process.putPages(pages);
  });

  test('a page that is missing ends it', () => {
    const { process, at } = scene({ count: 3, touched: true });
    process.madvise(at + HUGE, HUGE, 4);
    const pages: number[] = [];
    expect(process.getUserPagesFastOnly(at, 3 * PAGES_OF_HUGE, 0, pages)).toBe(PAGES_OF_HUGE);
    process.putPages(pages);
  });

  test('a read-only entry ends it, if it is to be written', () => {
    const { process, at } = scene({ count: 2, touched: true });
    process.mprotect(at + HUGE, HUGE, PROT_READ);
    expect(process.getUserPagesFastOnly(at, 1024, FOLL_WRITE, [])).toBe(512);
    expect(process.getUserPagesFastOnly(at, 1024, 0, [])).toBe(1024);
  });

  test('a PROT_NONE entry ends it, even with FOLL_FORCE: it has neither P nor U/S', () => {
    for (const hugePageSize of [HUGE, GIB]) {
      const { process, at } = scene({ hugePageSize, touched: true, prot: PROT_NONE });
      expect(process.getUserPagesFastOnly(at, 1, FOLL_FORCE, [])).toBe(0);
      expect(process.getUserPagesFast(at, 1, FOLL_FORCE, [])).toBe(1);
      expect(process.getUserPagesFast(at, 1, 0, [])).toBe('EFAULT');
    }
  });

  test('a page that must be unshared ends it, for who pins it to read', () => {
    const { process, at } = scene({ count: 2, pool: 4, touched: true });
    const child = fork(process);
    process.write(at, 3);
    expect(process.getUserPagesFastOnly(at, 1024, 0, [])).toBe(1024);
    const pages: number[] = [];
    expect(process.pinUserPagesFast(at, 1024, 0, pages)).toBe(1024);
    expect(folioOf(process, at + HUGE)).not.toBe(folioOf(child, at + HUGE));
    process.unpinUserPages(pages);
  });

  test('a reference count that has overflowed ends it', () => {
    const { process, at } = scene({ count: 2, touched: true });
    const folio = folioOf(process, at + HUGE);
    folio.refcount += 2 ** 31;
    folio.getcount += 2 ** 31;
    expect(process.getUserPagesFastOnly(at, 1024, 0, [])).toBe(512);
  });
});

test('the mapping is not looked at, only entries: memory that is for writing alone can be read', () => {
  const { process, at } = scene({ touched: true, prot: PROT_WRITE });
  expect(process.getUserPages(at, 1, 0)).toBe('EFAULT');
  expect(process.getUserPagesFast(at, 1, 0, [])).toBe(1);
});

describe('what is left is done with the lock', () => {
  test('faulted in, and appended', () => {
    const { process, at } = scene({ count: 3 });
    process.write(at, 1);
    process.write(at + 2 * HUGE, 1);
    const pages: number[] = [];
    expect(process.getUserPagesFast(at, 3 * PAGES_OF_HUGE, FOLL_WRITE, pages)).toBe(3 * PAGES_OF_HUGE);
    const expected = [0, 1, 2].flatMap((page) => framesFrom(folioOf(process, at + page * HUGE).pfn, PAGES_OF_HUGE));
    expect(pages).toEqual(expected);
    process.putPages(pages);
  });

  test('an error there, after pages without a lock: those pages', () => {
    const { process, at } = scene({ touched: true });
    const pages: number[] = [];
    expect(process.getUserPagesFast(at + HUGE - PAGE, 2, FOLL_WRITE, pages)).toBe(1);
    process.putPages(pages, 1);
  });

  test('an error there, and nothing before: the error', () => {
    const { process, at } = scene({ touched: true, prot: PROT_READ });
    expect(process.getUserPagesFast(at, 1, FOLL_WRITE, [])).toBe('EFAULT');
    expect(process.getUserPagesFastOnly(at, 1, FOLL_WRITE, [])).toBe(0);
  });

  test('with FOLL_FAST_ONLY nothing is', () => {
    const { machine, process, at } = scene();
    expect(process.getUserPagesFastOnly(at, 1, 0, [])).toBe(0);
    expect(process.getUserPagesFast(at, 1, FOLL_FAST_ONLY, [])).toBe(0);
    expect(machine.hstate().freeHugePages).toBe(1);
  });

  test('long-term pins, too', () => {
    const { process, at } = scene();
    const pages: number[] = [];
    expect(process.pinUserPagesFast(at, 4, FOLL_WRITE | FOLL_LONGTERM, pages)).toBe(4);
    expect(folioOf(process, at).pincount).toBe(4);
    process.unpinUserPages(pages);
  });
});

describe('a fork', () => {
  test('under way, nothing is pinned without a lock; references are taken', () => {
    const { process, at } = scene({ touched: true });
    process.mm.writeProtectSeq++;
    expect(process.getUserPagesFastOnly(at, 1, 0, [])).toBe(1);
    const pages: number[] = [];
    expect(process.pinUserPagesFast(at, 1, FOLL_FAST_ONLY, pages)).toBe(0);
    expect(folioOf(process, at).pincount).toBe(0);
    process.mm.writeProtectSeq++;
    expect(process.pinUserPagesFast(at, 1, FOLL_FAST_ONLY, pages)).toBe(1);
    process.unpinUserPages(pages);
  });

  test('knows from then on that pages may be pinned, be it that none was', () => {
    const { process, at } = scene();
    expect(process.mm.hasPinned).toBe(false);
    process.pinUserPagesFast(at, 1, FOLL_FAST_ONLY, []);
    expect(process.mm.hasPinned).toBe(true);
  });
});

test('what the processor may do is what GUP-fast may do: the bits of the entry decide', () => {
  const { machine, process, at } = scene({ touched: true, options: { checks: false } });
  const { ptep } = leafOf(process, at);
  const pte = machine.tables.read(ptep);
  const rows = [
    { without: 0x1, read: 0, write: 0 },
    { without: 0x4, read: 0, write: 0 },
    { without: 0x2, read: 1, write: 0 },
    { without: 0x60, read: 1, write: 1 },
  ];
  for (const { without, read, write } of rows) {
    machine.tables.write(ptep, { lo: pte.lo & ~without, hi: pte.hi });
    for (const [flags, expected] of [
      [0, read],
      [FOLL_WRITE, write],
    ] as const) {
      const pages = new Float64Array(1);
      expect(process.getUserPagesFastOnly(at, 1, flags, pages)).toBe(expected);
      if (expected) process.putPages(pages);
    }
  }
  machine.tables.write(ptep, pte);
});
