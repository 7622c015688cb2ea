/**
 * The order in which locks are taken, over all executions: which cycles are a finding, and which cannot deadlock.
 */
import { describe, expect, test } from 'vitest';
import { type Exploration, explore } from '../../src/explore/explore.ts';
import type { Finding } from '../../src/explore/kernel/finding.ts';
import { Lock, LockRank } from '../../src/linux/base/lock.ts';
import { type Path, sleepUntil, type Task } from '../../src/linux/base/task.ts';
import { Touch, watch } from '../../src/linux/base/watch.ts';
import { Machine } from '../../src/linux/machine/machine.ts';
import { sceneOf } from './support.ts';

type Does = (task: Task) => Path<void>;

/** All locks of this file: an execution that is given up holds some. */
const locks: Lock[] = [];

function newLock(kind: string, rank: LockRank, of?: number): Lock {
  const lock = new Lock(kind, rank, of);
  locks.push(lock);
  return lock;
}

/** Takes locks one after the other, then lets all of them go. */
function takes(...wanted: readonly (readonly [lock: Lock, how: 'read' | 'write' | 'try'])[]): Does {
  return function* (task) {
    for (const [lock, how] of wanted) {
      if (how === 'try') expect(lock.tryWrite(task)).toBe(true);
      else yield* how === 'read' ? lock.readOutOfOrder(task) : lock.writeOutOfOrder(task);
    }
    for (const [lock] of wanted.toReversed()) lock.unlock(task);
  };
}

/** What is found where each task begins when the one before has ended: so no execution deadlocks. */
function found(...tasks: readonly Does[]): Finding | undefined {
  const scene = {
    tasks: tasks.length,
    stand: () => {
      for (const lock of locks) lock.makeFree();
      const machine = new Machine({ tables: 2 ** 20 });
      const process = machine.createProcess();
      const done = { name: 'tasks that have ended', count: 0 };
      const inTurn = tasks.map((does, index) => {
        const { task } = process.thread();
        const path = (function* (): Path<void> {
          yield* sleepUntil(task, 'its turn', done, () => done.count === index);
          yield* does(task);
          watch?.touch(Touch.write, done, 0);
          done.count++;
        })();
        return { task, operation: index + 1, path };
      });
      return { machine, tasks: inTurn, judge: () => undefined };
    },
    observe: () => [],
  };
  return ended(explore(scene)).found?.finding;
}

function ended(search: ReturnType<typeof explore>): Exploration {
  for (;;) {
    const { value, done } = search.next();
    if (done) return value;
  }
}

const a = newLock('i_rwsem of file 0', LockRank.inode);
const b = newLock('hugetlb_fault_mutex', LockRank.faultMutex, 3);
const c = newLock('uring_lock of process 0', LockRank.uringLock);

describe('a cycle is a finding, though nobody ever waited:', () => {
  test('two locks in both orders', () => {
    expect(found(takes([a, 'write'], [b, 'write']), takes([b, 'write'], [a, 'write']))).toMatchObject({
      kind: 'lock order',
      what: 'hugetlb_fault_mutex, then i_rwsem (line 2); i_rwsem, then hugetlb_fault_mutex (line 1)',
      locks: [
        { operation: 2, how: 'holds', lock: 'hugetlb_fault_mutex' },
        { operation: 2, how: 'takes', lock: 'i_rwsem' },
        { operation: 1, how: 'holds', lock: 'i_rwsem' },
        { operation: 1, how: 'takes', lock: 'hugetlb_fault_mutex' },
      ],
    });
  });

  test('three locks, each before the next', () => {
    const three = [
      takes([a, 'write'], [b, 'write']),
      takes([b, 'write'], [c, 'write']),
      takes([c, 'write'], [a, 'write']),
    ];
    expect(found(...three)?.what).toBe(
      'hugetlb_fault_mutex, then uring_lock (line 2); uring_lock, then i_rwsem (line 3); i_rwsem, then hugetlb_fault_mutex (line 1)',
    );
  });

  test('other locks of the same classes: they might be the same ones another time', () => {
    const other = newLock('hugetlb_fault_mutex', LockRank.faultMutex, 4);
    expect(found(takes([a, 'write'], [b, 'write']), takes([other, 'write'], [a, 'write']))?.kind).toBe('lock order');
  });

  test('a lock that was tried is held like any other', () => {
    expect(found(takes([a, 'try'], [b, 'write']), takes([b, 'write'], [a, 'write']))?.kind).toBe('lock order');
  });

  test('who waits until a lock is free, and does not take it, waits all the same', () => {
    const waits: Does = function* (task) {
      yield* b.writeOutOfOrder(task);
      yield* a.wait(task);
      b.unlock(task);
    };
    expect(found(takes([a, 'write'], [b, 'write']), waits)?.kind).toBe('lock order');
  });
});

describe('it is none', () => {
  test('where locks are only tried on one side: who tries waits for nobody', () => {
    expect(found(takes([a, 'write'], [b, 'write']), takes([b, 'write'], [a, 'try']))).toBeUndefined();
  });

  test('among readers; but a writer who waits keeps readers waiting', () => {
    const readers = [takes([a, 'read'], [b, 'read']), takes([b, 'read'], [a, 'read'])];
    expect(found(...readers)).toBeUndefined();
    expect(found(...readers, takes([a, 'write'], [b, 'write']))?.kind).toBe('lock order');
  });

  test('where both hold a lock that there is once; one of a class with many might be another', () => {
    const both = (gate: Lock, how: 'read' | 'write') => [
      takes([gate, how], [a, 'write'], [b, 'write']),
      takes([gate, how], [b, 'write'], [a, 'write']),
    ];
    const once = newLock('mf_mutex', LockRank.mfMutex);
    expect(found(...both(once, 'write'))).toBeUndefined();
    expect(found(...both(once, 'read'))?.kind).toBe('lock order');
    expect(found(...both(c, 'write'))?.kind).toBe('lock order');
  });

  test('where both hold the i_rwsem of the file whose i_mmap_rwsem they take: it is the same file', () => {
    const iMmap = newLock('i_mmap_rwsem of file 0', LockRank.iMmap);
    const both = (gate: Lock) => [
      takes([gate, 'write'], [iMmap, 'write'], [b, 'write']),
      takes([gate, 'write'], [b, 'write'], [iMmap, 'write']),
    ];
    expect(found(...both(a))).toBeUndefined();
    expect(found(...both(c))?.kind).toBe('lock order');
  });

  test('where a page is locked that nobody else knows', () => {
    const unknown = newLock('page lock of pfn', LockRank.page, 0x1);
    expect(found(takes([unknown, 'write'], [b, 'write']), takes([b, 'write'], [unknown, 'write']))).toBeUndefined();
  });
});

test('a write that holds a private page takes the fault mutex again, and a fault locks its new page under the mutex: no fault waits for either page', () => {
  const page = { proc: 0, slot: 0, page: 0 };
  const scene = sceneOf([
    { seq: 1, pool: 2 },
    { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 2, prot: 'rw' },
    { op: 'write', ...page, value: 1 },
    { op: 'fork', proc: 0, child: 1 },
    { op: 'write', ...page, value: 2, result: 'OK', task: 0 },
    { op: 'write', ...page, page: 1, value: 3, result: 'OK', task: 1 },
    { end: 1 },
  ]);
  const { found: wrong, exhausted, nestings } = ended(explore(scene));
  expect([wrong, exhausted]).toEqual([undefined, true]);
  const wanted = nestings().map(({ held, wanted }) => `${held}, then ${wanted}`);
  expect(wanted).toContain('page lock of a private page, then hugetlb_fault_mutex');
  expect(wanted.filter((words) => /hugetlb_fault_mutex, then page lock/.test(words))).toEqual([]);
});

describe('two locks of one class', () => {
  const table = (address: number): Lock => newLock('page-table lock of table', LockRank.pageTable, address);
  const [one, other] = [table(0x5000), table(0x6000)];

  test('are a finding where they are taken in both orders, and none in one: fork takes a child’s, then its parent’s', () => {
    const third = table(0x7000);
    expect(found(takes([one, 'write'], [other, 'write']), takes([other, 'write'], [third, 'write']))).toBeUndefined();
    expect(found(takes([one, 'write'], [other, 'write']), takes([other, 'write'], [one, 'write']))).toMatchObject({
      kind: 'lock order',
      locks: [{ operation: 1 }, { operation: 1 }, { operation: 2 }, { operation: 2 }],
    });
  });

  test('are others where one of the same name came later: a process that ends leaves its number to another', () => {
    const later = table(0x5000);
    expect(found(takes([one, 'write'], [other, 'write']), takes([other, 'write'], [later, 'write']))).toBeUndefined();
  });

  test('are none where both hold the same third lock: mremap of one process, there and back', () => {
    const mmapLock = newLock('mmap_lock of process 0', LockRank.mmapLock);
    const otherMmapLock = newLock('mmap_lock of process 1', LockRank.mmapLock);
    const there = takes([mmapLock, 'write'], [one, 'write'], [other, 'write']);
    const back = (lock: Lock): Does => takes([lock, 'write'], [other, 'write'], [one, 'write']);
    expect(found(there, back(mmapLock))).toBeUndefined();
    expect(found(there, back(otherMmapLock))?.kind).toBe('lock order');
  });
});

test('a deadlock names the kernel functions in which each lock was taken, and is waited for', () => {
  const page = { proc: 0, slot: 0, page: 0 };
  const scene = sceneOf([
    { seq: 1, pool: 2, files: [1] },
    { op: 'fallocate', file: 0, hugepages: 1 },
    { op: 'mmap', proc: 0, slot: 0, kind: 'private_file', file: 0, hugepages: 1, prot: 'rw' },
    { op: 'write', ...page, value: 1 },
    { op: 'mmap', proc: 0, slot: 1, kind: 'shared_file', file: 0, hugepages: 1, prot: 'rw' },
    { op: 'fork', proc: 0, child: 1 },
    { op: 'write', ...page, value: 2, task: 0 },
    { op: 'read', ...page, slot: 1, task: 1 },
    { end: 1 },
  ]);
  const finding = ended(explore(scene)).found?.finding;
  expect(finding?.kind).toBe('deadlock');
  expect(
    finding?.locks?.filter(({ lock }) => /^(page|hugetlb)/.test(lock)).map(({ calls, ...use }) => [use, calls.at(-1)]),
  ).toEqual(
    [
      [{ operation: 7, how: 'holds', lock: 'page lock of pfn 0x100200' }, 'find_lock_page'],
      [{ operation: 7, how: 'holds', lock: 'page lock of pfn 0x100000' }, 'hugetlb_fault'],
      [{ operation: 7, how: 'waits for', lock: expect.stringContaining('hugetlb_fault_mutex') }, 'hugetlb_wp'],
      [{ operation: 8, how: 'holds', lock: expect.stringContaining('hugetlb_fault_mutex') }, 'hugetlb_fault'],
      [{ operation: 8, how: 'waits for', lock: 'page lock of pfn 0x100200' }, 'find_lock_page'],
    ].map(([use, last]) => [{ task: expect.any(String), ...(use as object) }, last]),
  );
});
