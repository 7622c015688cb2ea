/**
 * Which page tables a range needs and memory does not have.
 */
import { RECORD_BYTES, RECORD_KIND_SHIFT, RECORD_MISSING_TABLE } from '../core/generated/layout.ts';
import type { Mmu } from '../mmu/mmu.ts';

const KIND_SHIFT = Number(RECORD_KIND_SHIFT);
const MISSING_TABLE = Number(RECORD_MISSING_TABLE);
const TOP = 0xffff_ffff_ffff_ffffn;

/**
 * The physical addresses, as numbers, of the tables that entries of a range point to and that are not in memory. Folded,
 * a scan lists each entry of a table once a level at most, however the tables are knotted.
 *
 * @throws TypeError or RangeError for a range that is not canonical
 */
export function missingTables(mmu: Mmu, from: bigint = 0n, to: bigint = TOP): Set<number> {
  const missing = new Set<number>();
  for (const { words } of mmu.scanBlocks({ from, to, fold: true })) {
    const halves = new Uint32Array(words.buffer, words.byteOffset, words.length * 2);
    for (let i = 0; i < halves.length; i += RECORD_BYTES / 4) {
      if (((halves[i]! >>> KIND_SHIFT) & 3) !== MISSING_TABLE) continue;
      /* Bits 51:12 of the entry. */
      missing.add((halves[i + 3]! & 0xf_ffff) * 2 ** 32 + ((halves[i + 2]! & 0xffff_f000) >>> 0));
    }
  }
  return missing;
}
