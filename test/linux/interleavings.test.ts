/**
 * Threads that come in between each other at every lock: nothing breaks, and what each call answers is what some order of
 * the calls gives. What Linux 6.1 itself gets wrong then, the model gets wrong, too, and it is found.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  interleave,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  type Path,
  PROT_READ,
  PROT_WRITE,
  type Syscalls,
} from '../../src/linux/index.ts';
import { THOROUGH } from '../support/thorough.ts';
import { SCENES, setUp, threadsOf } from './interleaving-scenes.ts';
import { inTurns, oneByOne, orders } from './threads.ts';
import { type Answer, addressOf, type World } from './world.ts';

const picks = fc.array(fc.nat(11), { maxLength: 150, size: 'max' });

/** What everybody was answered and then reads, and the pool's counts. */
function outcome(world: World, answers: Answer[][]): string {
  const { freeHugePages, resvHugePages, nrHugePages } = world.machine.hstate();
  const arena = world.arenas[0]!;
  const bytes = world.processes.map((process) =>
    arena.coarse.slice(0, -1).map((at) => process.read(addressOf(arena, at, 0))),
  );
  return JSON.stringify([answers, freeHugePages, resvHugePages, nrHugePages, bytes]);
}

describe('with 64 fault mutexes', () => suiteOf(64));
describe('with a single fault mutex', THOROUGH, () => suiteOf(1));

function suiteOf(faultMutexes: number): void {
  describe.each(SCENES)('$name', (scene) => {
    test('every count holds afterwards, and in the end everything is free', () => {
      fc.assert(
        fc.property(threadsOf(scene, 4, 4), picks, (threads, turns) => {
          const world = setUp(scene, { faultMutexes });
          const { machine } = world;
          inTurns(world, threads, turns);
          machine.check();
          world.end();
          const hstate = machine.hstate();
          expect([hstate.freeHugePages, hstate.resvHugePages]).toEqual([hstate.nrHugePages, hstate.lostReservations]);
          expect([machine.tables.count, machine.inodes.size]).toEqual([0, 0]);
        }),
        { numRuns: scene.runs },
      );
    });
  });

  test.each(SCENES.filter(({ atomic }) => atomic))('$name: one call each, as if one after the other', (scene) => {
    fc.assert(
      fc.property(threadsOf(scene, 3, 1), picks, (threads, turns) => {
        const world = setUp(scene, { faultMutexes });
        const found = outcome(world, inTurns(world, threads, turns));
        const possible = orders(threads.length).map((order) => {
          const other = setUp(scene, { faultMutexes });
          return outcome(other, oneByOne(other, threads, order));
        });
        if (!possible.includes(found)) expect(found).toBe(possible.join('\n'));
      }),
      { numRuns: scene.runs },
    );
  });
}

const PAGE = 2 ** 21;
const RW = PROT_READ | PROT_WRITE;
/** More steps than any of the calls below has. */
const STEPS = 60;

interface Racer {
  readonly thread: Syscalls;
  readonly path: Path<Answer>;
}

/** The first takes so many steps, then the second all that it can, then who can: what comes of it, for each number of steps. */
function races(start: () => { machine: Machine; racers: readonly Racer[] }): Set<string> {
  const seen = new Set<string>();
  for (let steps = 0; steps < STEPS; steps++) {
    const { machine, racers } = start();
    const works = racers.map(({ thread: { task }, path }) => ({ task, path }));
    let turn = 0;
    try {
      const answers = interleave<Answer>(works, (count) => (turn++ < steps ? 0 : count - 1));
      machine.check();
      seen.add(answers.join(', '));
    } catch (error) {
      seen.add(reason(error as Error));
    }
  }
  return seen;
}

function reason({ message }: Error): string {
  if (message.startsWith('checkInvariants')) return 'a wrong count';
  return message.replace(/(a deadlock).*/, '$1');
}

/** A file of a page, and a private page of its owner's that a child shares. No page is left in the pool. */
function ownerAndChild(isCached: boolean) {
  const machine = new Machine({ pools: [{ hugePageSize: PAGE, pages: isCached ? 2 : 1 }], tables: 2 ** 20 });
  const file = machine.memfdCreate();
  file.ftruncate(PAGE);
  if (isCached) file.fallocate(0, PAGE);
  const owner = machine.createProcess();
  const at = Number(owner.mmap({ length: PAGE, prot: RW, flags: MAP_PRIVATE, file }));
  owner.write(at, 1);
  owner.fork();
  return { machine, file, owner, at };
}

describe('what Linux gets wrong is found', () => {
  /* hugetlb_wp drops the fault mutex to take the page from the child, and takes it again with page locks held. */
  test("finds Linux's deadlock between a page lock and the fault mutex", () => {
    const seen = races(() => {
      const { machine, file, owner, at } = ownerAndChild(true);
      const other = machine.createProcess();
      const there = Number(other.mmap({ length: PAGE, prot: PROT_READ, flags: MAP_SHARED, file }));
      const [writer, reader] = [owner.thread(), other.thread()];
      const racers = [
        { thread: writer, path: writer.write(at, 2) },
        { thread: reader, path: reader.read(there) },
      ];
      return { machine, racers };
    });
    expect(seen).toEqual(new Set(['OK, 0', 'interleave: a deadlock']));
  });

  /* Who finds the mapped page locked waits for it with no other lock held. */
  test('two writes to one page never wait for each other, not even when it is taken from a child', () => {
    const seen = races(() => {
      const { machine, owner, at } = ownerAndChild(false);
      const [first, second] = [owner.thread(), owner.thread()];
      const racers = [
        { thread: first, path: first.write(at, 2) },
        { thread: second, path: second.write(at, 3) },
      ];
      return { machine, racers };
    });
    expect(seen).toEqual(new Set(['OK, OK']));
  });

  /* The fault has seen the old size, and its page was not there yet when the truncation looked for pages. */
  test("finds Linux's race of a fault and a truncation: the page stays, and its reservation is dropped twice", () => {
    const seen = races(() => {
      const machine = new Machine({ pools: [{ hugePageSize: PAGE, pages: 4 }], tables: 2 ** 20 });
      const file = machine.memfdCreate();
      const process = machine.createProcess();
      const at = Number(process.mmap({ length: 2 * PAGE, prot: RW, flags: MAP_SHARED, file }));
      const [reader, other] = [process.thread(), process.thread()];
      const racers = [
        { thread: reader, path: reader.read(at + PAGE) },
        { thread: other, path: other.ftruncate(file, PAGE) },
      ];
      return { machine, racers };
    });
    expect(seen).toEqual(new Set(['SIGBUS, OK', '0, OK', 'a wrong count']));
  });
});
