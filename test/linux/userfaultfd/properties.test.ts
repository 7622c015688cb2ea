/**
 * Whatever programs ask of userfaultfds, in whatever order: no count is ever wrong, and in the end everything is free.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  MADV_DONTNEED,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  type Path,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  type Process,
  UFFD_API_FEATURES,
  UFFD_EVENT_FORK,
  UFFD_EVENT_PAGEFAULT,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFD_FEATURE_SIGBUS,
  UFFD_NONBLOCK,
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFDIO_REGISTER_MODE_MISSING,
  type UserfaultFile,
} from '../../../src/linux/index.ts';
import { actor, address, bytes, SMALL, seeded, stage, together } from './stage.ts';

const PAGES = 6;
const BASE = 2 ** 40;
const RW = PROT_READ | PROT_WRITE;

/** Nothing, signals, events one by one, all of them. */
const FEATURES = [
  0,
  0,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFD_API_FEATURES & ~UFFD_FEATURE_SIGBUS,
];

/** One call; numbers are taken modulo what there is. */
interface Call {
  readonly kind:
    | 'mmap'
    | 'munmap'
    | 'mprotect'
    | 'dontneed'
    | 'remove'
    | 'mremap'
    | 'read'
    | 'write'
    | 'fork'
    | 'exit'
    | 'open'
    | 'close'
    | 'register'
    | 'unregister'
    | 'copy'
    | 'continue'
    | 'protect'
    | 'pin';
  readonly who: number;
  readonly uffd: number;
  readonly from: number;
  readonly count: number;
  readonly choice: number;
}

const kinds = [
  ...(['mmap', 'munmap', 'mprotect', 'dontneed', 'remove', 'mremap', 'fork', 'exit', 'open', 'close', 'pin'] as const),
  ...(['read', 'read', 'write', 'write', 'write', 'register', 'register', 'register', 'unregister'] as const),
  ...(['copy', 'copy', 'copy', 'continue', 'continue', 'protect', 'protect', 'protect'] as const),
];
const callOf = (kind: fc.Arbitrary<Call['kind']>): fc.Arbitrary<Call> =>
  fc.record({
    kind,
    who: fc.nat(2),
    uffd: fc.nat(3),
    from: fc.nat(PAGES - 1),
    count: fc.integer({ min: 1, max: 3 }),
    choice: fc.nat(63),
  });
/** The first ones map, open and register something. */
const calls: fc.Arbitrary<Call[]> = fc
  .tuple(
    fc.array(callOf(fc.constant('mmap')), { minLength: 3, maxLength: 3 }),
    fc.array(callOf(fc.constant('open')), { minLength: 1, maxLength: 2 }),
    fc.array(callOf(fc.constant('register')), { minLength: 3, maxLength: 3 }),
    fc.array(callOf(fc.constantFrom(...kinds)), { maxLength: 40, size: 'max' }),
  )
  .map((parts) => parts.flat());

/** How often each answer was given. */
const seen = new Map<string, number>();

class World {
  readonly machine: Machine = new Machine({
    pools: [{ hugePageSize: SMALL, pages: 12 }],
    tables: 2 ** 20,
    checks: true,
  });
  readonly processes: Process[] = [this.machine.createProcess()];
  readonly uffds: UserfaultFile[] = [];
  readonly file = this.machine.memfdCreate();

  call({ kind, who, uffd: which, from, count, choice }: Call): unknown {
    const process = this.processes[who % this.processes.length];
    if (!process) return undefined;
    const at = BASE + from * SMALL;
    const length = count * SMALL;
    const uffd = this.uffds[which % Math.max(this.uffds.length, 1)];
    switch (kind) {
      case 'mmap':
        if (choice % 3 === 0) {
          return process.mmap({
            address: at,
            length,
            prot: RW,
            flags: MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_HUGETLB,
          });
        }
        return process.mmap({
          address: at,
          length,
          prot: RW,
          flags: (choice % 3 === 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED,
          file: this.file,
          offset: (choice % 4) * SMALL,
        });
      case 'munmap':
        return process.munmap(at, length);
      case 'mprotect':
        return process.mprotect(at, length, [RW, PROT_READ, PROT_NONE, RW][choice % 4]!);
      case 'dontneed':
        return process.madvise(at, length, MADV_DONTNEED);
      case 'remove':
        return process.madvise(at, length, MADV_REMOVE);
      case 'mremap':
        return process.mremap(at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, BASE + (choice % PAGES) * SMALL);
      case 'read':
        return process.read(at + choice);
      case 'write':
        return process.write(at + choice, choice);
      case 'pin':
        return choice % 2 ? process.registerBuffer(at, 4096) : process.unregisterBuffer();
      case 'fork': {
        if (this.processes.length === 3) return undefined;
        const child = process.fork();
        if (typeof child !== 'string') this.processes.push(child);
        return typeof child === 'string' ? child : 'OK';
      }
      case 'exit':
        if (this.processes.length === 1) return undefined;
        this.processes.splice(this.processes.indexOf(process), 1);
        return process.exit();
      case 'open': {
        const opened = process.userfaultfd(UFFD_NONBLOCK);
        this.uffds.push(opened);
        return opened.api(FEATURES[choice % FEATURES.length]!).result;
      }
      default:
        return uffd && this.#onUffd(kind, uffd, at, count, choice);
    }
  }

  #onUffd(kind: Call['kind'], uffd: UserfaultFile, at: number, count: number, choice: number): unknown {
    const length = count * SMALL;
    switch (kind) {
      case 'close':
        this.uffds.splice(this.uffds.indexOf(uffd), 1);
        return uffd.close();
      case 'register':
        return uffd.register(at, length, (choice % 7) + 1).result;
      case 'unregister':
        return uffd.unregister(at, length);
      case 'copy':
        return uffd.copy(at, bytes(SMALL, choice, count), choice % 4).result;
      case 'continue':
        return uffd.continue(at, length, choice % 2).result;
      default:
        return uffd.writeprotect(at, length, choice % 3);
    }
  }

  end(): void {
    for (const process of this.processes) process.exit();
    for (const uffd of this.uffds) uffd.close();
    this.file.close();
  }
}

test('random calls: every count holds after each, nobody is left waiting, and in the end everything is free', () => {
  fc.assert(
    fc.property(calls, (sequence) => {
      const world = new World();
      const { machine } = world;
      for (const call of sequence) {
        const answer = world.call(call);
        const key = `${call.kind} ${typeof answer === 'number' ? 'number' : String(answer)}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
        for (const { context, pending } of world.uffds) {
          expect([pending, context.mmapChanging, context.readFaults.size]).toEqual([false, 0, 0]);
        }
      }
      world.end();
      const pool = machine.hstate(SMALL);
      expect([pool.freeHugePages, pool.resvHugePages]).toEqual([12, pool.lostReservations]);
      expect([machine.tables.count, machine.inodes.size, machine.processes.size]).toEqual([0, 0, 0]);
    }),
    { numRuns: 400 },
  );
});

test('the calls reach what they are for', () => {
  const reached = ['read BLOCKED', 'write BLOCKED', 'read SIGBUS', 'copy OK', 'protect OK', 'munmap BLOCKED'];
  reached.push('dontneed BLOCKED', 'fork BLOCKED', 'register OK', 'register EBUSY', 'unregister OK');
  for (const key of reached) expect([key, seen.has(key)]).toEqual([key, true]);
});

describe('threads', () => {
  test('that touch, fork, unmap and protect while a monitor serves them: all come to an end, and every count holds', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 30), fc.boolean(), fc.integer({ min: 1, max: 7 }), (seed, shared, mode) => {
        const scene = stage({ shared, pages: 4, pool: 24, features: 0x7e & UFFD_API_FEATURES, mode, checks: false });
        const { process, uffd, page, size, machine, at, length } = scene;
        const random = seeded(seed);
        const threads = [process.thread(), process.thread(), process.thread()];
        const monitor = process.thread();
        const monitored: UserfaultFile[] = [uffd];
        let working = threads.length;

        function* work(thread: (typeof threads)[number]): Path<void> {
          for (let step = 0; step < 4; step++) {
            const target = page(random(4));
            switch (random(6)) {
              case 0:
                yield* thread.madvise(target, size, MADV_DONTNEED);
                break;
              case 1:
                yield* thread.mprotect(target, size, random(2) ? RW : PROT_READ);
                break;
              case 2:
                yield* thread.fork();
                break;
              case 3:
                yield* thread.munmap(target, size);
                break;
              case 4:
                yield* thread.write(target, 1);
                break;
              default:
                yield* thread.read(target + 1);
            }
          }
          working--;
        }
        function* serve(): Path<void> {
          const protector = monitor;
          while (working > 0) {
            const readable = monitored.find(({ pending }) => pending);
            if (!readable) {
              /* Something to do, and a place to let others go on. */
              yield* protector.uffdWriteprotect(uffd, page(random(4)), size, random(2));
              yield* protector.mprotect(at + length, size, RW);
              continue;
            }
            const message = yield* monitor.uffdRead(readable);
            if (typeof message === 'string') throw new Error(message);
            if (message.event === UFFD_EVENT_FORK) monitored.push(message.ufd);
            if (message.event !== UFFD_EVENT_PAGEFAULT) continue;
            const { address: where, flags } = message;
            if (flags & UFFD_PAGEFAULT_FLAG_WP) yield* monitor.uffdWriteprotect(readable, where, size, 0);
            else if (flags & UFFD_PAGEFAULT_FLAG_MINOR) {
              yield* monitor.uffdFill(readable, where, size, { kind: 'continue', mode: 0 });
            } else yield* monitor.uffdFill(readable, where, size, { kind: 'copy', mode: 0, bytes: bytes(size, 1) });
            /* Whatever that came to: the page may be there, or gone. */
            readable.wake(where, size);
          }
        }
        together([...threads.map((thread) => actor(thread, work(thread))), actor(monitor, serve())], random);
        machine.check();
        for (const { context, pending } of monitored) {
          expect([pending, context.mmapChanging, context.readFaults.size]).toEqual([false, 0, 0]);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('one page, many threads, COPY from two sides: one of them wins, all see the same bytes', () => {
    for (let seed = 0; seed < 60; seed++) {
      const scene = stage({ pages: 1, pool: 2, mode: UFFDIO_REGISTER_MODE_MISSING, checks: false });
      const { process, uffd, at, size, machine } = scene;
      const readers = [process.thread(), process.thread(), process.thread()];
      const copiers = [process.thread(), process.thread()];
      const results = together(
        [
          ...readers.map((thread) => actor(thread, thread.read(at))),
          ...copiers.map((thread, index) =>
            actor(thread, thread.uffdFill(uffd, at, size, { kind: 'copy', mode: 0, bytes: bytes(size, index + 1) })),
          ),
        ],
        seeded(seed),
      );
      const copied = results.slice(3).map((result) => (result as { result: string }).result);
      expect([...copied].sort()).toEqual(['EEXIST', 'OK']);
      const winner = copied.indexOf('OK') + 1;
      expect(results.slice(0, 3)).toEqual([winner, winner, winner]);
      machine.check();
      expect(address(process.read(at))).toBe(winner);
    }
  });
});
