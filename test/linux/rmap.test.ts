/**
 * From a huge page to its leaves. mm/rmap.c and mm/page_vma_mapped.c of Linux 6.1 and of the HGM series: rmap_walk, page_vma_mapped_walk.
 */
import { describe, expect, test } from 'vitest';
import {
  MAP_NORESERVE,
  type Machine,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  type Process,
  run,
} from '../../src/linux/index.ts';
import { PageVmaMappedWalk } from '../../src/linux/page-tables/page-vma-mapped.ts';
import { pieces } from './pieces.ts';
import { folioAt, forkOf, GIB1, KIB4, MIB2, machineWith, mapPrivate, mapShared, SIZES } from './support.ts';

/** [process, address, bytes] of each leaf. */
function mappings(machine: Machine, frame: number): [Process, number, number][] {
  return machine.mappingsOf(frame).map(({ process, address, size }) => [process, address, size]);
}

describe.each(SIZES)('pages of $name', ({ size }) => {
  test("a file's page is mapped wherever somebody has touched it, and nowhere else", () => {
    const machine = machineWith({ size, pages: 2 });
    const file = machine.memfdCreate({ hugePageSize: size });
    file.ftruncate(2 * size);
    const [one, other, idle] = [machine.createProcess(), machine.createProcess(), machine.createProcess()];
    const at = mapShared(one, 2, { size, file });
    const there = mapShared(other, 1, { size, file, offset: size });
    mapShared(idle, 2, { size, file });
    one.write(at, 1);
    one.write(at + size, 2);
    other.read(there);
    const { pfn } = folioAt(one, at + size);
    expect(mappings(machine, pfn)).toEqual([
      [one, at + size, size],
      [other, there, size],
    ]);
    /* Any of its 4 KiB frames will do. */
    expect(machine.mappingsOf(pfn + 511)).toEqual(machine.mappingsOf(pfn));
    expect(machine.mappingsOf(pfn).map(({ frame }) => frame)).toEqual([pfn, pfn]);
  });

  test("a private mapping has the file's page until it writes, and then its own", () => {
    const machine = machineWith({ size, pages: 2 });
    const file = machine.memfdCreate({ hugePageSize: size });
    file.ftruncate(size);
    file.fallocate(0, size);
    const process = machine.createProcess();
    const at = mapPrivate(process, 1, { size, file });
    process.read(at);
    const original = folioAt(process, at);
    expect(mappings(machine, original.pfn)).toEqual([[process, at, size]]);
    process.write(at, 1);
    expect(mappings(machine, original.pfn)).toEqual([]);
    expect(mappings(machine, folioAt(process, at).pfn)).toEqual([[process, at, size]]);
  });

  test('a private page is found in all processes that have come from one, after a split and a move, too', () => {
    const machine = machineWith({ size, pages: 3 });
    const parent = machine.createProcess();
    const at = mapPrivate(parent, 3, { size, address: 64 * GIB1 });
    for (const page of [0, 1, 2]) parent.write(at + page * size, page);
    const { pfn } = folioAt(parent, at + 2 * size);
    parent.mprotect(at, size, PROT_READ);
    const child = forkOf(parent);
    const target = 96 * GIB1;
    child.mremap(at + 2 * size, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    expect(mappings(machine, pfn)).toEqual([
      [parent, at + 2 * size, size],
      [child, target, size],
    ]);
    child.exit();
    expect(mappings(machine, pfn)).toEqual([[parent, at + 2 * size, size]]);
  });

  test('a page that nobody maps is mapped nowhere, and a frame of no huge page is refused', () => {
    const machine = machineWith({ size, pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1, { size });
    process.write(at, 1);
    const { pfn } = folioAt(process, at);
    process.munmap(at, size);
    expect(machine.mappingsOf(pfn)).toEqual([]);
    expect(() => machine.mappingsOf(pfn - 1)).toThrow(RangeError);
  });
});

test('who shares a page table maps what is in it', () => {
  const machine = machineWith({ pages: 1 });
  const file = machine.memfdCreate();
  file.ftruncate(GIB1);
  const parts = { file, address: 64 * GIB1, flags: MAP_NORESERVE };
  const [one, other] = [machine.createProcess(), machine.createProcess()];
  const at = mapShared(one, 512, parts);
  mapShared(other, 512, parts);
  one.write(at, 1);
  other.read(at);
  expect(mappings(machine, folioAt(one, at).pfn)).toEqual([
    [one, at, MIB2],
    [other, at, MIB2],
  ]);
});

describe('a huge page that is mapped in pieces', () => {
  test('has a mapping for each of its leaves, of the size that it has, and with its own frame', () => {
    const { machine, process, whole, at, uffd } = pieces(GIB1);
    uffd.continue(at + KIB4, KIB4);
    uffd.continue(at + MIB2, 2 * MIB2);
    const { pfn } = folioAt(process, whole);
    expect(machine.mappingsOf(pfn)).toEqual([
      { process, address: whole, size: GIB1, frame: pfn },
      { process, address: at + KIB4, size: KIB4, frame: pfn + 1 },
      { process, address: at + MIB2, size: MIB2, frame: pfn + 512 },
      { process, address: at + 2 * MIB2, size: MIB2, frame: pfn + 1024 },
    ]);
  });

  test('is walked leaf by leaf, each under its own lock, holes left out', () => {
    const { process, at, uffd } = pieces(MIB2, 2);
    uffd.continue(at + MIB2, 2 * KIB4);
    uffd.continue(at + 2 * MIB2 - KIB4, KIB4);
    const { task } = process.thread();
    const walk = new PageVmaMappedWalk(task, process.mm.vmaLookup(at)!, folioAt(process, at + MIB2), at + MIB2);
    const found: number[] = [];
    while (run(walk.next())) {
      found.push(walk.address - at - MIB2);
      expect(task.held).toEqual([walk.hpte.lock]);
    }
    expect(found).toEqual([0, KIB4, MIB2 - KIB4]);
    expect(task.held).toEqual([]);
  });

  test('a walk that is given up holds nothing', () => {
    const { process, at, uffd } = pieces(MIB2);
    uffd.continue(at, 2 * KIB4);
    const { task } = process.thread();
    const walk = new PageVmaMappedWalk(task, process.mm.vmaLookup(at)!, folioAt(process, at), at);
    expect(run(walk.next())).toBe(true);
    walk.done();
    expect(task.held).toEqual([]);
    expect(() => walk.hpte).toThrow(TypeError);
  });
});
