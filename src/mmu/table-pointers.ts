/**
 * Which frames are tables. It is found by looking at every entry that can be reached from the root, since anybody may have written it: what
 * a {@link Mapper} remembered of its own writes could be wrong.
 */
import { TABLE_BYTES } from '../core/generated/layout.ts';
import type { TableTree } from './table-plan.ts';

/* An entry in two halves of 32 bits: bigints would cost more than the rest. */
const PRESENT = 1;
const PAGE_SIZE = 1 << 7;
const ADDRESS_LOW = 0xffff_f000;
const ADDRESS_HIGH = 0x000f_ffff;

/** Of some frames, those that are the root, or that an entry below it points to. */
export function tablesAmong({ memory, root, levels }: TableTree, frames: ReadonlySet<bigint>): Set<bigint> {
  const wanted = new Set([...frames].map(Number));
  const tables = new Set<bigint>();
  const note = (frame: number): void => {
    if (wanted.delete(frame)) tables.add(BigInt(frame));
  };
  const view = new DataView(memory.wasm.buffer);
  /* Tables may contain each other: each is looked at once for each level that it stands for. */
  const seen = new Set<number>();
  const look = (table: number, level: number): void => {
    if (wanted.size === 0 || seen.has(table + level)) return;
    seen.add(table + level);
    const at = memory.locate(BigInt(table));
    if (at === undefined || memory.locate(BigInt(table + TABLE_BYTES - 8)) === undefined) return;
    for (let entry = at; entry < at + TABLE_BYTES; entry += 8) {
      const low = view.getUint32(entry, true);
      if (!(low & PRESENT) || low & PAGE_SIZE) continue;
      const below = (view.getUint32(entry + 4, true) & ADDRESS_HIGH) * 2 ** 32 + ((low & ADDRESS_LOW) >>> 0);
      note(below);
      /* What a table of level 1 points to are pages. */
      if (level > 2) look(below, level - 1);
    }
  };
  note(Number(root));
  look(Number(root), levels);
  return tables;
}
