/**
 * The memory of a machine's page tables: little at first, as much as was given in the end.
 */
import { expect, test } from 'vitest';
import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from '../../src/linux/index.ts';

const MIB2 = 2 ** 21;
const GIB = 2 ** 30;
const FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;

test('a machine begins with a megabyte of linear memory, and so is made in no time', () => {
  const machine = new Machine();
  expect(machine.memory.wasm.buffer.byteLength).toBeLessThan(2 ** 20);
  expect(machine.memory.maxBytes).toBe(64 * 2 ** 20);
});

test('it grows under a program that maps more, which notices nothing', () => {
  const machine = new Machine({ pools: [{ hugePageSize: MIB2, pages: 200 }], checks: true });
  const process = machine.createProcess();
  const { bytes } = machine.memory;
  /* A table for each GiB: one page touched in each. */
  const at = process.mmap({ length: 100 * GIB, prot: PROT_READ | PROT_WRITE, flags: FLAGS | 0x4000 }) as number;
  for (let gib = 0; gib < 100; gib++) expect(process.write(at + gib * GIB, gib)).toBe('OK');
  expect(machine.memory.bytes).toBeGreaterThan(bytes);
  for (let gib = 0; gib < 100; gib++) expect(process.read(at + gib * GIB)).toBe(gib);
  expect(process.mmu.translate(BigInt(at)).kind).toBe('page');
});

test('where there is no more than was given, an access says so', () => {
  const machine = new Machine({ pools: [{ hugePageSize: MIB2, pages: 8 }], tables: 3 * 4096 });
  const process = machine.createProcess();
  const at = process.mmap({ length: MIB2, prot: PROT_READ | PROT_WRITE, flags: FLAGS }) as number;
  expect(() => process.write(at, 1)).toThrow(
    /^tables: expected room for another page table, got 0x3000 bytes, all in use/,
  );
  expect(() => new Machine({ tables: 4095 })).toThrow(/^tables: expected an integer from 0x1000 to /);
});
