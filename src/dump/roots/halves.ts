/**
 * What the halves of root tables tell: kernels share their upper half over all roots, page-table isolation makes pairs of roots.
 */
import type { Dump } from '../dump.ts';
import type { RootCandidate } from './candidate.ts';
import { type AddressRule, addressAt, ENTRIES, PRESENT, TABLE_BYTES } from './entry-halves.ts';
import type { Standing } from './standing.ts';

/** How many candidates have each entry of the upper half: by index and address in one number. */
export class UpperHalves {
  readonly #counts = new Map<number, number>();
  readonly #rule: AddressRule;

  constructor(standing: readonly Standing[], rule: AddressRule) {
    this.#rule = rule;
    for (const one of standing) for (const key of this.#keysOf(one)) this.#counts.set(key, this.#countOf(key) + 1);
  }

  /** How many others share an entry with a candidate, and how many of its entries are shared. */
  sharedBy(one: Standing): { readonly sharedWith: number; readonly sharedEntries: number } {
    const counts = this.#keysOf(one).map((key) => this.#countOf(key));
    return {
      sharedWith: Math.max(1, ...counts) - 1,
      sharedEntries: counts.filter((count) => count > 1).length,
    };
  }

  #countOf(key: number): number {
    return this.#counts.get(key) ?? 0;
  }

  #keysOf({ words, frame }: Standing): number[] {
    const keys: number[] = [];
    for (let index = ENTRIES / 2; index < ENTRIES; index++) {
      if (!(words[2 * index]! & PRESENT)) continue;
      const address = addressAt(words, index, this.#rule);
      if (address !== frame) keys.push(index * 2 ** 40 + address / TABLE_BYTES);
    }
    return keys;
  }
}

/** The half of a pair of roots, as page-table isolation has them: Linux, arch/x86/include/asm/pgtable.h, kernel_to_user_pgdp. */
export function isolationOf(
  one: Standing,
  byFrame: ReadonlyMap<number, Standing>,
  rule: AddressRule,
): RootCandidate['isolation'] {
  const isSecond = (one.frame / TABLE_BYTES) % 2 === 1;
  const other = byFrame.get(one.frame + (isSecond ? -TABLE_BYTES : TABLE_BYTES));
  if (!other || other.levels !== one.levels) return undefined;
  const [kernel, user] = isSecond ? [other, one] : [one, other];
  if (!isPair(kernel.words, user.words, rule)) return undefined;
  return { half: isSecond ? 'user' : 'kernel', other: BigInt(other.frame) };
}

/** The same lower half, and an upper half that has less and is another: both hold of no two neighbours by themselves. */
function isPair(kernel: Int32Array, user: Int32Array, rule: AddressRule): boolean {
  let fewer = false;
  for (let index = 0; index < ENTRIES; index++) {
    const has = [kernel, user].map((words) => (words[2 * index]! & PRESENT) !== 0);
    const same = has[0] === has[1] && (!has[0] || addressAt(kernel, index, rule) === addressAt(user, index, rule));
    if (index < ENTRIES / 2 ? !same : has[1] && !has[0]) return false;
    if (index >= ENTRIES / 2 && has[0] && !has[1]) fewer = true;
  }
  return fewer;
}

/** Entries that are present from one index up to, not including, another. */
export function presentIn(words: Int32Array, from: number, to: number): number {
  let present = 0;
  for (let index = from; index < to; index++) if (words[2 * index]! & PRESENT) present++;
  return present;
}

/** The processors of a dump whose CR3 is a root. */
export function cpusAt(dump: Dump, frame: number, rule: AddressRule): number[] {
  return dump.cpus.flatMap(({ cr3 }, cpu) => {
    const halves = new Int32Array([Number(BigInt.asIntN(32, cr3)), Number(BigInt.asIntN(32, cr3 >> 32n))]);
    return addressAt(halves, 0, rule) === frame ? [cpu] : [];
  });
}
