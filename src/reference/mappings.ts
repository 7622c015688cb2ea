/**
 * Every leaf of an address space, by plain recursion: the oracle of the core's scan.
 * Intel SDM vol. 3A, section 4.5.4; a leaf is an entry at which some walk ends with a translation.
 */
import { bit, bits, shiftOf } from './entry.ts';
import { mapsPage, type PagingState, type ReadEntry, type Rights, reservedBitsSet } from './walk.ts';

/** One leaf. */
export interface ReferenceLeaf {
  /** Linear address of the page, canonical, as an unsigned number. */
  readonly va: bigint;
  /** 1 (4 KiB), 2 (2 MiB) or 3 (1 GiB). */
  readonly level: number;
  /** The entry that maps it. */
  readonly entry: bigint;
  /** Rights over all levels. */
  readonly rights: Rights;
}

/**
 * Lists every leaf in ascending order of the address. Tables that contain each other are followed wherever they lead. While
 * paging is off there is none.
 */
export function* referenceMappings(
  readEntry: ReadEntry,
  state: PagingState,
): Generator<ReferenceLeaf, void, undefined> {
  if (!bit(state.cr0, 31n)) return;
  const all: Rights = { writable: true, user: true, executable: true, shadowStack: false };
  const levels = bit(state.cr4, 12n) ? 5 : 4;
  yield* leavesBelow(readEntry, state, bits(state.cr3, 51n, 12n), levels, 0n, all);
}

function* leavesBelow(
  readEntry: ReadEntry,
  state: PagingState,
  table: bigint,
  level: number,
  start: bigint,
  above: Rights,
): Generator<ReferenceLeaf, void, undefined> {
  const width = bit(state.cr4, 12n) ? 57 : 48;
  for (let index = 0n; index < 512n; index++) {
    const entry = readEntry(table + index * 8n);
    if (entry === undefined || !bit(entry, 0n)) continue;
    const leaf = mapsPage(state, entry, level);
    if (reservedBitsSet(state, entry, level, leaf) !== 0n) continue;
    const rights: Rights = {
      writable: above.writable && bit(entry, 1n),
      user: above.user && bit(entry, 2n),
      executable: above.executable && !bit(entry, 63n),
      shadowStack: leaf && above.writable && !bit(entry, 1n) && bit(entry, 6n),
    };
    const va = start + (index << shiftOf(level));
    if (leaf) yield { va: BigInt.asUintN(64, BigInt.asIntN(width, va)), level, entry, rights };
    else yield* leavesBelow(readEntry, state, bits(entry, 51n, 12n), level - 1, va, rights);
  }
}
