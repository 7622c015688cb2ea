/**
 * Faults that wait for a userfaultfd, and drop mmap_lock for it. mm/gup.c of Linux 6.1: __get_user_pages_locked, faultin_page;
 * mm/hugetlb.c: follow_hugetlb_page.
 */
import { describe, expect, test } from 'vitest';
import { run } from '../../../src/linux/base/task.ts';
import {
  FOLL_GET,
  FOLL_LONGTERM,
  FOLL_NOWAIT,
  FOLL_WRITE,
  interleave,
  type Path,
  type Process,
  type Syscalls,
  UFFDIO_REGISTER_MODE_MISSING,
} from '../../../src/linux/index.ts';
import type { UserfaultFile } from '../../../src/linux/machine/userfault-file.ts';
import { folioOf, HUGE, PAGES_OF_HUGE, type Scene, scene } from './support.ts';

/** Three pages; the middle one is missing, and a userfaultfd's. */
function guarded(): Scene & { uffd: UserfaultFile } {
  const all = scene({ count: 3, shared: true });
  all.process.write(all.at, 1);
  all.process.write(all.at + 2 * HUGE, 1);
  const uffd = all.process.userfaultfd();
  uffd.api(0);
  expect(uffd.register(all.at, 3 * HUGE, UFFDIO_REGISTER_MODE_MISSING)).toMatchObject({ result: 'OK' });
  return { ...all, uffd };
}

/** The thread that handles faults: one page. */
function* handler(thread: Syscalls, uffd: UserfaultFile, at: number): Path<unknown> {
  const message = yield* thread.uffdRead(uffd);
  expect(message).toMatchObject({ address: at + HUGE });
  return yield* thread.uffdFill(uffd, at + HUGE, HUGE, {
    kind: 'copy',
    bytes: new Uint8Array(HUGE).fill(7),
    mode: 0,
  } as Parameters<Syscalls['uffdFill']>[3]);
}

function together(
  process: Process,
  path: (thread: Syscalls) => Path<unknown>,
  uffd: UserfaultFile,
  at: number,
): unknown {
  const [a, b] = [process.thread(), process.thread()];
  const works: { task: typeof a.task; path: Path<unknown> }[] = [
    { task: a.task, path: path(a) },
    { task: b.task, path: handler(b, uffd, at) },
  ];
  return interleave(works, () => 0)[0];
}

describe('where mmap_lock may be dropped', () => {
  test('a fault waits, is tried again for one page, and the rest follows', () => {
    const { process, at, uffd } = guarded();
    const pages: number[] = [];
    const locked = { held: true };
    const path = (thread: Syscalls): Path<unknown> =>
      thread.getUserPagesRemote(process, at, 3 * PAGES_OF_HUGE, FOLL_WRITE, pages, undefined, locked);
    expect(together(process, path, uffd, at)).toBe(3 * PAGES_OF_HUGE);
    expect([0, 1, 2].map((page) => folioOf(process, at + page * HUGE).getcount)).toEqual([512, 512, 512]);
    expect(pages[PAGES_OF_HUGE]).toBe(folioOf(process, at + HUGE).pfn);
    expect(process.read(at + HUGE)).toBe(7);
    process.putPages(pages);
  });

  test('afterwards it is not held, and that is told', () => {
    const { process, at, uffd } = guarded();
    const locked = { held: true };
    together(
      process,
      (thread) => thread.getUserPagesRemote(process, at + HUGE, 1, 0, undefined, undefined, locked),
      uffd,
      at,
    );
    expect([locked.held, process.mm.mmapLock.isHeld]).toEqual([false, false]);
  });

  test('it stays held where nothing had to wait', () => {
    const { process, at } = guarded();
    const locked = { held: true };
    expect(process.getUserPagesRemote(process, at, 1, 0, undefined, undefined, locked)).toBe(1);
    expect([locked.held, process.mm.mmapLock.isHeld]).toEqual([true, false]);
  });

  test('GUP-fast falls back to that', () => {
    const { process, at, uffd } = guarded();
    const pages: number[] = [];
    const path = (thread: Syscalls): Path<unknown> => thread.pinUserPagesFast(at, 3 * PAGES_OF_HUGE, FOLL_WRITE, pages);
    expect(together(process, path, uffd, at)).toBe(3 * PAGES_OF_HUGE);
    process.unpinUserPages(pages);
  });

  test('mlock, too', () => {
    const { machine, process, at, uffd } = guarded();
    expect(together(process, (thread) => thread.mlock(at, 3 * HUGE), uffd, at)).toBe('OK');
    expect(machine.hstate().freeHugePages).toBe(0);
  });

  test('a SIGKILL while it waits: what there was, else EINTR', () => {
    for (const [offset, expected] of [
      [0, 512],
      [HUGE, 'EINTR'],
    ] as const) {
      const { process, at } = guarded();
      const thread = process.thread();
      const pages: number[] = [];
      const path = thread.getUserPagesRemote(process, at + offset, 1024, 0, pages, undefined, { held: true });
      expect(path.next().done).toBe(false);
      thread.task.killed = true;
      expect(run(path)).toBe(expected);
      if (expected === 512) process.putPages(pages, 512);
    }
  });

  test('alone, nobody would ever answer: what there was, else BLOCKED', () => {
    const { process, at } = guarded();
    const pages: number[] = [];
    expect(process.getUserPagesFast(at + HUGE, 1, 0, pages)).toBe('BLOCKED');
    expect(process.getUserPagesFast(at, 1024, 0, pages)).toBe(512);
    process.putPages(pages, 512);
    expect(process.mlock(at, 3 * HUGE)).toBe('BLOCKED');
  });
});

describe('where it may not', () => {
  test('the fault is SIGBUS: EFAULT, or what there was', () => {
    const { process, at } = guarded();
    expect(process.getUserPages(at + HUGE, 1, 0)).toBe('EFAULT');
    expect(process.getUserPages(at, 3 * PAGES_OF_HUGE, 0)).toBe(PAGES_OF_HUGE);
    expect(process.pinUserPages(at + HUGE, 1, FOLL_LONGTERM, [])).toBe('EFAULT');
    expect(process.pinUserPagesFast(at + HUGE, 1, FOLL_LONGTERM, [])).toBe('EFAULT');
  });

  test('FOLL_NOWAIT: 0, or what there was, and the lock is kept', () => {
    const { process, at } = guarded();
    for (const [offset, expected] of [
      [0, 512],
      [HUGE, 0],
    ] as const) {
      const locked = { held: true };
      const flags = FOLL_NOWAIT;
      expect(process.getUserPagesRemote(process, at + offset, 1024, flags, undefined, undefined, locked)).toBe(
        expected,
      );
      expect(locked.held).toBe(true);
      expect(process.getUserPages(at + offset, 1024, flags)).toBe(expected);
    }
  });
});

test('a retry is for the page that had to wait: if its mapping is gone by then, the call fails', () => {
  const { process, at, uffd } = guarded();
  const [thread, other] = [process.thread(), process.thread()];
  const unmapAndWake = function* (): Path<unknown> {
    yield* other.uffdRead(uffd);
    yield* other.munmap(at + HUGE, HUGE);
    yield* other.uffdClose(uffd);
    return 'OK';
  };
  const path = thread.getUserPagesRemote(process, at + HUGE, 1024, FOLL_GET, [], undefined, { held: true });
  const works: { task: typeof thread.task; path: Path<unknown> }[] = [
    { task: thread.task, path },
    { task: other.task, path: unmapAndWake() },
  ];
  expect(interleave(works, () => 0)).toEqual(['EFAULT', 'OK']);
});
