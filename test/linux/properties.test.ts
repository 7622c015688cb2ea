/**
 * Whatever programs ask for, in whatever order: nothing breaks, every count agrees with the page tables after every call,
 * and in the end everything is free again.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MachineOptions } from '../../src/linux/index.ts';
import { type Arena, type Choice, GIB, MIB, type Operation, operationSequences } from './operations.ts';
import { type Limits, World } from './world.ts';

const SMALL = 2 * MIB;
/** Six pages on both sides of a place where the directory changes. */
const MARKS = [0, 1, 2, 3, 4, 5, 6];
const small: Arena = {
  hugePageSize: SMALL,
  base: 512 * GIB - 3 * SMALL,
  coarse: MARKS,
  fine: [],
  longestMove: 6,
  mostPages: 40,
};
const large: Arena = { ...small, hugePageSize: GIB, base: 1021 * GIB, longestMove: 3, mostPages: 10 };
/** Whole GiBs of 2 MiB pages, whose tables mappings share. */
const shareable: Arena = {
  ...small,
  base: 1023 * GIB,
  coarse: [0, 512, 1024, 1536],
  fine: [1, 2, 511, 513, 1023, 1025],
  longestMove: 624,
  mostPages: 2000,
};

const pool = { hugePageSize: SMALL, pages: 24, overcommit: 4 };
const largePool = { hugePageSize: GIB, pages: 8 };
interface Scene {
  readonly name: string;
  readonly arenas: readonly Arena[];
  readonly choice: Choice;
  readonly options: MachineOptions;
  /** Of the mounts that files lie on. */
  readonly limits?: readonly Limits[];
  readonly runs: number;
}
const choice = { resizing: true };
const both = { arenas: [small, large], options: { pools: [pool, largePool] } };
const scenes: readonly Scene[] = [
  { name: '2 MiB pages', arenas: [small], choice, options: { pools: [pool] }, runs: 250 },
  { name: '1 GiB pages', arenas: [large], choice, options: { pools: [largePool] }, runs: 80 },
  { ...both, name: 'both sizes in one process', choice, runs: 100 },
  { ...both, name: 'mounts with a size', choice, limits: [{ size: 5 }, { size: 2 }, { size: 0 }], runs: 100 },
  {
    name: 'mounts with a minimal size',
    arenas: [small],
    choice,
    options: { pools: [pool] },
    limits: [{ minSize: 3 }, { size: 4, minSize: 4 }, { size: 6, minSize: 2 }],
    runs: 120,
  },
  { name: 'shared tables', arenas: [shareable], choice, options: { pools: [{ ...pool, pages: 1800 }] }, runs: 60 },
  { name: '5 levels', arenas: [small], choice, options: { pools: [pool], levels: 5 }, runs: 60 },
  {
    name: 'little memory',
    arenas: [small, large],
    choice,
    options: { memoryBytes: 5 * GIB, pools: [pool, { ...largePool, pages: 3 }] },
    runs: 60,
  },
];

/** What was answered, to show that there is something to see. */
const seen = new Set<string>();

function play(world: World, operations: readonly Operation[]): void {
  for (const operation of operations) {
    const answer = world.apply(operation);
    const known = typeof answer === 'number' || answer === undefined ? typeof answer : answer;
    seen.add(`${operation.kind} ${known}`);
    if (world.processes.some(({ mm }) => mm.hasSharedTables)) seen.add('a shared table');
    if (answer === 'HANG') expect(operation.kind === 'mremap' || world.moved).toBe(true);
  }
}

describe.each(scenes)('$name', ({ arenas, choice, options, limits, runs }) => {
  test('every count holds after every call, and in the end everything is free', () => {
    fc.assert(
      fc.property(operationSequences(arenas, choice), (operations) => {
        const world = new World(arenas, { ...options, tables: MIB, checks: true }, limits);
        const { machine } = world;
        play(world, operations);
        world.end();
        for (const hstate of machine.hstates) {
          expect(hstate.freeHugePages).toBe(hstate.nrHugePages);
          /* What mremap lost was charged to a mount, perhaps, which then stays, and keeps its minimum. */
          const mounts = [...machine.subpools].filter((subpool) => subpool.hstate === hstate && subpool.minPages > 0);
          const kept = mounts.reduce((sum, { reservedPages }) => sum + reservedPages, hstate.lostReservations);
          expect(hstate.resvHugePages).toBe(kept);
          machine.setNrHugepages(hstate.size, 0);
          expect(hstate.nrHugePages).toBeLessThanOrEqual(Math.max(kept, 0));
        }
        expect(machine.tables.count).toBe(0);
        expect([machine.inodes.size, machine.processes.size]).toEqual([0, 0]);
        if (machine.hstates.every(({ lostReservations }) => lostReservations === 0))
          expect(machine.subpools.size).toBe(0);
      }),
      { numRuns: runs },
    );
  });
});

test('the sequences reach what they are for', () => {
  const answers = [
    ...['mmap number', 'mmap EEXIST', 'mmap ENOMEM', 'munmap OK', 'munmap EINVAL', 'mprotect OK', 'mprotect ENOMEM'],
    ...['mremap number', 'mremap EFAULT', 'mremap EINVAL', 'madvise OK', 'madvise EACCES', 'madvise ENOMEM'],
    ...['read number', 'read SIGBUS', 'read SIGSEGV', 'write OK', 'write SIGBUS', 'write SIGSEGV', 'a shared table'],
    ...['fallocate OK', 'fallocate ENOSPC', 'ftruncate OK', 'ftruncate EINVAL', 'overcommit OK', 'overcommit EINVAL'],
  ];
  expect([...seen]).toEqual(expect.arrayContaining(answers));
});
