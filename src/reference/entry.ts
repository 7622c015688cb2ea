/**
 * Paging-structure entries as the SDM's tables 4-14 to 4-20 define them (vol. 3A, section 4.5), for the reference walk.
 * Written apart from the core, on purpose: where the two differ, a test shows it.
 */

/** Names of the levels' entries, by level. */
export const ENTRY_NAMES = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'] as const;
/** Names of the levels' tables, by level. */
export const TABLE_NAMES = [
  '',
  'page table',
  'page directory',
  'page-directory-pointer table',
  'PML4 table',
  'PML5 table',
] as const;

/** The single-bit fields that 4-level and 5-level paging define, lowest first. */
const FIELDS: readonly { readonly name: string; readonly bit: bigint; readonly leafOnly?: true }[] = [
  { name: 'P', bit: 0n },
  { name: 'W', bit: 1n },
  { name: 'U', bit: 2n },
  { name: 'PWT', bit: 3n },
  { name: 'PCD', bit: 4n },
  { name: 'A', bit: 5n },
  { name: 'D', bit: 6n, leafOnly: true },
  { name: 'G', bit: 8n, leafOnly: true },
  { name: 'XD', bit: 63n },
];

/** Bit n of a value. */
export function bit(value: bigint, n: bigint): boolean {
  return ((value >> n) & 1n) === 1n;
}

/** Bits `high` to `low` of a value, in place. */
export function bits(value: bigint, high: bigint, low: bigint): bigint {
  const width = high - low + 1n;
  return width <= 0n ? 0n : ((value >> low) & ((1n << width) - 1n)) << low;
}

/** How many low bits of an address the entry at a level leaves untranslated: 12, 21, 30, 39, 48. */
export function shiftOf(level: number): bigint {
  return 12n + 9n * BigInt(level - 1);
}

/** The names of the bits that are set in an entry and mean something there: `['P', 'W', 'PS']`. */
export function fieldsOf(entry: bigint, level: number, leaf: boolean): string[] {
  const names = FIELDS.filter(({ bit: n, leafOnly }) => bit(entry, n) && (leaf || !leafOnly)).map(({ name }) => name);
  if (level === 1 ? bit(entry, 7n) : leaf && bit(entry, 12n)) names.push('PAT');
  if (level > 1 && bit(entry, 7n)) names.push('PS');
  return names;
}
