/**
 * Several processors at the same tables: A and D are set with a locked operation, so that no update is lost, neither of
 * another walk nor of software. Intel SDM vol. 3A, section 4.8, and 8.1.2.1 (automatic locking).
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Access, compileCoreSync, FlatMemory, Mmu, Tlb } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { A, D, P, Tables } from '../support/tables.ts';
import { startWorker, type TestWorker } from '../support/workers.ts';

const PAGES = 8;
const ADDRESSES = Array.from({ length: PAGES }, (_, i) => BigInt(i) << 12n);

describe('two workers on one shared image', () => {
  let workers: TestWorker[];
  beforeAll(async () => {
    workers = await Promise.all([startWorker(), startWorker()]);
  });
  afterAll(() => {
    for (const worker of workers) worker.stop();
  });

  /** A shared image of some pages, and what a worker must know to walk it. */
  const image = () => {
    const tables = new Tables();
    for (const va of ADDRESSES) tables.map(va, 0x10_0000n + va);
    const memory = memoryWith(tables.frames, 'threads') as FlatMemory;
    const { cr0, cr3, cr4, efer } = new Mmu(memory, { cr3: tables.root }).registers;
    const registers = { cr0, cr3, cr4, efer, base: memory.base, bytes: memory.bytes };
    const entries = ADDRESSES.map((va) => memory.base + Number(tables.entry(1, va)));
    const common = { module: compileCoreSync().threads, memory: memory.wasm, registers, addresses: ADDRESSES, entries };
    return { tables, memory, common };
  };

  test('walks lose no edit of the other, and never write to an entry that is not present', async () => {
    const { tables, memory, common } = image();
    const rounds = 20_000;
    let [edits, arrived, faulted] = [0, 0, 0];
    /* Until both have really happened at the same time: the walker met entries in either state. */
    while (!arrived || !faulted) {
      const [walked, edited] = await Promise.all([
        workers[0]!.run<{ arrived: number; faulted: number }>({ ...common, job: 'walk', rounds: 6 * rounds }),
        workers[1]!.run<{ intruded: number }>({ ...common, job: 'edit', rounds }),
      ]);
      expect(edited.intruded).toBe(0);
      edits += rounds;
      arrived += walked.arrived;
      faulted += walked.faulted;
    }
    for (const va of ADDRESSES) {
      const entry = memory.readEntry(tables.entry(1, va))!;
      expect(entry & P).toBe(P);
      expect((entry >> 52n) & 127n).toBe(BigInt(edits % 128));
      expect(entry & 0x000f_ffff_ffff_f000n).toBe(0x10_0000n + va);
    }
  });

  test.each(['tables', 'caches'] as const)('who loses the race for an entry reads it again (%s)', async (through) => {
    const { tables, memory, common } = image();
    const mmu = new Mmu(memory, { cr3: tables.root });
    const tlb = new Tlb(mmu);
    const words = new BigInt64Array(memory.wasm.buffer);
    const way = [4, 3, 2, 1].map((level) => memory.base + Number(tables.entry(level, 0n)));
    let running = true;
    const editor = workers[0]!
      .run<{ toggled: number }>({ ...common, entries: way, milliseconds: 400, job: 'toggle' })
      .finally(() => {
        running = false;
      });
    const wanted = [A, A, A, A | D];
    let lost = 0;
    let accesses = 0;
    while (running) {
      for (let i = 0; i < 500; i++, accesses++) {
        for (const at of way) Atomics.and(words, at / 8, ~(A | D));
        tlb.invlpg(0n);
        const outcome = through === 'tables' ? mmu.access(0n, Access.write) : tlb.access(0n, Access.write);
        if (outcome.kind !== 'page') lost++;
        way.forEach((at, i) => {
          if ((Atomics.load(words, at / 8) & (A | D)) !== wanted[i]) lost++;
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(lost).toBe(0);
    expect(accesses).toBeGreaterThan(0);
    expect((await editor).toggled).toBeGreaterThan(0);
  });

  test('both walk the same pages and leave A and D in all of them', async () => {
    const { tables, memory, common } = image();
    const ends = await Promise.all(
      workers.map((worker) =>
        worker.run<{ arrived: number; faulted: number }>({ ...common, job: 'walk', rounds: 2000 }),
      ),
    );
    for (const end of ends) expect(end).toEqual({ arrived: 2000 * PAGES, faulted: 0 });
    for (const va of ADDRESSES) expect(memory.readEntry(tables.entry(1, va))! & (A | D)).toBe(A | D);
    for (const level of [2, 3, 4]) expect(memory.readEntry(tables.entry(level, 0n))! & (A | D)).toBe(A);
  });
});

test('a shared memory is made on request, and an embedder may bring one', () => {
  const own = new FlatMemory({ bytes: 65536, shared: true });
  expect(own.kind).toBe('threads');
  expect(own.wasm.buffer).toBeInstanceOf(SharedArrayBuffer);
  const wasm = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const theirs = new FlatMemory({ memory: wasm, bytes: 65536 });
  expect(theirs.kind).toBe('threads');
  expect(new Mmu(theirs, { cr3: 0n }).translate(0n).kind).toBe('page-fault');
  expect(new FlatMemory({ bytes: 65536 }).kind).toBe('flat');
});
