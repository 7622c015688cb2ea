/**
 * Threads of processes that run operations in turns, and what came of it.
 */
import {
  interleave,
  MAP_ANONYMOUS,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  type Path,
  type Syscalls,
  type Work,
} from '../../src/linux/index.ts';
import { GIB, type Operation } from './operations.ts';
import { type Answer, addressOf, bytesOf, moveOf, type World } from './world.ts';

/** What one thread does, one after the other. */
export interface Thread {
  readonly process: number;
  readonly operations: readonly Operation[];
}

/** One operation as a kernel path of a thread. */
function* call(world: World, syscalls: Syscalls, operation: Operation): Path<Answer> {
  switch (operation.kind) {
    case 'mmap': {
      const arena = world.arena(operation.arena);
      const { at, length } = bytesOf(arena, operation.span);
      const { prot } = operation;
      const huge = arena.hugePageSize === GIB ? MAP_HUGE_1GB : MAP_HUGE_2MB;
      if (operation.file === undefined) {
        const flags = operation.flags | MAP_ANONYMOUS | MAP_HUGETLB | huge;
        return yield* syscalls.mmap({ address: at, length, prot, flags });
      }
      const file = world.file(operation.arena, operation.file);
      const offset = operation.offset * arena.hugePageSize;
      return yield* syscalls.mmap({ address: at, length, prot, flags: operation.flags, file, offset });
    }
    case 'munmap':
    case 'mprotect':
    case 'madvise': {
      const { at, length } = bytesOf(world.arena(operation.arena), operation.span);
      if (operation.kind === 'munmap') return yield* syscalls.munmap(at, length);
      if (operation.kind === 'mprotect') return yield* syscalls.mprotect(at, length, operation.prot);
      return yield* syscalls.madvise(at, length, operation.advice);
    }
    case 'mremap': {
      const { from, length, keep, to } = moveOf(world.arena(operation.arena), operation);
      return yield* syscalls.mremap(from, length, keep, operation.flags, to);
    }
    case 'read':
      return yield* syscalls.read(addressOf(world.arena(operation.arena), operation.at, operation.byte));
    case 'write': {
      const address = addressOf(world.arena(operation.arena), operation.at, operation.byte);
      return yield* syscalls.write(address, operation.value);
    }
    case 'fallocate': {
      const { at, length } = bytesOf({ ...world.arena(operation.arena), base: 0 }, operation.span);
      return yield* syscalls.fallocate(world.file(operation.arena, operation.file), at, length, operation.mode);
    }
    case 'ftruncate': {
      const file = world.file(operation.arena, operation.file);
      return yield* syscalls.ftruncate(file, operation.at * world.arena(operation.arena).hugePageSize);
    }
    case 'fork': {
      const child = yield* syscalls.fork();
      if (typeof child === 'string') return child;
      world.processes.push(child);
      return 'a child';
    }
    default:
      throw new TypeError(`no thread does this: ${operation.kind}`);
  }
}

function* calls(world: World, syscalls: Syscalls, operations: readonly Operation[]): Path<Answer[]> {
  const answers: Answer[] = [];
  for (const operation of operations) answers.push(yield* call(world, syscalls, operation));
  return answers;
}

/** Runs the threads in turns: as `picks` say, and round and round when they are used up. */
export function inTurns(world: World, threads: readonly Thread[], picks: readonly number[]): Answer[][] {
  const works = threads.map(({ process, operations }): Work<Answer[]> => {
    const syscalls = world.process(process).thread();
    return { task: syscalls.task, path: calls(world, syscalls, operations) };
  });
  let turn = 0;
  const answers = interleave(works, (count) => {
    const pick = turn < picks.length ? picks[turn]! : turn;
    turn++;
    return pick % count;
  });
  return answers.map((answer) => (typeof answer === 'string' ? [answer] : answer));
}

/** Runs the threads' first operations one after the other, in an order. */
export function oneByOne(world: World, threads: readonly Thread[], order: readonly number[]): Answer[][] {
  const answers: Answer[][] = threads.map(() => []);
  const tasks = threads.map(({ process }) => world.process(process).thread());
  for (const index of order) {
    const path = calls(world, tasks[index]!, threads[index]!.operations);
    const step = path.next();
    if (!step.done) throw new Error('a thread that is alone waits');
    answers[index] = step.value;
  }
  return answers;
}

/** All orders of 0 to count - 1. */
export function orders(count: number): number[][] {
  if (count === 0) return [[]];
  return orders(count - 1).flatMap((order) =>
    Array.from({ length: count }, (_, at) => [...order.slice(0, at), count - 1, ...order.slice(at)]),
  );
}
