/**
 * Whether a frame looks like a page table of a level. Intel SDM vol. 3A, 4.5.4: bits that are reserved in an entry that is present.
 *
 *   level 5, 4   PS
 *   level 3      29:13 where PS is set: the page begins at a multiple of 1 GiB; bit 12 is its PAT
 *   level 2      20:13 where PS is set: of 2 MiB
 *   level 1      none
 *
 * A table that an entry points to lies in the dump's memory. A page may lie above it: that of a device.
 */
import { type AddressRule, addressAt, ENTRIES, LARGE, PRESENT, USER } from './entry-halves.ts';

/** `empty` has no entry that is present: it neither speaks for a table nor against one. */
export type TableLook = 'table' | 'empty' | 'other';

const RESERVED_OF_LARGE = [0, 0, 0x001f_e000, 0x3fff_e000, 0, 0];
/** Pages of memory and of devices lie below: no processor of these days has a wider address. */
const PAGE_TOP = 2 ** 52;

/** Looks at a frame as a table of level 1 to 5. Whatever is not present may hold anything below the root. */
export function lookAt(words: Int32Array, level: number, rule: AddressRule): TableLook {
  let present = 0;
  for (let index = 0; index < ENTRIES; index++) {
    const low = words[2 * index]!;
    if (!(low & PRESENT)) continue;
    present++;
    const isLeaf = level === 1 || (low & LARGE) !== 0;
    if (isLeaf && level > 3) return 'other';
    if (isLeaf && level > 1 && low & RESERVED_OF_LARGE[level]!) return 'other';
    if (addressAt(words, index, rule) >= (isLeaf ? PAGE_TOP : rule.top)) return 'other';
  }
  return present > 0 ? 'table' : 'empty';
}

/** Whether an entry of a table of a level maps a page: it is present, and points to no table. */
export function isLeaf(words: Int32Array, index: number, level: number): boolean {
  const low = words[2 * index]!;
  return (low & PRESENT) !== 0 && (level === 1 || (level <= 3 && (low & LARGE) !== 0));
}

/** Whether an entry of a table of a level points to a table. */
export function isPointer(words: Int32Array, index: number, level: number): boolean {
  const low = words[2 * index]!;
  return (low & PRESENT) !== 0 && level > 1 && !(level <= 3 && low & LARGE);
}

/** A pointer to a table. */
export interface Pointer {
  readonly index: number;
  readonly frame: number;
  readonly user: boolean;
}

/** The pointers of a table to tables that are not itself. */
export function pointersOf(words: Int32Array, level: number, rule: AddressRule, self: number = -1): Pointer[] {
  const pointers: Pointer[] = [];
  for (let index = 0; index < ENTRIES; index++) {
    if (!isPointer(words, index, level)) continue;
    const frame = addressAt(words, index, rule);
    if (frame !== self) pointers.push({ index, frame, user: (words[2 * index]! & USER) !== 0 });
  }
  return pointers;
}
