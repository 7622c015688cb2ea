/**
 * Over random states: GUP with the core, leaf by leaf, and without a lock come to the same pages, the same counts, the same page
 * tables; whatever was taken can be given back, and then everything is free.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FlatMemory } from '../../../src/index.ts';
import {
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_WRITE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  PROT_NONE,
  PROT_READ,
  type Process,
} from '../../../src/linux/index.ts';
import { fewAndMany } from '../../support/thorough.ts';
import { GIB, HUGE, leafOf, PAGE, RW, splitLeaf } from './support.ts';

/** Six huge pages on both sides of an address where a table ends. */
const BASE = 40 * GIB - 3 * HUGE;
const HUGE_PAGES = 6;
const WHOLE = HUGE_PAGES * HUGE;

const states = fc.record({
  pool: fc.integer({ min: 1, max: 12 }),
  maps: fc.array(
    fc.record({
      from: fc.integer({ min: 0, max: 5 }),
      count: fc.integer({ min: 1, max: 6 }),
      shared: fc.boolean(),
      prot: fc.constantFrom(PROT_NONE, PROT_READ, RW, RW, RW),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  steps: fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('touch' as const), page: fc.nat(5), write: fc.boolean(), child: fc.boolean() }),
      fc.record({
        kind: fc.constant('protect' as const),
        page: fc.nat(5),
        prot: fc.constantFrom(PROT_NONE, PROT_READ, RW),
      }),
      fc.record({ kind: fc.constant('fork' as const) }),
      fc.record({ kind: fc.constant('split' as const), page: fc.nat(5) }),
      fc.record({ kind: fc.constant('wrprotect' as const), page: fc.nat(5), piece: fc.nat(511) }),
      fc.record({ kind: fc.constant('drop' as const), page: fc.nat(5) }),
    ),
    { maxLength: 14 },
  ),
});
type State = typeof states extends fc.Arbitrary<infer T> ? T : never;

const requests = fc.record({
  start: fc.integer({ min: -1, max: WHOLE / PAGE }),
  nrPages: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: WHOLE / PAGE + 2 })),
  flags: fc.constantFrom(0, FOLL_WRITE, FOLL_FORCE, FOLL_WRITE | FOLL_FORCE),
  pins: fc.constantFrom(false, true, 'longterm' as const),
  skew: fc.constantFrom(0, 0, 1, 4095),
});

/** Builds a state: the same every time. */
function build(state: State, tables?: FlatMemory): { machine: Machine; process: Process } {
  const machine = new Machine({
    pools: [{ hugePageSize: HUGE, pages: state.pool }],
    tables: tables ?? 2 ** 18,
  });
  const process = machine.createProcess();
  for (const { from, count, shared, prot } of state.maps) {
    process.mmap({
      address: BASE + from * HUGE,
      length: Math.min(count, HUGE_PAGES - from) * HUGE,
      prot,
      flags:
        (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | MAP_FIXED | MAP_NORESERVE,
    });
  }
  let child: Process | undefined;
  for (const step of state.steps) {
    if (step.kind === 'fork') {
      const forked = child ? 'ENOMEM' : process.fork();
      if (typeof forked === 'object') child = forked;
      continue;
    }
    const at = BASE + step.page * HUGE;
    if (step.kind === 'touch') {
      const who = step.child && child ? child : process;
      if (step.write) who.write(at, step.page);
      else who.read(at);
    } else if (step.kind === 'protect') process.mprotect(at, HUGE, step.prot);
    else if (step.kind === 'drop') process.madvise(at, HUGE, 4);
    else cut(process, at, step);
  }
  return { machine, process };
}

/** Leaves of 4 KiB, of a shared page; or one of them read-only. */
function cut(process: Process, at: number, step: { kind: 'split' } | { kind: 'wrprotect'; piece: number }): void {
  const { tables } = process.mm.machine;
  const vma = process.mm.vmaLookup(at);
  if (!vma?.mayShare || ![...process.mappedPages()].some(({ address, folio }) => address === at && folio)) return;
  const leaf = leafOf(process, at);
  if (step.kind === 'split') {
    if (leaf.shift === 21 && tables.read(leaf.ptep).present) splitLeaf(process, at);
    return;
  }
  const { ptep } = leafOf(process, at + step.piece * PAGE);
  const pte = tables.read(ptep);
  if (pte.present) tables.write(ptep, pte.wrprotect());
}

/** Everything that can be seen of a machine. */
function seen(machine: Machine): unknown {
  return {
    pools: machine.hstates.map(({ freeHugePages, resvHugePages }) => [freeHugePages, resvHugePages]),
    folios: [...machine.folios()].map((folio) => {
      const { pfn, refcount, mapcount, pincount, getcount, anonExclusive, dirty } = folio;
      return { pfn, refcount, mapcount, pincount, getcount, anonExclusive, dirty };
    }),
    entries: [...machine.processes].map((process) =>
      [...process.mappedPages()].map(({ address, entry }) => [address, entry]),
    ),
  };
}

type Request = typeof requests extends fc.Arbitrary<infer T> ? T : never;
type Way = (process: Process, request: Request, pages: number[]) => unknown;

const slow: Way = (process, { start, nrPages, flags, pins, skew }, pages) => {
  const at = BASE + start * PAGE + skew;
  if (!pins) return process.getUserPages(at, nrPages, flags, pages);
  return process.pinUserPages(at, nrPages, flags | (pins === 'longterm' ? FOLL_LONGTERM : 0), pages);
};
const fast: Way = (process, { start, nrPages, flags, pins, skew }, pages) => {
  const at = BASE + start * PAGE + skew;
  if (!pins) return process.getUserPagesFast(at, nrPages, flags, pages);
  return process.pinUserPagesFast(at, nrPages, flags | (pins === 'longterm' ? FOLL_LONGTERM : 0), pages);
};

/** An embedder's memory without room for the core's lists. */
function withoutScratch(): FlatMemory {
  return new FlatMemory({ bytes: 2 ** 18, memory: new WebAssembly.Memory({ initial: 4 }) });
}

for (const { numRuns, options } of fewAndMany(80, 200)) {
  test(
    `with the core, leaf by leaf, without room for its lists, and without a lock: the same: ${numRuns} times`,
    options,
    () => {
      fc.assert(
        fc.property(states, requests, (state, request) => {
          const results = [
            { ...build(state), way: slow, traced: false },
            { ...build(state), way: slow, traced: true },
            { ...build(state, withoutScratch()), way: slow, traced: false },
            { ...build(state), way: fast, traced: false },
            { ...build(state, withoutScratch()), way: fast, traced: false },
          ].map(({ machine, process, way, traced }) => {
            if (traced) machine.trace = [];
            const pages: number[] = [];
            const result = way(process, request, pages);
            machine.trace = undefined;
            machine.check();
            const taken = pages.slice(0, typeof result === 'number' ? result : 0);
            const after = seen(machine);
            if (request.pins) process.unpinUserPages(taken);
            else process.putPages(taken);
            machine.check();
            for (const live of [...machine.processes]) live.exit();
            const { nrHugePages, freeHugePages } = machine.hstate();
            expect(result === 'HANG' || nrHugePages === freeHugePages).toBe(true);
            return { result, taken, after };
          });
          for (const other of results.slice(1)) expect(other).toEqual(results[0]);
        }),
        { numRuns },
      );
    },
  );
}

test("without a lock and nothing else: as much with room for the core's lists as without", () => {
  fc.assert(
    fc.property(states, requests, (state, { start, nrPages, flags, skew }) => {
      const at = BASE + start * PAGE + skew;
      const results = [build(state), build(state, withoutScratch())].map(({ machine, process }) => {
        const pages: number[] = [];
        const got = process.getUserPagesFastOnly(at, nrPages, flags, pages);
        const after = seen(machine);
        process.putPages(pages, got);
        machine.check();
        return { got, pages: pages.slice(0, got), after };
      });
      expect(results[1]).toEqual(results[0]);
    }),
    { numRuns: 200 },
  );
});

test('without lists: as many pages as with one, the same faults, and no reference', () => {
  fc.assert(
    fc.property(states, requests, (state, request) => {
      const [counted, listed, traced] = [build(state), build(state), build(state)];
      const at = BASE + request.start * PAGE + request.skew;
      traced.machine.trace = [];
      const result = counted.process.getUserPages(at, request.nrPages, request.flags);
      expect(traced.process.getUserPages(at, request.nrPages, request.flags)).toBe(result);
      expect(seen(traced.machine)).toEqual(seen(counted.machine));
      const pages: number[] = [];
      expect(listed.process.getUserPages(at, request.nrPages, request.flags, pages)).toBe(result);
      if (typeof result === 'number') listed.process.putPages(pages, result);
      expect(seen(listed.machine)).toEqual(seen(counted.machine));
    }),
    { numRuns: 300 },
  );
});

for (const { numRuns, options } of fewAndMany(8, 16)) {
  test(`across pools, by way of all sizes of leaves: ${numRuns} times`, options, () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 262144 + 511 }), fc.integer({ min: 1, max: 200_000 }), (start, nrPages) => {
        const machine = new Machine({
          pools: [
            { hugePageSize: HUGE, pages: 3 },
            { hugePageSize: GIB, pages: 1 },
          ],
          tables: 2 ** 18,
        });
        const process = machine.createProcess();
        const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED;
        const base = 50 * GIB;
        process.mmap({ address: base, length: GIB, prot: RW, flags: flags | MAP_HUGE_1GB });
        process.mmap({ address: base + GIB, length: HUGE, prot: RW, flags: flags | MAP_HUGE_2MB });
        process.write(base, 1);
        splitLeaf(process, base);
        splitLeaf(process, base + GIB - HUGE);
        const [slowly, quickly] = [new Float64Array(nrPages), new Float64Array(nrPages)];
        const got = process.getUserPages(base + start * PAGE, nrPages, FOLL_WRITE, slowly);
        expect(got).toBe(Math.min(nrPages, 262144 + 512 - start));
        expect(process.pinUserPagesFast(base + start * PAGE, nrPages, FOLL_WRITE, quickly)).toBe(got);
        expect(quickly).toEqual(slowly);
        process.putPages(slowly, got as number);
        process.unpinUserPages(quickly, got as number);
        machine.check();
      }),
      { numRuns },
    );
  });
}
