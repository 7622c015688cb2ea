/**
 * Moving huge pages. mm/migrate.c of Linux 6.1: migrate_hugetlbs, unmap_and_move_huge_page; mm/hugetlb.c: folio_isolate_hugetlb,
 * alloc_huge_page_nodemask, move_hugetlb_state.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_WRITE,
  MADV_DONTNEED,
  MAP_NORESERVE,
  PROT_NONE,
  PROT_READ,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { pieces } from '../pieces.ts';
import {
  counts,
  FRAME,
  folioAt,
  forkOf,
  GIB1,
  KIB4,
  type MachineParts,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  mounted,
  pageAt,
  RW,
  SIZES,
  traced,
} from '../support.ts';
import { halfway, isMoving } from './support.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  /** A process with one page, which holds a 1 and a 2. */
  const setUp = (
    map: typeof mapPrivate,
    pages = 2,
    { levels = 4, checks = true }: Pick<MachineParts, 'levels' | 'checks'> = {},
  ) => {
    const machine = machineWith({ size, pages, levels, checks });
    const process = machine.createProcess();
    const at = map(process, 1, { size });
    process.write(at, 1);
    process.write(at + size - 1, 2);
    return { machine, process, at };
  };

  describe.each([
    ['private', mapPrivate],
    ['shared', mapShared],
  ] as const)('%s', (_, map) => {
    test.each([4, 5] as const)('a page moves: another frame, and all else is as before; %i levels', (levels) => {
      const { machine, process, at } = setUp(map, 2, { levels });
      const old = folioAt(process, at);
      const { entry } = pageAt(process, at)!;
      const state = { anon: old.anon, anonExclusive: old.anonExclusive, index: old.index, leaves: 1, mapcount: 1 };
      const before = counts(machine, size);
      expect(machine.migrate(old.pfn)).toBe('OK');
      const fresh = folioAt(process, at);
      expect(fresh.pfn).not.toBe(old.pfn);
      expect(fresh).toMatchObject({ ...state, uptodate: true, migratable: true });
      expect(fresh.refcount).toBe(map === mapPrivate ? 1 : 2);
      expect(pageAt(process, at)!.entry & ~FRAME).toBe(entry & ~FRAME);
      expect([process.read(at), process.read(at + 1), process.read(at + size - 1)]).toEqual([1, 0, 2]);
      expect(old).toMatchObject({ refcount: 0, leaves: 0, freed: true });
      expect(counts(machine, size)).toEqual(before);
      expect(process.mm.hugetlbUsage).toBe(size / KIB4);
      expect(process.write(at, 3)).toBe('OK');
    });

    test('and back again', () => {
      const { machine, process, at } = setUp(map);
      const { pfn } = folioAt(process, at);
      machine.migrate(pfn);
      machine.migrate(folioAt(process, at).pfn);
      expect(folioAt(process, at).pfn).toBe(pfn);
      expect([process.read(at), process.read(at + size - 1)]).toEqual([1, 2]);
    });

    test('a page that is pinned, or that somebody has a reference to, stays where it is', () => {
      const { machine, process, at } = setUp(map);
      const { entry } = pageAt(process, at)!;
      const folio = folioAt(process, at);
      for (const take of ['pinUserPages', 'getUserPages'] as const) {
        const pages: number[] = [];
        process[take](at, 3, FOLL_WRITE, pages);
        expect(machine.migrate(folio.pfn)).toBe('EAGAIN');
        expect(pageAt(process, at)!.entry).toBe(entry);
        expect(folio).toMatchObject({ migratable: true, leaves: 1, anonExclusive: folio.anon });
        if (take === 'pinUserPages') process.unpinUserPages(pages);
        else process.putPages(pages);
      }
      expect(machine.migrate(folio.pfn)).toBe('OK');
    });

    test('a PROT_NONE page moves, and can be read when it is allowed again', () => {
      const { machine, process, at } = setUp(map);
      process.mprotect(at, size, PROT_NONE);
      const { entry } = pageAt(process, at)!;
      expect(machine.migrate(folioAt(process, at).pfn)).toBe('OK');
      expect(pageAt(process, at)!.entry & ~FRAME).toBe(entry & ~FRAME);
      expect(process.read(at)).toBe('SIGSEGV');
      process.mprotect(at, size, RW);
      expect(process.read(at)).toBe(1);
    });

    test('while it moves, nothing is mapped, and no mapping or reference is counted', () => {
      const { machine, process, at } = setUp(map, 2, { checks: false });
      const folio = folioAt(process, at);
      const { finish } = halfway(process, folio, () => isMoving(process, at));
      expect(folio.leaves).toBe(0);
      expect(machine.mappingsOf(folio.pfn)).toEqual([]);
      expect(process.mm.hugetlbUsage).toBe(size / KIB4);
      expect(process.mincore(at, KIB4)).toEqual(new Uint8Array([1]));
      expect(process.pagemap(at)[0]! >> 63n).toBe(0n);
      expect(finish()).toBe('OK');
      machine.check();
    });
  });

  test('all processes that map it map the other one then', () => {
    const machine = machineWith({ size, pages: 2 });
    const file = machine.memfdCreate({ hugePageSize: size });
    file.ftruncate(size);
    const processes = [machine.createProcess(), machine.createProcess(), machine.createProcess()];
    const places = processes.map((process) => mapShared(process, 1, { size, file }));
    processes[0]!.write(places[0]!, 7);
    for (const [index, process] of processes.entries()) process.read(places[index]!);
    expect(machine.migrate(folioAt(processes[0]!, places[0]!).pfn)).toBe('OK');
    const fresh = file.inode.pageCache.find(0)!;
    expect(fresh).toMatchObject({ leaves: 3, refcount: 4 });
    for (const [index, process] of processes.entries()) expect(folioAt(process, places[index]!)).toBe(fresh);
    expect(processes[2]!.read(places[2]!)).toBe(7);
  });

  test('a page that is only in a file moves, too', () => {
    const machine = machineWith({ size, pages: 2 });
    const file = machine.memfdCreate({ hugePageSize: size });
    file.ftruncate(size);
    file.fallocate(0, size);
    const old = file.inode.pageCache.find(0)!;
    expect(machine.migrate(old.pfn)).toBe('OK');
    expect(file.inode.pageCache.find(0)).not.toBe(old);
    const process = machine.createProcess();
    expect(process.read(mapShared(process, 1, { size, file }))).toBe(0);
  });

  test('a private page that a fork has left to two stays shared, and read-only in both', () => {
    const { machine, process, at } = setUp(mapPrivate, 3);
    const child = forkOf(process);
    expect(machine.migrate(folioAt(process, at).pfn)).toBe('OK');
    const folio = folioAt(process, at);
    expect(folioAt(child, at)).toBe(folio);
    expect(folio).toMatchObject({ mapcount: 2, anonExclusive: false, refcount: 2 });
    child.write(at, 9);
    expect([process.read(at), child.read(at)]).toEqual([1, 9]);
  });

  test("a page that is promised to somebody is not taken: 1 GiB is then ENOMEM, 2 MiB has a page beyond the pool's", () => {
    const { machine, process, at } = setUp(mapPrivate);
    mapPrivate(process, 1, { size });
    const before = counts(machine, size);
    const { pfn } = folioAt(process, at);
    expect(machine.migrate(pfn)).toBe(size === GIB1 ? 'ENOMEM' : 'OK');
    expect(folioAt(process, at).pfn === pfn).toBe(size === GIB1);
    expect(folioAt(process, at).migratable).toBe(true);
    expect(counts(machine, size)).toEqual(before);
  });

  test('a free page has nothing to move', () => {
    const { machine, process, at } = setUp(mapPrivate);
    const { pfn } = folioAt(process, at);
    process.munmap(at, size);
    expect(machine.migrate(pfn)).toBe('EBUSY');
  });

  test('a page that is being moved is not moved twice', () => {
    const { machine, process, at } = setUp(mapPrivate, 3, { checks: false });
    const folio = folioAt(process, at);
    const { finish } = halfway(process, folio, () => isMoving(process, at));
    expect(machine.migrate(folio.pfn)).toBe('EBUSY');
    expect(finish()).toBe('OK');
  });

  test('of a mount with limits, the charge moves with a page of a file; a private page does not move', () => {
    const machine = machineWith({ size, pages: 4 });
    const mount = mounted(machine, { hugePageSize: size, size: 3 * size });
    const file = mount.create();
    file.ftruncate(2 * size);
    const process = machine.createProcess();
    const at = mapShared(process, 1, { size, file });
    process.write(at, 1);
    const [subpool] = machine.subpools;
    const used = subpool!.usedPages;
    expect(machine.migrate(folioAt(process, at).pfn)).toBe('OK');
    expect([folioAt(process, at).subpool, subpool!.usedPages]).toEqual([subpool, used]);
    const own = mapPrivate(process, 1, { size, file, flags: MAP_NORESERVE });
    process.write(own, 2);
    expect(machine.migrate(folioAt(process, own).pfn)).toBe('EBUSY');
  });

  describe('while a private page moves', () => {
    const begin = (pages = 3) => {
      const { machine, process, at } = setUp(mapPrivate, pages, { checks: false });
      const old = folioAt(process, at);
      return {
        machine,
        process,
        at,
        old,
        ...halfway(process, old, () => isMoving(process, at) && !old.rmapping!.iMmapRwsem.isHeld),
      };
    };

    test('a fork leaves it to both, to read; the child, as Linux forgets, does not use it', () => {
      const { machine, process, at, finish } = begin();
      const child = forkOf(process);
      expect([isMoving(process, at), isMoving(child, at)]).toEqual([true, true]);
      expect(finish()).toBe('OK');
      const folio = folioAt(process, at);
      expect(folio).toMatchObject({ mapcount: 2, anonExclusive: false });
      expect([process.mm.hugetlbUsage, child.mm.hugetlbUsage]).toEqual([size / KIB4, 0]);
      expect(process.write(at, 5)).toBe('OK');
      expect([process.read(at), child.read(at), child.read(at + size - 1)]).toEqual([5, 1, 2]);
      machine.check();
      child.exit();
      machine.check();
    });

    test('munmap lets it go: the copy is thrown away', () => {
      const { machine, process, at, finish } = begin();
      expect(process.munmap(at, size)).toBe('OK');
      expect(finish()).toBe('OK');
      expect(counts(machine, size)).toEqual([3, 3, 0, 0]);
      /* Linux does not take it off. */
      expect(process.mm.hugetlbUsage).toBe(size / KIB4);
      machine.check();
    });

    test('MADV_DONTNEED, likewise: the next touch finds a new page', () => {
      const { machine, process, at, finish } = begin();
      process.madvise(at, size, MADV_DONTNEED);
      expect(process.read(at)).toBe(0);
      expect(finish()).toBe('OK');
      expect(process.read(at)).toBe(0);
      machine.check();
    });

    test('mremap takes it along', () => {
      const { machine, process, at, finish } = begin();
      const target = 96 * GIB1;
      expect(process.mremap(at, size, size, 3, target)).toBe(target);
      expect(isMoving(process, target)).toBe(true);
      expect(finish()).toBe('OK');
      expect([process.read(target), process.read(target + size - 1)]).toEqual([1, 2]);
      machine.check();
    });

    test('mprotect takes the right to write: it comes back read-only, and its own', () => {
      const { process, at, finish } = begin();
      process.mprotect(at, size, PROT_READ);
      expect(finish()).toBe('OK');
      expect(process.write(at, 1)).toBe('SIGSEGV');
      expect(folioAt(process, at).anonExclusive).toBe(true);
      process.mprotect(at, size, RW);
      expect(process.write(at, 5)).toBe('OK');
      expect(process.read(at + size - 1)).toBe(2);
    });

    test('the right to write that mprotect gave back is not there at once: the entry has forgotten it', () => {
      const { process, at, finish } = begin();
      process.mprotect(at, size, PROT_READ);
      process.mprotect(at, size, RW);
      finish();
      expect(pageAt(process, at)!.entry & 2n).toBe(0n);
      expect(process.write(at, 5)).toBe('OK');
    });

    test('a mapping that is PROT_NONE by then gets it PROT_NONE', () => {
      const { process, at, finish } = begin();
      process.mprotect(at, size, PROT_NONE);
      finish();
      expect(pageAt(process, at)!.entry & 0x101n).toBe(0x100n);
      process.mprotect(at, size, PROT_READ);
      expect([process.read(at), process.read(at + size - 1)]).toEqual([1, 2]);
    });

    test('UFFDIO_WRITEPROTECT protects it, and ends that again; what is unmapped leaves a marker', () => {
      for (const then of ['keep', 'resolve', 'unmap'] as const) {
        const { machine, process, at } = setUp(mapPrivate, 3, { checks: false });
        const uffd = process.userfaultfd();
        uffd.api();
        uffd.register(at, size, UFFDIO_REGISTER_MODE_WP);
        const old = folioAt(process, at);
        const { finish } = halfway(process, old, () => isMoving(process, at) && !old.rmapping!.iMmapRwsem.isHeld);
        uffd.writeprotect(at, size, UFFDIO_WRITEPROTECT_MODE_WP);
        expect(process.pagemap(at)[0]! & (1n << 57n)).not.toBe(0n);
        if (then === 'resolve') uffd.writeprotect(at, size, 0);
        if (then === 'unmap') process.madvise(at, size, MADV_DONTNEED);
        finish();
        machine.check();
        const { entry } = pageAt(process, at)!;
        if (then === 'unmap') expect(entry).toBe(0xf7ff_ffff_ffff_fc00n);
        else expect(entry & 0x403n).toBe(then === 'keep' ? 0x401n : 0x1n);
      }
    });

    test('smaps still has it, as private', () => {
      const { process, at, finish } = begin();
      expect(process.smaps(at, 1)[0]).toMatchObject({ sharedHugetlb: 0, privateHugetlb: size });
      finish();
    });
  });
});

test('a private page that moves is lost where the owner of another one has to take that from its children', () => {
  const machine = machineWith({ pages: 2, checks: false });
  const owner = machine.createProcess();
  const at = mapPrivate(owner, 1);
  owner.write(at, 1);
  const [copier, sharer] = [forkOf(owner), forkOf(owner)];
  copier.write(at, 2);
  const own = folioAt(copier, at);
  const { finish } = halfway(copier, own, () => isMoving(copier, at) && !own.rmapping!.iMmapRwsem.isHeld);
  /* No page is left for the copy: the children lose theirs, what moves without a look at which page it is. */
  expect(owner.write(at, 3)).toBe('OK');
  expect(finish()).toBe('OK');
  expect([owner.read(at), sharer.read(at)]).toEqual([3, 'SIGBUS']);
  expect(pageAt(copier, at)).toBeUndefined();
  expect(copier.read(at)).toBe(0);
  machine.check();
});

test('a page with bad memory stays where it is, and what was left of it in page tables is lost', () => {
  const { machine, process, whole, at, uffd } = pieces(MIB2);
  process.munmap(whole, MIB2);
  uffd.continue(at, 3 * KIB4);
  const { pfn } = folioAt(process, at);
  expect(machine.memoryFailure(pfn + 1)).toBe('OK');
  expect(process.read(at)).toBe(0);
  expect(process.smaps(at, 1)[0]).toMatchObject({ privateHugetlb: 3 * KIB4 });
  expect(machine.migrate(pfn)).toBe('EAGAIN');
  expect([process.read(at), process.read(at + 2 * KIB4)]).toEqual(['SIGBUS', 'SIGBUS']);
  expect(process.mm.hugetlbUsage).toBe(0);
});

test('the entry of a private page that is pinned is not touched at all', () => {
  const machine = machineWith({ pages: 2 });
  const process = machine.createProcess();
  const at = mapPrivate(process, 1);
  process.registerBuffer(at, KIB4);
  const { pfn } = folioAt(process, at);
  expect(traced(machine, () => machine.migrate(pfn)).filter(({ kind }) => kind === 'entry')).toEqual([]);
});

describe('the pool', () => {
  test('has one more page while one beyond it is used, and no surplus page', () => {
    const machine = machineWith({ pages: 1, checks: false });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    process.write(at, 1);
    const { finish } = halfway(process, folioAt(process, at), () => isMoving(process, at));
    expect(counts(machine)).toEqual([2, 0, 0, 0]);
    finish();
    expect(counts(machine)).toEqual([1, 0, 0, 0]);
    process.munmap(at, MIB2);
    expect(counts(machine)).toEqual([1, 1, 0, 0]);
  });

  test('a surplus page stays one: what replaces it goes as soon as it is free', () => {
    const machine = machineWith({ pages: 0, overcommit: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    process.write(at, 1);
    expect(machine.migrate(folioAt(process, at).pfn)).toBe('OK');
    expect(counts(machine)).toEqual([1, 0, 0, 1]);
    process.munmap(at, MIB2);
    expect(counts(machine)).toEqual([0, 0, 0, 0]);
  });

  test('gets back the page beyond it when nothing could be moved', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    process.registerBuffer(at, KIB4);
    expect(machine.migrate(folioAt(process, at).pfn)).toBe('EAGAIN');
    expect(counts(machine)).toEqual([1, 0, 0, 0]);
  });

  test('no memory for a page beyond it: ENOMEM', () => {
    const machine = machineWith({ pages: 1, memoryBytes: MIB2 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    process.write(at, 1);
    expect(machine.migrate(folioAt(process, at).pfn)).toBe('ENOMEM');
    expect(process.read(at)).toBe(1);
  });
});

test('who shares a page table gives it up, but for the last: the others fault again', () => {
  const machine = machineWith({ pages: 2, tables: 2 ** 22 });
  const file = machine.memfdCreate();
  file.ftruncate(GIB1);
  const processes = [machine.createProcess(), machine.createProcess(), machine.createProcess()];
  const at = 64 * GIB1;
  for (const process of processes) {
    mapShared(process, 512, { file, address: at, flags: MAP_NORESERVE });
    process.write(at, 7);
  }
  const old = folioAt(processes[0]!, at);
  expect(old.mapcount).toBe(1);
  expect(machine.migrate(old.pfn)).toBe('OK');
  expect(processes.map((process) => pageAt(process, at)?.folio?.pfn === old.pfn)).toEqual([false, false, false]);
  expect(processes.map((process) => pageAt(process, at) !== undefined)).toEqual([false, false, true]);
  expect(processes.map((process) => process.read(at))).toEqual([7, 7, 7]);
});

describe('a page that is mapped in pieces', () => {
  test('keeps its leaves, each at its place and of its size; holes stay', () => {
    const { machine, process, whole, at, uffd } = pieces(GIB1);
    process.write(whole + KIB4, 3);
    process.write(whole + MIB2, 4);
    uffd.continue(at + KIB4, 2 * KIB4);
    uffd.continue(at + MIB2, 2 * MIB2);
    const before = machine.mappingsOf(folioAt(process, whole).pfn);
    const { pfn } = folioAt(process, whole);
    expect(machine.migrate(pfn)).toBe('OK');
    const moved = folioAt(process, whole).pfn - pfn;
    const after = machine.mappingsOf(pfn + moved);
    expect(after).toEqual(before.map((mapping) => ({ ...mapping, frame: mapping.frame + moved })));
    expect([process.read(at + KIB4), process.read(at + MIB2), process.read(at)]).toEqual([3, 4, 'SIGBUS']);
    expect([0, 1, 2, 3].map((page) => folioAt(process, whole).pageMapcount(page))).toEqual([1, 2, 2, 1]);
  });

  test('UFFDIO_CONTINUE waits for the page while it moves, with a reference: so it cannot move, and is found mapped', () => {
    const { machine, process, whole, at, uffd } = pieces(MIB2, 1, 2, 'v2', false);
    uffd.continue(at, KIB4);
    const { finish } = halfway(process, folioAt(process, whole), () => isMoving(process, whole));
    const filler = process.thread();
    const path = filler.uffdFill(uffd, at, KIB4, { kind: 'continue', mode: 0 });
    expect(path.next().done).toBe(false);
    expect(finish()).toBe('EAGAIN');
    expect(path.next().value).toMatchObject({ result: 'EEXIST' });
    expect(uffd.continue(at + KIB4, KIB4).result).toBe('OK');
    machine.check();
  });

  test.each(['head', 'subpages'] as const)('is counted as before, map counts by %s', (mapcounts) => {
    const version = mapcounts === 'head' ? 'rfc-v2' : 'v2';
    const { machine, process, whole, at, uffd } = pieces(MIB2, 1, 2, version);
    uffd.continue(at, MIB2 - KIB4);
    const old = folioAt(process, whole);
    const before = [old.leaves, old.mapcount, old.refcount];
    expect(machine.migrate(old.pfn)).toBe('OK');
    const fresh = folioAt(process, whole);
    expect([fresh.leaves, fresh.mapcount, fresh.refcount]).toEqual(before);
  });
});
