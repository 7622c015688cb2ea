/**
 * Mistakes with what is over, and those of threads: a TypeError or RangeError that names the argument, what was expected,
 * and the value.
 */
import { describe, expect, test } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import {
  type HugetlbFile,
  interleave,
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  type Path,
  type Process,
  run,
  type Syscalls,
} from '../../src/linux/index.ts';
import { MIB2, machineWith, mapPrivate, mounted, privately, RW } from './support.ts';

const machine = machineWith({ pages: 4 });

describe('what is over', () => {
  const ended = () => {
    const process = machine.createProcess();
    process.exit();
    return process;
  };
  const over = (number: number) => `process: expected a live process, got process ${number}, which has ended`;
  const calls: Record<string, (process: Process) => unknown> = {
    mmap: (on) => on.mmap(privately(1)),
    munmap: (on) => on.munmap(0, MIB2),
    mprotect: (on) => on.mprotect(0, MIB2, RW),
    mremap: (on) => on.mremap(0, MIB2, MIB2, 0),
    madvise: (on) => on.madvise(0, MIB2, MADV_DONTNEED),
    mincore: (on) => on.mincore(0, 4096),
    read: (on) => on.read(0),
    write: (on) => on.write(0, 0),
    fork: (on) => on.fork(),
    exit: (on) => on.exit(),
    thread: (on) => on.thread(),
    pagemap: (on) => on.pagemap(0),
    mappedPages: (on) => on.mappedPages(),
  };
  test.each(Object.keys(calls))('a process that has ended refuses %s', (name) => {
    const process = ended();
    expect(() => calls[name]!(process)).toThrow(new TypeError(over(process.number)));
    expect(process.alive).toBe(false);
  });

  const onFile: Record<string, (file: HugetlbFile) => unknown> = {
    ftruncate: (on) => on.ftruncate(0),
    fallocate: (on) => on.fallocate(0, MIB2),
    close: (on) => on.close(),
  };
  test.each(Object.keys(onFile))('a file that was closed refuses %s', (name) => {
    const file = machine.memfdCreate();
    file.close();
    expect(() => onFile[name]!(file)).toThrow(new TypeError('file: expected an open file, got a closed one'));
  });

  test('a file that was closed cannot be mapped', () => {
    const own = machineWith({ pages: 1 });
    const file = own.memfdCreate();
    file.close();
    const process = own.createProcess();
    expect(() => process.mmap({ length: MIB2, prot: RW, flags: MAP_PRIVATE, file })).toThrow(
      new TypeError('file: expected an open file, got a closed one'),
    );
    expect(process.vmas).toEqual([]);
  });

  test('a second umount does nothing', () => {
    const own = machineWith({ pages: 1 });
    const mount = mounted(own, { minSize: MIB2 });
    mount.umount();
    mount.umount();
    expect(own.hstate().resvHugePages).toBe(0);
  });

  test('a mount that was unmounted makes no more files', () => {
    const own = machineWith({ pages: 1 });
    const mount = mounted(own, { minSize: MIB2 });
    mount.umount();
    expect(() => mount.create()).toThrow(TypeError);
  });
});

describe('a thread refuses the same mistakes', () => {
  const at = 2 ** 40;
  const mistakes: Record<string, (thread: Syscalls, file: HugetlbFile) => Path<unknown>> = {
    'read below 0': (on) => on.read(-1),
    'read of a broken address': (on) => on.read(1.5),
    'write of 999': (on) => on.write(at, 999),
    'an advice that the model does not know': (on) => on.madvise(at, MIB2, 3),
    'mmap without MAP_HUGETLB': (on) => on.mmap({ length: MIB2, prot: RW, flags: MAP_PRIVATE | MAP_ANONYMOUS }),
    'ftruncate of a closed file': (on, file) => on.ftruncate(file, MIB2),
    'fallocate in a closed file': (on, file) => on.fallocate(file, 0, MIB2),
    'mmap of a closed file': (on, file) => on.mmap({ length: MIB2, prot: RW, flags: MAP_PRIVATE, file }),
  };
  test.each(Object.keys(mistakes))('%s', (name) => {
    const own = machineWith({ pages: 1 });
    const file = own.memfdCreate();
    file.close();
    const process = own.createProcess();
    mapPrivate(process, 1, { address: at });
    const expected = /closed file/.test(name) ? TypeError : RangeError;
    expect(() => run(mistakes[name]!(process.thread(), file))).toThrow(expected);
    expect(() => run(mistakes[name]!(process.thread(), file))).toThrow(/: expected .*, got /);
    expect(own.hstate().freeHugePages).toBe(1);
    expect(process.vmas).toHaveLength(1);
    own.check();
  });

  test.each(['mmap', 'read', 'fork', 'exit'] as const)('%s, when the process has ended', (name) => {
    const own = machineWith({ pages: 1 });
    const process = own.createProcess();
    const thread = process.thread();
    process.exit();
    const paths = {
      mmap: () => thread.mmap(privately(1)),
      read: () => thread.read(0),
      fork: () => thread.fork(),
      exit: () => thread.exit(),
    };
    expect(() => run<unknown>(paths[name]())).toThrow(
      new TypeError('process: expected a live process, got process 0, which has ended'),
    );
  });
});

describe('interleave', () => {
  test('says who waits for whom when nobody can go on', () => {
    const process = machine.createProcess();
    const [one, other] = [process.thread(), process.thread()];
    const holder = one.mmap({ length: MIB2, prot: RW, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB });
    one.task.preemptible = true;
    holder.next();
    holder.next();
    expect(() => interleave([{ task: other.task, path: other.munmap(0, MIB2) }], () => 0)).toThrow(InvariantError);
    expect(() => interleave([{ task: other.task, path: other.munmap(0, MIB2) }], () => 0)).toThrow(
      /^interleave: a deadlock: process \d+, thread 2 waits for mmap_lock of process \d+, held by process \d+, thread 1$/,
    );
    while (!holder.next().done);
    one.task.preemptible = false;
    process.exit();
    machine.check();
  });
});
