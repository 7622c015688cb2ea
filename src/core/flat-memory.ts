import { Arena, WASM_PAGE } from './arena.ts';
import { claim, type LinearRange, SET_ASIDE, yieldClaim } from './claims.ts';
import { checkAligned, checkBigint, checkInteger, hex, wrongKind } from './errors.ts';
import type { CoreExports } from './exports.ts';
import { checkFlatMemory, checkPiece, type FlatMemoryOptions } from './flat-memory-options.ts';
import { TABLE_BYTES } from './generated/layout.ts';
import { FLAT_CORE, type InlinedCore, THREADS_CORE } from './inlined.ts';
import { MemoryViews, type PhysicalMemory } from './physical-memory.ts';
import type { WasmMemory } from './platform.ts';
import { releasedError } from './released.ts';

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
const NOTHING: LinearRange = { at: 0, bytes: 0 };
/** Room for buffers in front of a memory that can grow: the lists of a scan, small batches. */
const HEAD_BYTES = 8 * WASM_PAGE;
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
  /** Byte offset of physical address 0 in linear memory. */
  readonly base: number;
  /** Bytes that {@link grow} can make of it. */
  readonly maxBytes: number;
  #bytes: number;
  /** The cores that walk it, to be told that it has grown. */
  #cores: WeakRef<CoreExports>[] = [];
  readonly #views: MemoryViews;
  /** Gives back what another thread has set aside, where it was made by {@link from}. */
  #giveBack: (() => void) | undefined;

  /** @throws TypeError or RangeError for options that do not fit together, or not with other memories over `memory` */
  constructor(options: FlatMemoryOptions) {
    checkFlatMemory(options);
    const { bytes, maxBytes, memory, scratch = NOTHING, shared = false } = options;
    /* A memory that grows has its first buffers before it: what is behind it must stay free. */
    const head = maxBytes === undefined ? 0 : HEAD_BYTES;
    const { base = memory === undefined ? WASM_PAGE + head : 0 } = options;
    this.base = base;
    this.#bytes = bytes;
    this.maxBytes = maxBytes ?? bytes;
    if (memory !== undefined) {
      this.wasm = memory;
      this.arena = new Arena(memory, { ...scratch, grows: false });
    } else {
      this.wasm = new WebAssembly.Memory({ initial: Math.ceil((base + bytes) / WASM_PAGE), maximum: 65536, shared });
      const beforeGrowing = (): void => this.grow(this.maxBytes);
      this.arena = new Arena(this.wasm, { at: WASM_PAGE, bytes: head, grows: true, beforeGrowing });
    }
    try {
      claim(this.wasm, this.arena, 'image', 'base', { at: base, bytes: this.maxBytes });
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

  /** Bytes of physical memory: addresses 0 to bytes - 1 exist. */
  get bytes(): number {
    return this.#bytes;
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

  /** @internal */
  attach(core: CoreExports): void {
    if (this.#bytes < this.maxBytes) this.#cores.push(new WeakRef(core));
    core.setFlatMemory(this.base, BigInt(this.bytes));
  }

  /**
   * Makes the physical memory larger, with zeros: as much of `maxBytes` as is asked for. All that walk it see it at once. The linear
   * memory grows, so that views of it have to be taken anew.
   *
   * @param bytes of physical memory from now on; fewer than there are change nothing
   * @throws RangeError for more than `maxBytes`
   *
   * @example
   * ```ts
   * import { FlatMemory } from 'hugewalk';
   * const memory = new FlatMemory({ bytes: 65536, maxBytes: 1 << 20 });
   * memory.readEntry(0x1_0000n);                       // undefined: there is no memory
   * memory.grow(1 << 17);
   * memory.readEntry(0x1_0000n);                       // 0n
   * ```
   */
  grow(bytes: number): void {
    this.#checkInUse();
    checkInteger('bytes', bytes, 0, this.maxBytes);
    if (bytes <= this.#bytes) return;
    const missing = Math.ceil((this.base + bytes) / WASM_PAGE) - this.wasm.buffer.byteLength / WASM_PAGE;
    if (missing > 0) growLinear(this.wasm, missing);
    this.#bytes = bytes;
    this.#cores = this.#cores.filter((one) => one.deref() !== undefined);
    for (const one of this.#cores) one.deref()?.setFlatMemory(this.base, BigInt(bytes));
  }

  /** All bytes; index = physical address. Valid until the memory grows: take it anew for each use. */
  view(): Uint8Array {
    this.#checkInUse();
    return this.#views.bytes.subarray(this.base, this.base + this.bytes);
  }

  /** @internal */
  locate(physical: bigint): number | undefined {
    this.#checkInUse();
    return physical < this.bytes ? this.base + Number(physical) : undefined;
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

/** @throws RangeError where the engine has no more memory */
function growLinear(memory: WasmMemory, pages: number): void {
  try {
    memory.grow(pages);
  } catch (cause) {
    const message = `memory: expected room to grow by ${hex(pages * WASM_PAGE)} bytes, got none from the engine; use less, or release() what is not needed`;
    throw new RangeError(message, { cause });
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

/** Whether a memory may be used by several threads at a time. */
function isShared(memory: WasmMemory): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
}
