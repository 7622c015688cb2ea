/**
 * A write to a page that is mapped read-only. mm/hugetlb.c of Linux 6.1: hugetlb_wp, unmap_ref_private,
 * vma_has_reserves.
 */
import { describe, expect, test } from 'vitest';
import { MAP_NORESERVE, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_READ } from '../../../src/linux/index.ts';
import {
  A,
  counts,
  D,
  entryOf,
  faultsIn,
  folioAt,
  forkOf,
  KIB4,
  machineWith,
  mapPrivate,
  mapShared,
  NX,
  P,
  PS,
  pageAt,
  RW,
  SIZES,
  SOFT_DIRTY,
  traced,
  U,
  W,
} from '../support.ts';

const WRITABLE = P | W | U | A | D | PS | SOFT_DIRTY | NX;

describe.each(SIZES)('pages of $name', ({ size }) => {
  /** A process with a private mapping, the first page of which holds a 1. */
  const setUp = (pages: number, mapped = 1, flags = 0) => {
    const machine = machineWith({ size, pages });
    const parent = machine.createProcess();
    const at = mapPrivate(parent, mapped, { size, flags });
    parent.write(at, 1);
    return { machine, parent, at, now: () => counts(machine, size) };
  };

  test('a write after a fork copies the page: each process has its own', () => {
    const { parent, at, now } = setUp(2);
    const original = folioAt(parent, at);
    const child = forkOf(parent);
    expect(now()).toEqual([2, 1, 0, 0]);
    expect(child.write(at + KIB4, 2)).toBe('OK');
    expect(now()).toEqual([2, 0, 0, 0]);
    expect([child.read(at), child.read(at + KIB4)]).toEqual([1, 2]);
    expect([parent.read(at), parent.read(at + KIB4)]).toEqual([1, 0]);
    const copy = folioAt(child, at);
    expect(copy).toMatchObject({ anon: true, anonExclusive: true, mapcount: 1, refcount: 1, uptodate: true });
    expect(pageAt(child, at)!.entry).toBe(entryOf(copy, WRITABLE));
    expect(folioAt(parent, at)).toBe(original);
    expect(original).toMatchObject({ anonExclusive: false, mapcount: 1, refcount: 1 });
  });

  test('the write faults once, with P and W/R in the error code, and writes one entry', () => {
    const { machine, parent, at } = setUp(2);
    const child = forkOf(parent);
    const before = pageAt(child, at)!.entry;
    const events = traced(machine, () => child.write(at, 2));
    expect(events.filter(({ kind }) => kind === 'fault')).toEqual([
      { kind: 'fault', task: 'process 1', address: at, errorCode: 7 },
    ]);
    expect(events.filter(({ kind }) => kind === 'entry')).toMatchObject([
      { process: 'process 1', address: at, before, after: entryOf(folioAt(child, at), WRITABLE) },
    ]);
  });

  test('who is left alone with a page writes to it without a copy, and owns it again', () => {
    const { parent, at, now } = setUp(2);
    const original = folioAt(parent, at);
    const child = forkOf(parent);
    child.write(at, 2);
    expect(pageAt(parent, at)!.entry & W).toBe(0n);
    expect(parent.write(at, 3)).toBe('OK');
    expect(now()).toEqual([2, 0, 0, 0]);
    expect(folioAt(parent, at)).toBe(original);
    expect(original.anonExclusive).toBe(true);
    expect(pageAt(parent, at)!.entry).toBe(entryOf(original, WRITABLE));
    expect(child.read(at)).toBe(2);
  });

  test("a child's exit leaves its parent alone with the page", () => {
    const { parent, at, now } = setUp(1);
    forkOf(parent).exit();
    expect(folioAt(parent, at)).toMatchObject({ mapcount: 1, refcount: 1, anonExclusive: false });
    expect(parent.write(at, 2)).toBe('OK');
    expect(folioAt(parent, at).anonExclusive).toBe(true);
    expect(now()).toEqual([1, 0, 0, 0]);
  });

  test('a read after a fork needs no fault', () => {
    const { machine, parent, at } = setUp(1);
    const child = forkOf(parent);
    expect(faultsIn(machine, () => expect(child.read(at)).toBe(1))).toBe(0);
  });

  test('a private owner whose copy finds no page takes it from the child, whose next fault is SIGBUS', () => {
    const { parent, at, now } = setUp(1);
    const original = folioAt(parent, at);
    const child = forkOf(parent);
    expect(parent.write(at, 2)).toBe('OK');
    expect(now()).toEqual([1, 0, 0, 0]);
    expect(folioAt(parent, at)).toBe(original);
    expect(original).toMatchObject({ mapcount: 1, refcount: 1, anonExclusive: true });
    expect(pageAt(child, at)).toBeUndefined();
    expect(child.vmas[0]!.reserveUnmapped).toBe(true);
    expect([child.read(at), child.write(at, 3)]).toEqual(['SIGBUS', 'SIGBUS']);
    expect(parent.read(at)).toBe(2);
  });

  test('it takes it from every process that has no reservations', () => {
    const { parent, at } = setUp(1);
    const child = forkOf(parent);
    const grandchild = forkOf(child);
    expect(folioAt(parent, at)).toMatchObject({ mapcount: 3, refcount: 3 });
    expect(parent.write(at, 2)).toBe('OK');
    expect([child.read(at), grandchild.read(at)]).toEqual(['SIGBUS', 'SIGBUS']);
  });

  test('from then on every page that the child has not mapped is SIGBUS, though the pool may have pages', () => {
    const { machine, parent, at, now } = setUp(3, 3);
    parent.write(at + 2 * size, 5);
    const child = forkOf(parent);
    expect(now()).toEqual([3, 1, 1, 0]);
    expect(parent.write(at, 2)).toBe('OK');
    expect(now()).toEqual([3, 1, 1, 0]);
    machine.setNrHugepages(size, 8);
    expect(child.read(at + size)).toBe('SIGBUS');
    expect(child.read(at + 2 * size)).toBe(5);
  });

  test('a fork of such a child knows nothing of it: where the page was it finds zeros', () => {
    const { machine, parent, at } = setUp(1);
    const child = forkOf(parent);
    parent.write(at, 2);
    const grandchild = forkOf(child);
    machine.setNrHugepages(size, 2);
    expect([grandchild.read(at), child.read(at)]).toEqual([0, 'SIGBUS']);
  });

  test('a mapping that the child makes itself does not suffer', () => {
    const { machine, parent, at } = setUp(1);
    const child = forkOf(parent);
    parent.write(at, 2);
    machine.setNrHugepages(size, 2);
    expect(child.write(mapPrivate(child, 1, { size }), 4)).toBe('OK');
  });

  test('a child has no reservations: its copy without a page is SIGBUS, and nothing changes', () => {
    const { parent, at, now } = setUp(1);
    const child = forkOf(parent);
    const entry = pageAt(child, at)!.entry;
    expect(child.write(at, 2)).toBe('SIGBUS');
    expect(now()).toEqual([1, 0, 0, 0]);
    expect(pageAt(child, at)!.entry).toBe(entry);
    expect(folioAt(parent, at)).toMatchObject({ mapcount: 2, refcount: 2 });
    expect([child.read(at), parent.read(at)]).toEqual([1, 1]);
  });

  test("a child's copy may not take a page that is promised to the parent", () => {
    const { parent, at, now } = setUp(2, 2);
    const child = forkOf(parent);
    expect(now()).toEqual([2, 1, 1, 0]);
    expect(child.write(at, 2)).toBe('SIGBUS');
    expect(child.read(at + size)).toBe('SIGBUS');
    expect(parent.write(at + size, 3)).toBe('OK');
    expect(now()).toEqual([2, 0, 0, 0]);
  });

  test("a child's first touch of a page takes one that is not promised; the parent's reservation stays", () => {
    const { parent, at, now } = setUp(3, 2);
    const child = forkOf(parent);
    expect(child.write(at + size, 2)).toBe('OK');
    expect(now()).toEqual([3, 1, 1, 0]);
    expect(parent.read(at + size)).toBe(0);
    expect(now()).toEqual([3, 0, 0, 0]);
  });

  test("an owner's copy takes a page that is not promised, and leaves its own reservations alone", () => {
    const { parent, at, now } = setUp(4, 2);
    const child = forkOf(parent);
    expect(parent.write(at, 2)).toBe('OK');
    expect(now()).toEqual([4, 2, 1, 0]);
    expect(child.read(at)).toBe(1);
    expect(folioAt(child, at)).toMatchObject({ mapcount: 1, anonExclusive: false });
    expect(parent.vmas[0]!.privateMap!.count(0, 2)).toBe(1);
  });

  test('a MAP_NORESERVE mapping has no owner: its copy without a page is SIGBUS itself', () => {
    const { parent, at, now } = setUp(1, 1, MAP_NORESERVE);
    const child = forkOf(parent);
    expect(parent.write(at, 2)).toBe('SIGBUS');
    expect(now()).toEqual([1, 0, 0, 0]);
    expect(child.read(at)).toBe(1);
  });

  test('an owner whose child has moved the page elsewhere tries for ever', () => {
    const { machine, parent, at } = setUp(1);
    const child = forkOf(parent);
    const target = at - 8 * size;
    expect(child.mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, target)).toBe(target);
    expect(parent.write(at, 2)).toBe('HANG');
    expect([child.read(target), parent.read(at)]).toEqual([1, 1]);
    machine.setNrHugepages(size, 2);
    expect(parent.write(at, 2)).toBe('OK');
  });

  test('an mprotect takes W and gives it back: the sole owner faults, and copies nothing', () => {
    const { machine, parent, at, now } = setUp(1);
    const original = folioAt(parent, at);
    parent.mprotect(at, size, PROT_READ);
    parent.mprotect(at, size, RW);
    expect(pageAt(parent, at)!.entry & W).toBe(0n);
    expect(faultsIn(machine, () => parent.write(at, 2))).toBe(1);
    expect(pageAt(parent, at)!.entry).toBe(entryOf(original, WRITABLE));
    expect(now()).toEqual([1, 0, 0, 0]);
  });
});

describe.each(SIZES)('a private mapping of a file, pages of $name', ({ size }) => {
  /** A file with one page in memory, which begins with a 1. */
  const setUp = (pages: number) => {
    const machine = machineWith({ size, pages });
    const file = machine.memfdCreate({ hugePageSize: size });
    const writer = machine.createProcess();
    writer.write(mapShared(writer, 1, { size, file }), 1);
    return { machine, file, writer, process: machine.createProcess(), now: () => counts(machine, size) };
  };

  test("a read maps the file's page read-only, and takes none", () => {
    const { file, process, now } = setUp(2);
    const at = mapPrivate(process, 1, { size, file });
    expect(now()).toEqual([2, 1, 1, 0]);
    expect(process.read(at)).toBe(1);
    expect(now()).toEqual([2, 1, 1, 0]);
    const folio = file.inode.pageCache.find(0)!;
    expect(pageAt(process, at)!.entry).toBe(entryOf(folio, P | U | A | PS | NX));
    expect(folio).toMatchObject({ mapcount: 2, refcount: 3, anon: false });
  });

  test("the copy of a file's page uses the reservation, which the page in the file has not consumed", () => {
    const { file, writer, process, now } = setUp(2);
    const at = mapPrivate(process, 1, { size, file });
    process.read(at);
    expect(process.write(at, 2)).toBe('OK');
    expect(now()).toEqual([2, 0, 0, 0]);
    expect(process.read(at)).toBe(2);
    expect(writer.read(writer.vmas[0]!.start)).toBe(1);
    expect(file.inode.pageCache.find(0)).toMatchObject({ mapcount: 1, refcount: 2 });
    expect(folioAt(process, at)).toMatchObject({ anon: true, anonExclusive: true, mapcount: 1, refcount: 1 });
  });

  test('a first write copies in the fault that maps the page', () => {
    const { machine, file, process } = setUp(2);
    const at = mapPrivate(process, 1, { size, file });
    const events = traced(machine, () => process.write(at + 1, 2));
    expect(events.filter(({ kind }) => kind === 'fault')).toHaveLength(1);
    const folio = file.inode.pageCache.find(0)!;
    const read = entryOf(folio, P | U | A | PS | NX);
    expect(events.filter(({ kind }) => kind === 'entry')).toMatchObject([
      { before: 0n, after: read },
      { before: read, after: entryOf(folioAt(process, at), WRITABLE) },
    ]);
    expect([process.read(at), process.read(at + 1)]).toEqual([1, 2]);
    expect(folio.mapcount).toBe(1);
  });

  test('without a reservation and without a page the copy is SIGBUS; what was mapped for it stays, read-only', () => {
    const { file, process, now } = setUp(1);
    const at = mapPrivate(process, 1, { size, file, flags: MAP_NORESERVE });
    expect(process.write(at, 2)).toBe('SIGBUS');
    expect(process.read(at)).toBe(1);
    expect(now()).toEqual([1, 0, 0, 0]);
    expect(pageAt(process, at)!.entry & W).toBe(0n);
  });

  test('an owner that takes its page from its child takes nothing from shared mappings of the file', () => {
    const { file, writer, process, now } = setUp(2);
    const at = mapPrivate(process, 1, { size, file });
    process.write(at, 2);
    const child = forkOf(process);
    expect(now()).toEqual([2, 0, 0, 0]);
    expect(process.write(at, 3)).toBe('OK');
    expect(child.read(at)).toBe('SIGBUS');
    expect(pageAt(writer, writer.vmas[0]!.start)).toBeDefined();
    expect(writer.read(writer.vmas[0]!.start)).toBe(1);
  });
});
