/**
 * Faults that the kernel has on a program's behalf, on ranges that a userfaultfd has. mm/gup.c, handle_userfault.
 */
import { describe, expect, test } from 'vitest';
import { FAULT_FLAG_ALLOW_RETRY, FAULT_FLAG_RETRY_NOWAIT } from '../../../src/linux/base/fault-flags.ts';
import { run } from '../../../src/linux/base/task.ts';
import { hugetlbFault } from '../../../src/linux/fault/fault.ts';
import { getUserPagesLocked } from '../../../src/linux/gup/gup.ts';
import {
  FOLL_GET,
  FOLL_NOWAIT,
  FOLL_WRITE,
  MADV_POPULATE_READ,
  type Path,
  UFFD_FEATURE_SIGBUS,
  UFFD_USER_MODE_ONLY,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { THOROUGH } from '../../support/thorough.ts';
import { actor, bytes, copyTo, fault, SIZES, serve, stage, together } from './stage.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  test('process_vm_readv waits for a missing page, and reads what was copied', () => {
    const scene = stage({ size, pages: 2 });
    const { machine, process, uffd, at } = scene;
    const [reader, handler] = [machine.createProcess().thread(), process.thread()];
    const buffer = new Uint8Array(2);
    const results = together([
      actor(reader, reader.processVm(process, at + size - 1, buffer, 'read')),
      actor(handler, serve(handler, uffd, 2, copyTo(handler, scene, 5))),
    ]);
    expect([results[0], [...buffer]]).toEqual([2, [5, 5]]);
  });

  test('process_vm_writev waits for a protected page', () => {
    const scene = stage({ size, pages: 1, mode: UFFDIO_REGISTER_MODE_WP });
    const { machine, process, uffd, at } = scene;
    process.write(at, 1);
    uffd.writeprotect(at, size, UFFDIO_WRITEPROTECT_MODE_WP);
    const [writer, handler] = [machine.createProcess().thread(), process.thread()];
    const results = together([
      actor(writer, writer.processVm(process, at, new Uint8Array([9]), 'write')),
      actor(
        handler,
        serve(handler, uffd, 1, (message) => handler.uffdWriteprotect(uffd, fault(message).address, size, 0)),
      ),
    ]);
    expect([results[0], process.read(at)]).toEqual([1, 9]);
  });

  test('MADV_POPULATE_READ waits for each page', () => {
    const scene = stage({ size, pages: 2 });
    const { process, uffd, at, length } = scene;
    const [populater, handler] = [process.thread(), process.thread()];
    const results = together([
      actor(populater, populater.madvise(at, length, MADV_POPULATE_READ)),
      actor(handler, serve(handler, uffd, 2, copyTo(handler, scene, 5))),
    ]);
    expect([results[0], [...process.mappedPages()].length]).toEqual(['OK', 2]);
  });
});

describe('a fault of the kernel’s', () => {
  test('alone is BLOCKED, and leaves nothing', () => {
    const { machine, process, uffd, at } = stage();
    expect(machine.createProcess().processVmRead(process, at, new Uint8Array(1))).toBe('BLOCKED');
    expect(uffd.pending).toBe(false);
    machine.check();
  });

  test('with UFFD_USER_MODE_ONLY is EFAULT, and one of the program’s own waits', () => {
    const { machine, process, at, length } = stage({ flags: UFFD_USER_MODE_ONLY });
    expect(machine.createProcess().processVmRead(process, at, new Uint8Array(1))).toBe('EFAULT');
    expect(process.madvise(at, length, MADV_POPULATE_READ)).toBe('EFAULT');
    expect(process.read(at)).toBe('BLOCKED');
  });

  test('with SIGBUS is EFAULT, and one of the program’s own is SIGBUS', () => {
    const { machine, process, at } = stage({ features: UFFD_FEATURE_SIGBUS });
    expect(machine.createProcess().processVmRead(process, at, new Uint8Array(1))).toBe('EFAULT');
    expect(process.read(at)).toBe('SIGBUS');
  });

  test('of a caller who keeps mmap_lock fails: /proc/PID/mem is EIO, a pinned buffer EFAULT', () => {
    const { machine, process, at } = stage();
    expect(machine.createProcess().procMemRead(process, at, new Uint8Array(1))).toBe('EIO');
    expect(process.registerBuffer(at, 4096)).toBe('EFAULT');
  });

  test('after some pages the part is told', () => {
    const { machine, process, uffd, at, size } = stage({ flags: UFFD_USER_MODE_ONLY });
    uffd.copy(at, bytes(size, 1));
    expect(machine.createProcess().processVmRead(process, at + size - 2, new Uint8Array(4))).toBe(2);
  });

  test(
    'that finds the userfaultfd closed, and keeps mmap_lock, goes round for ever: the close waits for that lock',
    THOROUGH,
    () => {
      const { machine, process, uffd, at } = stage({ checks: false });
      const [closer, reader] = [process.thread(), machine.createProcess().thread()];
      const actors = [
        actor(closer, closer.uffdClose(uffd)),
        actor(reader, reader.procMem(process, at, new Uint8Array(1), 'read')),
      ];
      const turns = [0];
      expect(() => together(actors, (count) => turns.shift() ?? count - 1)).toThrow(
        'process 1, thread 1 goes round for ever: process 0, thread 1 waits for mmap_lock of process 0, held by process 1',
      );
    },
  );

  test('with NOWAIT does not wait, and keeps mmap_lock', () => {
    const { process, uffd, at, machine } = stage();
    const { task } = process.thread();
    const { mm } = process;
    function* nowait(): Path<unknown> {
      yield* mm.mmapLock.read(task);
      const flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT;
      const fault = yield* hugetlbFault(task, process.vmas[0]!, at, flags);
      const locked = { held: true };
      const request = { start: at, nrPages: 1, flags: FOLL_GET | FOLL_NOWAIT | FOLL_WRITE, pages: [] };
      const got = yield* getUserPagesLocked(task, mm, request, locked);
      const held = mm.mmapLock.isHeldBy(task);
      mm.mmapLock.unlock(task);
      return { fault, got, locked, held };
    }
    expect(run(nowait())).toEqual({ fault: 'RETRY', got: 0, locked: { held: true }, held: true });
    expect(uffd.pending).toBe(false);
    machine.check();
  });

  test('of a thread that ends, or writes its core file, is SIGBUS', () => {
    const { process, at } = stage();
    const thread = process.thread();
    thread.task.exiting = true;
    expect(run(thread.read(at))).toBe('SIGBUS');
  });

  test('by a thread that was killed while it waited is EINTR: EFAULT to process_vm_readv', () => {
    const { machine, process, uffd, at } = stage();
    const [reader, killer] = [machine.createProcess().thread(), process.thread()];
    function* kill() {
      yield* serve(killer, uffd, 1);
      reader.task.killed = true;
    }
    const path = reader.processVm(process, at, new Uint8Array(1), 'read');
    expect(together([actor(reader, path), actor(killer, kill())])[0]).toBe('EFAULT');
  });
});
