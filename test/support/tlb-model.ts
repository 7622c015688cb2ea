/**
 * What a TLB may answer: every translation that the tables have allowed at some time since the last invalidation that
 * would have dropped it. Caches may forget at any time, and may hold entries of different ages, but they never invent.
 *
 * It knows nothing of arrays and slots: it keeps the history of every entry and of every CR3, and the time of every
 * invalidation. 4-level paging, addresses of the lower half, no keys, NXE and WP on.
 */
import type { Outcome } from '../../src/index.ts';
import { G, P, PS, U, W, XD } from './tables.ts';

const ADDRESS = 0x000f_ffff_ffff_f000n;
const NEVER = -1;

interface Version<T> {
  readonly since: number;
  readonly value: T;
}

/** Times of the last invalidation of each kind. */
interface Dropped {
  everything: number;
  readonly context: Map<number, number>;
  readonly page: Map<string, number>;
  readonly globalPage: Map<bigint, number>;
}

export class TlbModel {
  #now = 0;
  #pcid = 0;
  readonly #entries = new Map<bigint, Version<bigint>[]>();
  readonly #roots = new Map<number, Version<bigint>[]>();
  readonly #dropped: Dropped = { everything: NEVER, context: new Map(), page: new Map(), globalPage: new Map() };

  /** Tables by physical address, as they are at the beginning; the CR3 with PCID 0. */
  constructor(frames: ReadonlyMap<bigint, BigUint64Array>, cr3: bigint) {
    for (const [at, frame] of frames) {
      for (const [i, entry] of frame.entries()) this.#entries.set(at + BigInt(i) * 8n, [{ since: 0, value: entry }]);
    }
    this.#roots.set(0, [{ since: 0, value: cr3 }]);
  }

  edit(at: bigint, entry: bigint): void {
    this.#entries.get(at)!.push({ since: ++this.#now, value: entry });
  }

  invlpg(va: bigint): void {
    this.#now++;
    this.#dropped.page.set(`${this.#pcid} ${va >> 12n}`, this.#now);
    this.#dropped.globalPage.set(va >> 12n, this.#now);
  }

  invpcid(type: number, pcid: number, va: bigint): void {
    this.#now++;
    if (type === 0) this.#dropped.page.set(`${pcid} ${va >> 12n}`, this.#now);
    else if (type === 1) this.#dropped.context.set(pcid, this.#now);
    else if (type === 2) this.#dropped.everything = this.#now;
    else for (let context = 0; context < 4096; context++) this.#dropped.context.set(context, this.#now);
  }

  movToCr3(value: bigint): void {
    this.#now++;
    this.#pcid = Number(value & 0xfffn);
    const versions = this.#roots.get(this.#pcid) ?? [];
    versions.push({ since: this.#now, value: value & ADDRESS });
    this.#roots.set(this.#pcid, versions);
    if (!(value >> 63n)) this.#dropped.context.set(this.#pcid, this.#now);
  }

  /** Whether an access to `va` may end like this now. */
  allows(va: bigint, write: boolean, user: boolean, outcome: Outcome): boolean {
    const { everything, context, page, globalPage } = this.#dropped;
    const ownSince = Math.max(
      everything,
      context.get(this.#pcid) ?? NEVER,
      page.get(`${this.#pcid} ${va >> 12n}`) ?? NEVER,
    );
    if (this.#reachable(this.#pcid, va, ownSince).some((leaf) => fits(leaf, va, write, user, outcome))) return true;
    /* A fault is taken from the tables as they are. */
    if (outcome.kind !== 'page') return this.#faultsNow(va, write, user, outcome);
    const globalSince = Math.max(everything, globalPage.get(va >> 12n) ?? NEVER);
    return [...this.#roots.keys()].some((pcid) =>
      this.#reachable(pcid, va, globalSince).some((leaf) => leaf.entry & G && fits(leaf, va, write, user, outcome)),
    );
  }

  /** Every leaf that a walk may have found at some mixture of times from `since` on. */
  #reachable(pcid: number, va: bigint, since: number): Leaf[] {
    const leaves: Leaf[] = [];
    const descend = (table: bigint, level: number, rights: bigint): void => {
      const at = table + ((va >> BigInt(12 + 9 * (level - 1))) & 511n) * 8n;
      for (const entry of valuesFrom(this.#entries.get(at) ?? [], since)) {
        if (!(entry & P)) continue;
        const left = rights & (entry ^ XD);
        if (level === 1 || (entry & PS && level <= 3)) leaves.push({ entry, level, rights: left });
        else descend(entry & ADDRESS, level - 1, left);
      }
    };
    for (const root of valuesFrom(this.#roots.get(pcid) ?? [], since)) descend(root & ADDRESS, 4, W | U | XD);
    return leaves;
  }

  #faultsNow(va: bigint, write: boolean, user: boolean, outcome: Outcome): boolean {
    if (outcome.kind !== 'page-fault') return false;
    const now = this.#reachable(this.#pcid, va, this.#now);
    const present = now.length > 0 ? 1 : 0;
    return (
      outcome.errorCode === (present | (write ? 2 : 0) | (user ? 4 : 0)) &&
      !now.some((leaf) => permits(leaf, write, user))
    );
  }
}

interface Leaf {
  readonly entry: bigint;
  readonly level: number;
  readonly rights: bigint;
}

function permits({ rights }: Leaf, write: boolean, user: boolean): boolean {
  return !(user && !(rights & U)) && !(write && !(rights & W));
}

function fits(leaf: Leaf, va: bigint, write: boolean, user: boolean, outcome: Outcome): boolean {
  if (outcome.kind !== 'page' || !permits(leaf, write, user)) return false;
  const size = 1n << BigInt(12 + 9 * (leaf.level - 1));
  const physical = (leaf.entry & ADDRESS & -size) | (va & (size - 1n));
  return (
    outcome.physicalAddress === physical &&
    outcome.pageSize === Number(size) &&
    outcome.writable === Boolean(leaf.rights & W) &&
    outcome.user === Boolean(leaf.rights & U) &&
    outcome.executable === Boolean(leaf.rights & XD)
  );
}

/** The values that a history shows from a time on: the one in force then, and all later ones. */
function valuesFrom<T>(versions: readonly Version<T>[], since: number): T[] {
  const first = versions.findLastIndex((version) => version.since <= since);
  return versions.slice(Math.max(first, 0)).map(({ value }) => value);
}
