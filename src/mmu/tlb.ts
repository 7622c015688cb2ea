/**
 * The TLB and the paging-structure caches as an object that the embedder owns. Intel SDM vol. 3A, section 4.10.
 * The layout of the caches is in assembly/tlb.ts, what drops entries in assembly/invalidate.ts.
 */
import { checkBigint, checkInteger } from '../core/errors.ts';
import {
  ADDRESS_MASK,
  CR4_LA57,
  CR4_LASS,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  OUTCOME_RIGHTS_SHIFT,
  TLB_ADDRESS_MASK,
  TLB_DIRTY,
  TLB_ENTRY_BYTES,
  TLB_FREE,
  TLB_GLOBAL,
  TLB_KEY_MASK,
  TLB_PAGE_ARRAYS,
  TLB_TABLE_ARRAYS,
} from '../core/generated/layout.ts';
import type { Outcome, PageSize } from '../reference/outcome.ts';
import { protectionKey, referenceWalk } from '../reference/walk.ts';
import { Access, checkAccess } from './access.ts';
import { inPieces } from './batch-arrays.ts';
import type { Mmu } from './mmu.ts';
import { decodeOutcome, pageSizeOf, physicalAddressOf } from './outcome.ts';
import { TlbBatch } from './tlb-batch.ts';

/** Sizes of the caches. */
export interface TlbOptions {
  /** log2 of the entries for each of the three page sizes, 0 to 20. Default 10. */
  readonly log2Pages?: number;
  /** log2 of the entries for each of the four levels of paging-structure entries, 0 to 20. Default 5. */
  readonly log2Tables?: number;
}

/** A page that the TLB holds. */
export interface CachedPage {
  readonly kind: 'page';
  readonly va: bigint;
  readonly pcid: number;
  readonly physicalAddress: bigint;
  readonly pageSize: PageSize;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  readonly shadowStack: boolean;
  readonly protectionKey: number;
  readonly global: boolean;
  readonly dirty: boolean;
}

/** An entry that points to a table, as a paging-structure cache holds it. */
export interface CachedTable {
  readonly kind: 'table';
  readonly va: bigint;
  readonly pcid: number;
  /** Level of the entry: 2 (PDE) to 5 (PML5E). */
  readonly level: number;
  /** Physical address of the table that it points to. */
  readonly table: bigint;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
}

/** A cached entry that the tables no longer bear out. */
export interface StaleEntry {
  readonly cached: CachedPage | CachedTable;
  /** What the tables say now, in words. */
  readonly words: string;
}

/** The four types of INVPCID. */
export type InvpcidType = 0 | 1 | 2 | 3;

/**
 * Caches of an {@link Mmu}'s translations, with the instructions that drop them. Entries that software changes in the
 * tables stay cached until then, as in hardware. Change CR3 and CR4 through it, so that it drops what it must.
 *
 * @example
 * ```ts
 * import { FlatMemory, Mmu, Tlb } from 'hugewalk';
 * const memory = new FlatMemory({ bytes: 1 << 20 });
 * memory.writeEntry(0x1000n, 0x2007n);
 * memory.writeEntry(0x2000n, 0x4000_0087n);
 * const tlb = new Tlb(new Mmu(memory, { cr3: 0x1000n }));
 * tlb.access(0x1234n);                               // walks, sets A, caches
 * memory.writeEntry(0x2000n, 0n);                    // unmapped, but not invalidated:
 * tlb.access(0x1234n).kind;                          // still 'page'
 * tlb.stale()[0]!.words;                             // the PDPTE is not present
 * tlb.invlpg(0x1234n);
 * tlb.access(0x1234n).kind;                          // 'page-fault'
 * ```
 */
export class Tlb {
  readonly mmu: Mmu;
  readonly #at: number;
  readonly #bytes: number;
  readonly #log2Pages: number;
  readonly #log2Tables: number;
  /** The CR3 last seen with each PCID: what stale() compares that context's entries with. */
  readonly #roots = new Map<number, bigint>();

  /** @throws RangeError for sizes out of range, or when the memory has no room for the caches */
  constructor(mmu: Mmu, { log2Pages = 10, log2Tables = 5 }: TlbOptions = {}) {
    checkInteger('log2Pages', log2Pages, 0, 20);
    checkInteger('log2Tables', log2Tables, 0, 20);
    this.mmu = mmu;
    this.#log2Pages = log2Pages;
    this.#log2Tables = log2Tables;
    this.#bytes = mmu.core.tlbBytes(log2Pages, log2Tables);
    this.#at = mmu.memory.arena.allocate(this.#bytes);
    mmu.core.setTlb(this.#at, log2Pages, log2Tables);
    mmu.core.invalidateAll(0);
    this.#noteRoot();
  }

  /** Makes one access: like {@link Mmu.access}, but through the caches. */
  access(va: bigint, access: number = Access.read): Outcome {
    return decodeOutcome(this.accessWord(va, access));
  }

  /** Like {@link access}, but answers with the outcome word. */
  accessWord(va: bigint, access: number = Access.read): bigint {
    checkBigint('va', va);
    checkAccess(access);
    return BigInt.asUintN(64, this.mmu.core.tlbTranslate(va, access));
  }

  /**
   * Makes many accesses, in order.
   *
   * @param addresses linear addresses
   * @param outcomes where the outcome words go, at least as long as `addresses` (may be the same array); default: a new array
   * @returns `outcomes`
   * @throws RangeError when `outcomes` is too short
   */
  accessMany(
    addresses: BigUint64Array,
    access: number = Access.read,
    outcomes: BigUint64Array = new BigUint64Array(addresses.length),
  ): BigUint64Array {
    checkAccess(access);
    const { core, memory } = this.mmu;
    return inPieces(memory, addresses, outcomes, (from, count, to) => core.tlbTranslateMany(from, count, access, to));
  }

  /** Arrays in linear memory for `capacity` accesses a call, without a copy. */
  batch(capacity: number): TlbBatch {
    return new TlbBatch(this.mmu.core, this.mmu.memory, capacity);
  }

  /** How many accesses were made, and for how many of them tables had to be read. */
  get counts(): { readonly lookups: bigint; readonly misses: bigint } {
    return { lookups: this.mmu.core.tlbLookups(), misses: this.mmu.core.tlbMisses() };
  }

  /** INVLPG: drops the page of an address, global or not, and all paging-structure entries of the current PCID. */
  invlpg(va: bigint): void {
    checkBigint('va', va);
    this.mmu.core.invalidatePage(va);
  }

  /**
   * INVPCID. Type 0 drops one address of a PCID, 1 a PCID, 2 everything, 3 everything but global pages; types 0 and 1
   * leave global pages alone.
   */
  invpcid(type: InvpcidType, pcid = 0, va = 0n): void {
    checkInteger('type', type, 0, 3);
    checkInteger('pcid', pcid, 0, this.#usesPcid ? 0xfff : 0);
    checkBigint('va', va);
    if (type === 0) this.mmu.core.invalidatePcidPage(va, BigInt(pcid));
    else if (type === 1) this.mmu.core.invalidatePcid(BigInt(pcid));
    else this.mmu.core.invalidateAll(type === 3 ? 1 : 0);
  }

  /**
   * MOV to CR3: drops what the new PCID has cached, global pages excepted. With CR4.PCIDE, bit 63 of the value set asks
   * to drop nothing; it does not become part of CR3.
   */
  movToCr3(value: bigint): void {
    checkBigint('value', value);
    const keeps = this.#usesPcid && (value & NO_FLUSH) !== 0n;
    this.mmu.setRegisters({ cr3: this.#usesPcid ? value & ~NO_FLUSH : value });
    if (!keeps) this.mmu.core.invalidatePcid(BigInt(this.#pcid));
    this.#noteRoot();
  }

  /**
   * MOV to CR4: everything is dropped, global pages too, when PGE changes or PCIDE is switched off; the current PCID's
   * entries, when SMEP is switched on.
   *
   * @throws RangeError for a change that raises #GP: LA57 while paging, PCIDE on while CR3 holds a PCID other than 0
   */
  movToCr4(value: bigint): void {
    checkBigint('value', value);
    const { cr3, cr4: before } = this.mmu.registers;
    const changed = before ^ value;
    if (changed & CR4_LA57) throw new RangeError('value: expected LA57 as it is, since paging is on');
    if (changed & value & CR4_PCIDE && cr3 & 0xfffn) {
      throw new RangeError(`value: expected PCIDE clear while bits 11:0 of CR3 are 0x${(cr3 & 0xfffn).toString(16)}`);
    }
    const pcid = this.#pcid;
    this.mmu.setRegisters({ cr4: value });
    if (changed & CR4_PGE || changed & before & CR4_PCIDE) this.mmu.core.invalidateAll(0);
    else if (changed & value & CR4_SMEP) this.#dropContextWithGlobals(pcid);
    this.#noteRoot();
  }

  /** Everything that is cached, in no particular order. */
  *entries(): Generator<CachedPage | CachedTable, void, undefined> {
    const words = new BigUint64Array(this.mmu.memory.wasm.buffer, this.#at, this.#bytes / 8).slice();
    const stride = TLB_ENTRY_BYTES / 8;
    let at = 0;
    for (let array = 0; array < TLB_PAGE_ARRAYS + TLB_TABLE_ARRAYS; array++) {
      const holdsPages = array < TLB_PAGE_ARRAYS;
      const end = at + (stride << (holdsPages ? this.#log2Pages : this.#log2Tables));
      for (; at < end; at += stride) {
        const [tag, content] = [words[at]!, words[at + 1]!];
        if (tag === TLB_FREE) continue;
        yield holdsPages ? cachedPage(tag, content, array + 1) : cachedTable(tag, content, array - TLB_PAGE_ARRAYS + 2);
      }
    }
  }

  /**
   * Every cached entry that no longer agrees with the tables, and why: a page or table that they no longer map, or map
   * elsewhere, or with other rights. An entry of another PCID is compared with the tables of the CR3 that was last
   * loaded with it. A missing D bit in the cache is no disagreement.
   */
  stale(): StaleEntry[] {
    const found: StaleEntry[] = [];
    for (const cached of this.entries()) {
      const words = this.#disagreement(cached);
      if (words) found.push({ cached, words });
    }
    return found;
  }

  /** Gives the memory of the caches back; the Tlb must not be used afterwards. */
  release(): void {
    this.mmu.memory.arena.release(this.#at, this.#bytes);
  }

  #disagreement(cached: CachedPage | CachedTable): string | undefined {
    const { memory, registers } = this.mmu;
    const cr3 = (cached.kind === 'page' && cached.global ? undefined : this.#roots.get(cached.pcid)) ?? registers.cr3;
    /* Rights are compared, not demanded: the probe is a supervisor's read that nothing forbids. */
    const permissive = { ...registers, cr3, cr4: registers.cr4 & ~FORBIDDING, rflags: 1n << 18n };
    const { steps } = referenceWalk((at) => memory.readEntry(at), permissive, cached.va, Access.read);
    const level = cached.kind === 'page' ? LEVEL_OF.get(cached.pageSize)! : cached.level;
    const step = steps.find((one) => one.level === level);
    const last = steps.at(-1);
    if (!step)
      return last ? `the walk now ends at level ${last.level}` : 'the root table lies where there is no memory';
    const name = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'][level];
    if (!(step.entry & 1n)) return `the ${name} is not present`;
    if (step.reserved) return `the ${name} has reserved bits set`;
    if (step.leaf !== (cached.kind === 'page'))
      return step.leaf ? `the ${name} maps a page` : `the ${name} points to a table`;
    const size = 1n << BigInt(12 + 9 * (level - 1));
    const now = step.entry & ADDRESS_MASK & (step.leaf ? -size : -0x1000n);
    const then = cached.kind === 'page' ? cached.physicalAddress : cached.table;
    if (now !== then) return `the ${name} leads to 0x${now.toString(16)}, not 0x${then.toString(16)}`;
    const { rights } = step;
    const differing: string[] = RIGHTS.filter((right) => rights[right] !== cached[right]);
    if (cached.kind === 'page') {
      if (rights.shadowStack !== cached.shadowStack) differing.push('shadowStack');
      if (protectionKey(step.entry) !== cached.protectionKey) return `the ${name} has another protection key`;
      if (Boolean((step.entry >> 8n) & 1n) !== cached.global && registers.cr4 & CR4_PGE)
        return `the ${name} has another G bit`;
      if (cached.dirty && !((step.entry >> 6n) & 1n)) return `the ${name} has D clear`;
    }
    if (!((step.entry >> 5n) & 1n)) return `the ${name} has A clear`;
    return differing.length ? `the tables differ in: ${differing.join(', ')}` : undefined;
  }

  /** What SMEP's being switched on drops: all entries of the context, global ones (which belong to every context) too. */
  #dropContextWithGlobals(pcid: number): void {
    for (const cached of [...this.entries()]) {
      if (cached.kind === 'page' && cached.global) this.mmu.core.invalidatePage(cached.va);
    }
    this.mmu.core.invalidatePcid(BigInt(pcid));
  }

  #noteRoot(): void {
    this.#roots.set(this.#pcid, this.mmu.registers.cr3);
  }

  get #usesPcid(): boolean {
    return (this.mmu.registers.cr4 & CR4_PCIDE) !== 0n;
  }

  get #pcid(): number {
    return this.#usesPcid ? Number(this.mmu.registers.cr3 & 0xfffn) : 0;
  }
}

/** Bit 63 of a value moved to CR3: drop nothing. */
const NO_FLUSH = 1n << 63n;
/** SMAP, PKE, PKS and LASS. */
const FORBIDDING = CR4_SMAP | CR4_PKE | CR4_PKS | CR4_LASS;
const RIGHTS = ['writable', 'user', 'executable'] as const;
const LEVEL_OF = new Map<PageSize, number>([1, 2, 3].map((level) => [pageSizeOf(level), level]));

function cachedPage(tag: bigint, content: bigint, level: number): CachedPage {
  const rights = content >> OUTCOME_RIGHTS_SHIFT;
  return {
    kind: 'page',
    va: tag & TLB_ADDRESS_MASK,
    pcid: Number(tag & ~TLB_ADDRESS_MASK),
    physicalAddress: physicalAddressOf(content) & ADDRESS_MASK,
    pageSize: pageSizeOf(level),
    writable: (rights & 1n) !== 0n,
    user: (rights & 2n) !== 0n,
    executable: (rights & 4n) !== 0n,
    shadowStack: (rights & 8n) !== 0n,
    protectionKey: Number(content & TLB_KEY_MASK),
    global: (content & TLB_GLOBAL) !== 0n,
    dirty: (content & TLB_DIRTY) !== 0n,
  };
}

function cachedTable(tag: bigint, content: bigint, level: number): CachedTable {
  return {
    kind: 'table',
    va: tag & TLB_ADDRESS_MASK,
    pcid: Number(tag & ~TLB_ADDRESS_MASK),
    level,
    table: content & ADDRESS_MASK,
    writable: (content & 2n) !== 0n,
    user: (content & 4n) !== 0n,
    executable: (content & 1n) !== 0n,
  };
}
