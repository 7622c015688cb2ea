/**
 * Memory types: what IA32_PAT and the MTRRs make of an access together.
 * Intel SDM vol. 3A, sections 4.9.2 (paging and memory typing with the PAT), 12.3 (types), 12.5.2.2 (combining), 12.12.
 */

import { checkNumber, checkWord, wrong } from './checks.ts';

/** Uncacheable, write combining, write through, write protected, write back; UC- is UC unless an MTRR says WC. */
export type MemoryType = 'UC' | 'WC' | 'WT' | 'WP' | 'WB' | 'UC-';

const ENCODING: readonly (MemoryType | undefined)[] = ['UC', 'WC', undefined, undefined, 'WT', 'WP', 'WB', 'UC-'];

/** Table 12-7: the effective type of a page, by the type of the MTRRs, then of the PAT. */
const COMBINED: Readonly<Record<string, Readonly<Record<MemoryType, MemoryType>>>> = {
  UC: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WT: 'UC', WB: 'UC', WP: 'UC' },
  WC: { UC: 'UC', 'UC-': 'WC', WC: 'WC', WT: 'UC', WB: 'WC', WP: 'UC' },
  WT: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WT: 'WT', WB: 'WT', WP: 'WP' },
  WB: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WT: 'WT', WB: 'WB', WP: 'WP' },
  WP: { UC: 'UC', 'UC-': 'WC', WC: 'WC', WT: 'WT', WB: 'WP', WP: 'WP' },
};

/**
 * The type in one of the eight entries of IA32_PAT; undefined where its encoding is reserved.
 *
 * @throws TypeError or RangeError for what is no IA32_PAT, or no index from 0 to 7
 */
export function patType(pat: bigint, index: number): MemoryType | undefined {
  checkWord('pat', pat);
  checkNumber('index', index, 7);
  return ENCODING[Number((pat >> BigInt(8 * index)) & 7n)];
}

/**
 * The type an access has, given the PAT's and the MTRRs'.
 *
 * @example
 * ```ts
 * import { effectiveMemoryType } from 'hugewalk';
 * effectiveMemoryType('WC', 'UC');       // 'WC': write combining wins over an uncacheable MTRR
 * ```
 *
 * @throws TypeError for what is no memory type
 */
export function effectiveMemoryType(pat: MemoryType, mtrr: Exclude<MemoryType, 'UC-'>): MemoryType {
  const row = typeof mtrr === 'string' && Object.hasOwn(COMBINED, mtrr) ? COMBINED[mtrr] : undefined;
  if (!row) throw wrong('mtrr', 'UC, WC, WT, WP or WB', mtrr);
  if (typeof pat !== 'string' || !Object.hasOwn(row, pat)) throw wrong('pat', 'UC, UC-, WC, WT, WP or WB', pat);
  return row[pat];
}

/**
 * Which entry of IA32_PAT types the accesses to a table: PCD and PWT of what points to it, CR3 for the root. With
 * CR4.PCIDE these bits of CR3 belong to the PCID, and the entry is 0.
 */
export function tablePatIndex(pointer: bigint, rootWithPcid = false): number {
  return rootWithPcid ? 0 : Number((pointer >> 3n) & 3n);
}
