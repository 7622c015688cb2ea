/**
 * Memory failure in free huge pages, and in memory that is none: mm/memory-failure.c of Linux 6.1, __page_handle_poison; mm/hugetlb.c,
 * dissolve_free_huge_page, dequeue_huge_page_node_exact, __update_and_free_page.
 */
import { describe, expect, test } from 'vitest';
import type { Machine } from '../../../src/linux/index.ts';
import { counts, GIB1, granted, KIB4, MIB2, machineWith, mapPrivate, privately } from '../support.ts';
import { frameAt, look, SIZES } from './support.ts';

/** Where huge pages begin in the model: 4 GiB, in frames. */
const FIRST = 2 ** 20;

/** Frames of the huge pages that a process gets when it takes all. */
function framesOfAll(machine: Machine, size: number): number[] {
  const process = machine.createProcess();
  const { freeHugePages } = machine.hstate(size);
  const at = mapPrivate(process, freeHugePages, { size });
  const frames: number[] = [];
  for (let page = 0; page < freeHugePages; page++) {
    if (process.write(at + page * size, 1) === 'OK') frames.push(frameAt(process, at + page * size));
  }
  process.exit();
  return frames;
}

describe.each(SIZES)('free huge pages of $name', ({ size }) => {
  const frames = size / KIB4;

  test('one with bad memory leaves the pool, which gets no other for it', () => {
    const machine = machineWith({ size, pages: 3 });
    expect(machine.memoryFailure(FIRST + frames + 5)).toBe('OK');
    expect(counts(machine, size)).toEqual([2, 2, 0, 0]);
    expect(machine.hardwareCorrupted).toBe(1);
    expect(framesOfAll(machine, size)).not.toContain(FIRST + frames);
  });

  test('also one that was in use before', () => {
    const machine = machineWith({ size, pages: 2 });
    const [frame] = framesOfAll(machine, size);
    expect(machine.memoryFailure(frame! + frames - 1)).toBe('OK');
    expect(counts(machine, size)).toEqual([1, 1, 0, 0]);
    expect(framesOfAll(machine, size)).not.toContain(frame);
  });

  test('all free pages are promised: EBUSY, it stays in the pool, and whoever was promised it gets SIGBUS', () => {
    const machine = machineWith({ size, pages: 2 });
    const process = machine.createProcess();
    const at = granted(process.mmap(privately(2, { size })));
    expect(machine.memoryFailure(FIRST)).toBe('EBUSY');
    expect(machine.hardwareCorrupted).toBe(1);
    expect(counts(machine, size)).toEqual([2, 2, 2, 0]);
    expect([process.write(at, 1), look(process, at + size)]).toEqual(['OK', 'SIGBUS ADRERR']);
    expect(frameAt(process, at)).toBe(FIRST + frames);
    expect(counts(machine, size)).toEqual([2, 1, 1, 0]);
  });

  test('there a second failure is EHWPOISON, and counted if it is of another 4 KiB', () => {
    const machine = machineWith({ size, pages: 1 });
    granted(machine.createProcess().mmap(privately(1, { size })));
    expect([FIRST, FIRST + 1, FIRST + 1].map((frame) => machine.memoryFailure(frame))).toEqual([
      'EBUSY',
      'EHWPOISON',
      'EHWPOISON',
    ]);
    expect(machine.hardwareCorrupted).toBe(2);
  });

  test('it leaves the pool when that is made smaller', () => {
    const machine = machineWith({ size, pages: 1 });
    const process = machine.createProcess();
    const at = granted(process.mmap(privately(1, { size })));
    machine.memoryFailure(FIRST + 9);
    process.munmap(at, size);
    expect(machine.setNrHugepages(size, 0)).toBe(0);
    expect(machine.setNrHugepages(size, 1)).toBe(1);
    expect(framesOfAll(machine, size)).not.toContain(FIRST);
    expect(machine.memoryFailure(FIRST + 9)).toBe('EHWPOISON');
  });
});

test('the healthy 2 MiB of a 1 GiB page are memory again', () => {
  const machine = machineWith({ size: GIB1, pages: 1, memoryBytes: GIB1 });
  expect(machine.memoryFailure(FIRST + 512 * 7 + 3)).toBe('OK');
  expect(machine.setNrHugepages(GIB1, 1)).toBe(0);
  expect(machine.setNrHugepages(MIB2, 512)).toBe(511);
  const frames = framesOfAll(machine, MIB2);
  expect(frames).toHaveLength(511);
  expect(frames).not.toContain(FIRST + 512 * 7);
});

test('a surplus page that was private goes where surplus pages go, without its bad 4 KiB', () => {
  const machine = machineWith({ pages: 0, overcommit: 1, memoryBytes: MIB2 });
  const process = machine.createProcess();
  const at = mapPrivate(process, 1);
  process.write(at, 1);
  expect(machine.memoryFailure(frameAt(process, at))).toBe('OK');
  expect(counts(machine)).toEqual([0, 0, 0, 0]);
  expect(machine.setNrHugepages(MIB2, 1)).toBe(0);
});

describe('memory that is no huge page', () => {
  test('what is free is not made a huge page of any more', () => {
    const machine = machineWith({ memoryBytes: 3 * MIB2 });
    expect(machine.memoryFailure(FIRST + 512 + 1)).toBe('OK');
    expect(machine.setNrHugepages(MIB2, 3)).toBe(2);
    expect(framesOfAll(machine, MIB2).sort()).toEqual([FIRST, FIRST + 1024]);
  });

  test('also what was a huge page once', () => {
    const machine = machineWith({ pages: 2, memoryBytes: 2 * MIB2 });
    machine.setNrHugepages(MIB2, 0);
    expect(machine.memoryFailure(FIRST + 512)).toBe('OK');
    expect(machine.setNrHugepages(MIB2, 2)).toBe(1);
  });

  test('the second failure of 4 KiB is EHWPOISON, behind the end of memory it is ENXIO, of page tables EBUSY', () => {
    const machine = machineWith({ memoryBytes: MIB2 });
    expect([machine.memoryFailure(FIRST), machine.memoryFailure(FIRST)]).toEqual(['OK', 'EHWPOISON']);
    expect(machine.memoryFailure(FIRST + 512)).toBe('ENXIO');
    expect(machine.memoryFailure(1)).toBe('EBUSY');
    expect(machine.hardwareCorrupted).toBe(2);
  });

  test('a frame is a whole number that x86-64 has', () => {
    const machine = machineWith();
    expect(() => machine.memoryFailure(-1)).toThrow(/frame: expected/);
    expect(() => machine.memoryFailure(2 ** 40)).toThrow(/frame: expected/);
  });
});
