/**
 * GUP while others fork, unmap, change rights: every order of turns that chance finds. mm/gup.c of Linux 6.1 says what must not
 * happen: a pin of a page that a child has, too; a reference to a page that is free.
 */
import { describe, expect, test } from 'vitest';
import { preemptionPoint } from '../../../src/linux/base/task.ts';
import {
  FOLL_FAST_ONLY,
  FOLL_WRITE,
  interleave,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  type Path,
  PROT_READ,
  type Process,
  type Syscalls,
} from '../../../src/linux/index.ts';
import { folioOf, fork, framesFrom, GIB, HUGE, PAGES_OF_HUGE, RW, scene, splitLeaf } from './support.ts';

/** Who goes on, the same for the same seed: by turns of one step, or of up to so many that the other one does all its work. */
function random(seed: number): (bound: number) => number {
  let state = seed * 2654435761 + 1;
  const next = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const longest = seed % 3 === 0 ? 1 : 100;
  let [who, left] = [0, 0];
  return (bound) => {
    if (left-- === 0) {
      who = next(bound);
      left = next(seed % 3 === 1 && who === 0 ? 4 : longest);
    }
    return Math.min(who, bound - 1);
  };
}

const SEEDS = Array.from({ length: 120 }, (_, seed) => seed);

/** The other one also looks into the process. */
type Thread = Syscalls & { readonly process: Process };

interface Race {
  readonly gup: (thread: Syscalls, at: number, pages: number[]) => Path<unknown>;
  readonly other: (thread: Thread, at: number) => Path<unknown>;
  /** Huge pages in the pool. Default 6. */
  readonly pool?: number;
  /** What happens before. */
  readonly before?: (process: Process) => unknown;
  /** How GUP ended; looks at what is left, and gives it back. */
  readonly verdict: (process: Process, got: unknown, pages: number[], at: number, other: unknown) => void;
}

function race({ gup, other, verdict, before, pool = 6 }: Race, shared = false): Map<unknown, number> {
  const ends = new Map<unknown, number>();
  for (const seed of SEEDS) {
    const { machine, process, at } = scene({
      count: 2,
      pool,
      touched: true,
      shared,
      options: { checks: false, tables: 2 ** 20 },
    });
    before?.(process);
    const [a, b] = [process.thread(), process.thread()];
    const pages: number[] = [];
    const works: { task: typeof a.task; path: Path<unknown> }[] = [
      { task: a.task, path: gup(a, at, pages) },
      { task: b.task, path: other(Object.assign(b, { process }), at) },
    ];
    const [got, did] = interleave(works, random(seed));
    machine.check();
    verdict(process, got, pages, at, did);
    machine.check();
    ends.set(got, (ends.get(got) ?? 0) + 1);
  }
  return ends;
}

describe('a fork', () => {
  for (const [name, flags] of [
    ['written', FOLL_WRITE],
    ['read', 0],
  ] as const) {
    test(`a page that is pinned to be ${name} without a lock is never the child's, too`, () => {
      const ends = race({
        gup: (thread, at, pages) => thread.pinUserPagesFast(at, 1024, flags, pages),
        other: (thread) => thread.fork(),
        verdict(process, got, pages, at, child) {
          expect(got).toBe(1024);
          for (const page of [0, 1]) {
            const folio = folioOf(process, at + page * HUGE);
            expect([folio.pincount, folio.anonExclusive, folio.mapcount]).toEqual([512, true, 1]);
            expect((child as Process).read(at + page * HUGE)).toBe(page + 1);
          }
          process.unpinUserPages(pages);
        },
      });
      expect(ends.size).toBe(1);
    });
  }

  test('sometimes what was pinned has to be given back, and the lock to be taken', () => {
    const ends = race({
      gup: (thread, at, pages) => thread.pinUserPagesFast(at, 1024, FOLL_WRITE | FOLL_FAST_ONLY, pages),
      other: (thread) => thread.fork(),
      verdict: (process, got, pages) => process.unpinUserPages(pages, got as number),
    });
    expect([...ends.keys()].sort()).toEqual([0, 1024]);
  });

  test('references do not stop a fork from sharing', () => {
    race({
      gup: (thread, at, pages) => thread.getUserPagesFast(at, 1024, 0, pages),
      other: (thread) => thread.fork(),
      verdict(process, got, pages, at) {
        expect(got).toBe(1024);
        expect(folioOf(process, at).mapcount).toBe(2);
        process.putPages(pages);
      },
    });
  });
});

test('a page that a child has had before is unshared, whoever comes in between', () => {
  race({
    before: fork,
    gup: (thread, at, pages) => thread.pinUserPagesFast(at, 1024, 0, pages),
    other: (thread, at) => thread.mprotect(at, 2 * HUGE, PROT_READ),
    verdict(process, got, pages, at) {
      expect(got).toBe(1024);
      expect([folioOf(process, at).pfn, folioOf(process, at).anonExclusive]).toEqual([pages[0], true]);
      process.unpinUserPages(pages);
    },
  });
});

describe('an unmapping', () => {
  test("a page that has become another mapping's is let go again", () => {
    race({
      pool: 2,
      gup: (thread, at, pages) => thread.getUserPagesFastOnly(at, 1024, 0, pages),
      *other(thread, at) {
        yield* thread.munmap(at, 2 * HUGE);
        const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE;
        const elsewhere = (yield* thread.mmap({ address: at - GIB, length: 2 * HUGE, prot: RW, flags })) as number;
        yield* thread.write(elsewhere, 1);
        yield* thread.write(elsewhere + HUGE, 1);
      },
      verdict(process, got, pages) {
        const taken = pages.slice(0, got as number).map((page) => process.mm.machine.frames.folio(page));
        for (const { folio } of process.mappedPages()) expect(taken).not.toContain(folio);
        process.putPages(pages, got as number);
      },
    });
  });

  test('pages are taken or missing, and never free ones', () => {
    const ends = race({
      gup: (thread, at, pages) => thread.getUserPagesFastOnly(at, 1024, 0, pages),
      other: (thread, at) => thread.munmap(at, 2 * HUGE),
      verdict: (process, got, pages) => process.putPages(pages, got as number),
    });
    expect([...ends.keys()].sort()).toEqual([0, 1024, 512]);
  });

  test('the last reference may be the one that was taken in vain: it frees the page', () => {
    race({
      gup: (thread, at, pages) => thread.pinUserPagesFast(at, 1024, FOLL_WRITE | FOLL_FAST_ONLY, pages),
      other: (thread, at) => thread.munmap(at, 2 * HUGE),
      verdict(process, got, pages) {
        const { machine } = process;
        const taken = (got as number) / PAGES_OF_HUGE;
        expect(machine.hstate().freeHugePages).toBe(6 - taken);
        process.unpinUserPages(pages, got as number);
        expect(machine.hstate().freeHugePages).toBe(6);
      },
    });
  });

  test('the slow way, under mmap_lock, finds all or nothing', () => {
    const ends = race({
      gup: (thread, at, pages) => thread.getUserPages(at, 1024, FOLL_WRITE, pages),
      other: (thread, at) => thread.munmap(at, 2 * HUGE),
      verdict: (process, got, pages) => got === 1024 && process.putPages(pages),
    });
    expect(new Set(ends.keys())).toEqual(new Set([1024, 'EFAULT']));
  });
});

test('rights that are taken away meanwhile: a page is taken as it was before, or not at all', () => {
  const ends = race({
    gup: (thread, at, pages) => thread.pinUserPagesFast(at, 1024, FOLL_WRITE | FOLL_FAST_ONLY, pages),
    other: (thread, at) => thread.mprotect(at, 2 * HUGE, PROT_READ),
    verdict: (process, got, pages) => process.unpinUserPages(pages, got as number),
  });
  expect([...ends.keys()].sort()).toEqual([0, 1024, 512]);
});

test('a hole in the file: a page that was taken before is kept, and belongs to nobody any more', () => {
  race(
    {
      gup: (thread, at, pages) => thread.pinUserPagesFast(at, 1024, FOLL_WRITE | FOLL_FAST_ONLY, pages),
      other: (thread, at) => thread.madvise(at, 2 * HUGE, 9),
      verdict: (process, got, pages) => process.unpinUserPages(pages, got as number),
    },
    true,
  );
});

test('two who pin at the same time both get all', () => {
  race({
    gup: (thread, at, pages) => thread.pinUserPagesFast(at, 1024, FOLL_WRITE, pages),
    other: (thread, at) => thread.pinUserPagesFast(at, 1024, FOLL_WRITE, []),
    verdict(process, got, pages, at, other) {
      expect([got, other, folioOf(process, at).pincount]).toEqual([1024, 1024, 1024]);
      process.unpinUserPages([...pages, ...pages]);
    },
  });
});

test('the slow way, leaf by leaf, comes to what the core comes to', () => {
  for (const pin of [false, true]) {
    const { process, at } = scene({ count: 2, touched: true });
    const [thread, other] = [process.thread(), process.thread()];
    const [alone, together]: [number[], number[]] = [[], []];
    const path: Path<unknown> = pin
      ? thread.pinUserPages(at + 77, 900, 0, together)
      : thread.getUserPages(at + 77, 900, 0, together);
    /* Somebody else is there, and gets no turn. */
    const works: { task: typeof thread.task; path: Path<unknown> }[] = [
      { task: thread.task, path },
      { task: other.task, path: other.mprotect(at, 0, RW) },
    ];
    expect(interleave(works, () => 0)[0]).toBe(900);
    expect(pin ? process.pinUserPages(at + 77, 900, 0, alone) : process.getUserPages(at + 77, 900, 0, alone)).toBe(900);
    expect(together).toEqual(alone);
    if (pin) process.unpinUserPages([...alone, ...together]);
    else process.putPages([...alone, ...together]);
  }
});

describe('a leaf that is cut into smaller ones meanwhile', () => {
  const cases: readonly [string, Race['gup']][] = [
    ['the slow way sees the table, and looks again', (thread, at, pages) => thread.getUserPages(at, 1024, 0, pages)],
    [
      'GUP-fast lets the page go, and takes it the slow way',
      (thread, at, pages) => thread.getUserPagesFast(at, 1024, 0, pages),
    ],
  ];
  for (const [name, gup] of cases) {
    test(name, () => {
      race(
        {
          gup,
          *other(thread, at) {
            yield* preemptionPoint(thread.task, 0);
            yield* preemptionPoint(thread.task, 0);
            splitLeaf(thread.process, at);
            yield* preemptionPoint(thread.task, 0);
            splitLeaf(thread.process, at + HUGE);
          },
          verdict(process, got, pages, at) {
            expect(got).toBe(1024);
            const expected = [at, at + HUGE].flatMap((page) => framesFrom(folioOf(process, page).pfn, PAGES_OF_HUGE));
            expect(pages).toEqual(expected);
            process.putPages(pages);
          },
        },
        true,
      );
    });
  }
});
