/**
 * What a userfaultfd tells: userfaultfd_api, userfaultfd_read, userfaultfd_poll.
 */
import { describe, expect, test } from 'vitest';
import * as linux from '../../../src/linux/index.ts';
import {
  Machine,
  UFFD_API_FEATURES,
  UFFD_EVENT_PAGEFAULT,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFD_FEATURE_THREAD_ID,
  UFFD_NONBLOCK,
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFD_PAGEFAULT_FLAG_WRITE,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
  type UffdMessage,
} from '../../../src/linux/index.ts';
import { actor, fault, SIZES, SMALL, serve, stage, together } from './stage.ts';

describe('UFFDIO_API', () => {
  const fresh = () => new Machine().createProcess().userfaultfd(UFFD_NONBLOCK);

  test('tells the features of Linux 6.1, all thirteen, and the ioctls of the file', () => {
    expect(fresh().api()).toEqual({ result: 'OK', features: 0x1fff, ioctls: (1n << 63n) | 3n });
  });

  test('takes any of them, and refuses what is not among them', () => {
    expect(fresh().api(UFFD_API_FEATURES).result).toBe('OK');
    for (const bit of [13, 14, 15, 30, 31]) {
      expect(fresh().api(2 ** bit)).toEqual({ result: 'EINVAL', features: 0, ioctls: 0n });
    }
  });

  test('works once; after a refusal it may be tried again', () => {
    const uffd = fresh();
    expect([uffd.api(0x2000).result, uffd.api().result, uffd.api().result]).toEqual(['EINVAL', 'OK', 'EINVAL']);
  });

  test('comes before everything else', () => {
    const uffd = fresh();
    const at = 2 ** 40;
    expect(uffd.register(at, SMALL, 1).result).toBe('EINVAL');
    expect(uffd.unregister(at, SMALL)).toBe('EINVAL');
    expect(uffd.copy(at, new Uint8Array(SMALL)).result).toBe('EINVAL');
    expect(uffd.continue(at, SMALL).result).toBe('EINVAL');
    expect(uffd.writeprotect(at, SMALL, 0)).toBe('EINVAL');
    expect(uffd.wake(at, SMALL)).toBe('EINVAL');
    expect(uffd.read()).toBe('EINVAL');
  });

  test('unknown flags of userfaultfd(2) are a mistake of the caller', () => {
    expect(() => new Machine().createProcess().userfaultfd(2)).toThrow(RangeError);
  });

  test('a closed userfaultfd is a mistake of the caller', () => {
    const uffd = fresh();
    uffd.close();
    expect(() => uffd.read()).toThrow(TypeError);
    expect(() => uffd.close()).toThrow(TypeError);
  });

  test('the constants have the values of include/uapi/linux/userfaultfd.h', () => {
    const header: Readonly<Record<string, number>> = {
      UFFD_FEATURE_PAGEFAULT_FLAG_WP: 1 << 0,
      UFFD_FEATURE_EVENT_FORK: 1 << 1,
      UFFD_FEATURE_EVENT_REMAP: 1 << 2,
      UFFD_FEATURE_EVENT_REMOVE: 1 << 3,
      UFFD_FEATURE_MISSING_HUGETLBFS: 1 << 4,
      UFFD_FEATURE_MISSING_SHMEM: 1 << 5,
      UFFD_FEATURE_EVENT_UNMAP: 1 << 6,
      UFFD_FEATURE_SIGBUS: 1 << 7,
      UFFD_FEATURE_THREAD_ID: 1 << 8,
      UFFD_FEATURE_MINOR_HUGETLBFS: 1 << 9,
      UFFD_FEATURE_MINOR_SHMEM: 1 << 10,
      UFFD_FEATURE_EXACT_ADDRESS: 1 << 11,
      UFFD_FEATURE_WP_HUGETLBFS_SHMEM: 1 << 12,
      /* Of high-granularity mapping, RFC v2. */
      UFFD_FEATURE_MINOR_HUGETLBFS_HGM: 1 << 13,
      UFFD_EVENT_PAGEFAULT: 0x12,
      UFFD_EVENT_FORK: 0x13,
      UFFD_EVENT_REMAP: 0x14,
      UFFD_EVENT_REMOVE: 0x15,
      UFFD_EVENT_UNMAP: 0x16,
      UFFD_USER_MODE_ONLY: 1,
      UFFD_NONBLOCK: 0o4000,
      UFFD_CLOEXEC: 0o2000000,
      _UFFDIO_ZEROPAGE: 4,
      _UFFDIO_WRITEPROTECT: 6,
      _UFFDIO_CONTINUE: 7,
      UFFDIO_WRITEPROTECT_MODE_WP: 1,
      UFFDIO_WRITEPROTECT_MODE_DONTWAKE: 2,
      UFFDIO_COPY_MODE_DONTWAKE: 1,
      UFFDIO_COPY_MODE_WP: 2,
    };
    const exported = linux as unknown as Record<string, unknown>;
    for (const [name, value] of Object.entries(header)) expect([name, exported[name]]).toEqual([name, value]);
    expect(Object.keys(linux).filter((name) => name.startsWith('UFFD_FEATURE_'))).toHaveLength(14);
  });
});

/** A thread touches, and what the message says. */
function message(scene: ReturnType<typeof stage>, at: number, write: boolean): UffdMessage {
  const { process, uffd } = scene;
  const [toucher, reader] = [process.thread(), process.thread()];
  let heard: UffdMessage | undefined;
  function* hear() {
    const [first] = yield* serve(reader, uffd, 1);
    heard = first;
    toucher.task.killed = true;
  }
  together([actor(toucher, write ? toucher.write(at, 1) : toucher.read(at)), actor(reader, hear())]);
  return heard!;
}

describe.each(SIZES)('a fault on a page of $name', ({ size }) => {
  test('is reported with the address of the huge page, and whether it is a write', () => {
    const scene = stage({ size });
    const at = scene.page(1);
    expect(message(scene, at + 12345, false)).toEqual({ event: UFFD_EVENT_PAGEFAULT, address: at, flags: 0, ptid: 0 });
    expect(message(scene, at + size - 1, true)).toEqual({
      event: UFFD_EVENT_PAGEFAULT,
      address: at,
      flags: UFFD_PAGEFAULT_FLAG_WRITE,
      ptid: 0,
    });
  });

  test('with EXACT_ADDRESS, is reported with what was accessed', () => {
    const scene = stage({ size, features: UFFD_FEATURE_EXACT_ADDRESS });
    expect(fault(message(scene, scene.at + 12345, false)).address).toBe(scene.at + 12345);
  });

  test('on a protected page is WP and WRITE', () => {
    const scene = stage({ size, mode: UFFDIO_REGISTER_MODE_WP });
    scene.process.read(scene.at);
    scene.uffd.writeprotect(scene.at, size, UFFDIO_WRITEPROTECT_MODE_WP);
    expect(fault(message(scene, scene.at, true)).flags).toBe(UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
  });

  test('on a page that the file has is MINOR', () => {
    const scene = stage({ size, shared: true, mode: UFFDIO_REGISTER_MODE_MINOR });
    scene.process.write(scene.alias, 1);
    expect(fault(message(scene, scene.at, false)).flags).toBe(UFFD_PAGEFAULT_FLAG_MINOR);
    expect(fault(message(scene, scene.at, true)).flags).toBe(UFFD_PAGEFAULT_FLAG_MINOR | UFFD_PAGEFAULT_FLAG_WRITE);
  });
});

describe('a message', () => {
  test('with THREAD_ID says who faults', () => {
    const scene = stage({ features: UFFD_FEATURE_THREAD_ID });
    const { process, uffd } = scene;
    const [a, b, reader] = [process.thread(), process.thread(), process.thread()];
    function* hear() {
      const messages = yield* serve(reader, uffd, 2);
      a.task.killed = true;
      b.task.killed = true;
      return messages.map((m) => fault(m).ptid);
    }
    const actors = [actor(a, a.read(scene.at)), actor(b, b.read(scene.at)), actor(reader, hear())];
    expect(together(actors)[2]).toEqual([a.task.tid, b.task.tid]);
    expect(a.task.tid).not.toBe(b.task.tid);
  });

  test('comes in the order of the faults', () => {
    const scene = stage();
    const { process, uffd } = scene;
    const pages = [2, 0, 3, 1];
    const touchers = pages.map(() => process.thread());
    const reader = process.thread();
    function* hear() {
      const messages = yield* serve(reader, uffd, 4);
      for (const { task } of touchers) task.killed = true;
      return messages.map((m) => (fault(m).address - scene.at) / scene.size);
    }
    const actors = [...touchers.map((t, i) => actor(t, t.read(scene.page(pages[i]!)))), actor(reader, hear())];
    expect(together(actors)[4]).toEqual(pages);
  });

  test('of a fault comes before one of an event, though it is younger', () => {
    const scene = stage({ features: UFFD_FEATURE_EVENT_UNMAP });
    const { process, uffd } = scene;
    const [unmapper, toucher, reader] = [process.thread(), process.thread(), process.thread()];
    function* hear() {
      const messages = yield* serve(reader, uffd, 2);
      toucher.task.killed = true;
      return messages.map(({ event }) => event);
    }
    const actors = [
      actor(unmapper, unmapper.munmap(scene.page(3), scene.size)),
      actor(toucher, toucher.read(scene.at)),
      actor(reader, hear()),
    ];
    expect(together(actors)[2]).toEqual([linux.UFFD_EVENT_PAGEFAULT, linux.UFFD_EVENT_UNMAP]);
  });

  test('is read once; the fault goes on waiting', () => {
    const { process, uffd, at } = stage({ flags: UFFD_NONBLOCK });
    const [toucher, reader] = [process.thread(), process.thread()];
    const heard: unknown[] = [];
    // biome-ignore lint/correctness/useYield: nothing here meets a lock
    function* hear() {
      heard.push(uffd.pending, typeof uffd.read(), uffd.pending, uffd.read(), uffd.context.readFaults.size);
      toucher.task.killed = true;
    }
    together([actor(toucher, toucher.read(at)), actor(reader, hear())]);
    expect(heard).toEqual([true, 'object', false, 'EAGAIN', 1]);
  });

  test('that is not there: EAGAIN with UFFD_NONBLOCK; else a reader waits, and alone is BLOCKED', () => {
    expect(stage({ flags: UFFD_NONBLOCK }).uffd.read()).toBe('EAGAIN');
    expect(stage().uffd.read()).toBe('BLOCKED');
    const { process, uffd } = stage();
    const [reader, killer] = [process.thread(), process.thread()];
    // biome-ignore lint/correctness/useYield: nothing here meets a lock
    function* kill() {
      reader.task.killed = true;
    }
    expect(together([actor(reader, reader.uffdRead(uffd)), actor(killer, kill())])[0]).toBe('EINTR');
  });
});

describe('UFFDIO_REGISTER tells what the range is good for', () => {
  const [WAKE, COPY, WRITEPROTECT, CONTINUE] = [1n << 2n, 1n << 3n, 1n << 6n, 1n << 7n];
  test.each([
    [UFFDIO_REGISTER_MODE_MISSING, WAKE | COPY],
    [UFFDIO_REGISTER_MODE_WP, WAKE | COPY | WRITEPROTECT],
    [UFFDIO_REGISTER_MODE_MINOR, WAKE | COPY | CONTINUE],
    [7, WAKE | COPY | WRITEPROTECT | CONTINUE],
  ])('mode %d', (mode, ioctls) => {
    const { uffd, at, length } = stage({ mode: 0 });
    expect(uffd.register(at, length, mode)).toEqual({ result: 'OK', ioctls });
  });
});
