/**
 * Batches while somebody else edits the tables: a cached table may be older than the last edit, as in hardware, but every
 * outcome is one that the tables gave at some time during the call, and the next call sees what is there now.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Access, type FlatMemory, Mmu } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { A, D, P, PS, Tables, U, W } from '../support/tables.ts';
import { startWorker, type TestWorker } from '../support/workers.ts';

const SMALL = 0n;
const LARGE = 0x20_0000n;
const HUGE = 0x4000_0000n;
const PAGES = 64;
const USED = W | U | A | D;

/** 64 pages of 4 KiB, a page of 2 MiB and one of 1 GiB, in a shared memory. */
function image() {
  const tables = new Tables();
  for (let i = 0n; i < PAGES; i++) tables.map(SMALL + (i << 12n), 0x10_0000n + (i << 12n), { bits: USED, above: USED });
  tables.map(LARGE, 0x1_2340_0000n, { level: 2, bits: USED });
  tables.map(HUGE, 0x8_4000_0000n, { level: 3, bits: USED });
  return { tables, memory: memoryWith(tables.frames, 'threads') as FlatMemory };
}

/** What is edited, by the address that it concerns: the entries at a level, and the two states of each. */
const EDITS = [
  {
    what: "a page's frame",
    level: 1,
    state: (entry: bigint) => [entry, entry ^ 0x4000_0000n],
  },
  {
    what: 'whether a page is present',
    level: 1,
    state: (entry: bigint) => [entry & ~P, entry],
  },
  {
    what: 'whether a page is writable',
    level: 1,
    state: (entry: bigint) => [entry, entry & ~W],
  },
  {
    what: 'a table of small pages into a large page',
    level: 2,
    state: (entry: bigint) => [entry, 0x7_7760_0000n | USED | PS | P],
  },
  {
    what: 'a large page into a table of small pages',
    level: 2,
    state: (entry: bigint) => [0x7_7760_0000n | USED | PS | P, entry],
  },
  {
    what: 'whether a table is there',
    level: 2,
    state: (entry: bigint) => [entry & ~P, entry],
  },
  {
    what: 'the rights that a table leaves',
    level: 3,
    state: (entry: bigint) => [entry & ~U, entry],
  },
] as const;

/** Addresses in an order that keeps to one size, or changes at every step. */
const ORDERS = {
  'of one size': (i: number) => BigInt((i * 7) % PAGES) << 12n,
  'of mixed sizes': (i: number) => [BigInt(i % PAGES) << 12n, LARGE + BigInt(i), HUGE + BigInt(i)][i % 3]!,
};

describe('a batch of addresses', () => {
  let worker: TestWorker;
  beforeAll(async () => {
    worker = await startWorker();
  });
  afterAll(() => worker.stop());

  describe.each(Object.entries(ORDERS))('%s', (_, addressAt) => {
    test.each(EDITS)('while another thread edits $what', async ({ level, state }) => {
      const { tables, memory } = image();
      const mmu = new Mmu(memory, { cr3: tables.root });
      const places = new Set(Array.from({ length: PAGES }, (_, i) => tables.entry(level, BigInt(i) << 12n)));
      const entries = [...places].map((physical) => {
        const states = state(memory.readEntry(physical)!);
        return {
          physical,
          at: memory.base + Number(physical),
          states: states.map((entry) => BigInt.asIntN(64, entry)),
        };
      });
      const batch = mmu.batch(600);
      batch.addresses.forEach((_, i, all) => {
        all[i] = addressAt(i);
      });
      /** The outcome words in either state, and whether they differ at all. */
      const words = [0, 1].map((n) => {
        for (const { physical, states } of entries) memory.writeEntry(physical, BigInt.asUintN(64, states[n]!));
        return [Access.read, Access.user | Access.write].map((access) =>
          batch.addresses.map((va) => mmu.translateWord(va, access)),
        );
      });
      expect(words[0]).not.toEqual(words[1]);

      let running = true;
      const editor = worker
        .run<{ flipped: number }>({ job: 'flip', memory: memory.wasm, entries, milliseconds: 150 })
        .finally(() => {
          running = false;
        });
      let wrong = '';
      for (let round = 0; running || round < 10; round++) {
        for (let i = 0; i < 20; i++) {
          const n = i % 2;
          if (i % 4 < 2) batch.run(600, n ? Access.user | Access.write : Access.read);
          else batch.access(600, n ? Access.user | Access.write : Access.read);
          const [before, after] = [words[0]![n]!, words[1]![n]!];
          const at = batch.outcomes.findIndex((word, k) => word !== before[k] && word !== after[k]);
          if (at >= 0) wrong ||= `outcome ${at}: 0x${batch.outcomes[at]!.toString(16)}`;
        }
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      expect(wrong).toBe('');
      expect((await editor).flipped).toBeGreaterThan(0);

      for (const [n, access] of [Access.read, Access.user | Access.write].entries()) {
        batch.run(600, access);
        expect(batch.outcomes).toEqual(words[1]![n]);
      }
    });
  });
});
