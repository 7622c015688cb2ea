/**
 * What differs between two lists of a state.
 */
import { same } from '../disagreement.ts';
import type { SlotMap } from './maps.ts';

type Entry = readonly unknown[];

/** One entry as two states have it; undefined where a state does not have it. */
export interface DifferingEntry {
  readonly kernel: Entry | undefined;
  readonly model: Entry | undefined;
}

/** The entries that two lists disagree about. @param key how many of its first items tell which entry it is */
export function differingEntries(kernel: readonly Entry[], model: readonly Entry[], key: number): DifferingEntry[] {
  const keyOf = (entry: Entry): string => entry.slice(0, key).join(' ');
  const others = new Map(model.map((entry) => [keyOf(entry), entry]));
  const differing: DifferingEntry[] = [];
  for (const entry of kernel) {
    const other = others.get(keyOf(entry));
    others.delete(keyOf(entry));
    if (!same(entry, other)) differing.push({ kernel: entry, model: other });
  }
  for (const entry of others.values()) differing.push({ kernel: undefined, model: entry });
  return differing.sort((a, b) => order((a.kernel ?? a.model)!, (b.kernel ?? b.model)!, key));
}

/** The runs of all slots, each with its process and slot before it. */
export function runsOf(maps: readonly SlotMap[]): Entry[] {
  return maps.flatMap(([proc, slot, runs]) => runs.map((run) => [proc, slot, ...run]));
}

function order(a: Entry, b: Entry, key: number): number {
  for (let i = 0; i < key; i++) if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number);
  return 0;
}
