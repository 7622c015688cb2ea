/**
 * A walk over all frames, with a reference to each for a moment. mm/huge_memory.c of Linux 6.1: split_huge_pages_all; include/linux/mm_types.h: pt_share_count.
 */
import { describe, expect, test } from 'vitest';
import { interleave, LINUX_BUG_TABLE_REFERENCE_IS_SHARER, type Path, type Process } from '../../../src/linux/index.ts';
import { folioAt, KIB4, MIB2, machineWith, mapPrivate, pageAt, traced } from '../support.ts';

const setUp = (bugs = 0) => {
  const machine = machineWith({ pages: 3, bugs, checks: false });
  const process = machine.createProcess();
  const at = mapPrivate(process, 1);
  process.write(at, 7);
  return { machine, process, at };
};

/** Where the table lies that maps an address. */
function tableOf(process: Process, at: number): number {
  const { entryAddress } = pageAt(process, at)!;
  return entryAddress - (entryAddress % KIB4);
}

/** What another thread's path answers that runs when the walk has come by so many places, for each number of them once. */
function meanwhile<T>(scene: ReturnType<typeof setUp>, other: () => Path<T>, most = 40): Set<T> {
  const answers = new Set<T>();
  for (let places = 0; places < most; places++) {
    const [walker, thread] = [scene.process.thread(), scene.process.thread()];
    let left = places;
    const works = [
      { task: walker.task, path: walker.splitHugePages() as Path<unknown> },
      { task: thread.task, path: other() as Path<unknown> },
    ];
    answers.add(interleave(works, (count) => (left-- > 0 ? 0 : count - 1))[1] as T);
  }
  return answers;
}

describe('a walk over all frames', () => {
  test('takes a reference to each page table and each huge page in use, one after the other, and gives it back', () => {
    const { machine, process, at } = setUp();
    const events = traced(machine, () => expect(machine.splitHugePages()).toBe('OK'));
    const counts = events.flatMap((event) =>
      event.kind === 'count' ? [`${event.count} ${event.of} ${event.before} ${event.after}`] : [],
    );
    const ofHugePage = `pfn 0x${folioAt(process, at).pfn.toString(16)}`;
    /* The root, those of 512 GiB and of 1 GiB: tables have one reference, their user's. */
    for (const of of ['table 0x1000', 'table 0x2000', `table 0x${tableOf(process, at).toString(16)}`, ofHugePage]) {
      expect(counts).toContain(`_refcount ${of} 1 2`);
      expect(counts[counts.indexOf(`_refcount ${of} 1 2`) + 1]).toBe(`_refcount ${of} 2 1`);
    }
    expect(counts).toHaveLength(2 * 4);
    expect(process.read(at)).toBe(7);
    machine.check();
  });

  test('keeps a huge page where it is for that moment: it cannot be moved', () => {
    const scene = setUp();
    const { machine, process, at } = scene;
    const mover = process.thread();
    const moved = meanwhile(scene, () => mover.migrate(folioAt(process, at).pfn));
    expect([...moved].sort()).toEqual(['EAGAIN', 'OK']);
    machine.check();
  });

  test('keeps the memory of a table that is freed meanwhile: it is used again when the reference is given back', () => {
    const { machine, process, at } = setUp();
    const { tables } = machine;
    const page = tables.tryGet(tableOf(process, at))!;
    process.munmap(at, MIB2);
    expect(tables.tryGet(page.address)).toBeUndefined();
    const remapped = mapPrivate(process, 1);
    process.write(remapped, 8);
    expect(tableOf(process, remapped)).not.toBe(page.address);
    tables.put(page);
    expect(tables.allocate(21)!.address).toBe(page.address);
  });
});

describe('a reference to a page table', () => {
  const unmapped = (bugs: number) => {
    const { machine, process, at } = setUp(bugs);
    const page = machine.tables.tryGet(tableOf(process, at))!;
    process.munmap(at, MIB2);
    return { put: () => machine.tables.put(page), free: machine.hstate().freeHugePages };
  };

  test('is no sharer: sharers have a count of their own, and what is unmapped becomes free', () => {
    const { put, free } = unmapped(0);
    expect(free).toBe(3);
    expect(put).not.toThrow();
  });

  test('CVE-2024-57883: was one. The only user gives the table up, nothing is unmapped, and the last reference is the walk’s', () => {
    const { put, free } = unmapped(LINUX_BUG_TABLE_REFERENCE_IS_SHARER);
    expect(free).toBe(2);
    expect(put).toThrow('the last reference to table 0x3000 is gone');
  });
});
