/**
 * Two processors in the kernel at once: what the fault mutex, the page lock and the page-table lock are there for.
 * mm/hugetlb.c of Linux 6.1: hugetlb_fault, hugetlb_no_page, hugetlb_wp; each race is run with a change-over at every lock.
 */
import { describe, expect, test } from 'vitest';
import { MADV_DONTNEED, MAP_NORESERVE, PROT_READ } from '../../../src/linux/index.ts';
import {
  atEveryStep,
  counts,
  folioAt,
  forkOf,
  GIB1,
  KIB4,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  pageAt,
  privately,
  RW,
  SIZES,
  work,
} from '../support.ts';

describe.each(SIZES)('pages of $name', ({ size }) => {
  const machineFor = (pages: number) => machineWith({ size, pages, checks: false });

  test.each([
    ['private', mapPrivate, 0],
    ['shared', mapShared, 0],
    ['private MAP_NORESERVE', mapPrivate, MAP_NORESERVE],
    ['shared MAP_NORESERVE', mapShared, MAP_NORESERVE],
  ] as const)('two threads that touch one %s page get the same, though there is one only', (_, map, flags) => {
    const runs = atEveryStep(
      () => {
        const machine = machineFor(1);
        const process = machine.createProcess();
        const at = map(process, 1, { size, flags });
        const [one, other] = [process.thread(), process.thread()];
        const works = [work(one, one.write(at, 1)), work(other, other.write(at + KIB4, 2))] as const;
        return { machine, process, at, works };
      },
      ({ machine, process, at }, results) => {
        expect(results).toEqual(['OK', 'OK']);
        machine.check();
        expect([process.read(at), process.read(at + KIB4)]).toEqual([1, 2]);
        expect(folioAt(process, at).mapcount).toBe(1);
        expect(counts(machine, size)).toEqual([1, 0, 0, 0]);
      },
    );
    expect(runs).toBeGreaterThan(10);
  });

  test('two processes that touch one page of a file get the same, though there is one only', () => {
    atEveryStep(
      () => {
        const machine = machineFor(1);
        const file = machine.memfdCreate({ hugePageSize: size });
        const [first, second] = [machine.createProcess(), machine.createProcess()];
        const [here, there] = [first, second].map((process) => mapShared(process, 1, { size, file })) as [
          number,
          number,
        ];
        const [one, other] = [first.thread(), second.thread()];
        const works = [work(one, one.write(here, 1)), work(other, other.read(there))] as const;
        return { machine, first, second, here, there, works };
      },
      ({ machine, first, second, here, there }, [written, read]) => {
        expect(written).toBe('OK');
        expect([0, 1]).toContain(read);
        machine.check();
        expect(folioAt(first, here)).toBe(folioAt(second, there));
        expect(folioAt(first, here)).toMatchObject({ mapcount: 2, refcount: 3 });
        expect(counts(machine, size)).toEqual([1, 0, 0, 0]);
      },
    );
  });

  test('parent and child that both write copy at most once each, and have their own in the end', () => {
    atEveryStep(
      () => {
        const machine = machineFor(3);
        const parent = machine.createProcess();
        const at = mapPrivate(parent, 1, { size });
        parent.write(at, 1);
        const child = forkOf(parent);
        const [one, other] = [parent.thread(), child.thread()];
        const works = [work(one, one.write(at, 2)), work(other, other.write(at, 3))] as const;
        return { machine, parent, child, at, works };
      },
      ({ machine, parent, child, at }, results) => {
        expect(results).toEqual(['OK', 'OK']);
        machine.check();
        expect([parent.read(at), child.read(at)]).toEqual([2, 3]);
        expect(counts(machine, size)).toEqual([3, 1, 0, 0]);
        for (const process of [parent, child]) {
          expect(folioAt(process, at)).toMatchObject({ mapcount: 1, refcount: 1, anonExclusive: true });
        }
      },
    );
  });

  test('with one page for both, the parent always has it in the end, and the child SIGBUS', () => {
    atEveryStep(
      () => {
        const machine = machineFor(1);
        const parent = machine.createProcess();
        const at = mapPrivate(parent, 1, { size });
        parent.write(at, 1);
        const child = forkOf(parent);
        const [one, other] = [parent.thread(), child.thread()];
        const works = [work(one, one.write(at, 2)), work(other, other.write(at, 3))] as const;
        return { machine, parent, child, at, works };
      },
      ({ machine, parent, child, at }, results) => {
        expect(results).toEqual(['OK', 'SIGBUS']);
        machine.check();
        expect(parent.read(at)).toBe(2);
        expect(child.read(at)).toBe('SIGBUS');
        expect(counts(machine, size)).toEqual([1, 0, 0, 0]);
      },
    );
  });

  test('two threads that write to a page that a child has, too, make one copy', () => {
    atEveryStep(
      () => {
        const machine = machineFor(3);
        const parent = machine.createProcess();
        const at = mapPrivate(parent, 1, { size });
        parent.write(at, 1);
        const child = forkOf(parent);
        const [one, other] = [parent.thread(), parent.thread()];
        const works = [work(one, one.write(at, 2)), work(other, other.write(at + KIB4, 3))] as const;
        return { machine, parent, child, at, works };
      },
      ({ machine, parent, child, at }, results) => {
        expect(results).toEqual(['OK', 'OK']);
        machine.check();
        expect([parent.read(at), parent.read(at + KIB4), child.read(at)]).toEqual([2, 3, 1]);
        expect(counts(machine, size)).toEqual([3, 1, 0, 0]);
      },
    );
  });

  test('a fork and a write: the child sees the page as it was before the write, or after it, and no copy is lost', () => {
    const seen = new Set<unknown>();
    atEveryStep(
      () => {
        const machine = machineFor(2);
        const parent = machine.createProcess();
        const at = mapPrivate(parent, 1, { size });
        parent.write(at, 1);
        parent.mprotect(at, size, PROT_READ);
        parent.mprotect(at, size, RW);
        const [one, other] = [parent.thread(), parent.thread()];
        return { machine, parent, at, works: [work(one, one.fork()), work(other, other.write(at, 2))] as const };
      },
      ({ machine, parent, at }, [child, written]) => {
        expect(written).toBe('OK');
        machine.check();
        expect(parent.read(at)).toBe(2);
        seen.add((child as typeof parent).read(at));
      },
    );
    expect(seen).toEqual(new Set([1, 2]));
  });

  test('a munmap and a fault: the access gets its page or SIGSEGV, and the pool gets everything back', () => {
    const seen = new Set<unknown>();
    atEveryStep(
      () => {
        const machine = machineFor(1);
        const process = machine.createProcess();
        const at = mapPrivate(process, 1, { size });
        const [one, other] = [process.thread(), process.thread()];
        return { machine, works: [work(one, one.munmap(at, size)), work(other, other.read(at))] as const };
      },
      ({ machine }, [unmapped, read]) => {
        expect(unmapped).toBe('OK');
        seen.add(read);
        machine.check();
        expect(counts(machine, size)).toEqual([1, 1, 0, 0]);
      },
    );
    expect(seen).toEqual(new Set([0, 'SIGSEGV']));
  });

  test('MADV_DONTNEED and a touch, with one page: between the unmapping and the freeing it is SIGBUS', () => {
    const seen = new Set<unknown>();
    atEveryStep(
      () => {
        const machine = machineFor(1);
        const process = machine.createProcess();
        const at = mapPrivate(process, 1, { size });
        process.write(at, 1);
        const [one, other] = [process.thread(), process.thread()];
        const works = [work(one, one.madvise(at, size, MADV_DONTNEED)), work(other, other.read(at))] as const;
        return { machine, process, at, works };
      },
      ({ machine, process, at }, [advised, read]) => {
        expect(advised).toBe('OK');
        seen.add(read);
        machine.check();
        expect(counts(machine, size)).toEqual(pageAt(process, at) ? [1, 0, 0, 0] : [1, 1, 0, 0]);
        expect(process.read(at)).toBe(0);
      },
    );
    expect(seen).toEqual(new Set([0, 1, 'SIGBUS']));
  });

  test('two mmaps of the last page: one is ENOMEM', () => {
    atEveryStep(
      () => {
        const machine = machineFor(1);
        const [one, other] = [machine.createProcess().thread(), machine.createProcess().thread()];
        const request = privately(1, { size });
        return { machine, works: [work(one, one.mmap(request)), work(other, other.mmap(request))] as const };
      },
      ({ machine }, results) => {
        expect(results.filter((result) => result === 'ENOMEM')).toHaveLength(1);
        expect(results.filter((result) => typeof result === 'number')).toHaveLength(1);
        machine.check();
        expect(counts(machine, size)).toEqual([1, 1, 1, 0]);
      },
    );
  });
});

describe('two processes that fault on 1 GiB of a file', () => {
  test('have one table in the end, or one each; the page is mapped once for each table', () => {
    const seen = new Set<number>();
    atEveryStep(
      () => {
        const machine = machineWith({ pages: 1, checks: false });
        const file = machine.memfdCreate();
        const processes = [machine.createProcess(), machine.createProcess()] as const;
        for (const process of processes)
          mapShared(process, GIB1 / MIB2, { file, address: 2 ** 40, flags: MAP_NORESERVE });
        const [one, other] = [processes[0].thread(), processes[1].thread()];
        const works = [work(one, one.read(2 ** 40)), work(other, other.read(2 ** 40))] as const;
        return { machine, processes, works };
      },
      ({ machine, processes }, results) => {
        expect(results).toEqual([0, 0]);
        machine.check();
        const entries = new Set(processes.map((process) => pageAt(process, 2 ** 40)!.entryAddress));
        expect(folioAt(processes[0], 2 ** 40)).toMatchObject({ mapcount: entries.size, refcount: entries.size + 1 });
        seen.add(entries.size);
        expect(counts(machine)).toEqual([1, 0, 0, 0]);
      },
    );
    expect(seen).toContain(1);
  });
});
