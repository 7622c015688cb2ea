import { Arena, WASM_PAGE } from './arena.ts';
import { claim, type LinearRange, SET_ASIDE, yieldClaim } from './claims.ts';
import {
  checkAligned,
  checkBigint,
  checkBoolean,
  checkInteger,
  checkOptions,
  hex,
  type OptionNames,
  wrongKind,
} from './errors.ts';
import type { CoreExports } from './exports.ts';
import { TABLE_BYTES } from './generated/layout.ts';
import { FLAT_CORE, type InlinedCore, THREADS_CORE } from './inlined.ts';
import { MemoryViews, type PhysicalMemory } from './physical-memory.ts';
import type { WasmMemory } from './platform.ts';
import { releasedError } from './released.ts';

/** How to lay out a {@link FlatMemory}. */
export interface FlatMemoryOptions {
  /** Bytes of physical memory, from 4096 to almost 4 GiB: physical addresses 0 to bytes - 1 exist. */
  readonly bytes: number;
  /** The embedder's own memory, in which the physical memory already lies. Default: a new one, filled with zeros. */
  readonly memory?: WasmMemory;
  /** Where in `memory` physical address 0 lies: a byte offset, a multiple of 8. Default 0. */
  readonly base?: number;
  /**
   * Whether the new memory is shared, so that workers can walk it at the same time: see {@link FlatMemory.share}.
   * Default false. An embedder's `memory` is shared if it was made so.
   */
  readonly shared?: boolean;
  /**
   * A piece of `memory` that hugewalk may write to, for batches and listings. Without it only calls that need no
   * buffer work: an embedder's memory is never grown, since that would detach the embedder's views.
   */
  readonly scratch?: LinearRange;
}

/**
 * What another thread needs to walk a shared memory: post it, and hand it to {@link FlatMemory.from} there. One value is for one
 * memory.
 */
export interface SharedFlatMemory {
  /** The linear memory, shared. */
  readonly memory: WasmMemory;
  /** Byte offset of physical address 0 in it. */
  readonly base: number;
  /** Bytes of physical memory. */
  readonly bytes: number;
  /** The other thread's own piece, for its TLBs, batches and listings. Its first 8 bytes say whether somebody has it. */
  readonly scratch: LinearRange;
}

/** Bytes of scratch that another thread is given: a TLB of the default size, and batches of thousands. */
const SHARED_SCRATCH = 2 ** 20;
/** Bytes at the beginning of a shared piece that say whether somebody has it. */
const TAKEN_BYTES = 8;
const [FREE, TAKEN] = [0, 1];
const OPTIONS: OptionNames<FlatMemoryOptions> = { bytes: true, memory: true, base: true, shared: true, scratch: true };

/** Room that a new memory keeps for buffers next to the physical memory. */
const RESERVED_FOR_BUFFERS = 64 * WASM_PAGE;
const NOTHING: LinearRange = { at: 0, bytes: 0 };
const LARGEST = 65536 * WASM_PAGE - WASM_PAGE - RESERVED_FOR_BUFFERS;

/**
 * Flat physical memory: one piece of linear memory, physical address = offset from its base.
 *
 * Several may lie over one WebAssembly.Memory. Their images are the very same bytes, as for several processors, or have none in
 * common; the scratch of one has no byte in common with anything of another. {@link release} ends that.
 *
 * @example Memory of our own, with one 1 GiB page at linear address 0
 * ```ts
 * import { Entry, FlatMemory, Mmu } from 'hugewalk';
 * const { present, writable, user, pageSize } = Entry;
 * const memory = new FlatMemory({ bytes: 1 << 20 });
 * memory.writeEntry(0x1000n, 0x2000n | present | writable | user);                   // PML4[0] -> PDPT at 0x2000
 * memory.writeEntry(0x2000n, 0x4000_0000n | present | writable | user | pageSize);   // PDPT[0] -> 1 GiB page
 * const mmu = new Mmu(memory, { cr3: 0x1000n });
 * mmu.translate(0x1234n);                            // { kind: 'page', physicalAddress: 0x4000_1234n, … }
 * ```
 */
export class FlatMemory implements PhysicalMemory {
  readonly kind: 'flat' | 'threads';
  readonly wasm: WasmMemory;
  readonly arena: Arena;
  /** Bytes of physical memory. */
  readonly bytes: number;
  /** Byte offset of physical address 0 in linear memory. */
  readonly base: number;
  readonly #views: MemoryViews;
  /** Gives back what another thread has set aside, where it was made by {@link from}. */
  #giveBack: (() => void) | undefined;

  /** @throws TypeError or RangeError for options that do not fit together, or not with other memories over `memory` */
  constructor(options: FlatMemoryOptions) {
    checkOptions('options', options, OPTIONS);
    const { bytes, memory, base = memory === undefined ? WASM_PAGE : 0, scratch, shared = false } = options;
    checkBytes(bytes, memory === undefined ? LARGEST : 2 ** 32);
    checkBoolean('shared', shared);
    this.bytes = bytes;
    this.base = base;
    if (memory !== undefined) {
      if (!(memory instanceof WebAssembly.Memory)) throw wrongKind('memory', 'a WebAssembly.Memory', memory);
      checkPiece('base', { at: base, bytes }, memory);
      if (scratch !== undefined) checkPiece('scratch', scratch, memory);
      if (scratch && scratch.at < base + bytes && base < scratch.at + scratch.bytes) {
        throw new RangeError(`scratch: expected a piece outside the physical memory, got ${hex(scratch.at)}`);
      }
      this.wasm = memory;
      this.arena = new Arena(memory, { ...(scratch ?? NOTHING), grows: false });
    } else {
      if (options.base !== undefined || scratch)
        throw new TypeError('base, scratch: expected only together with memory');
      this.wasm = new WebAssembly.Memory({ initial: 1 + Math.ceil(bytes / WASM_PAGE), maximum: 65536, shared });
      this.arena = new Arena(this.wasm, { ...NOTHING, grows: true });
    }
    try {
      claim(this.wasm, this.arena, 'image', 'base', { at: this.base, bytes });
    } catch (error) {
      this.arena.releaseAll();
      throw error;
    }
    this.kind = isShared(this.wasm) ? 'threads' : 'flat';
    this.#views = new MemoryViews(this.wasm);
  }

  /**
   * Sets a piece of linear memory aside for another thread, out of this memory's room, and answers with all that the thread
   * needs. It goes through `postMessage` and `workerData`. Call it once for each thread.
   *
   * @param scratch bytes of the piece, at least 4096; default 1 MiB
   * @throws TypeError when the memory is not shared, RangeError when there is no room
   *
   * @example
   * ```ts
   * import { FlatMemory, Mmu, Tlb } from 'hugewalk';
   * const memory = new FlatMemory({ bytes: 1 << 20, shared: true });
   * memory.writeEntry(0x1000n, 0x2007n);
   * memory.writeEntry(0x2000n, 0x87n);
   * const shared = memory.share();                     // worker.postMessage(shared), and in the worker:
   * using theirs = FlatMemory.from(shared);
   * using tlb = new Tlb(new Mmu(theirs, { cr3: 0x1000n }));
   * tlb.access(0x1234n);                               // sets A in the tables that both see
   * ```
   */
  share(scratch: number = SHARED_SCRATCH): SharedFlatMemory {
    checkInteger('scratch', scratch, 4096, 2 ** 32);
    if (this.kind !== 'threads')
      throw new TypeError('memory: expected a shared one: new FlatMemory({ bytes, shared: true })');
    const at = this.arena.allocate(scratch);
    Atomics.store(takenWord(this.wasm, at), 0, FREE);
    this.arena.setAside(at, scratch);
    return { memory: this.wasm, base: this.base, bytes: this.bytes, scratch: { at, bytes: scratch } };
  }

  /**
   * The memory that another thread has shared. It has its own scratch, and never grows the linear memory. When it is released,
   * the value may be used again.
   *
   * @throws TypeError when `shared` is no value of {@link share}, RangeError when somebody has it already
   */
  static from(shared: SharedFlatMemory): FlatMemory {
    const { memory, base, bytes, scratch } = checkShared(shared);
    const taken = takenWord(memory, scratch.at);
    if (Atomics.compareExchange(taken, 0, FREE, TAKEN) !== FREE) {
      throw new RangeError(
        `shared: expected a value that nobody uses, got one whose scratch at ${hex(scratch.at)} is taken; call share() once for each thread`,
      );
    }
    const own = { at: scratch.at + TAKEN_BYTES, bytes: scratch.bytes - TAKEN_BYTES };
    const giveBack = (): void => {
      claim(memory, SET_ASIDE, 'scratch', 'scratch', own);
      Atomics.store(taken, 0, FREE);
    };
    yieldClaim(memory, SET_ASIDE, own);
    try {
      const flat = new FlatMemory({ memory, base, bytes, scratch: own });
      flat.#giveBack = giveBack;
      return flat;
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  get inlinedCore(): InlinedCore {
    return this.kind === 'threads' ? THREADS_CORE : FLAT_CORE;
  }

  get frameCount(): number {
    return Math.floor(this.bytes / TABLE_BYTES);
  }

  get isReleased(): boolean {
    return this.arena.isReleased;
  }

  /**
   * Ends its use, and that of all Mmus, TLBs and batches over it: its scratch, and its image, may be given to another memory
   * then. The bytes stay as they are. More than once does nothing.
   */
  release(): void {
    if (this.isReleased) return;
    this.arena.releaseAll();
    this.#giveBack?.();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  attach(core: CoreExports): void {
    core.setFlatMemory(this.base, BigInt(this.bytes));
  }

  /** All bytes; index = physical address. Valid until the memory grows: take it anew for each use. */
  view(): Uint8Array {
    this.#checkInUse();
    return this.#views.bytes.subarray(this.base, this.base + this.bytes);
  }

  readEntry(physical: bigint): bigint | undefined {
    this.#checkInUse();
    checkAligned('physical', physical, 8n);
    return physical < this.bytes ? this.#views.data.getBigUint64(this.base + Number(physical), true) : undefined;
  }

  writeEntry(physical: bigint, entry: bigint): void {
    this.#checkInUse();
    checkAligned('physical', physical, 8n, BigInt(this.bytes - 1));
    checkBigint('entry', entry);
    this.#views.data.setBigUint64(this.base + Number(physical), entry, true);
  }

  #checkInUse(): void {
    if (this.isReleased) throw releasedError('memory');
  }
}

/** The word that says whether somebody has a shared piece. */
function takenWord(memory: WasmMemory, at: number): Int32Array {
  return new Int32Array(memory.buffer, at, 1);
}

/** @throws TypeError or RangeError unless it looks like a value of `share`, as it arrives in another thread */
function checkShared(shared: SharedFlatMemory): SharedFlatMemory {
  const { memory, scratch } = shared ?? {};
  if (!(memory instanceof WebAssembly.Memory) || !isShared(memory) || typeof scratch !== 'object' || scratch === null) {
    throw wrongKind('shared', 'the value of share() of a shared FlatMemory', shared);
  }
  checkPiece('shared.scratch', scratch, memory);
  checkInteger('shared.scratch (bytes)', scratch.bytes, 4096, 2 ** 32);
  return shared;
}

/** @throws RangeError for more than fits in 4 GiB of linear memory, and says what has no such limit */
function checkBytes(bytes: unknown, most: number): void {
  if (typeof bytes === 'number' && Number.isInteger(bytes) && bytes > most) {
    const remedy = 'SparseMemory takes frames at any address below 2^52';
    throw new RangeError(`bytes: expected at most ${hex(most)}, got ${hex(bytes)}; ${remedy}`);
  }
  checkInteger('bytes', bytes, TABLE_BYTES, most);
}

/** Whether a memory may be used by several threads at a time. */
function isShared(memory: WasmMemory): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
}

function checkPiece(name: string, piece: LinearRange, memory: WasmMemory): void {
  checkOptions(name, piece, { at: true, bytes: true });
  const { at, bytes } = piece;
  const size = memory.buffer.byteLength;
  checkInteger(name, at, 0, size);
  checkInteger(`${name} (bytes)`, bytes, 0, size - at);
  if (at % 8 !== 0) throw new RangeError(`${name}: expected a multiple of 0x8, got ${hex(at)}`);
}
