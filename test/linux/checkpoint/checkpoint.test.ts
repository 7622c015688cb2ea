/**
 * What a checkpoint keeps, what it does not, and when there is none.
 */
import { describe, expect, test } from 'vitest';
import {
  interleave,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_SPLIT,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  type Path,
  PROT_READ,
  PROT_WRITE,
  type Process,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFDIO_REGISTER_MODE_MISSING,
} from '../../../src/linux/index.ts';
import { Tlb } from '../../../src/mmu/tlb.ts';

const MIB2 = 2 ** 21;
const RW = PROT_READ | PROT_WRITE;
const SHARED = MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB;

interface Scene {
  readonly machine: Machine;
  readonly process: Process;
  readonly at: number;
}

/** A process with a private mapping of three pages, the first of which holds 1. */
function scene(flags = MAP_PRIVATE): Scene {
  const machine = new Machine({ pools: [{ hugePageSize: MIB2, pages: 8 }], checks: true });
  const process = machine.createProcess();
  const at = process.mmap({ length: 3 * MIB2, prot: RW, flags: flags | MAP_ANONYMOUS | MAP_HUGETLB }) as number;
  process.write(at, 1);
  return { machine, process, at };
}

describe('a return puts back', () => {
  test('what a program has written, unmapped and mapped', () => {
    const { machine, process, at } = scene();
    const checkpoint = machine.checkpoint();
    process.write(at, 2);
    process.munmap(at, MIB2);
    process.mmap({ length: MIB2, prot: RW, flags: SHARED });
    expect(process.read(at)).toBe(0);
    checkpoint.restore();
    expect(process.vmas.map(({ start, end }) => [start, end])).toEqual([[at, at + 3 * MIB2]]);
    expect([process.read(at), machine.hstate().freeHugePages, machine.hstate().resvHugePages]).toEqual([1, 7, 2]);
    machine.check();
  });

  test('it again and again', () => {
    const { machine, process, at } = scene();
    const checkpoint = machine.checkpoint();
    for (let time = 2; time < 10; time++) {
      expect(process.read(at)).toBe(1);
      process.write(at, time);
      process.write(at + MIB2, time);
      expect(machine.hstate().freeHugePages).toBe(6);
      checkpoint.restore();
    }
    expect([process.read(at), process.read(at + MIB2)]).toEqual([1, 0]);
  });

  test('a byte in a page that has given its memory back, and in one that took it since', () => {
    const { machine, process, at } = scene();
    const checkpoint = machine.checkpoint();
    process.madvise(at, MIB2, MADV_DONTNEED);
    process.write(at + MIB2 + 5, 9);
    checkpoint.restore();
    process.write(at + MIB2, 3);
    expect([process.read(at), process.read(at + 5), process.read(at + MIB2 + 5)]).toEqual([1, 0, 0]);
  });

  test('processes: those that have ended live, those that were made are no more', () => {
    const { machine, process, at } = scene();
    const child = process.fork() as Process;
    const checkpoint = machine.checkpoint();
    child.exit();
    const other = machine.createProcess();
    checkpoint.restore();
    expect([...machine.processes]).toEqual([process, child]);
    expect([child.read(at), child.alive]).toEqual([1, true]);
    expect(machine.createProcess().name).toBe(other.name);
  });

  test('files, pipes and userfaultfds that were closed are open', () => {
    const { machine, process, at } = scene();
    const [file, pipe, uffd] = [machine.memfdCreate(), machine.createPipe(), process.userfaultfd()];
    process.vmsplice(pipe, at, 10);
    const checkpoint = machine.checkpoint();
    pipe.read(new Uint8Array(4));
    for (const open of [file, pipe, uffd]) open.close();
    checkpoint.restore();
    expect([file.ftruncate(MIB2), pipe.length, uffd.api().result]).toEqual(['OK', 10, 'OK']);
  });

  test('work that was left to a kernel thread', () => {
    const machine = new Machine({ pools: [{ hugePageSize: MIB2, pages: 2 }], defersWork: true });
    const process = machine.createProcess();
    const at = process.mmap({ length: MIB2, prot: RW, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB }) as number;
    process.registerBuffer(at, 4096);
    process.exit();
    const checkpoint = machine.checkpoint();
    for (let time = 0; time < 2; time++) {
      expect(machine.hstate().freeHugePages).toBe(1);
      machine.runDeferredWork();
      expect(machine.hstate().freeHugePages).toBe(2);
      checkpoint.restore();
    }
  });

  test('what paths hold that nobody goes on with', () => {
    const { machine, process, at } = scene(MAP_SHARED);
    const thread = process.thread();
    const checkpoint = machine.checkpoint();
    thread.task.preemptible = true;
    const path = thread.write(at + MIB2, 1);
    for (let turn = 0; turn < 6 && thread.task.held.length === 0; turn++) path.next();
    expect(thread.task.held.length).toBeGreaterThan(0);
    checkpoint.restore();
    expect([thread.task.held, thread.task.preemptible]).toEqual([[], false]);
    expect([process.madvise(at, MIB2, MADV_SPLIT), process.madvise(at, MIB2, MADV_COLLAPSE)]).toEqual(['OK', 'OK']);
  });

  test('who slept is not waited for any more', () => {
    const { machine, process, at } = scene();
    const [thread, uffd] = [process.thread(), process.userfaultfd()];
    uffd.api(UFFD_FEATURE_EVENT_UNMAP);
    uffd.register(at, 3 * MIB2, UFFDIO_REGISTER_MODE_MISSING);
    const checkpoint = machine.checkpoint();
    thread.read(at + MIB2).next();
    expect([uffd.pending, machine.processes.size]).toEqual([true, 1]);
    checkpoint.restore();
    expect(uffd.pending).toBe(false);
  });
});

describe('page tables', () => {
  const entries = ({ process }: Scene): bigint[] => [...process.mappedPages()].map(({ entry }) => entry);

  test('A and D that a program has set are as they were', () => {
    const made = scene();
    const { machine, process, at } = made;
    process.mprotect(at, 3 * MIB2, PROT_READ);
    process.mprotect(at, 3 * MIB2, RW);
    const before = entries(made);
    const checkpoint = machine.checkpoint();
    process.write(at + 7, 1);
    process.read(at + MIB2);
    checkpoint.restore();
    expect(entries(made)).toEqual(before);
  });

  test('also what somebody else’s processor has set, and its TLB knows nothing', () => {
    const made = scene();
    const { machine, process, at } = made;
    const checkpoint = machine.checkpoint();
    process.madvise(at, MIB2, MADV_DONTNEED);
    process.read(at);
    checkpoint.restore();
    const before = machine.memory.readEntry(process.mm.cr3 + 8n * (BigInt(at) >> 39n));
    const tlb = new Tlb(process.mmu);
    expect(tlb.access(BigInt(at)).kind).toBe('page');
    expect([...tlb.entries()].length).toBeGreaterThan(0);
    checkpoint.restore();
    expect(machine.memory.readEntry(process.mm.cr3 + 8n * (BigInt(at) >> 39n))).toBe(before);
    expect([...tlb.entries()]).toEqual([]);
  });

  test('tables that are made later are empty, whatever was written there before', () => {
    const { machine, process } = scene(MAP_SHARED);
    const checkpoint = machine.checkpoint();
    const { count } = machine.tables;
    for (let time = 0; time < 2; time++) {
      const far = process.mmap({ address: 2 ** 40, length: MIB2, prot: RW, flags: SHARED }) as number;
      expect([process.read(far), machine.tables.count]).toEqual([0, count + 2]);
      checkpoint.restore();
      expect([process.read(far), machine.tables.count]).toEqual(['SIGSEGV', count]);
    }
  });

  test('memory that has grown stays', () => {
    const { machine, process, at } = scene(MAP_SHARED);
    const checkpoint = machine.checkpoint();
    const { bytes } = machine.memory;
    while (machine.memory.bytes === bytes) machine.createProcess();
    checkpoint.restore();
    expect(machine.memory.bytes).toBeGreaterThan(bytes);
    expect([process.read(at), machine.processes.size]).toEqual([1, 1]);
  });
});

test('two checkpoints do not know of each other: either can be returned to, at any time', () => {
  const { machine, process, at } = scene(MAP_SHARED);
  const first = machine.checkpoint();
  process.write(at, 2);
  process.write(at + MIB2, 2);
  process.madvise(at, MIB2, MADV_SPLIT);
  const second = machine.checkpoint();
  process.write(at, 3);
  const seen = (): unknown[] => [process.read(at), machine.hstate().freeHugePages];
  const at1 = [1, 7];
  const at2 = [2, 6];
  for (const [checkpoint, expected] of [
    [first, at1],
    [second, at2],
    [second, at2],
    [first, at1],
    [second, at2],
  ] as const) {
    checkpoint.restore();
    expect(seen()).toEqual(expected);
    process.write(at, 9);
    process.munmap(at + 2 * MIB2, MIB2);
  }
  first.restore();
  expect(process.read(at + MIB2)).toBe(0);
  machine.check();
});

test('the trace is of who looks on: a return leaves it', () => {
  const { machine, process, at } = scene();
  const checkpoint = machine.checkpoint();
  const trace: NonNullable<Machine['trace']> = [];
  machine.trace = trace;
  process.read(at + MIB2);
  const { length } = trace;
  checkpoint.restore();
  expect([machine.trace === trace, trace.length]).toEqual([true, length]);
});

describe('there is no checkpoint', () => {
  const REMEDY = 'let all paths come to their end first';

  test('while a lock is held', () => {
    const { machine, process, at } = scene();
    const { task } = process.thread();
    process.mm.mmapLock.tryWrite(task);
    expect(() => machine.checkpoint()).toThrow(
      new TypeError(
        `checkpoint: expected nobody in the kernel, got mmap_lock of process 0, held by ${task.name}; ${REMEDY}`,
      ),
    );
    process.mm.mmapLock.unlock(task);
    machine.checkpoint();
    expect(process.read(at)).toBe(1);
  });

  test('while threads take turns', () => {
    const { machine, process, at } = scene();
    const [a, b] = [process.thread(), process.thread()];
    const works = [a, b].map((thread) => ({ task: thread.task, path: thread.read(at) as Path<unknown> }));
    const pick = (): number => {
      expect(() => machine.checkpoint()).toThrow(`got ${a.task.name}, which takes turns with others; ${REMEDY}`);
      return 0;
    };
    interleave(works, pick);
    expect.hasAssertions();
  });

  test('while somebody waits for a userfaultfd', () => {
    const { machine, process, at } = scene();
    const [thread, uffd] = [process.thread(), process.userfaultfd()];
    uffd.api(UFFD_FEATURE_EVENT_UNMAP);
    uffd.register(at, 3 * MIB2, UFFDIO_REGISTER_MODE_MISSING);
    const reading = thread.read(at + MIB2);
    reading.next();
    expect(() => machine.checkpoint()).toThrow(
      /got a fault of process 0, thread 1 at 0x[0-9a-f]+, flags 0, which waits;/,
    );
    uffd.close();
    reading.next();
    const other = process.userfaultfd();
    other.api(UFFD_FEATURE_EVENT_UNMAP);
    other.register(at, 3 * MIB2, UFFDIO_REGISTER_MODE_MISSING);
    const unmapping = thread.munmap(at, MIB2);
    unmapping.next();
    expect(() => machine.checkpoint()).toThrow(/got an event of an munmap, .*, which waits to be read;/);
  });
});
