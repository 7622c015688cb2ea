/**
 * A fault of Linux 6.1 looks at the entry before it takes any lock: a page that moves is waited for, bad memory is SIGBUS. Behind the locks it looks again
 * only for a page that is there. mm/hugetlb.c: hugetlb_fault; mm/migrate.c: migration_entry_wait_huge. The HGM series looks once, under the locks.
 */
import { describe, expect, test } from 'vitest';
import { type HgmVersion, MAP_FIXED, MAP_NORESERVE, type Machine, type TraceEvent } from '../../../src/linux/index.ts';
import { halfway, isMoving } from '../migration/support.ts';
import {
  atEveryStep,
  folioAt,
  forkOf,
  GIB1,
  MIB2,
  machineWith,
  mapPrivate,
  mapShared,
  SIZES,
  traced,
  work,
} from '../support.ts';

const locks = (trace: readonly TraceEvent[]): string[] =>
  trace.flatMap((event) => (event.kind === 'lock' ? [event.lock.replace(/ (of|\d).*/, '')] : []));

const functions = (trace: readonly TraceEvent[]): string[] =>
  trace.flatMap((event) => (event.kind === 'enter' ? [event.name] : []));

const machineOf = (version: HgmVersion, size: number = MIB2): Machine =>
  machineWith({ size, pages: 2, checks: false, hgm: { version } });

describe('bad memory', () => {
  const touch = (version: HgmVersion) => {
    const machine = machineOf(version);
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    process.write(at, 1);
    machine.memoryFailure(folioAt(process, at).pfn);
    return traced(machine, () => expect(process.read(at)).toBe('SIGBUS'));
  };

  test('is found without a lock but mmap_lock', () => {
    expect(locks(touch('none'))).toEqual(['mmap_lock']);
    expect(functions(touch('none'))).toEqual(['do_user_addr_fault', 'hugetlb_fault']);
  });

  test('is found under the locks by the HGM series', () => {
    expect(locks(touch('v2'))).toContain('hugetlb_fault_mutex');
  });

  test('that comes into the page tables with a shared one is found by the second fault', () => {
    const machine = machineOf('none');
    const file = machine.memfdCreate();
    file.ftruncate(GIB1);
    const [first, second] = [machine.createProcess(), machine.createProcess()];
    const at = 2 ** 40;
    for (const process of [first, second])
      mapShared(process, GIB1 / MIB2, { file, address: at, flags: MAP_FIXED | MAP_NORESERVE });
    first.write(at, 1);
    machine.memoryFailure(folioAt(first, at).pfn);
    const trace = traced(machine, () => expect(second.read(at)).toBe('SIGBUS'));
    const results = trace.flatMap((event) =>
      event.kind === 'leave' && event.name === 'hugetlb_fault' ? [event.result] : [],
    );
    expect(results).toEqual(['0', 'VM_FAULT_HWPOISON_LARGE']);
    expect(functions(trace)).toContain('huge_pmd_share');
  });
});

describe('a page that moves', () => {
  const meet = (version: HgmVersion) => {
    const machine = machineOf(version);
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    process.write(at, 7);
    const moving = halfway(process, folioAt(process, at), () => isMoving(process, at));
    const thread = process.thread();
    const path = thread.read(at);
    const trace = traced(machine, () => expect(path.next().done).toBe(false));
    expect(moving.finish()).toBe('OK');
    expect(path.next()).toEqual({ done: true, value: 7 });
    return trace;
  };

  test('is waited for without a lock but mmap_lock, in migration_entry_wait_huge', () => {
    const trace = meet('none');
    expect(locks(trace)).toEqual(['mmap_lock', 'page-table lock']);
    expect(functions(trace)).toEqual(['do_user_addr_fault', 'hugetlb_fault', 'migration_entry_wait_huge']);
  });

  test('is waited for behind the locks by the HGM series', () => {
    expect(locks(meet('v2'))).toContain('hugetlb_fault_mutex');
  });

  test('that began to move since the first look is waited for by the next fault', () => {
    const machine = machineOf('none');
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    process.write(at, 7);
    const folio = folioAt(process, at);
    forkOf(process);
    const { task, path } = ((thread) => ({ task: thread.task, path: thread.write(at, 8) }))(process.thread());
    const trace: TraceEvent[] = [];
    machine.trace = trace;
    task.preemptible = true;
    for (let on = ''; !on.startsWith('hugetlb_fault_mutex'); ) {
      const step = path.next();
      if (step.done) throw new Error('no fault mutex was taken');
      on = step.value.on.describe();
    }
    const moving = halfway(machine.createProcess(), folio, () => isMoving(process, at));
    task.preemptible = false;
    expect(path.next().done).toBe(false);
    machine.trace = undefined;
    const faults = trace.flatMap((event) =>
      event.task === task.name && event.kind === 'enter' && /_fault$|_wait_huge$/.test(event.name) ? [event.name] : [],
    );
    expect(faults).toEqual([
      'do_user_addr_fault',
      'hugetlb_fault',
      'do_user_addr_fault',
      'hugetlb_fault',
      'migration_entry_wait_huge',
    ]);
    expect(moving.finish()).toBe('OK');
    expect(path.next()).toEqual({ done: true, value: 'OK' });
    expect(process.read(at)).toBe(8);
  });

  test.each(SIZES)('no write to a page of $name is lost, whenever the fault looks', ({ size }) => {
    const looks = new Set<boolean>();
    atEveryStep(
      () => {
        const machine = machineOf('none', size);
        const process = machine.createProcess();
        const at = mapPrivate(process, 1, { size });
        process.write(at, 1);
        const [mover, writer] = [process.thread(), process.thread()];
        const works = [
          work(mover, mover.migrate(folioAt(process, at).pfn)),
          work(writer, writer.write(at + size - 1, 2)),
        ] as const;
        const trace: TraceEvent[] = [];
        machine.trace = trace;
        return { machine, process, at, works, trace };
      },
      ({ machine, process, at, trace }, results) => {
        machine.trace = undefined;
        expect(results).toEqual(['OK', 'OK']);
        machine.check();
        expect([process.read(at), process.read(at + size - 1)]).toEqual([1, 2]);
        looks.add(functions(trace).includes('migration_entry_wait_huge'));
      },
    );
    expect(looks).toEqual(new Set([false, true]));
  });
});
