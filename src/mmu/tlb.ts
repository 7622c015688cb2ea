/**
 * The TLB and the paging-structure caches as an object that the embedder owns. Intel SDM vol. 3A, section 4.10.
 * The layout of the caches is in assembly/tlb.ts, what drops entries in assembly/invalidate.ts.
 */
import { checkBigint, checkInteger, checkOptions, type OptionNames, wrongKind } from '../core/errors.ts';
import type { CoreExports } from '../core/exports.ts';
import {
  ADDRESS_MASK,
  CR4_LASS,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  TLB_ENTRY_BYTES,
  TLB_FREE,
  TLB_HEADER_BYTES,
  TLB_PAGE_ARRAYS,
  TLB_TABLE_ARRAYS,
} from '../core/generated/layout.ts';
import { type Releasable, releasedError } from '../core/released.ts';
import type { Outcome, PageSize } from '../reference/outcome.ts';
import { protectionKey, referenceWalk } from '../reference/walk.ts';
import { Access, type AccessArgument, accessOf } from './access.ts';
import { inPieces, type ManyArguments } from './batch-arrays.ts';
import { type CachedPage, type CachedTable, cachedPage, cachedTable } from './cached-entry.ts';
import type { InstructionOutcome } from './instructions.ts';
import { Mmu } from './mmu.ts';
import { decodeOutcome, pageSizeOf } from './outcome.ts';
import { TlbBatch } from './tlb-batch.ts';
import { RELEASED, type TlbSet } from './tlb-set.ts';

/** Sizes of the caches. */
export interface TlbOptions {
  /** log2 of the entries for each of the three page sizes, 0 to 20. Default 10. */
  readonly log2Pages?: number;
  /** log2 of the entries for each of the four levels of paging-structure entries, 0 to 20. Default 5. */
  readonly log2Tables?: number;
}

const OPTIONS: OptionNames<TlbOptions> = { log2Pages: true, log2Tables: true };

/** Where in linear memory a TLB lies: byte offsets. It stays there until it is released. */
export interface TlbLayout {
  /** Its header. */
  readonly at: number;
  readonly bytes: number;
  /** Three arrays, one behind the other, of `2 ** log2Pages` entries each: pages of 4 KiB, 2 MiB, 1 GiB. */
  readonly pages: number;
  /** Four arrays of `2 ** log2Tables` entries each: PDEs, PDPTEs, PML4Es, PML5Es. */
  readonly tables: number;
  readonly log2Pages: number;
  readonly log2Tables: number;
}

/** A cached entry that the tables no longer bear out. */
export interface StaleEntry {
  readonly cached: CachedPage | CachedTable;
  /** What the tables say now, in words. */
  readonly words: string;
}

/**
 * Caches of an {@link Mmu}'s translations. Entries that software changes in the tables stay cached until an instruction drops
 * them, as in hardware. A processor may have several, an ITLB and a DTLB: each has its own entries and counts, and an
 * instruction reaches them all, whether it is called here or on the Mmu.
 *
 * @example
 * ```ts
 * import { Entry, FlatMemory, Mmu, Tlb } from 'hugewalk';
 * const memory = new FlatMemory({ bytes: 1 << 20 });
 * memory.writeEntry(0x1000n, 0x2000n | Entry.present | Entry.writable);
 * memory.writeEntry(0x2000n, 0x4000_0000n | Entry.present | Entry.writable | Entry.pageSize);
 * const tlb = new Tlb(new Mmu(memory, { cr3: 0x1000n }));
 * tlb.access(0x1234n);                               // walks, sets A, caches
 * memory.writeEntry(0x2000n, 0n);                    // unmapped, but not invalidated:
 * tlb.access(0x1234n).kind;                          // still 'page'
 * tlb.stale()[0]!.words;                             // the PDPTE is not present
 * tlb.invlpg(0x1234n);
 * tlb.access(0x1234n).kind;                          // 'page-fault'
 * ```
 */
export class Tlb implements Releasable {
  readonly mmu: Mmu;
  readonly #core: CoreExports;
  readonly #tlbs: TlbSet;
  /** Linear address, or RELEASED. */
  #at: number;
  readonly #bytes: number;
  readonly #log2Pages: number;
  readonly #log2Tables: number;

  /** @throws RangeError for sizes out of range, or when the memory has no room for the caches */
  constructor(mmu: Mmu, options: TlbOptions = {}) {
    if (!(mmu instanceof Mmu)) throw wrongKind('mmu', 'an Mmu', mmu);
    checkOptions('options', options, OPTIONS);
    const { log2Pages = 10, log2Tables = 5 } = options;
    checkInteger('log2Pages', log2Pages, 0, 20);
    checkInteger('log2Tables', log2Tables, 0, 20);
    const { core, tlbs } = mmu;
    this.mmu = mmu;
    this.#core = core;
    this.#tlbs = tlbs;
    this.#log2Pages = log2Pages;
    this.#log2Tables = log2Tables;
    this.#bytes = core.tlbBytes(log2Pages, log2Tables);
    this.#at = mmu.memory.arena.allocate(this.#bytes);
    tlbs.add(this.#at, log2Pages, log2Tables);
  }

  /**
   * Where its entries lie, for a module that looks into them itself: see docs/abi.md.
   *
   * @throws TypeError when the TLB or its memory was released
   *
   * @example
   * ```ts
   * import { FlatMemory, Mmu, Tlb } from 'hugewalk';
   * const tlb = new Tlb(new Mmu(new FlatMemory({ bytes: 1 << 20 }), { cr3: 0n }), { log2Pages: 4 });
   * const { pages, log2Pages } = tlb.layout;
   * const first = new BigUint64Array(tlb.mmu.memory.wasm.buffer, pages, 2);   // tag and content of the first entry for 4 KiB
   * console.log(first, 2 ** log2Pages);
   * ```
   */
  get layout(): TlbLayout {
    this.select();
    const pages = this.#at + TLB_HEADER_BYTES;
    return {
      at: this.#at,
      bytes: this.#bytes,
      pages,
      tables: pages + TLB_PAGE_ARRAYS * (TLB_ENTRY_BYTES << this.#log2Pages),
      log2Pages: this.#log2Pages,
      log2Tables: this.#log2Tables,
    };
  }

  /** Makes one access: like {@link Mmu.access}, but through the caches. */
  access(va: bigint, ...access: AccessArgument): Outcome {
    checkBigint('va', va);
    return decodeOutcome(BigInt.asUintN(64, this.select().tlbTranslate(va, accessOf(access))));
  }

  /** Like {@link access}, but answers with the outcome word. */
  accessWord(va: bigint, ...access: AccessArgument): bigint {
    checkBigint('va', va);
    return BigInt.asUintN(64, this.select().tlbTranslate(va, accessOf(access)));
  }

  /**
   * Makes many accesses, in order.
   *
   * @param addresses linear addresses
   * @param rest the access, default a supervisor's read; and `outcomes`: where the outcome words go, at least as long as `addresses` (may be the same array); default: a new array
   * @returns `outcomes`
   * @throws RangeError when `outcomes` is too short
   */
  accessMany(addresses: BigUint64Array, ...rest: ManyArguments): BigUint64Array {
    const access = accessOf(rest);
    const core = this.select();
    return inPieces(this.mmu.memory, addresses, rest[1], (from, count, to) =>
      core.tlbTranslateMany(from, count, access, to),
    );
  }

  /** Arrays in linear memory for `capacity` accesses a call, without a copy. */
  batch(capacity: number): TlbBatch {
    this.select();
    return new TlbBatch(this, capacity);
  }

  /** How many accesses were made, and for how many of them tables had to be read. */
  get counts(): { readonly lookups: bigint; readonly misses: bigint } {
    const core = this.select();
    return { lookups: core.tlbLookups(), misses: core.tlbMisses() };
  }

  /** The processor's INVLPG, which reaches all of its TLBs: {@link Mmu.invlpg}. */
  invlpg(va: bigint): void {
    this.select();
    this.mmu.invlpg(va);
  }

  /** The processor's INVPCID, likewise: {@link Mmu.invpcid}. */
  invpcid(type: number, pcid: number | bigint = 0, va: bigint = 0n): InstructionOutcome {
    this.select();
    return this.mmu.invpcid(type, pcid, va);
  }

  /** The processor's MOV to CR0, likewise: {@link Mmu.movToCr0}. */
  movToCr0(value: bigint, is64BitCode?: boolean): InstructionOutcome {
    this.select();
    return this.mmu.movToCr0(value, is64BitCode);
  }

  /** The processor's MOV to CR3, likewise: {@link Mmu.movToCr3}. */
  movToCr3(value: bigint): InstructionOutcome {
    this.select();
    return this.mmu.movToCr3(value);
  }

  /** The processor's MOV to CR4, likewise: {@link Mmu.movToCr4}. */
  movToCr4(value: bigint): InstructionOutcome {
    this.select();
    return this.mmu.movToCr4(value);
  }

  /** The processor's WRMSR, likewise: {@link Mmu.wrmsr}. */
  wrmsr(msr: number, value: bigint): InstructionOutcome {
    this.select();
    return this.mmu.wrmsr(msr, value);
  }

  /**
   * Lets the core's functions of the TLB work on this one, for embedders who call them, and answers with the core: see
   * {@link Mmu.core}.
   *
   * @throws TypeError when the TLB or its memory was released
   */
  select(): CoreExports {
    if (this.mmu.memory.isReleased) throw releasedError('memory');
    this.#tlbs.select(this.#at);
    return this.#core;
  }

  /** Everything that is cached, in no particular order. */
  entries(): Generator<CachedPage | CachedTable, void, undefined> {
    this.select();
    return this.#entries();
  }

  *#entries(): Generator<CachedPage | CachedTable, void, undefined> {
    this.select();
    const words = new BigUint64Array(this.mmu.memory.wasm.buffer, this.#at, this.#bytes / 8).slice();
    const stride = TLB_ENTRY_BYTES / 8;
    let at = TLB_HEADER_BYTES / 8;
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

  /** Gives the memory of the caches back: any use of the Tlb, or of its batches, throws afterwards. More than once does nothing. */
  release(): void {
    if (this.#at === RELEASED) return;
    this.#tlbs.remove(this.#at);
    this.mmu.memory.arena.release(this.#at, this.#bytes);
    this.#at = RELEASED;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #disagreement(cached: CachedPage | CachedTable): string | undefined {
    const { memory, registers } = this.mmu;
    const cr3 = (cached.kind === 'page' && cached.global ? undefined : this.mmu.rootOf(cached.pcid)) ?? registers.cr3;
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
}

/** SMAP, PKE, PKS and LASS. */
const FORBIDDING = CR4_SMAP | CR4_PKE | CR4_PKS | CR4_LASS;
const RIGHTS = ['writable', 'user', 'executable'] as const;
const LEVEL_OF = new Map<PageSize, number>([1, 2, 3].map((level) => [pageSizeOf(level), level]));
