/**
 * Processors under a search: their own walks, their TLBs, the flushes that have to reach them.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explore } from '../../src/explore/explore.ts';
import type { Finding } from '../../src/explore/kernel/finding.ts';
import { Processor } from '../../src/linux/base/processor.ts';
import { PTE_NONE } from '../../src/linux/base/pte.ts';
import { type Path, preemptionPoint, run } from '../../src/linux/base/task.ts';
import { USER_READ, USER_WRITE, walkUser } from '../../src/linux/fault/page-fault.ts';
import { processorAccess } from '../../src/linux/fault/processor-walk.ts';
import { putPage } from '../../src/linux/hugetlb/alloc-page.ts';
import { finishMmu } from '../../src/linux/hugetlb/unmap.ts';
import type { Process } from '../../src/linux/machine/process.ts';
import type { Syscalls } from '../../src/linux/machine/syscalls.ts';
import { MmuGather } from '../../src/linux/mm/mmu-gather.ts';
import { leafAt, setHugePteAt } from '../../src/linux/page-tables/page-table.ts';
import type { Folio } from '../../src/linux/pool/folio.ts';
import { scene } from '../linux/gup/support.ts';
import { explored, sceneOf } from './support.ts';

const anon = { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 1, prot: 'rw' };
const page = { proc: 0, slot: 0, page: 0 };
const write = (value: number) => ({ op: 'write', ...page, value });
const read = { op: 'read', ...page };

describe('a walk level by level', () => {
  test('comes to what the core comes to, and marks what it marks', () => {
    const levels = fc.constantFrom(4 as const, 5 as const);
    const entries = fc.record({ lo: fc.integer({ min: 0, max: 0xff }), level: fc.constantFrom(1, 2, 3) });
    const accesses = fc.constantFrom(USER_READ, USER_WRITE);
    const property = fc.property(levels, fc.array(entries, { maxLength: 2 }), accesses, (levels, changes, access) => {
      const [one, other] = [0, 1].map(() => {
        const { process, at, machine } = scene({ touched: true, options: { levels } });
        const { mm } = process;
        const { ptep } = leafAt(mm, at)!;
        /* Rights, A, D and P of an entry on the way, as if the kernel had written them. PS stays: these are tables, and a leaf. */
        const path = [ptep, machine.tables.page(ptep).address];
        for (const { lo, level } of changes) {
          const where = level === 1 ? path[0]! : ptep;
          const pte = machine.tables.read(where);
          machine.tables.write(where, { lo: (pte.lo & ~0x67) | (lo & 0x67), hi: pte.hi });
        }
        return { process, mm, at, machine, ptep };
      });
      const core = walkUser(one!.mm, one!.at + 5, access);
      const { task } = other!.process.thread();
      const byLevel = run(processorAccess(task, new Processor(0), other!.mm, other!.at + 5, access));
      expect(byLevel).toBe(core);
      expect(other!.machine.tables.read(other!.ptep).value).toBe(one!.machine.tables.read(one!.ptep).value);
    });
    fc.assert(property, { numRuns: 60 });
  });

  test('faults where a table is missing, with the error code of a page that is not there', () => {
    const { process, at } = scene({ touched: true });
    const { task } = process.thread();
    for (const address of [at - 2 ** 30, at - 2 ** 39]) {
      const reached = run(processorAccess(task, new Processor(0), process.mm, address, USER_WRITE));
      expect(reached).toBe(walkUser(process.mm, address, USER_WRITE));
    }
  });
});

/** What is found where one thread does something with a huge page that it has written. */
function found(does: (thread: Syscalls, process: Process, at: number) => Path<void>): Finding | undefined {
  const search = explore({
    tasks: 1,
    stand: () => {
      const { machine, process, at } = scene({ touched: true, options: { checks: false, tables: 2 ** 20 } });
      const thread = process.thread();
      return { machine, tasks: [{ task: thread.task, path: does(thread, process, at) }], judge: () => undefined };
    },
    observe: () => [],
  });
  for (;;) {
    const { value, done } = search.next();
    if (done) return value.found?.finding;
  }
}

describe('a translation from a TLB', () => {
  /** Empties the entry of a page that the thread has read, as an unmapping does. */
  function* unmap(
    thread: Syscalls,
    { mm }: Process,
    at: number,
    how: (gather: MmuGather, folio: Folio) => Path<void>,
  ): Path<void> {
    yield* thread.read(at);
    const hpte = leafAt(mm, at)!;
    const folio = mm.machine.frames.folio(mm.machine.tables.read(hpte.ptep).pfn);
    const gather = new MmuGather(mm);
    yield* hpte.lock.write(thread.task);
    setHugePteAt(mm, at, hpte, PTE_NONE);
    folio.removeRmap(0, folio.pages);
    mm.hugetlbUsage -= folio.pages;
    hpte.lock.unlock(thread.task);
    gather.removeTlbEntry();
    yield* how(gather, folio);
    yield* thread.read(at);
  }

  test('may be used until the flush: the page is still there', () => {
    let reached: unknown;
    const finding = found((thread, process, at) =>
      unmap(thread, process, at, function* (gather, folio) {
        gather.add(folio);
        reached = yield* thread.read(at);
        yield* finishMmu(thread.task, gather);
      }),
    );
    expect([finding, reached]).toEqual([undefined, 1]);
  });

  test('is found out where the flush is forgotten', () => {
    const finding = found((thread, process, at) =>
      unmap(thread, process, at, () => {
        process.mm.addTlbFlushPending(-1);
        return preemptionPoint(thread.task, process.mm.pgd.address);
      }),
    );
    const what = expect.stringContaining('nobody is about to flush');
    expect(finding).toMatchObject({ kind: 'stale translation', what });
  });

  test('is found out where the page is let go before the flush', () => {
    const finding = found((thread, process, at) =>
      unmap(thread, process, at, (_gather, folio) => putPage(thread.task, folio)),
    );
    expect(finding).toMatchObject({ kind: 'stale translation', what: expect.stringContaining('was let go') });
  });
});

describe('a scenario', () => {
  test("a program goes on writing through its TLB while fork protects the page, until fork's flush: the child has what was written by then", () => {
    const lines = [
      { seq: 1, pool: 3 },
      anon,
      write(1),
      { ...write(2), task: 0 },
      { ...write(3), task: 0 },
      { op: 'fork', proc: 0, child: 1, task: 1 },
      { ...read, proc: 1 },
    ];
    const child = new Set<string>();
    const scenario = sceneOf([...lines, { end: 1 }]);
    const { exhausted } = explored(scenario, () => child.add(scenario.observe().at(-1)!.answer));
    expect(exhausted).toBe(true);
    expect([...child].sort()).toEqual(['OK, value 1', 'OK, value 2', 'OK, value 3']);
  });

  const anonymous = [{ seq: 1, pool: 3 }, anon, write(1)];
  const SCENARIOS: Readonly<Record<string, readonly object[]>> = {
    'writes against a fork': [
      ...anonymous,
      { ...write(2), task: 0 },
      { ...write(3), task: 0 },
      { ...read, task: 0 },
      { op: 'fork', proc: 0, child: 1, task: 1 },
      { ...read, proc: 1 },
    ],
    'accesses against MADV_DONTNEED': [
      ...anonymous,
      { ...read, task: 0 },
      { ...write(3), task: 0 },
      { ...read, task: 0 },
      { op: 'madvise_dontneed', ...page, pages: 1, task: 1 },
      { ...write(5), task: 1 },
      { ...read, task: 1 },
    ],
    'writes against migration and mprotect': [
      ...anonymous,
      { ...write(3), task: 0 },
      { ...write(4), task: 0 },
      { op: 'migrate', ...page, task: 1 },
      { op: 'mprotect', ...page, pages: 1, prot: 'r', task: 2 },
    ],
  };
  for (const [name, lines] of Object.entries(SCENARIOS)) {
    test(`${name}: what happens by chance, the search has found`, () => {
      const searched = outcomes(lines);
      const byChance = outcomes(lines, { executions: 600, seed: 7 });
      expect(searched.size).toBeGreaterThan(2);
      expect([...byChance].filter((outcome) => !searched.has(outcome))).toEqual([]);
    });
  }

  /** All that the operations of a scenario answer, together. */
  function outcomes(lines: readonly object[], random?: { executions: number; seed: number }): Set<string> {
    const scenario = sceneOf([...lines, { end: 1 }]);
    const seen = new Set<string>();
    const all = (): void => {
      seen.add(
        scenario
          .observe()
          .map(({ answer }) => answer)
          .join('; '),
      );
    };
    const search = explore(scenario, random ? { random } : {}, all);
    while (!search.next().done);
    return seen;
  }
});
