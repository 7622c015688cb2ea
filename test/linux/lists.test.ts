import { expect, test } from 'vitest';
import { FlatMemory } from '../../src/core/flat-memory.ts';
import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../src/linux/base/uapi.ts';
import { Machine } from '../../src/linux/machine/machine.ts';

const MIB = 2 ** 20;

/** Lets the core list pages for GUP, and entries for munmap. */
function usesLists(machine: Machine): void {
  const process = machine.createProcess();
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
  const at = process.mmap({ length: 2 * MIB, prot: PROT_READ | PROT_WRITE, flags }) as number;
  expect(process.write(at, 1)).toBe('OK');
  expect(machine.gupScan.canList).toBe(true);
  const run = machine.leafScan.open(process.mm, at, at + 2 * MIB);
  expect([run.next(), run.present, run.entries]).toEqual([true, true, 1]);
  process.exit();
}

test("machines that follow each other over one memory share the room for the core's lists", () => {
  const memory = new WebAssembly.Memory({ initial: 64 });
  const tables = new FlatMemory({ memory, base: 0, bytes: 2 * MIB, scratch: { at: 2 * MIB, bytes: 2 * MIB } });
  const left = [1, 2, 3].map(() => {
    usesLists(new Machine({ pools: [{ hugePageSize: 2 * MIB, pages: 1 }], tables }));
    return tables.arena.available;
  });
  expect(left[0]).toBeLessThan(2 * MIB);
  expect(left).toEqual([left[0], left[0], left[0]]);
});
