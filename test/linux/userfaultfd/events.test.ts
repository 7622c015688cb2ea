/**
 * What a userfaultfd is told beside faults, and that who acts waits until it is read. userfaultfd_event_wait_completion.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_DONTNEED,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  type Path,
  PROT_READ,
  PROT_WRITE,
  type Process,
  UFFD_EVENT_FORK,
  UFFD_EVENT_REMAP,
  UFFD_EVENT_REMOVE,
  UFFD_EVENT_UNMAP,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
  type UffdMessage,
} from '../../../src/linux/index.ts';
import { actor, address, bytes, pagemap, type Stage, seeded, serve, stage, together } from './stage.ts';

const FORK = UFFD_FEATURE_EVENT_FORK;
const REMAP = UFFD_FEATURE_EVENT_REMAP;
const REMOVE = UFFD_FEATURE_EVENT_REMOVE;
const UNMAP = UFFD_FEATURE_EVENT_UNMAP;
const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED;
const THERE = 2 ** 42;
const RW = PROT_READ | PROT_WRITE;

/** One thread acts, another reads `count` messages. Returns what both came to. */
function heard(scene: Stage, count: number, act: (thread: ReturnType<Process['thread']>) => Path<unknown>) {
  const { process, uffd, machine } = scene;
  const [one, reader] = [process.thread(), process.thread()];
  const [result, messages] = together([actor(one, act(one)), actor(reader, serve(reader, uffd, count))]);
  machine.check();
  expect(uffd.context.mmapChanging).toBe(0);
  expect(uffd.pending).toBe(false);
  return { result, messages: messages as UffdMessage[] };
}

describe('UNMAP', () => {
  test('munmap tells of the range, as it was given, rounded up to 4 KiB', () => {
    const scene = stage({ features: UNMAP });
    const { page, size } = scene;
    expect(heard(scene, 1, (thread) => thread.munmap(page(1), 2 * size - 4095))).toEqual({
      result: 'OK',
      messages: [{ event: UFFD_EVENT_UNMAP, start: page(1), end: page(3) }],
    });
  });

  test('munmap tells once of a range with several registered mappings', () => {
    const scene = stage({ features: UNMAP });
    const { process, uffd, page, size, at, length } = scene;
    process.mprotect(page(1), size, PROT_READ);
    expect(process.vmas.length).toBe(3);
    expect(heard(scene, 1, (thread) => thread.munmap(at - size, length + size))).toEqual({
      result: 'OK',
      messages: [{ event: UFFD_EVENT_UNMAP, start: at - size, end: at + length }],
    });
    expect(uffd.context.events.size).toBe(0);
  });

  test('each userfaultfd of the range is told', () => {
    const scene = stage({ features: UNMAP, mode: 0 });
    const { process, uffd, page, size, at, length } = scene;
    const other = process.userfaultfd();
    other.api(UNMAP);
    uffd.register(at, 2 * size, UFFDIO_REGISTER_MODE_MISSING);
    other.register(page(2), size, UFFDIO_REGISTER_MODE_MISSING);
    const threads = [process.thread(), process.thread(), process.thread()] as const;
    const message = { event: UFFD_EVENT_UNMAP, start: at, end: at + length };
    const results = together([
      actor(threads[0], threads[0].munmap(at, length)),
      actor(threads[1], serve(threads[1], other, 1)),
      actor(threads[2], serve(threads[2], uffd, 1)),
    ]);
    expect(results).toEqual(['OK', [message], [message]]);
  });

  test('an mmap over the range tells, and so does the place that mremap takes', () => {
    const scene = stage({ features: UNMAP });
    const { at, size, page, process } = scene;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED;
    expect(heard(scene, 1, (thread) => thread.mmap({ address: at, length: size, prot: RW, flags }))).toEqual({
      result: at,
      messages: [{ event: UFFD_EVENT_UNMAP, start: at, end: at + size }],
    });
    const other = address(process.mmap({ length: size, prot: RW, flags: flags & ~MAP_FIXED }));
    expect(heard(scene, 1, (thread) => thread.mremap(other, size, size, MOVE, page(1)))).toEqual({
      result: page(1),
      messages: [{ event: UFFD_EVENT_UNMAP, start: page(1), end: page(2) }],
    });
  });

  test('the pages are gone when it is read, and the sender goes on only then', () => {
    const scene = stage({ features: UNMAP });
    const { at, length, process, uffd } = scene;
    const [unmapper, reader] = [process.thread(), process.thread()];
    const order: string[] = [];
    function* unmap(): Path<void> {
      yield* unmapper.munmap(at, length);
      order.push('munmap returns');
    }
    function* read(): Path<void> {
      yield* serve(reader, uffd, 1);
      order.push(`read, ${process.vmas.length} mappings`);
    }
    together([actor(unmapper, unmap()), actor(reader, read())]);
    expect(order).toEqual(['read, 0 mappings', 'munmap returns']);
  });

  test('alone: BLOCKED, with the range unmapped and no event left', () => {
    const { at, length, process, uffd, machine } = stage({ features: UNMAP });
    expect(process.munmap(at, length)).toBe('BLOCKED');
    expect([process.vmas.length, uffd.pending, uffd.context.mmapChanging]).toEqual([0, false, 0]);
    machine.check();
  });

  test('the end of the process tells nobody', () => {
    const { process, uffd } = stage({ features: UNMAP | REMOVE });
    process.exit();
    expect(uffd.pending).toBe(false);
  });

  test('without the feature nobody is told', () => {
    const { at, length, process } = stage({ features: REMAP | REMOVE | FORK });
    expect(process.munmap(at, length)).toBe('OK');
  });
});

describe('REMOVE', () => {
  test('MADV_DONTNEED tells before it takes the pages away', () => {
    const scene = stage({ features: REMOVE });
    const { page, size, uffd, process } = scene;
    uffd.copy(scene.at, bytes(size, 1, 4));
    const [madviser, reader] = [process.thread(), process.thread()];
    function* read() {
      const messages = yield* serve(reader, uffd, 1);
      return [messages, process.read(page(1))];
    }
    const results = together([
      actor(madviser, madviser.madvise(page(1), 2 * size + 4096, MADV_DONTNEED)),
      actor(reader, read()),
    ]);
    expect(results).toEqual(['OK', [[{ event: UFFD_EVENT_REMOVE, start: page(1), end: page(3) }], 1]]);
    expect([process.read(page(0)), process.read(page(1)), process.read(page(3))]).toEqual([1, 'BLOCKED', 1]);
  });

  test('MADV_REMOVE tells, too', () => {
    const scene = stage({ features: REMOVE, shared: true });
    const { page, size, uffd, process } = scene;
    uffd.copy(scene.at, bytes(size, 1, 4));
    expect(heard(scene, 1, (thread) => thread.madvise(page(1), size, MADV_REMOVE))).toEqual({
      result: 'OK',
      messages: [{ event: UFFD_EVENT_REMOVE, start: page(1), end: page(2) }],
    });
    expect(process.read(page(1))).toBe('BLOCKED');
  });

  test('a range of several mappings is told piece by piece', () => {
    const scene = stage({ features: REMOVE });
    const { page, size, process, at, length } = scene;
    process.mprotect(page(1), size, PROT_READ);
    const { messages } = heard(scene, 3, (thread) => thread.madvise(at, length, MADV_DONTNEED));
    expect(messages.map((message) => 'start' in message && message.start)).toEqual([at, page(1), page(2)]);
  });

  test('MADV_DONTNEED looks again after it has waited: what was unmapped meanwhile is ENOMEM', () => {
    const scene = stage({ features: REMOVE });
    const { at, length, process, uffd } = scene;
    const [madviser, reader] = [process.thread(), process.thread()];
    function* read() {
      process.munmap(at, length);
      yield* serve(reader, uffd, 1);
    }
    expect(together([actor(madviser, madviser.madvise(at, length, MADV_DONTNEED)), actor(reader, read())])[0]).toBe(
      'ENOMEM',
    );
  });

  test('MADV_DONTNEED of a mapping that was cut meanwhile takes the first piece, and leaves the rest', () => {
    const scene = stage({ features: REMOVE });
    const { at, length, process, uffd, size, page } = scene;
    uffd.copy(at, bytes(size, 1, 4));
    const [madviser, reader] = [process.thread(), process.thread()];
    function* read() {
      process.mprotect(page(2), size, PROT_READ);
      return yield* serve(reader, uffd, 1);
    }
    const results = together([actor(madviser, madviser.madvise(at, length, MADV_DONTNEED)), actor(reader, read())]);
    expect(results).toEqual(['OK', [{ event: UFFD_EVENT_REMOVE, start: at, end: at + length }]]);
    expect([...process.mappedPages()].map(({ address }) => address)).toEqual([page(2), page(3)]);
  });

  test('alone: BLOCKED, with the pages taken away', () => {
    const { at, length, process, uffd, size } = stage({ features: REMOVE });
    uffd.copy(at, bytes(size, 1));
    expect(process.madvise(at, length, MADV_DONTNEED)).toBe('BLOCKED');
    expect([...process.mappedPages()]).toEqual([]);
  });

  test('nothing is told where nothing is taken away: less than a huge page, no userfaultfd', () => {
    const { at, length, process, uffd } = stage({ features: REMOVE });
    expect(process.madvise(at, 4096, MADV_DONTNEED)).toBe('OK');
    uffd.unregister(at, length);
    expect(process.madvise(at, length, MADV_DONTNEED)).toBe('OK');
  });
});

describe('REMAP', () => {
  test('mremap tells from where to where, and the moved mapping stays registered', () => {
    const scene = stage({ features: REMAP });
    const { at, length, process, uffd } = scene;
    expect(heard(scene, 1, (thread) => thread.mremap(at, length, length, MOVE, THERE))).toEqual({
      result: THERE,
      messages: [{ event: UFFD_EVENT_REMAP, from: at, to: THERE, length }],
    });
    expect(process.vmas[0]!.userfaultfd).toBe(uffd.context);
    expect(process.read(THERE)).toBe('BLOCKED');
  });

  test('with UNMAP the old place is told to be unmapped, afterwards', () => {
    const scene = stage({ features: REMAP | UNMAP });
    const { at, length } = scene;
    expect(heard(scene, 2, (thread) => thread.mremap(at, length, length, MOVE, THERE)).messages).toEqual([
      { event: UFFD_EVENT_REMAP, from: at, to: THERE, length },
      { event: UFFD_EVENT_UNMAP, start: at, end: at + length },
    ]);
  });

  test('a move that cuts tells the old length', () => {
    const scene = stage({ features: REMAP });
    const { at, length, size } = scene;
    expect(heard(scene, 1, (thread) => thread.mremap(at, length, size, MOVE, THERE)).messages).toEqual([
      { event: UFFD_EVENT_REMAP, from: at, to: THERE, length },
    ]);
  });

  test('without the feature the moved mapping is nobody’s, and nobody is told', () => {
    const { at, length, process } = stage();
    expect(process.mremap(at, length, length, MOVE, THERE)).toBe(THERE);
    expect(process.vmas[0]!.userfaultfd).toBeUndefined();
    expect(process.write(THERE, 1)).toBe('OK');
  });

  test('alone: BLOCKED, and moved', () => {
    const { at, length, process, uffd } = stage({ features: REMAP });
    expect(process.mremap(at, length, length, MOVE, THERE)).toBe('BLOCKED');
    expect([process.vmas[0]!.start, process.vmas[0]!.userfaultfd]).toEqual([THERE, uffd.context]);
  });

  test('cutting without moving is an munmap', () => {
    const scene = stage({ features: REMAP | UNMAP });
    const { at, length, size } = scene;
    expect(heard(scene, 1, (thread) => thread.mremap(at, length, size, 0, 0))).toEqual({
      result: at,
      messages: [{ event: UFFD_EVENT_UNMAP, start: at + size, end: at + length }],
    });
  });
});

describe('FORK', () => {
  test('the message has the child’s userfaultfd, by which its faults are handled', () => {
    const scene = stage({ features: FORK });
    const { at, size, process, machine, uffd } = scene;
    const { result: child, messages } = heard(scene, 1, (thread) => thread.fork());
    const result = child as Process;
    const [message] = messages;
    if (message?.event !== UFFD_EVENT_FORK) throw new Error('no fork');
    const { ufd } = message;
    expect(ufd.context.mm).toBe(result.mm);
    expect([ufd.context.features, result.vmas[0]!.userfaultfd]).toEqual([FORK, ufd.context]);
    expect(process.vmas[0]!.userfaultfd).toBe(uffd.context);
    expect(result.read(at)).toBe('BLOCKED');
    expect(ufd.copy(at, bytes(size, 6)).result).toBe('OK');
    expect([result.read(at), process.read(at)]).toEqual([6, 'BLOCKED']);
    ufd.close();
    expect(result.vmas[0]!.userfaultfd).toBeUndefined();
    machine.check();
  });

  test('each of the parent’s has one, and all mappings of one have the same', () => {
    const scene = stage({ features: FORK, mode: 0 });
    const { process, uffd, page, size } = scene;
    const [other, silent] = [process.userfaultfd(), process.userfaultfd()];
    other.api(FORK);
    silent.api();
    const MISSING = UFFDIO_REGISTER_MODE_MISSING;
    uffd.register(page(0), size, MISSING);
    other.register(page(1), size, MISSING);
    uffd.register(page(2), size, MISSING);
    silent.register(page(3), size, MISSING);
    const threads = [process.thread(), process.thread(), process.thread()] as const;
    const [child, a, b] = together([
      actor(threads[0], threads[0].fork()),
      actor(threads[1], serve(threads[1], other, 1)),
      actor(threads[2], serve(threads[2], uffd, 1)),
    ]) as [Process, UffdMessage[], UffdMessage[]];
    const contexts = child.vmas.map(({ userfaultfd }) => userfaultfd);
    const ufd = (message: UffdMessage) => 'ufd' in message && message.ufd.context;
    expect(contexts).toEqual([ufd(b[0]!), ufd(a[0]!), ufd(b[0]!), undefined]);
  });

  test('closed before it is read: the fork goes on, and the child is registered for nothing', () => {
    const { process, uffd, at } = stage({ features: FORK });
    const [forker, closer] = [process.thread(), process.thread()];
    const [child] = together([actor(forker, forker.fork()), actor(closer, closer.uffdClose(uffd))]) as [Process];
    expect(child.vmas[0]!.userfaultfd).toBeUndefined();
    expect(child.write(at, 1)).toBe('OK');
  });

  test('alone: BLOCKED, without a child, as after a SIGKILL', () => {
    const { process, uffd, machine } = stage({ features: FORK });
    expect(process.fork()).toBe('BLOCKED');
    expect([...machine.processes]).toEqual([process]);
    expect([uffd.pending, uffd.context.mmapChanging]).toEqual([false, 0]);
    machine.check();
  });

  test('a fork that fails tells all the same, of a child that is gone', () => {
    const scene = stage({ features: FORK, pages: 2, pool: 2 });
    const { process, uffd, at, size } = scene;
    uffd.copy(at, bytes(size, 1, 2));
    expect(process.registerBuffer(at, 4096)).toBe('OK');
    const { result, messages } = heard(scene, 1, (thread) => thread.fork());
    expect(result).toBe('ENOMEM');
    const [message] = messages;
    if (message?.event !== UFFD_EVENT_FORK) throw new Error('no fork');
    expect(message.ufd.copy(at, bytes(size, 1)).result).toBe('ESRCH');
  });

  test('without the feature the child’s mappings are nobody’s', () => {
    const { process, at } = stage({ features: REMAP });
    const child = address(process.fork());
    expect(child.vmas[0]!.userfaultfd).toBeUndefined();
    expect(child.read(at)).toBe(0);
  });

  test('the child’s entries keep their protection, markers too', () => {
    const scene = stage({ features: FORK, mode: UFFDIO_REGISTER_MODE_WP });
    const { process, uffd, at, length, page } = scene;
    process.write(page(0), 1);
    uffd.writeprotect(at, length, UFFDIO_WRITEPROTECT_MODE_WP);
    const child = heard(scene, 1, (thread) => thread.fork()).result as Process;
    expect([pagemap(child, page(0)), pagemap(child, page(1))]).toEqual(['present wp', 'none wp']);
    expect(child.write(page(0), 1)).toBe('BLOCKED');
    expect(child.read(page(1))).toBe(0);
    expect(child.write(page(1), 1)).toBe('BLOCKED');
  });
});

describe('in any order', () => {
  test('of one sender and two readers, each event is read once', () => {
    for (let seed = 0; seed < 40; seed++) {
      const scene = stage({ features: UNMAP | REMOVE | REMAP, checks: false });
      const { process, uffd, page, size } = scene;
      const [one, two, a, b] = [process.thread(), process.thread(), process.thread(), process.thread()];
      const results = together(
        [
          actor(one, one.munmap(page(0), size)),
          actor(two, two.madvise(page(1), size, MADV_DONTNEED)),
          actor(a, serve(a, uffd, 1)),
          actor(b, serve(b, uffd, 1)),
        ],
        seeded(seed),
      );
      expect(results.slice(0, 2)).toEqual(['OK', 'OK']);
      const events = (results.slice(2).flat() as UffdMessage[]).map(({ event }) => event);
      expect(events.sort()).toEqual([UFFD_EVENT_REMOVE, UFFD_EVENT_UNMAP]);
      expect(uffd.context.mmapChanging).toBe(0);
      scene.machine.check();
    }
  });
});
