/**
 * In what the model can differ from what a scenario tells.
 */
import type { CacheEntry, PageEntry, PoolCounts, SlotMap, Usage } from '../line/states.ts';
import type { Found } from '../stage/answer.ts';

/** In what the model differs, and what either side has. */
export type Disagreement =
  /** How the operation ended; that it never did is a hang. The kernel's is undefined where the line does not tell, and {@link DIED} of a death. */
  | Sides<'result' | 'hang', string | undefined, string>
  /** The byte that was read, how many were, their hash. */
  | (Sides<'found', Found> & { readonly field: string })
  /** The counts after an operation, and after everything. */
  | Sides<'pool' | 'end', PoolCounts>
  /** Huge pages in page tables. */
  | Sides<'pages', readonly PageEntry[]>
  /** 4 KiB pages that processes have mapped. */
  | Sides<'usage', readonly Usage[]>
  /** Huge pages of files. */
  | Sides<'cache', readonly CacheEntry[]>
  /** Page tables, entry by entry. */
  | Sides<'maps', readonly SlotMap[]>
  /** A rule of the model's own was broken; its sequence is left there. */
  | Sides<'invariant', string>;

interface Sides<W extends string, K, M = K> {
  readonly what: W;
  readonly kernel: K;
  readonly model: M;
}

/** How an operation ended in which the kernel died, where it is not told of what. */
export const DIED = 'BUG or HANG';

/** Whether two values are the same: numbers, words, or lists of such. */
export function same(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!same(a[i], b[i])) return false;
  return true;
}
