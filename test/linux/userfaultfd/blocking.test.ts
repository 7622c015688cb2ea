/**
 * Who faults on a userfaultfd waits, and who wakes it. handle_userfault, wake_userfault.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_POPULATE_WRITE,
  UFFD_EVENT_PAGEFAULT,
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFDIO_CONTINUE_MODE_DONTWAKE,
  UFFDIO_COPY_MODE_DONTWAKE,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_DONTWAKE,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { actor, bytes, copyTo, fault, SIZES, seeded, serve, stage, together } from './stage.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  test('a touch of a missing page waits, and sees what UFFDIO_COPY brings', () => {
    const scene = stage({ size, pages: 1 });
    const [toucher, handler] = [scene.process.thread(), scene.process.thread()];
    const results = together([
      actor(toucher, toucher.read(scene.at + size - 1)),
      actor(handler, serve(handler, scene.uffd, 1, copyTo(handler, scene, 9))),
    ]);
    expect(results[0]).toBe(9);
    scene.machine.check();
  });

  test('a write to a protected page waits until the protection is ended', () => {
    const scene = stage({ size, pages: 1, mode: UFFDIO_REGISTER_MODE_WP });
    const { process, uffd, at } = scene;
    process.write(at, 1);
    uffd.writeprotect(at, size, UFFDIO_WRITEPROTECT_MODE_WP);
    const [writer, handler] = [process.thread(), process.thread()];
    const results = together([
      actor(writer, writer.write(at, 2)),
      actor(
        handler,
        serve(handler, uffd, 1, (message) => handler.uffdWriteprotect(uffd, fault(message).address, size, 0)),
      ),
    ]);
    expect(results[0]).toBe('OK');
    expect(process.read(at)).toBe(2);
  });

  test('a touch of a page that only the file has waits for UFFDIO_CONTINUE', () => {
    const scene = stage({ size, pages: 1, shared: true, mode: UFFDIO_REGISTER_MODE_MINOR });
    const { process, uffd, at, alias } = scene;
    process.write(alias, 5);
    const [reader, handler] = [process.thread(), process.thread()];
    const results = together([
      actor(reader, reader.read(at)),
      actor(
        handler,
        serve(handler, uffd, 1, () => handler.uffdFill(uffd, at, size, { kind: 'continue', mode: 0 })),
      ),
    ]);
    expect(results[0]).toBe(5);
  });
});

describe('waiting', () => {
  test('every order of a fault and its handling ends with the byte: nobody sleeps through it', () => {
    for (let seed = 0; seed < 200; seed++) {
      const scene = stage({ pages: 1, checks: false });
      const { process, uffd, at } = scene;
      const [reader, handler] = [process.thread(), process.thread()];
      const fill = handler.uffdFill(uffd, at, scene.size, { kind: 'copy', mode: 0, bytes: bytes(scene.size, 3) });
      expect(together([actor(reader, reader.read(at)), actor(handler, fill)], seeded(seed))[0]).toBe(3);
      expect(uffd.pending).toBe(false);
      scene.machine.check();
    }
  });

  test('nothing is held meanwhile: another thread may unmap the page that somebody waits for', () => {
    const { process, uffd, at, length } = stage();
    const [reader, other] = [process.thread(), process.thread()];
    function* unmap() {
      yield* serve(other, uffd, 1);
      yield* other.munmap(at, length);
      return uffd.wake(at, length);
    }
    expect(together([actor(reader, reader.read(at)), actor(other, unmap())])).toEqual(['SIGSEGV', 'OK']);
  });

  test('UFFDIO_WAKE lets the access try again: it faults again', () => {
    const scene = stage({ pages: 1 });
    const { process, uffd, at, size } = scene;
    const [reader, handler] = [process.thread(), process.thread()];
    let count = 0;
    const act = function* (message: Parameters<typeof fault>[0]) {
      count++;
      if (count < 3) return uffd.wake(at, size);
      return yield* copyTo(handler, scene, 7)(fault(message));
    };
    const results = together([actor(reader, reader.read(at)), actor(handler, serve(handler, uffd, 3, act))]);
    expect(results[0]).toBe(7);
  });

  test('several threads wait for one page, and one copy wakes all', () => {
    const scene = stage({ pages: 1 });
    const { process, uffd } = scene;
    const readers = [process.thread(), process.thread(), process.thread()];
    const handler = process.thread();
    function* handle() {
      const messages = yield* serve(handler, uffd, 3);
      yield* copyTo(handler, scene, 4)(messages[0]!);
    }
    const results = together([...readers.map((r) => actor(r, r.read(scene.at))), actor(handler, handle())]);
    expect(results.slice(0, 3)).toEqual([4, 4, 4]);
  });

  test('a message that nobody has read is woken, too, and is gone', () => {
    const scene = stage({ pages: 1 });
    const { process, uffd } = scene;
    const [reader, handler] = [process.thread(), process.thread()];
    function* handle() {
      return yield* copyTo(handler, scene, 4)({ event: UFFD_EVENT_PAGEFAULT, address: scene.at, flags: 0, ptid: 0 });
    }
    expect(together([actor(reader, reader.read(scene.at)), actor(handler, handle())])[0]).toBe(4);
    expect(uffd.pending).toBe(false);
  });
});

describe('waking', () => {
  /** A thread waits for page 1 of 4; another one does something, and then wakes for certain. Tells whether that was too late. */
  function woken(act: (scene: ReturnType<typeof stage>) => unknown, mode = UFFDIO_REGISTER_MODE_MISSING): boolean {
    const scene = stage({ mode: mode, shared: mode !== UFFDIO_REGISTER_MODE_MISSING });
    const { process, uffd } = scene;
    if (mode === UFFDIO_REGISTER_MODE_WP) {
      process.write(scene.page(1), 1);
      uffd.writeprotect(scene.at, scene.length, UFFDIO_WRITEPROTECT_MODE_WP);
    }
    if (mode === UFFDIO_REGISTER_MODE_MINOR) process.write(scene.alias + scene.size, 1);
    const [sleeper, other] = [process.thread(), process.thread()];
    let early = false;
    function* handle() {
      const [message] = yield* serve(other, uffd, 1);
      expect(fault(message!).address).toBe(scene.page(1));
      act(scene);
      early = uffd.context.readFaults.size === 0;
      if (uffd.context.released) return;
      uffd.close();
    }
    together([actor(sleeper, sleeper.write(scene.page(1), 1)), actor(other, handle())]);
    scene.machine.check();
    return early;
  }
  const { MISSING, WP, MINOR } = {
    MISSING: UFFDIO_REGISTER_MODE_MISSING,
    WP: UFFDIO_REGISTER_MODE_WP,
    MINOR: UFFDIO_REGISTER_MODE_MINOR,
  };

  test('UFFDIO_COPY wakes who waits for one of its pages', () => {
    expect(woken(({ uffd, page, size }) => uffd.copy(page(1), bytes(size, 1)))).toBe(true);
    expect(woken(({ uffd, page, size }) => uffd.copy(page(0), bytes(size, 1, 3)))).toBe(true);
  });

  test('UFFDIO_COPY of other pages wakes nobody', () => {
    expect(woken(({ uffd, page, size }) => uffd.copy(page(0), bytes(size, 1)))).toBe(false);
    expect(woken(({ uffd, page, size }) => uffd.copy(page(2), bytes(size, 1)))).toBe(false);
  });

  test('UFFDIO_COPY of a part wakes only that part', () => {
    expect(
      woken(({ uffd, page, size }) => {
        uffd.copy(page(1), bytes(size, 1), UFFDIO_COPY_MODE_DONTWAKE);
        expect(uffd.copy(page(0), bytes(size, 1, 2))).toEqual({ result: 'EAGAIN', done: size });
      }),
    ).toBe(false);
  });

  test('with DONTWAKE nobody is woken', () => {
    expect(woken(({ uffd, page, size }) => uffd.copy(page(1), bytes(size, 1), UFFDIO_COPY_MODE_DONTWAKE))).toBe(false);
    expect(woken(({ uffd, page, size }) => uffd.continue(page(1), size, UFFDIO_CONTINUE_MODE_DONTWAKE), MINOR)).toBe(
      false,
    );
    expect(
      woken(({ uffd, page, size }) => uffd.writeprotect(page(1), size, UFFDIO_WRITEPROTECT_MODE_DONTWAKE), WP),
    ).toBe(false);
  });

  test('UFFDIO_CONTINUE wakes', () => {
    expect(woken(({ uffd, page, size }) => uffd.continue(page(1), size), MINOR)).toBe(true);
  });

  test('UFFDIO_WRITEPROTECT wakes when it ends a protection, not when it protects', () => {
    expect(woken(({ uffd, page, size }) => uffd.writeprotect(page(1), size, 0), WP)).toBe(true);
    expect(woken(({ uffd, page, size }) => uffd.writeprotect(page(1), size, UFFDIO_WRITEPROTECT_MODE_WP), WP)).toBe(
      false,
    );
  });

  test('UFFDIO_WAKE matches the reported address: from the start, and not at the end of its range', () => {
    expect(woken(({ uffd, page }) => uffd.wake(page(1), 4096))).toBe(true);
    expect(woken(({ uffd, page, size }) => uffd.wake(page(1) - 4096, size))).toBe(true);
    expect(woken(({ uffd, page }) => uffd.wake(page(0), page(1) - page(0)))).toBe(false);
    expect(woken(({ uffd, page, size }) => uffd.wake(page(1) + 4096, size - 4096))).toBe(false);
  });

  test('with EXACT_ADDRESS the wake range has to contain what was accessed', () => {
    const scene = stage({ features: UFFD_FEATURE_EXACT_ADDRESS });
    const { process, uffd, at, size } = scene;
    const [sleeper, other] = [process.thread(), process.thread()];
    const waiting: number[] = [];
    function* handle() {
      const [message] = yield* serve(other, uffd, 1);
      expect(fault(message!).address).toBe(at + 8195);
      uffd.copy(at, bytes(size, 1), UFFDIO_COPY_MODE_DONTWAKE);
      for (const offset of [0, 4096, 8192]) {
        uffd.wake(at + offset, 4096);
        waiting.push(uffd.context.readFaults.size);
      }
    }
    together([actor(sleeper, sleeper.read(at + 8195)), actor(other, handle())]);
    expect(waiting).toEqual([1, 1, 0]);
  });

  test('UFFDIO_UNREGISTER wakes who waits for a missing page', () => {
    expect(woken(({ uffd, at, length }) => uffd.unregister(at, length))).toBe(true);
    expect(woken(({ uffd, page, size }) => uffd.unregister(page(1), size))).toBe(true);
    expect(woken(({ uffd, page, size }) => uffd.unregister(page(2), size))).toBe(false);
  });

  test('UFFDIO_UNREGISTER wakes nobody who waits for another reason', () => {
    expect(woken(({ uffd, at, length }) => uffd.unregister(at, length), WP)).toBe(false);
    expect(woken(({ uffd, at, length }) => uffd.unregister(at, length), MINOR)).toBe(false);
  });

  test('a close wakes all, and their faults are ordinary ones then', () => {
    for (const mode of [MISSING, WP, MINOR]) expect(woken(({ uffd }) => uffd.close(), mode)).toBe(true);
  });

  test('a fault that finds its userfaultfd closed, but still registered, tries again', () => {
    for (let seed = 0; seed < 100; seed++) {
      const scene = stage({ pages: 1, checks: false });
      const [toucher, closer] = [scene.process.thread(), scene.process.thread()];
      const actors = [actor(toucher, toucher.write(scene.at, 1)), actor(closer, closer.uffdClose(scene.uffd))];
      expect(together(actors, seeded(seed))[0]).toBe('OK');
      scene.machine.check();
    }
  });

  test('a SIGKILL ends the waiting, and takes the message away', () => {
    const { process, uffd, at } = stage();
    const [sleeper, killer] = [process.thread(), process.thread()];
    function* kill() {
      yield* serve(killer, uffd, 1);
      sleeper.task.killed = true;
    }
    expect(together([actor(sleeper, sleeper.read(at)), actor(killer, kill())])[0]).toBe('SIGKILL');
    expect(uffd.context.readFaults.size).toBe(0);
    expect(uffd.pending).toBe(false);
  });
});

test('when a thread exits for all, who waits gets a SIGKILL', () => {
  const { process, uffd, at, machine } = stage();
  const [sleeper, other] = [process.thread(), process.thread()];
  function* exit() {
    yield* serve(other, uffd, 1);
    yield* other.exit();
  }
  expect(together([actor(sleeper, sleeper.read(at)), actor(other, exit())])[0]).toBe('SIGKILL');
  machine.check();
});

describe('alone', () => {
  test('a touch that would wait is BLOCKED, leaves no message, holds nothing, and changes nothing', () => {
    const { process, uffd, at, machine } = stage();
    expect([process.read(at), process.write(at, 1)]).toEqual(['BLOCKED', 'BLOCKED']);
    expect(uffd.pending).toBe(false);
    expect([...process.mappedPages()]).toEqual([]);
    machine.check();
    process.exit();
  });

  test('it can be tried again, and works when the page was brought', () => {
    const { process, uffd, at, size } = stage();
    expect(process.read(at)).toBe('BLOCKED');
    expect(uffd.copy(at, bytes(size, 8))).toEqual({ result: 'OK', done: size });
    expect(process.read(at)).toBe(8);
  });

  test('MADV_POPULATE that would wait is BLOCKED', () => {
    const { process, at, length } = stage();
    expect(process.madvise(at, length, MADV_POPULATE_WRITE)).toBe('BLOCKED');
  });

  test('a deadlock names what each thread waits for', () => {
    const { process, uffd, at } = stage();
    const [toucher, reader] = [process.thread(), process.thread()];
    const other = process.userfaultfd();
    other.api();
    expect(() => together([actor(toucher, toucher.read(at)), actor(reader, reader.uffdRead(other))])).toThrow(
      /thread 1 waits for a userfaultfd at 0x10000000000; process 0, thread 2 waits for a message of a userfaultfd/,
    );
    expect(uffd.pending).toBe(true);
  });

  test('the trace has sleeps and wakes', () => {
    const scene = stage({ pages: 1 });
    const { process, uffd, machine } = scene;
    machine.trace = [];
    const [toucher, handler] = [process.thread(), process.thread()];
    const handled = serve(handler, uffd, 1, copyTo(handler, scene, 1, UFFDIO_COPY_MODE_DONTWAKE));
    function* handle() {
      yield* handled;
      uffd.wake(scene.at, scene.length);
    }
    together([actor(toucher, toucher.read(scene.at)), actor(handler, handle())]);
    const kinds = machine.trace.map(({ kind }) => kind).filter((kind) => kind === 'sleep' || kind === 'wake');
    expect(kinds).toEqual(['sleep', 'wake']);
  });
});
