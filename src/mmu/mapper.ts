/**
 * Writes page tables: what teachers, tests and emulators otherwise do by hand.
 * Intel SDM vol. 3A, sections 4.5 (entries) and 4.10.4 (what has to be invalidated). The vocabulary is that of the crate
 * x86_64 (rust-osdev): Mapper, frames from an allocator, a closed set of outcomes for each operation.
 */
import {
  checkAligned,
  checkBigint,
  checkFunction,
  checkOptions,
  hex,
  type OptionNames,
  shown,
} from '../core/errors.ts';
import { checkPhysicalMemory, type PhysicalMemory } from '../core/physical-memory.ts';
import type { PageSize } from '../reference/outcome.ts';
import {
  addressMask,
  executeDisable,
  pageSize as pageSizeBit,
  patOfLargePage,
  present,
  protectionKeyMask,
  user,
  writable,
} from './bits/entry.ts';
import type { Changed, MapResult, NoFrame, ProtectResult, UnmapResult } from './mapper-result.ts';
import { checkCanonical } from './scan.ts';
import { changeRange, clearTable, mapRange, type Work } from './table-edit.ts';
import { bytesOf } from './table-entries.ts';
import { planChange, planMap, restrictedAbove } from './table-plan.ts';
import { tablesAmong } from './table-pointers.ts';

/** Where a {@link Mapper}'s tables are. */
export interface MapperOptions {
  /** Physical address of the root table, with whatever it holds. Default: a new, empty one. */
  readonly root?: bigint;
  /** Levels: 5 for an Mmu with CR4.LA57. Default 4. */
  readonly levels?: 4 | 5;
  /**
   * Gives the physical address of a 4 KiB frame (in memory, with any content) for a new table; undefined where there is none
   * left. A RangeError where it is a table already, as far as entries below `root` say.
   */
  readonly allocateFrame: () => bigint | undefined;
  /**
   * Takes back the frame of a table that has become empty, if no entry below `root` points to it any more, whoever wrote that entry. What
   * other roots point to is not known: who lets them share tables has to keep count here. Default: empty tables stay where they are.
   */
  readonly freeFrame?: (frame: bigint) => void;
}

const OPTIONS: OptionNames<MapperOptions> = { root: true, levels: true, allocateFrame: true, freeFrame: true };
const EXPECTED_FREE = 'allocateFrame(): expected a frame that is free';
const LEVEL_OF: ReadonlyMap<number, number> = new Map([1, 2, 3].map((level) => [Number(bytesOf(level)), level]));
/** What a leaf's bits may be: all but the address. */
const LEAF_BITS = ~addressMask & 0xffff_ffff_ffff_ffffn;
const LARGE_LEAF_BITS = LEAF_BITS | patOfLargePage;
/** What protect changes: R/W, U/S, XD and the protection key. */
const RIGHTS = writable | user | executeDisable | protectionKeyMask;

/**
 * Maps pages, takes them away, changes their rights: 4 KiB, 2 MiB and 1 GiB, over any physical memory. An operation is
 * done as a whole or not at all. Entries are written one after the other, not by locked operations: where other processors
 * set A and D meanwhile, theirs may be lost. Where two entries point to one table, what is done under one is done under the other,
 * too, and only addresses of the range are named for INVLPG; a range that comes to such a table twice is refused.
 *
 * @example
 * ```ts
 * import { Entry, FlatMemory, Mapper, Mmu } from 'hugewalk';
 * const memory = new FlatMemory({ bytes: 1 << 20 });
 * let next = 0x1000n;
 * const mapper = new Mapper(memory, { allocateFrame: () => (next += 0x1000n) });
 * mapper.map(0x40_0000n, 0x800_0000n, 0x40_0000n, Entry.writable | Entry.user, 0x20_0000);   // two pages of 2 MiB
 * mapper.protect(0x40_0000n, 0x1000n, Entry.user);      // splits the first: { kind: 'changed', invalidate: [0x400000n] }
 * mapper.unmap(0x80_0000n, 0x1000n).kind;               // 'not-mapped'
 * const mmu = new Mmu(memory, { cr3: mapper.root });
 * mmu.translate(0x40_1234n);                            // { kind: 'page', physicalAddress: 0x8001234n, pageSize: 4096, … }
 * ```
 */
export class Mapper {
  readonly memory: PhysicalMemory;
  /** Physical address of the root table, for CR3. */
  readonly root: bigint;
  readonly levels: 4 | 5;
  readonly #allocate: () => bigint | undefined;
  readonly #free: ((frame: bigint) => void) | undefined;

  /** @throws TypeError or RangeError for options that make no tables, or where there is no frame for the root */
  constructor(memory: PhysicalMemory, options: MapperOptions) {
    checkPhysicalMemory(memory);
    checkOptions('options', options, OPTIONS);
    const { root, levels = 4, allocateFrame, freeFrame } = options;
    if (levels !== 4 && levels !== 5) throw new RangeError(`levels: expected 4 or 5, got ${shown(levels)}`);
    checkFunction('allocateFrame', allocateFrame, 'that gives the frame of a new table');
    if (freeFrame !== undefined) checkFunction('freeFrame', freeFrame, 'that takes the frame of a table back');
    this.memory = memory;
    this.levels = levels;
    this.#allocate = allocateFrame;
    this.#free = freeFrame;
    this.root = root === undefined ? this.#newRoot() : root;
    this.#checkFrame('root', this.root);
  }

  /**
   * Maps `bytes` from `va` on to `bytes` from `pa` on, by pages of one size. Tables that are missing are made, and leave all
   * rights to the leaves.
   *
   * @param va linear address, canonical, a multiple of the page size
   * @param pa physical address, likewise
   * @param bytes likewise; more than 0n
   * @param bits of each leaf, out of `Entry`; P, and PS where it belongs, are always there. PAT is `Entry.pat` in a 4 KiB
   *   page, `Entry.patOfLargePage` in a larger one
   * @param pageSize in bytes. Default 4 KiB
   * @throws TypeError or RangeError for arguments that make no range
   */
  map(va: bigint, pa: bigint, bytes: bigint, bits: bigint, pageSize: PageSize = 0x1000): MapResult {
    const leafLevel = LEVEL_OF.get(pageSize);
    if (leafLevel === undefined) {
      const sizes = '0x1000, 0x200000 or 0x40000000';
      const Wrong = typeof pageSize === 'number' ? RangeError : TypeError;
      throw new Wrong(`pageSize: expected ${sizes}, got ${shown(pageSize)}`);
    }
    const last = this.#lastOf(va, bytes, BigInt(pageSize));
    checkAligned('pa', pa, BigInt(pageSize), addressMask);
    if (pa + bytes - 1n > (addressMask | 0xfffn)) {
      throw new RangeError(`pa: expected a range below 2^52, got ${hex(pa)} + ${hex(bytes)}`);
    }
    checkBits('bits', bits, leafLevel === 1 ? LEAF_BITS : LARGE_LEAF_BITS, 'bits of Entry without the address');
    const leaf = bits | present | (leafLevel === 1 ? 0n : pageSizeBit);
    const plan = planMap(this, va, last, leafLevel, leaf);
    return this.#perform(plan, (work) => mapRange(this, va, last, pa, leafLevel, leaf, work));
  }

  /**
   * Unmaps all pages of a range. A large page of which a part stays is split.
   *
   * @param va linear address, canonical, a multiple of 4096
   * @param bytes a multiple of 4096, more than 0n
   * @throws TypeError or RangeError for arguments that make no range
   */
  unmap(va: bigint, bytes: bigint): UnmapResult {
    const last = this.#lastOf(va, bytes, 0x1000n);
    const gone = (): bigint => 0n;
    const plan = planChange<never>(this, va, last, gone, () => undefined);
    return this.#perform(plan, (work) => changeRange(this, va, last, gone, work));
  }

  /**
   * Gives all pages of a range other rights: R/W, U/S, XD and the protection key become what `rights` says. All else, A and D
   * too, stays. A large page of which a part keeps its rights is split.
   *
   * @param va linear address, canonical, a multiple of 4096
   * @param bytes a multiple of 4096, more than 0n
   * @param rights `Entry.writable`, `Entry.user`, `Entry.executeDisable` and a protection key
   * @throws TypeError or RangeError for arguments that make no range, or no rights
   */
  protect(va: bigint, bytes: bigint, rights: bigint): ProtectResult {
    const last = this.#lastOf(va, bytes, 0x1000n);
    checkBits('rights', rights, RIGHTS | present, 'R/W, U/S, XD and a protection key');
    const given = (leaf: bigint): bigint => (leaf & ~RIGHTS) | rights | present;
    const plan = planChange(this, va, last, given, (span) => restrictedAbove(span, rights));
    return this.#perform(plan, (work) => changeRange(this, va, last, given, work));
  }

  /** Has all frames before anything is changed. */
  #perform<O extends object>(plan: number | O, change: (work: Work) => void): Changed | NoFrame | O {
    if (typeof plan !== 'number') return plan;
    const frames = this.#framesFor(plan);
    if (!frames) return { kind: 'no-frame', needed: plan };
    const work: Work = { frames, invalidate: [], freed: new Set(), frees: this.#free !== undefined };
    change(work);
    this.#giveBack(work.freed);
    return { kind: 'changed', invalidate: work.invalidate };
  }

  /** Frames for so many tables; undefined, with none taken, where there are not enough. */
  #framesFor(tables: number): bigint[] | undefined {
    const frames = new Set<bigint>();
    let complete = false;
    try {
      while (frames.size < tables) {
        const frame = this.#allocate();
        if (frame === undefined) return undefined;
        this.#checkFrame('allocateFrame()', frame);
        if (frames.has(frame)) throw new RangeError(`${EXPECTED_FREE}, got ${hex(frame)} twice`);
        frames.add(frame);
      }
      const [table] = tables > 0 ? tablesAmong(this, frames) : [];
      if (table !== undefined) throw new RangeError(`${EXPECTED_FREE}, got ${hex(table)}, which is a table`);
      complete = true;
    } finally {
      /* Also where allocateFrame throws. */
      if (!complete) this.#giveBack(frames);
    }
    /* They are taken from the end: the table that was allocated first is the uppermost. */
    return [...frames].reverse();
  }

  /** What an entry still points to stays, for whoever wrote that. */
  #giveBack(frames: ReadonlySet<bigint>): void {
    if (frames.size === 0 || !this.#free) return;
    const tables = tablesAmong(this, frames);
    for (const frame of frames) if (!tables.has(frame)) this.#free(frame);
  }

  #newRoot(): bigint {
    const root = this.#allocate();
    if (root === undefined) throw new RangeError('allocateFrame(): expected a frame for the root table, got undefined');
    this.#checkFrame('allocateFrame()', root);
    clearTable(this.memory, root);
    return root;
  }

  #checkFrame(name: string, frame: unknown): void {
    checkAligned(name, frame, 0x1000n, addressMask);
    if (this.memory.readEntry(frame + 0xff8n) !== undefined) return;
    throw new RangeError(`${name}: expected a frame that is in memory, got ${hex(frame)}`);
  }

  /** The last address of a range. */
  #lastOf(va: bigint, bytes: bigint, unit: bigint): bigint {
    const width = this.levels === 5 ? 57 : 48;
    checkAligned('va', va, unit);
    checkCanonical('va', va, width);
    checkAligned('bytes', bytes, unit);
    const most = (1n << BigInt(width - 1)) - (va & ((1n << BigInt(width - 1)) - 1n));
    if (bytes > 0n && bytes <= most) return va + bytes - 1n;
    throw new RangeError(`bytes: expected ${hex(unit)} to ${hex(most)} from ${hex(va)} on, got ${hex(bytes)}`);
  }
}

function checkBits(name: string, bits: unknown, allowed: bigint, what: string): asserts bits is bigint {
  checkBigint(name, bits);
  if (bits & ~allowed) throw new RangeError(`${name}: expected ${what}, got ${hex(bits)}`);
}
