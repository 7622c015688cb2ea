/**
 * A page that moves while others use it: what entries of migration, the page lock and the reference count are there for. mm/migrate.c of
 * Linux 6.1: migration_entry_wait_huge, migrate_huge_page_move_mapping; each race is run with a change-over at every lock.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_GET,
  FOLL_WRITE,
  type HugetlbFile,
  interleave,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MAP_NORESERVE,
  type Machine,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  type Path,
  PROT_READ,
  type Process,
  type Syscalls,
} from '../../../src/linux/index.ts';
import { pieces } from '../pieces.ts';
import {
  atEveryStep,
  counts,
  folioAt,
  forkOf,
  GIB1,
  KIB4,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  pageAt,
  SIZES,
  work,
} from '../support.ts';
import { isMoving } from './support.ts';

interface Race {
  readonly machine: Machine;
  readonly process: Process;
  readonly file: HugetlbFile;
  readonly at: number;
  readonly works: readonly [ReturnType<typeof work>, ReturnType<typeof work>];
}

/** What a migration may end with where others have references for a while. */
const MOVED_OR_NOT = /^(OK|EAGAIN)$/;

/** The page at an address moves while another thread of the process does something. The page holds a 1 and a 2. */
function movingWhile(
  size: number,
  kind: 'private' | 'shared',
  act: (thread: Syscalls, at: number, file: HugetlbFile) => Path<unknown>,
): () => Race {
  return () => {
    const machine = machineWith({ size, pages: 4, checks: false });
    const process = machine.createProcess();
    const file = machine.memfdCreate({ hugePageSize: size });
    file.ftruncate(size);
    const map = kind === 'private' ? mapPrivate : mapShared;
    const at = map(process, 1, { size, file, address: 64 * GIB1 });
    process.write(at, 1);
    process.write(at + size - 1, 2);
    const [mover, other] = [process.thread(), process.thread()];
    const moving = work(mover, mover.migrate(folioAt(process, at).pfn));
    return { machine, process, file, at, works: [moving, work(other, act(other, at, file))] };
  };
}

describe.each(SIZES)('pages of $name', ({ size }) => {
  describe.each(['private', 'shared'] as const)('%s', (kind) => {
    test('who reads meanwhile waits for the page, and reads what was there', () => {
      let met = 0;
      const runs = atEveryStep(
        movingWhile(size, kind, (thread, at) => thread.read(at + size - 1)),
        ({ machine, process, at }, results) => {
          expect(results).toEqual(['OK', 2]);
          machine.check();
          met++;
          expect(process.read(at)).toBe(1);
        },
      );
      expect(met).toBe(runs);
      expect(runs).toBeGreaterThan(10);
    });

    test('no write is lost, whenever it comes', () => {
      atEveryStep(
        movingWhile(size, kind, (thread, at) => thread.write(at + KIB4, 9)),
        ({ machine, process, at }, results) => {
          expect(results).toEqual(['OK', 'OK']);
          machine.check();
          expect([process.read(at), process.read(at + KIB4), process.read(at + size - 1)]).toEqual([1, 9, 2]);
        },
      );
    });

    test('a pin is of the page that is mapped: it came before, and the page stays, or after', () => {
      const outcomes = new Set<unknown>();
      atEveryStep(
        () => {
          const pages: number[] = [];
          const race = movingWhile(size, kind, (thread, at) => thread.pinUserPages(at, 2, FOLL_WRITE, pages))();
          return { ...race, pages };
        },
        ({ machine, process, at, pages }, [moved, pinned]) => {
          outcomes.add(moved);
          expect([moved, pinned]).toEqual([expect.stringMatching(MOVED_OR_NOT), 2]);
          expect(pages[0]).toBe(folioAt(process, at).pfn);
          process.unpinUserPages(pages);
          machine.check();
        },
      );
      expect(outcomes).toEqual(new Set(['OK', 'EAGAIN']));
    });

    test('follow_page waits, too, and finds the page that is mapped then', () => {
      atEveryStep(
        movingWhile(size, kind, (thread, at) => thread.followPage(at, FOLL_GET)),
        ({ machine, process, at }, [moved, frame]) => {
          expect(moved).toMatch(MOVED_OR_NOT);
          expect(frame).toBe(folioAt(process, at).pfn);
          machine.putPages([frame as number]);
          machine.check();
        },
      );
    });

    test('munmap: the page is free in the end, and so is its copy', () => {
      atEveryStep(
        movingWhile(size, kind, (thread, at) => thread.munmap(at, size)),
        ({ machine, file }, [moved, unmapped]) => {
          expect(moved).toMatch(/^(OK|EAGAIN|EBUSY)$/);
          expect(unmapped).toBe('OK');
          machine.check();
          file.ftruncate(0);
          expect(counts(machine, size)).toEqual([4, 4, 0, 0]);
        },
      );
    });

    test('mprotect: the right that was taken stays away', () => {
      atEveryStep(
        movingWhile(size, kind, (thread, at) => thread.mprotect(at, size, PROT_READ)),
        ({ machine, process, at }, [moved, changed]) => {
          expect(moved).toMatch(MOVED_OR_NOT);
          expect(changed).toBe('OK');
          machine.check();
          expect([process.write(at, 5), process.read(at)]).toEqual(['SIGSEGV', 1]);
          expect((pageAt(process, at)?.entry ?? 0n) & 2n).toBe(0n);
        },
      );
    });

    test('mremap: the page is at the new place, moved or not', () => {
      const target = 96 * GIB1;
      atEveryStep(
        movingWhile(size, kind, (thread, at) => thread.mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, target)),
        ({ machine, process, at }, [moved, moveTo]) => {
          expect(moved).toMatch(MOVED_OR_NOT);
          expect(moveTo).toBe(target);
          machine.check();
          expect([process.read(target), process.read(target + size - 1), process.read(at)]).toEqual([1, 2, 'SIGSEGV']);
        },
      );
    });

    test('fork: both have the contents', () => {
      atEveryStep(
        movingWhile(size, kind, (thread) => thread.fork()),
        ({ machine, process, at }, [moved, child]) => {
          expect(moved).toBe('OK');
          machine.check();
          const born = child as Process;
          expect([born.read(at), born.read(at + size - 1)]).toEqual([1, 2]);
          born.write(at, 5);
          expect(process.read(at)).toBe(kind === 'private' ? 1 : 5);
          machine.check();
        },
      );
    });

    test('two that move it: one does, or one after the other', () => {
      const outcomes = new Set<string>();
      atEveryStep(
        () => {
          const race = movingWhile(size, kind, (thread, at) => thread.read(at))();
          const mover = race.process.thread();
          const { pfn } = folioAt(race.process, race.at);
          return { ...race, works: [race.works[0], work(mover, mover.migrate(pfn))] as const };
        },
        ({ machine, process, at }, results) => {
          outcomes.add(results.join());
          expect(results).toContain('OK');
          machine.check();
          expect([process.read(at), process.read(at + size - 1)]).toEqual([1, 2]);
        },
      );
      expect([...outcomes].sort()).toEqual(['EBUSY,OK', 'OK,EBUSY']);
    });
  });

  test.each([
    ['a truncation', (thread: Syscalls, file: HugetlbFile) => thread.ftruncate(file, 0)],
    ['a hole', (thread: Syscalls, file: HugetlbFile) => thread.fallocate(file, 0, size, 3)],
  ])('%s takes the page out of the file, be it the old one or the new', (_, act) => {
    atEveryStep(
      movingWhile(size, 'shared', (thread, _at, file) => act(thread, file)),
      ({ machine, process, file, at }, [moved, done]) => {
        expect(moved).toMatch(/^(OK|EAGAIN|EBUSY)$/);
        expect(done).toBe('OK');
        machine.check();
        expect(file.inode.pageCache.size).toBe(0);
        expect(pageAt(process, at)).toBeUndefined();
      },
    );
  });

  test('a page that the last one lets go while it is isolated is free, and nothing moves', () => {
    const outcomes = new Set<unknown>();
    atEveryStep(
      movingWhile(size, 'private', (thread, at) => thread.madvise(at, size, MADV_DONTNEED)),
      ({ machine, process, at }, [moved]) => {
        outcomes.add(moved);
        machine.check();
        expect(process.read(at)).toBe(0);
        expect(counts(machine, size)).toEqual([4, 3, 0, 0]);
      },
    );
    expect(outcomes).toEqual(new Set(['OK', 'EBUSY']));
  });

  test('a page that nobody has any more needs no other one', () => {
    const outcomes = new Set<unknown>();
    atEveryStep(
      () => {
        const machine = machineWith({ size, pages: 1, memoryBytes: size, checks: false });
        const process = machine.createProcess();
        const at = mapPrivate(process, 1, { size });
        process.write(at, 1);
        const [mover, other] = [process.thread(), process.thread()];
        const moving = work(mover, mover.migrate(folioAt(process, at).pfn));
        return { machine, works: [moving, work(other, other.munmap(at, size))] as const };
      },
      ({ machine }, [moved]) => {
        outcomes.add(moved);
        machine.check();
        expect(counts(machine, size)).toEqual([1, 1, 0, 0]);
      },
    );
    expect(outcomes).toEqual(new Set(['ENOMEM', 'OK', 'EBUSY']));
  });

  test('a child that writes meanwhile gets its own copy of what was there', () => {
    atEveryStep(
      () => {
        const machine = machineWith({ size, pages: 4, checks: false });
        const process = machine.createProcess();
        const at = mapPrivate(process, 1, { size });
        process.write(at, 1);
        const child = forkOf(process);
        const [mover, writer] = [process.thread(), child.thread()];
        const moving = work(mover, mover.migrate(folioAt(process, at).pfn));
        return { machine, process, child, at, works: [moving, work(writer, writer.write(at + 1, 2))] as const };
      },
      ({ machine, process, child, at }, [moved, written]) => {
        expect(moved).toMatch(MOVED_OR_NOT);
        expect(written).toBe('OK');
        machine.check();
        expect([process.read(at), process.read(at + 1), child.read(at), child.read(at + 1)]).toEqual([1, 0, 1, 2]);
      },
    );
  });
});

describe('a page that is mapped in pieces', () => {
  const movingPieces = (act: (scene: ReturnType<typeof pieces>, thread: Syscalls) => Path<unknown>) => () => {
    const scene = pieces(MIB2, 1, 3, 'v2', false);
    const { process, whole, at, uffd } = scene;
    process.write(whole, 1);
    uffd.continue(at, 2 * KIB4);
    const [mover, other] = [process.thread(), process.thread()];
    const moving = work(mover, mover.migrate(folioAt(process, whole).pfn));
    return { ...scene, works: [moving, work(other, act(scene, other))] as const };
  };

  test('MADV_COLLAPSE: EBUSY once the page is isolated; else one leaf, which moves', () => {
    const outcomes = new Set<unknown>();
    atEveryStep(
      movingPieces(({ at }, thread) => thread.madvise(at, MIB2, MADV_COLLAPSE)),
      ({ machine, process, at }, [moved, collapsed]) => {
        outcomes.add(collapsed);
        expect(moved).toMatch(MOVED_OR_NOT);
        machine.check();
        expect(pageAt(process, at)!.bytes).toBe(collapsed === 'OK' ? MIB2 : KIB4);
        expect(process.read(at)).toBe(1);
      },
    );
    expect(outcomes).toEqual(new Set(['OK', 'EBUSY']));
  });

  test('UFFDIO_CONTINUE of another piece maps the page that is in the file then', () => {
    atEveryStep(
      movingPieces(({ at, uffd }, thread) => thread.uffdFill(uffd, at + 2 * KIB4, KIB4, { kind: 'continue', mode: 0 })),
      ({ machine, process, whole, at }, [moved, filled]) => {
        expect(moved).toMatch(MOVED_OR_NOT);
        expect(filled).toMatchObject({ result: 'OK' });
        machine.check();
        expect(folioAt(process, at + 2 * KIB4)).toBe(folioAt(process, whole));
        expect(process.read(at + 2 * KIB4)).toBe(0);
      },
    );
  });

  test('a write through one leaf is seen through all', () => {
    atEveryStep(
      movingPieces(({ at }, thread) => thread.write(at + KIB4, 7)),
      ({ machine, process, whole }, results) => {
        expect(results).toEqual(['OK', 'OK']);
        machine.check();
        expect([process.read(whole), process.read(whole + KIB4)]).toEqual([1, 7]);
      },
    );
  });
});

test('who shares a page table waits, or faults into a table of its own', () => {
  atEveryStep(
    () => {
      const machine = machineWith({ pages: 2, tables: 2 ** 22, checks: false });
      const file = machine.memfdCreate();
      file.ftruncate(GIB1);
      const [process, other] = [machine.createProcess(), machine.createProcess()];
      const at = 64 * GIB1;
      for (const one of [process, other]) mapShared(one, 512, { file, address: at, flags: MAP_NORESERVE });
      process.write(at, 7);
      other.read(at);
      const [mover, writer] = [process.thread(), other.thread()];
      const moving = work(mover, mover.migrate(folioAt(process, at).pfn));
      return { machine, process, other, at, works: [moving, work(writer, writer.write(at + 1, 8))] as const };
    },
    ({ machine, process, other, at }, [moved, written]) => {
      expect(moved).toMatch(MOVED_OR_NOT);
      expect(written).toBe('OK');
      machine.check();
      expect([process.read(at), process.read(at + 1), other.read(at)]).toEqual([7, 8, 7]);
    },
  );
});

describe('the cases of tools/testing/selftests/vm/migration.c, with the series: a page moves there and back while threads access it', () => {
  /** Threads read what is there while another moves the page, once for each delay: so many turns go by before they begin. */
  function accessed(
    process: Process,
    reads: readonly (readonly [at: number, value: number])[],
    frameNow: () => number,
    delays: readonly number[],
  ): void {
    let met = 0;
    for (const delay of delays) {
      const mover = process.thread();
      const readers = reads.map(([at]) => ({ thread: process.thread(), at }));
      const works = [
        work(mover, mover.migrate(frameNow())),
        ...readers.map(({ thread, at }) => work(thread, thread.read(at))),
      ];
      let turns = 0;
      const results = interleave(works, (count) => {
        if (turns === delay && reads.some(([at]) => isMoving(process, at))) met++;
        return turns++ < delay ? 0 : count - 1;
      });
      expect(results).toEqual(['OK', ...reads.map(([, value]) => value)]);
    }
    expect(met).toBeGreaterThan(0);
  }

  test.each([
    ['private_anon_htlb', mapPrivate],
    ['shared_anon_htlb', mapShared],
  ] as const)('%s', (_, map) => {
    const machine = machineWith({ pages: 2, checks: false });
    const process = machine.createProcess();
    const at = map(process, 1);
    const reads = [1, 2, 3].map((page) => [at + page * KIB4, page] as const);
    for (const [address, value] of reads) process.write(address, value);
    const delays = Array.from({ length: 20 }, (_, delay) => delay);
    accessed(process, reads, () => folioAt(process, at).pfn, delays);
    machine.check();
  });

  test('shared_hugetlb_hgm: 512 leaves, each continued by itself', () => {
    const { machine, process, whole, at, uffd } = pieces(MIB2, 1, 2, 'v2', false);
    for (let page = 0; page < 512; page++) process.write(whole + page * KIB4, page & 255);
    process.munmap(whole, MIB2);
    for (let page = 0; page < 512; page++) expect(uffd.continue(at + page * KIB4, KIB4).result).toBe('OK');
    const reads = [0, 3, 255, 511].map((page) => [at + page * KIB4, page & 255] as const);
    accessed(process, reads, () => folioAt(process, at).pfn, [0, 100, 515, 600, 900]);
    machine.check();
    const leaves = [...process.mappedPages()];
    expect(leaves.map(({ address, bytes }) => [address, bytes])).toEqual(
      Array.from({ length: 512 }, (_, page) => [at + page * KIB4, KIB4]),
    );
    for (let page = 0; page < 512; page++) expect(process.read(at + page * KIB4)).toBe(page & 255);
    expect(counts(machine)).toEqual([2, 1, 0, 0]);
  });
});
