/**
 * Who in the kernel asks for pages: mlock, core files, vmsplice, io_uring. mm/mlock.c, fs/coredump.c, fs/splice.c of Linux 6.1.
 */
import { describe, expect, test } from 'vitest';
import { run } from '../../../src/linux/base/task.ts';
import {
  CORE_FILE_HOLE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  UFFDIO_REGISTER_MODE_MISSING,
} from '../../../src/linux/index.ts';
import { folioOf, fork, HUGE, map, PAGE, PAGES_OF_HUGE, RW, scene } from './support.ts';

describe('mlock', () => {
  test('faults all pages in, private ones by writing: a page of a file is copied', () => {
    const { machine, process } = scene({ pool: 3 });
    const file = machine.memfdCreate();
    file.fallocate(0, HUGE);
    const at = process.mmap({ length: HUGE, prot: RW, flags: MAP_PRIVATE, file }) as number;
    expect(process.mlock(at, 1)).toBe('OK');
    expect(folioOf(process, at).anon).toBe(true);
  });

  test('shared and read-only ones by reading', () => {
    const { machine, process } = scene({ pool: 3 });
    const file = machine.memfdCreate();
    file.fallocate(0, HUGE);
    const shared = process.mmap({ length: HUGE, prot: RW, flags: MAP_SHARED, file }) as number;
    const readonly = process.mmap({ length: HUGE, prot: PROT_READ, flags: MAP_PRIVATE, file }) as number;
    expect([process.mlock(shared, HUGE), process.mlock(readonly, HUGE)]).toEqual(['OK', 'OK']);
    expect(folioOf(process, readonly)).toBe(folioOf(process, shared));
  });

  test('means whole pages around the range', () => {
    const { machine, process, at } = scene({ count: 2 });
    expect(process.mlock(at + HUGE - 1, 2)).toBe('OK');
    expect(machine.hstate().freeHugePages).toBe(0);
  });

  test('leaves the mapping as it is: not locked, and in one piece', () => {
    const { process, at } = scene({ count: 2 });
    const { flags } = process.vmas[0]!;
    expect([process.mlock(at, HUGE), process.munlock(at, HUGE)]).toEqual(['OK', 'OK']);
    expect(process.vmas.map((vma) => vma.flags)).toEqual([flags]);
    expect([...process.mappedPages()]).toHaveLength(1);
  });

  test('PROT_NONE is ENOMEM; munlock does not mind', () => {
    const { process, at } = scene({ prot: PROT_NONE });
    expect([process.mlock(at, HUGE), process.munlock(at, HUGE)]).toEqual(['ENOMEM', 'OK']);
  });

  test('a gap is ENOMEM, before anything is faulted in', () => {
    const { machine, process, at } = scene({ count: 3 });
    process.munmap(at + HUGE, HUGE);
    expect([process.mlock(at, 3 * HUGE), process.munlock(at, 3 * HUGE)]).toEqual(['ENOMEM', 'ENOMEM']);
    expect(machine.hstate().freeHugePages).toBe(3);
    expect(process.mlock(at, 0)).toBe('OK');
  });

  test('a fault that would be SIGBUS is ENOMEM; what was faulted in before stays', () => {
    const { machine, process, at } = scene({ count: 2, touched: true });
    const child = fork(process);
    machine.setNrHugepages(HUGE, 3);
    expect(child.mlock(at, 2 * HUGE)).toBe('ENOMEM');
    expect(machine.hstate().freeHugePages).toBe(0);
  });

  test('no memory for page tables is EAGAIN', () => {
    const { process, at } = scene({ options: { tables: 3 * PAGE } });
    expect(process.mlock(at, HUGE)).toBe('EAGAIN');
  });

  test('a SIGKILL is EINTR', () => {
    const { process, at } = scene();
    const thread = process.thread();
    thread.task.killed = true;
    expect(run(thread.mlock(at, HUGE))).toBe('EINTR');
  });
});

describe('a core file', () => {
  test('holds what is mapped, frame by frame, and has holes where nothing is', () => {
    const { machine, process, at } = scene({ count: 3 });
    process.write(at + HUGE, 1);
    const dumped = process.dumpPages(at + HUGE - 2 * PAGE, PAGES_OF_HUGE + 4) as Float64Array;
    const { pfn } = folioOf(process, at + HUGE);
    expect([...dumped.subarray(0, 3)]).toEqual([CORE_FILE_HOLE, CORE_FILE_HOLE, pfn]);
    expect([...dumped.subarray(-3)]).toEqual([pfn + 511, CORE_FILE_HOLE, CORE_FILE_HOLE]);
    expect(machine.hstate().freeHugePages).toBe(2);
    expect(folioOf(process, at + HUGE).getcount).toBe(0);
  });

  test('holds what the file has, mapped or not', () => {
    const { machine, process } = scene({ pool: 8 });
    const file = machine.memfdCreate();
    file.fallocate(HUGE, HUGE);
    file.ftruncate(3 * HUGE);
    for (const flags of [MAP_SHARED, MAP_PRIVATE]) {
      const at = process.mmap({ length: 2 * HUGE, prot: PROT_READ, flags, file }) as number;
      const dumped = process.dumpPages(at + HUGE - PAGE, 2) as Float64Array;
      expect([...dumped]).toEqual([CORE_FILE_HOLE, file.inode.pageCache.find(1)!.pfn]);
    }
  });

  test('holds what is PROT_NONE', () => {
    const { process, at } = scene({ touched: true, prot: PROT_NONE });
    expect([...(process.dumpPages(at, 1) as Float64Array)]).toEqual([folioOf(process, at).pfn]);
  });

  test('has holes where nothing is mapped', () => {
    const { process, at } = scene({ touched: true });
    expect([...(process.dumpPages(at + HUGE - PAGE, 2) as Float64Array)][1]).toBe(CORE_FILE_HOLE);
  });

  test('does not wait for a userfaultfd: nobody is left to read it', () => {
    const { machine, process } = scene();
    const file = machine.memfdCreate();
    file.ftruncate(HUGE);
    const at = process.mmap({ length: HUGE, prot: RW, flags: MAP_SHARED | 0x4000, file }) as number;
    const uffd = process.userfaultfd();
    uffd.api(0);
    uffd.register(at, HUGE, UFFDIO_REGISTER_MODE_MISSING);
    expect([...(process.dumpPages(at, 1) as Float64Array)]).toEqual([CORE_FILE_HOLE]);
  });
});

describe('vmsplice', () => {
  test('what is read later is what the page holds then', () => {
    const { machine, process, at } = scene({ touched: true });
    const pipe = machine.createPipe();
    expect(process.vmsplice(pipe, at + PAGE - 1, 3)).toBe(3);
    process.write(at + PAGE - 1, 10);
    process.write(at + PAGE + 1, 30);
    const bytes = new Uint8Array(5);
    expect([pipe.length, pipe.read(bytes), pipe.length]).toEqual([3, 3, 0]);
    expect([...bytes]).toEqual([10, 0, 30, 0, 0]);
    expect(folioOf(process, at).getcount).toBe(0);
  });

  test('pages are kept until they are read to their end, also beyond the mapping and the process', () => {
    const { machine, process, at } = scene({ touched: true });
    const pipe = machine.createPipe();
    expect(process.vmsplice(pipe, at, 2 * PAGE)).toBe(2 * PAGE);
    process.exit();
    machine.check();
    expect(machine.hstate().freeHugePages).toBe(0);
    const bytes = new Uint8Array(PAGE + 1);
    expect(pipe.read(bytes)).toBe(PAGE + 1);
    expect([bytes[0], machine.hstate().freeHugePages]).toEqual([1, 0]);
    expect(pipe.read(bytes)).toBe(PAGE - 1);
    expect(machine.hstate().freeHugePages).toBe(1);
  });

  test('a pipe holds 16 pages; a full one takes no more: EAGAIN, and no reference is left', () => {
    const { machine, process, at } = scene({ touched: true });
    const pipe = machine.createPipe();
    expect(process.vmsplice(pipe, at + 1, HUGE - 1)).toBe(16 * PAGE - 1);
    expect(process.vmsplice(pipe, at, 1)).toBe('EAGAIN');
    expect(folioOf(process, at).getcount).toBe(16);
    pipe.close();
    expect([folioOf(process, at).getcount, folioOf(process, at).refcount]).toEqual([0, 1]);
  });

  test('pages that are missing are faulted in; unmapped ones are EFAULT, or end it', () => {
    const { machine, process, at } = scene();
    const pipe = machine.createPipe();
    expect(process.vmsplice(pipe, at - 1, 1)).toBe('EFAULT');
    expect(process.vmsplice(pipe, at + HUGE - 10, 20)).toBe(10);
    expect(process.vmsplice(pipe, at, 0)).toBe(0);
    pipe.close();
  });
});

describe('a registered buffer', () => {
  test('is pinned as a whole or not at all', () => {
    const { process, at } = scene({ count: 2, touched: true });
    process.munmap(at + HUGE, HUGE);
    expect(process.registerBuffer(at, 2 * HUGE)).toBe('EFAULT');
    expect([folioOf(process, at).pincount, folioOf(process, at).devicePins]).toEqual([0, 0]);
    expect(process.registerBuffer(at, HUGE)).toBe('OK');
    expect([folioOf(process, at).pincount, folioOf(process, at).devicePins]).toEqual([512, 512]);
    process.unregisterBuffer();
    expect([folioOf(process, at).pincount, folioOf(process, at).devicePins]).toEqual([0, 0]);
  });

  test('does not stand in the way of a caller who gives back pins of the same page', () => {
    const { process } = scene({ pool: 2 });
    const at = map(process, { touched: true });
    process.registerBuffer(at, HUGE);
    const pages: number[] = [];
    process.pinUserPages(at, 5, 0, pages);
    process.unpinUserPages(pages);
    expect(folioOf(process, at).pincount).toBe(512);
    process.unregisterBuffer();
  });
});
