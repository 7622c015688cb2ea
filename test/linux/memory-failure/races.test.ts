/**
 * Memory failure, and somebody else at work on the same huge page: at every place where the one may be interrupted, the other comes in between.
 * Who has a lock that memory failure can only try makes it fail, EBUSY; if it does not fail, nobody maps the bad 4 KiB afterwards.
 */
import { describe, expect, test } from 'vitest';
import { Task } from '../../../src/linux/base/task.ts';
import {
  FOLL_GET,
  FOLL_WRITE,
  type HgmVersion,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HWPOISON,
  MADV_SPLIT,
  MAP_NORESERVE,
  type Path,
  PROT_READ,
  type Process,
  type Syscalls,
} from '../../../src/linux/index.ts';
import { memoryFailure } from '../../../src/linux/memory-failure/memory-failure.ts';
import { atEveryStep, KIB4, MIB2, machineWith, mapPrivate, mapShared, work } from '../support.ts';
import { mapsBadMemory } from './support.ts';

const BAD = 3 * KIB4;
/** Where huge pages begin in the model: 4 GiB, in frames. The pool gives out the last one first. */
const FIRST = 2 ** 20;

const SCENES: readonly { readonly name: string; readonly version: HgmVersion; readonly shared: boolean }[] = [
  { name: 'shared, HGM v2', version: 'v2', shared: true },
  { name: 'shared, Linux 6.1', version: 'none', shared: true },
  { name: 'private', version: 'v2', shared: false },
];

/** What the other does with the mapping at `at`. */
const OTHERS: readonly { readonly name: string; readonly act: (thread: Syscalls, at: number) => Path<unknown> }[] = [
  { name: 'a write to it', act: (thread, at) => thread.write(at + BAD, 1) },
  { name: 'a write beside it', act: (thread, at) => thread.write(at, 1) },
  { name: 'munmap', act: (thread, at) => thread.munmap(at, MIB2) },
  { name: 'MADV_DONTNEED', act: (thread, at) => thread.madvise(at, MIB2, MADV_DONTNEED) },
  { name: 'MADV_COLLAPSE', act: (thread, at) => thread.madvise(at, MIB2, MADV_COLLAPSE) },
  { name: 'MADV_SPLIT', act: (thread, at) => thread.madvise(at, MIB2, MADV_SPLIT) },
  { name: 'mprotect', act: (thread, at) => thread.mprotect(at, MIB2, PROT_READ) },
  { name: 'mremap', act: (thread, at) => thread.mremap(at, MIB2, MIB2, 3, 2 ** 42) },
  { name: 'fork', act: (thread) => thread.fork() },
  { name: 'exit', act: (thread) => thread.exit() },
  { name: 'a second failure', act: (thread, at) => thread.madvise(at, KIB4, MADV_HWPOISON) },
  { name: 'GUP', act: (thread, at) => takeAndPut(thread, at) },
];

describe('a frame, whatever its huge page is doing', () => {
  const PLACES = [
    { name: 'a fault takes it out of the pool, shared', touched: false, shared: true },
    { name: 'a fault takes it out of the pool, private', touched: false, shared: false },
    { name: 'the end of its process frees it, shared', touched: true, shared: true },
    { name: 'the end of its process frees it, private', touched: true, shared: false },
  ];
  test.each(PLACES)('$name', ({ touched, shared }) => {
    const failures = new Set<unknown>();
    atEveryStep(
      () => {
        const machine = machineWith({ pages: 2, overcommit: 1, checks: false });
        const process = machine.createProcess();
        const at = (shared ? mapShared : mapPrivate)(process, 1, { flags: MAP_NORESERVE });
        if (touched) process.write(at, 1);
        const task = new Task(machine, 'the memory');
        const thread = process.thread();
        const act: Path<unknown> = touched ? thread.exit() : thread.write(at, 1);
        return {
          machine,
          works: [{ task, path: memoryFailure(task, machine, FIRST + 512 + 3) }, work(thread, act)] as const,
        };
      },
      ({ machine }, [result]) => {
        machine.check();
        failures.add(result);
        expect(machine.hardwareCorrupted).toBe(1);
        for (const process of machine.processes) process.exit();
        machine.check();
        const kept = [...machine.folios()].filter(({ hwpoisonReferences }) => hwpoisonReferences > 0).length;
        expect(machine.hstate().nrHugePages).toBe(machine.hstate().freeHugePages + kept);
      },
    );
    /* A page that a fault has taken, and not mapped yet, cannot be had; nor one whose last reference is about to be dropped. */
    expect([...failures].sort()).toEqual(['EBUSY', 'OK']);
  });
});

test('a fork that copies a pinned page: the child has the copy, or the bad entry, and never an empty place', () => {
  const seen = new Set<unknown>();
  atEveryStep(
    () => {
      const machine = machineWith({ pages: 3, checks: false, hgm: { version: 'none' } });
      const process = machine.createProcess();
      const at = mapPrivate(process, 1);
      process.write(at, 7);
      const pages: number[] = [];
      process.pinUserPages(at, 1, FOLL_WRITE, pages);
      const task = new Task(machine, 'the memory');
      const thread = process.thread();
      return {
        machine,
        at,
        works: [{ task, path: memoryFailure(task, machine, pages[0]!) }, work(thread, thread.fork())] as const,
      };
    },
    ({ machine, at }, [result, child]) => {
      machine.check();
      expect(result).toBe('EBUSY');
      seen.add((child as Process).read(at));
    },
  );
  expect(seen).toEqual(new Set([7, 'SIGBUS']));
});

/** Takes references to some pages, and puts them. */
function* takeAndPut(thread: Syscalls, at: number): Path<unknown> {
  const pages = new Float64Array(8);
  const got = yield* thread.getUserPages(at, 8, FOLL_GET, pages);
  if (typeof got === 'number' && got > 0) yield* thread.putPages(pages, got);
  return got;
}

describe.each(SCENES)('$name', ({ version, shared }) => {
  /* The process of a private mapping is both threads': it cannot end before its own system call. */
  test.each(OTHERS.filter(({ name }) => shared || name !== 'exit'))('$name', ({ act }) => {
    const failures = new Set<unknown>();
    const runs = atEveryStep(
      () => {
        const machine = machineWith({ pages: 6, hgm: { version }, checks: false });
        const process = machine.createProcess();
        const at = shared ? mapShared(process, 1, { address: 2 ** 40 }) : mapPrivate(process, 1, { address: 2 ** 40 });
        process.write(at, 1);
        const other = shared ? (process.fork() as typeof process) : process;
        if (shared) other.write(at, 1);
        const [one, two] = [process.thread(), other.thread()];
        const failure = one.madvise(at + BAD, KIB4, MADV_HWPOISON);
        return { machine, works: [work(one, failure), work(two, act(two, at))] as const };
      },
      ({ machine }, [result]) => {
        machine.check();
        failures.add(result);
        if (result === 'OK') expect(mapsBadMemory(machine)).toBe(false);
        for (const process of machine.processes) process.exit();
        machine.check();
        expect(machine.tables.count).toBe(0);
        const kept = [...machine.folios()].filter(({ hwpoisonReferences }) => hwpoisonReferences > 0).length;
        const { nrHugePages, freeHugePages, resvHugePages } = machine.hstate();
        expect([freeHugePages, resvHugePages]).toEqual([nrHugePages - kept, 0]);
      },
    );
    expect(runs).toBeGreaterThan(2);
    expect([...failures]).toContain('OK');
    expect(['OK', 'EBUSY', 'EFAULT', 'EHWPOISON', 'EINTR', undefined]).toEqual(expect.arrayContaining([...failures]));
  });
});
