/**
 * The reference walk under the matrix: the same cases, made by the same generator, checked in TypeScript.
 */

import type { Outcome } from '../../src/index.ts';
import { decodeOutcome } from '../../src/mmu/outcome.ts';
import { DEFAULT_REGISTERS } from '../../src/mmu/registers.ts';
import { referenceWalk } from '../../src/reference/index.ts';
import type { Case } from './case.ts';

/** What the reference makes of a case that is not what is expected, or undefined. */
export function wrongInReference(one: Case): string | undefined {
  const entries = [...one.entries];
  const places = placesOf(one);
  const state = { ...DEFAULT_REGISTERS, ...one, cr3: BigInt(one.levels) << 12n };
  const read = (at: bigint): bigint => (at === places[levelOf(at)] ? entries[levelOf(at)]! : 0n);
  for (const expected of one.twice ? [one.expected, one.again] : [one.expected]) {
    const { outcome, marks } = referenceWalk(read, state, one.va, one.access);
    for (const { address, entry } of marks) entries[levelOf(address)] = entry;
    if (!isSame(outcome, decodeOutcome(expected))) return JSON.stringify(outcome, hexadecimal);
    const differing = entries.findIndex((entry, i) => entry !== one.after[i]);
    if (differing >= 0) return `level ${differing + 1}: 0x${entries[differing]!.toString(16)}`;
  }
  return undefined;
}

/** Index of the table at a physical address: its level - 1. */
function levelOf(at: bigint): number {
  return Number(at >> 12n) - 1;
}

/** Physical addresses of the entries on the way. */
function placesOf({ va }: Case): bigint[] {
  return [1n, 2n, 3n, 4n, 5n].map((level) => (level << 12n) + ((va >> (3n + 9n * level)) & 511n) * 8n);
}

function isSame(left: Outcome, right: Outcome): boolean {
  const [a, b] = [Object.entries(left), new Map(Object.entries(right))];
  return a.length === b.size && a.every(([name, value]) => b.get(name) === value);
}

function hexadecimal(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `0x${value.toString(16)}` : value;
}
