/**
 * Locks: their order, who has which, and that none is kept. mm/rmap.c of Linux 6.1, its head comment; mm/hugetlb.c:
 * hugetlb_vma_lock_read, __vma_private_lock, hugetlb_fault_mutex_hash, hugetlb_wp.
 */
import { describe, expect, test } from 'vitest';
import { InvariantError } from '../../../src/core/errors.ts';
import { Lock, LockRank } from '../../../src/linux/base/lock.ts';
import { run, Task } from '../../../src/linux/base/task.ts';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  interleave,
  MADV_DONTNEED,
  PROT_READ,
} from '../../../src/linux/index.ts';
import { atEveryStep, counts, forkOf, MIB2, machineWith, mapPrivate, mapShared, RW, traced, work } from '../support.ts';

describe('the order of locks', () => {
  const order = [
    'mmapLock',
    'inode',
    'faultMutex',
    'vmaLock',
    'iMmap',
    'page',
    'pageTable',
    'reservations',
    'hugetlbLock',
  ] as const;
  const pairs = order.flatMap((outer, at) => order.slice(at + 1).map((inner) => ({ outer, inner })));
  const setUp = (...ranks: readonly (keyof typeof LockRank)[]) => {
    const task = new Task(machineWith(), 'test');
    return { task, locks: ranks.map((rank) => new Lock(rank, LockRank[rank])) as [Lock, Lock] };
  };

  test.each(pairs)('$outer, then $inner', ({ outer, inner }) => {
    const { task, locks } = setUp(outer, inner);
    run(locks[0].write(task));
    run(locks[1].read(task));
    expect(locks.map((lock) => lock.isHeldBy(task))).toEqual([true, true]);
    for (const lock of locks) lock.unlock(task);
    run(locks[1].read(task));
    expect(() => run(locks[0].write(task))).toThrow(InvariantError);
    expect(() => run(locks[0].read(task))).toThrow(`takes ${outer} while it holds ${inner}`);
    expect(locks[0].tryWrite(task)).toBe(true);
  });

  test.each(order)('two of one class nest only where two address spaces are worked on: %s', (rank) => {
    const { task, locks } = setUp(rank, rank);
    run(locks[0].write(task));
    if (rank === 'mmapLock' || rank === 'pageTable') run(locks[1].write(task));
    else expect(() => run(locks[1].write(task))).toThrow(InvariantError);
    expect(() => run(locks[0].write(task))).toThrow(InvariantError);
  });

  test('readers share a lock, a writer has it alone, and who waits alone waits for ever', () => {
    const { task, locks } = setUp('vmaLock', 'vmaLock');
    const [lock] = locks;
    const other = new Task(task.machine, 'other');
    run(lock.read(task));
    run(lock.read(other));
    expect(lock.describe()).toBe('vmaLock, held by test, other');
    const third = new Task(task.machine, 'third');
    expect(lock.tryWrite(third)).toBe(false);
    expect(() => run(lock.write(third))).toThrow('waits for vmaLock, held by test, other');
    lock.unlock(task);
    lock.unlock(other);
    expect(lock.tryWrite(third)).toBe(true);
    expect(() => run(lock.read(task))).toThrow(InvariantError);
  });

  test('who does not have a lock cannot release it, and nobody leaves the kernel with one', () => {
    const { task, locks } = setUp('inode', 'page');
    expect(() => locks[0].unlock(task)).toThrow('test does not hold inode');
    run(locks[0].write(task));
    expect(() => task.machine.kernelExit(task, 0)).toThrow('kernelExit: test still holds inode');
  });
});

describe('a system call', () => {
  const setUp = () => {
    const machine = machineWith({ pages: 4 });
    const file = machine.memfdCreate();
    const process = machine.createProcess();
    return { machine, file, process };
  };
  /** What is taken while `action` runs, in short names; with a star what is taken for reading. */
  const taken = (machine: ReturnType<typeof setUp>['machine'], action: () => unknown) =>
    traced(machine, action).flatMap((event) => {
      if (event.kind !== 'lock') return [];
      const name = event.lock.replace(/ (of|lock \d|\d|at).*$/, '').replace(/^(private )?vma_lock.*/, '$1vma_lock');
      return [event.mode === 'read' ? `${name}*` : name];
    });

  test('that faults on a shared mapping takes its locks in this order', () => {
    const { machine, file, process } = setUp();
    const at = mapShared(process, 1, { file });
    expect(taken(machine, () => process.read(at))).toEqual([
      'mmap_lock*',
      'hugetlb_fault_mutex',
      'vma_lock*',
      'resv_map lock',
      'hugetlb_lock',
      'resv_map lock',
      'page lock',
      'page-table lock',
    ]);
  });

  test('releases everything that it took', () => {
    const { machine, file, process } = setUp();
    const own = process.thread();
    const { task } = own;
    const calls = [
      () => own.mmap({ length: MIB2, prot: RW, flags: 1, file, address: 2 ** 40 }),
      () => own.write(2 ** 40, 1),
      () => own.read(2 ** 41),
      () => own.mprotect(2 ** 40, MIB2, PROT_READ),
      () => own.mremap(2 ** 40, MIB2, MIB2, 3, 2 ** 41),
      () => own.mincore(2 ** 41, MIB2),
      () => own.fork(),
      () => own.madvise(2 ** 41, MIB2, MADV_DONTNEED),
      () => own.fallocate(file, 0, MIB2, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),
      () => own.ftruncate(file, 0),
      () => own.munmap(2 ** 41, MIB2),
      () => own.exit(),
    ];
    for (const call of calls) {
      const events = traced(machine, () => run<unknown>(call()));
      const balance = new Map<string, number>();
      for (const event of events) {
        if (event.kind === 'lock') balance.set(event.lock, (balance.get(event.lock) ?? 0) + 1);
        if (event.kind === 'unlock') balance.set(event.lock, (balance.get(event.lock) ?? 0) - 1);
      }
      expect(balance.size).toBeGreaterThan(0);
      expect(new Set(balance.values())).toEqual(new Set([0]));
      expect(() => task.assertNothingHeld('the test')).not.toThrow();
    }
  });

  test("that faults on a private mapping reads its map's lock if it owns reservations, a child's none", () => {
    const { machine, process } = setUp();
    const at = mapPrivate(process, 2);
    process.write(at, 1);
    expect(process.vmas[0]!.vmaLock).toBeUndefined();
    const child = forkOf(process);
    const owner = taken(machine, () => process.write(at, 2)).filter((name) => name.includes('vma_lock'));
    expect(owner).toEqual(['private vma_lock*']);
    expect(taken(machine, () => child.write(at, 2)).filter((name) => name.includes('vma_lock'))).toEqual([]);
  });

  test('that unmaps or changes rights writes the lock, and i_mmap_rwsem inside it', () => {
    const { machine, file, process } = setUp();
    const at = mapShared(process, 1, { file });
    process.read(at);
    const prefix = ['mmap_lock', 'vma_lock', 'i_mmap_rwsem', 'page-table lock'];
    expect(taken(machine, () => process.mprotect(at, MIB2, PROT_READ))).toEqual(prefix);
    expect(taken(machine, () => process.munmap(at, MIB2)).slice(0, 4)).toEqual(prefix);
  });

  test('that truncates has i_rwsem, tries the locks of mappings, and takes the fault mutex for each page', () => {
    const { machine, file, process } = setUp();
    const at = mapShared(process, 2, { file });
    process.read(at);
    process.read(at + MIB2);
    const names = taken(machine, () => file.ftruncate(0));
    expect(names.slice(0, 3)).toEqual(['i_rwsem', 'i_mmap_rwsem', 'vma_lock']);
    expect(names.filter((name) => name === 'hugetlb_fault_mutex')).toHaveLength(2);
  });
});

describe('the fault mutex', () => {
  test('may be one for two pages: both faults get theirs, whoever comes first', () => {
    const runs = atEveryStep(
      () => {
        const machine = machineWith({ pages: 2, faultMutexes: 1, checks: false });
        const process = machine.createProcess();
        const at = mapShared(process, 2);
        const [one, other] = [process.thread(), process.thread()];
        const { inode } = process.vmas[0]!;
        expect(inode.faultMutex(0)).toBe(inode.faultMutex(1));
        return { machine, works: [work(one, one.write(at, 1)), work(other, other.write(at + MIB2, 2))] as const };
      },
      ({ machine }, results) => {
        expect(results).toEqual(['OK', 'OK']);
        machine.check();
        expect(counts(machine)).toEqual([2, 0, 0, 0]);
      },
    );
    expect(runs).toBeGreaterThan(10);
  });

  test('is the same for the same page of a file in all processes, and another for another page', () => {
    const machine = machineWith({ pages: 2 });
    const [file, other] = [machine.memfdCreate(), machine.memfdCreate()];
    const mutex = file.inode.faultMutex(5);
    expect(file.inode.faultMutex(5)).toBe(mutex);
    expect(file.inode.faultMutex(6)).not.toBe(mutex);
    expect(other.inode.faultMutex(5)).not.toBe(mutex);
  });

  test('is waited for with page locks held by an owner that took its page from a child: Linux 6.1 can deadlock', () => {
    let deadlocks = 0;
    const start = () => {
      const machine = machineWith({ pages: 2, checks: false });
      const file = machine.memfdCreate();
      file.fallocate(0, MIB2);
      const process = machine.createProcess();
      const at = mapPrivate(process, 1, { file });
      process.write(at, 1);
      forkOf(process);
      const reader = machine.createProcess();
      const there = mapShared(reader, 1, { file });
      const [owner, other] = [process.thread(), reader.thread()];
      return { machine, works: [work(owner, owner.write(at, 2)), work(other, other.read(there))] as const };
    };
    for (let step = 0; step < 40; step++) {
      let turns = 0;
      const { works } = start();
      try {
        const results = interleave(works, (count) => (turns++ < step || count === 1 ? 0 : 1));
        expect(results).toEqual(['OK', 0]);
      } catch (error) {
        expect(error).toBeInstanceOf(InvariantError);
        expect((error as Error).message).toMatch(/a deadlock: .* waits for hugetlb_fault_mutex .* waits for page lock/);
        deadlocks++;
      }
    }
    expect(deadlocks).toBeGreaterThan(0);
  });
});
