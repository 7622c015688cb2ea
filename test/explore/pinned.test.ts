/**
 * FOLL_PIN's promise: who pins a page has the one that the process has. What breaks it, and what Linux 6.1 permits.
 */
import { describe, expect, test } from 'vitest';
import { BrokenPin, Pins } from '../../src/explore/kernel/pinned.ts';
import { FOLL_WRITE } from '../../src/linux/base/gup-flags.ts';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from '../../src/linux/base/uapi.ts';
import { Machine } from '../../src/linux/machine/machine.ts';
import { explored, sceneOf } from './support.ts';

const SIZE = 2 ** 21;

/** A process with two private pages, the first of which is pinned. */
function pinned() {
  const machine = new Machine({ pools: [{ hugePageSize: SIZE, pages: 4 }] });
  const process = machine.createProcess();
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
  const at = process.mmap({ length: 2 * SIZE, prot: PROT_READ | PROT_WRITE, flags }) as number;
  process.write(at, 1);
  process.write(at + SIZE, 2);
  const pages = new Float64Array(4);
  expect(process.pinUserPages(at, 4, FOLL_WRITE, pages)).toBe(4);
  const pins = new Pins();
  pins.begin(machine);
  return { machine, process, at, pages, pins };
}

describe('the promise is broken', () => {
  test('where the process has another page at the address', () => {
    const { process, at, pages, pins } = pinned();
    process.pinUserPages(at, 2, FOLL_WRITE, new Float64Array(2));
    pins.add(process.mm, at + SIZE, pages, 0, 2);
    expect(() => pins.check()).toThrow(BrokenPin);
    expect(() => pins.check()).toThrow(
      /pfn 0x100600 is pinned for 0x7ffeffe00000 of process 0, which has pfn 0x100400 there/,
    );
  });

  test('where the process shares its private page: the next write there goes to a copy', () => {
    const { machine, pages, pins } = pinned();
    pins.check();
    machine.frames.folio(pages[0]!).anonExclusive = false;
    expect(() => pins.check()).toThrow(/pfn 0x100600 is pinned for 0x7ffeffc00000 of process 0, which shares it/);
  });
});

describe('nothing is promised any more', () => {
  test('where all pins were given back', () => {
    const { machine, process, pages, pins } = pinned();
    process.unpinUserPages(pages);
    machine.frames.folio(pages[0]!).anonExclusive = false;
    pins.check();
  });

  test('where the program has the page taken away; another page is none of the pin’s', () => {
    const { machine, process, at, pages, pins } = pinned();
    const broken = (): void => {
      machine.frames.folio(pages[0]!).anonExclusive = false;
    };
    pins.unmapped(process.mm, at + SIZE, SIZE);
    pins.check();
    broken();
    expect(() => pins.check()).toThrow(BrokenPin);
    pins.unmapped(process.mm, at, SIZE);
    pins.check();
  });

  test('of a page of a file that is in the file no more, also where nobody was seen to unmap it', () => {
    const machine = new Machine({ pools: [{ hugePageSize: SIZE, pages: 2 }] });
    const process = machine.createProcess();
    const file = machine.memfdCreate({ hugePageSize: SIZE });
    file.ftruncate(SIZE);
    const at = process.mmap({ length: SIZE, prot: PROT_READ | PROT_WRITE, flags: MAP_SHARED, file }) as number;
    process.write(at, 1);
    const pages = new Float64Array(1);
    process.pinUserPages(at, 1, FOLL_WRITE, pages);
    const pins = new Pins();
    pins.add(process.mm, at, pages, 0, 1);
    pins.check();
    file.fallocate(0, SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    process.write(at, 2);
    pins.check();
  });

  test('of a page that is pinned in two places, where some pins were given back: nobody knows which', () => {
    const { machine, process, at, pages, pins } = pinned();
    process.pinUserPages(at, 2, FOLL_WRITE, new Float64Array(2));
    pins.add(process.mm, at + SIZE, pages, 0, 2);
    expect(() => pins.check()).toThrow(BrokenPin);
    process.unpinUserPages(pages, 2);
    pins.check();
    expect(machine.frames.folio(pages[0]!).pincount).toBe(4);
  });
});

describe('a search finds nothing', () => {
  const anon = { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 1, prot: 'rw' };
  const shared = { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 1, prot: 'rw' };
  const page = { proc: 0, slot: 0, page: 0 };
  const write = { op: 'write', ...page, value: 1 };
  const pin = { op: 'pin_user_pages', ...page, nr_pages: 1, list: 0, flags: 'FOLL_WRITE' };
  const { flags: _, ...read } = pin;

  const nothing = (before: readonly object[], one: readonly object[], other: readonly object[]): void => {
    const lines = [
      { seq: 1, pool: 4, files: [1] },
      ...before,
      ...one.map((line) => ({ ...line, task: 0 })),
      ...other.map((line) => ({ ...line, task: 1 })),
      { end: 1 },
    ];
    const { found, exhausted } = explored(sceneOf(lines));
    expect([found?.finding, exhausted]).toEqual([undefined, true]);
  };

  test('where a page of a file was pinned for reading in a private mapping, and a write copies it', () => {
    nothing(
      [
        { op: 'fallocate', file: 0, hugepages: 1 },
        { ...shared, kind: 'private_file' },
        { op: 'read', ...page },
      ],
      [read],
      [write],
    );
  });

  test('where private memory was pinned for reading, and is written: it was made the process’s own, and stays', () => {
    nothing([anon, write, { op: 'fork', proc: 0, child: 1 }], [read], [{ ...write, value: 2 }]);
  });

  test('where the program gives the pinned page away, and touches the address again', () => {
    const dontneed = { op: 'madvise_dontneed', ...page, pages: 1 };
    nothing([anon, write, pin], [dontneed, { ...write, value: 2, result: 'OK' }], [{ op: 'fork', proc: 0, child: 1 }]);
  });

  test('where it maps something else there', () => {
    const munmap = { op: 'munmap', ...page, pages: 1 };
    nothing([anon, write, pin], [munmap, anon, write], [{ op: 'pin_user_pages', ...page, nr_pages: 1, list: 1 }]);
  });

  test('where a hole is punched under a pin, and the next page is the file’s', () => {
    nothing([shared, write, pin], [{ op: 'punch_hole', file: 0, offset: 0, hugepages: 1 }], [{ ...write, value: 2 }]);
  });

  test('where a pinned page is forked, and parent and child write', () => {
    nothing(
      [anon, write, pin],
      [
        { op: 'fork', proc: 0, child: 1 },
        { ...write, proc: 1 },
      ],
      [{ ...write, value: 2 }],
    );
  });
});
