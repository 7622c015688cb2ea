/**
 * What differs between two lists of a state.
 */
import { same } from './disagreement.ts';

type Entry = readonly unknown[];

/** One entry as two states have it; undefined where a state does not have it. */
export interface DifferingEntry<T extends Entry = Entry> {
  readonly kernel: T | undefined;
  readonly model: T | undefined;
}

/**
 * The entries that two lists disagree about, in their order.
 *
 * @param key how many of its first items, which are numbers, tell which entry it is
 * @param agree whether two that have the same key are the same
 */
export function differingEntries<T extends Entry>(
  kernel: readonly T[],
  model: readonly T[],
  key: number,
  agree: (a: T, b: T) => boolean = same,
): DifferingEntry<T>[] {
  const keyOf = (entry: T): string => entry.slice(0, key).join(' ');
  const others = new Map(model.map((entry) => [keyOf(entry), entry]));
  const differing: DifferingEntry<T>[] = [];
  for (const entry of kernel) {
    const other = others.get(keyOf(entry));
    others.delete(keyOf(entry));
    if (!other || !agree(entry, other)) differing.push({ kernel: entry, model: other });
  }
  for (const entry of others.values()) differing.push({ kernel: undefined, model: entry });
  return differing.sort((a, b) => order((a.kernel ?? a.model)!, (b.kernel ?? b.model)!, key));
}

function order(a: Entry, b: Entry, key: number): number {
  for (let i = 0; i < key; i++) if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number);
  return 0;
}
