/**
 * The tables of an address space one behind the other, for walkers that have no sparse memory: their frames have other numbers, the pages
 * that they map have not.
 */
import type { AddressSpace } from '../../src/index.ts';

const P = 1n;
const PS = 1n << 7n;
const ADDRESS = 0xf_ffff_ffff_f000n;

/** @param space all of whose tables are loaded */
export function compacted({ mmu, memory }: AddressSpace): { readonly memory: Uint8Array; readonly root: bigint } {
  const placed = new Map<bigint, bigint>();
  const tables: BigUint64Array[] = [];
  const place = (frame: bigint, level: number): bigint => {
    const known = placed.get(frame);
    if (known !== undefined) return known;
    const at = BigInt(tables.length) << 12n;
    placed.set(frame, at);
    const table = BigUint64Array.from({ length: 512 }, (_, i) => memory.readEntry(frame + BigInt(i) * 8n)!);
    tables.push(table);
    if (level > 1) {
      for (const [i, entry] of table.entries()) {
        const isLeaf = level < 4 && (entry & PS) !== 0n;
        if (entry & P && !isLeaf) table[i] = (entry & ~ADDRESS) | place(entry & ADDRESS, level - 1);
      }
    }
    return at;
  };
  const root = place(mmu.registers.cr3 & ADDRESS, mmu.levels);
  const bytes = new Uint8Array(tables.length * 4096);
  for (const [i, table] of tables.entries()) bytes.set(new Uint8Array(table.buffer), i * 4096);
  return { memory: bytes, root };
}
