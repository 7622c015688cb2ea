/**
 * The TLBs of one processor, an ITLB and a DTLB, say: the core works on one of them at a time, and what invalidates reaches them
 * all. Intel SDM vol. 3A, sections 4.10.2 (a processor's TLBs) and 4.10.4.1 (what invalidates).
 */
import type { CoreExports } from '../core/exports.ts';
import { releasedError } from '../core/released.ts';

/** What an instruction drops from the caches. */
export type Invalidation =
  | { readonly drops: 'nothing' }
  /** All entries, of all contexts, global pages included unless they stay. */
  | { readonly drops: 'everything'; readonly keepsGlobal: boolean }
  /** All entries of a context; global pages, which belong to every context, stay or go with them. */
  | { readonly drops: 'context'; readonly pcid: number; readonly keepsGlobal: boolean }
  /** A page of the current context or a global one, and all tables of the context: INVLPG. */
  | { readonly drops: 'page'; readonly va: bigint }
  /** A page of a context and the tables on its way: INVPCID type 0. */
  | { readonly drops: 'page of a context'; readonly va: bigint; readonly pcid: number };

/** Where a TLB lies that was released. */
export const RELEASED: number = -1;
/** None is selected. */
const NONE = -2;

/** TLBs by the linear addresses at which they lie. */
export class TlbSet {
  readonly #core: CoreExports;
  readonly #places = new Set<number>();
  #selected = NONE;

  constructor(core: CoreExports) {
    this.#core = core;
  }

  /** Makes an empty one at a linear address. */
  add(at: number, log2Pages: number, log2Tables: number): void {
    this.#core.makeTlb(at, log2Pages, log2Tables);
    this.#places.add(at);
    this.#selected = at;
  }

  /** Forgets one, whose memory may be used for something else then. */
  remove(at: number): void {
    this.#places.delete(at);
    if (this.#selected !== at) return;
    this.#core.dropTlb();
    this.#selected = NONE;
  }

  /**
   * Lets the core work on one from now on: one comparison where it does already.
   *
   * @throws TypeError when it is none any more
   */
  select(at: number): void {
    if (at !== this.#selected) this.#change(at);
  }

  /** Drops the same from all of them. */
  invalidate(what: Invalidation): void {
    for (const at of this.#places) {
      this.select(at);
      this.#drop(what);
    }
  }

  #change(at: number): void {
    if (at === RELEASED) throw releasedError('tlb');
    this.#core.selectTlb(at);
    this.#selected = at;
  }

  #drop(what: Invalidation): void {
    if (what.drops === 'everything') this.#core.invalidateAll(what.keepsGlobal ? 1 : 0);
    else if (what.drops === 'context') this.#core.invalidatePcid(BigInt(what.pcid), what.keepsGlobal ? 1 : 0);
    else if (what.drops === 'page') this.#core.invalidatePage(what.va);
    else if (what.drops === 'page of a context') this.#core.invalidatePcidPage(what.va, BigInt(what.pcid));
  }
}
