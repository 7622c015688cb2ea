import { Arena, WASM_PAGE } from './arena.ts';
import { checkAligned, checkBigint, hex, wrongKind } from './errors.ts';
import type { CoreExports } from './exports.ts';
import { ADDRESS_MASK, DIRECTORY_END, NO_TABLE, TABLE_BYTES } from './generated/layout.ts';
import { type InlinedCore, SPARSE_CORE } from './inlined.ts';
import { type CoreModules, instantiateOn } from './instantiate.ts';
import { MemoryViews, type PhysicalMemory } from './physical-memory.ts';
import type { WasmMemory } from './platform.ts';
import { releasedError } from './released.ts';

const FIRST_LOG2_SLOTS = 9;

/**
 * Sparse physical memory: 4 KiB frames at any 52-bit address, in any order; up to about a million of them (4 GiB).
 * Only frames that hold page tables are needed. It grows by itself.
 *
 * @example
 * ```ts
 * import { Mmu, SparseMemory } from 'hugewalk';
 * const memory = new SparseMemory();
 * memory.addFrame(0xf_ffff_ffff_f000n);                        // the last frame there can be
 * memory.writeEntry(0xf_ffff_ffff_f000n, 0x1000n);             // its first entry: not present
 * const mmu = new Mmu(memory, { cr3: 0xf_ffff_ffff_f000n });
 * mmu.translate(0n).kind;                                      // 'page-fault'
 * ```
 */
export class SparseMemory implements PhysicalMemory {
  readonly kind = 'sparse';
  readonly wasm: WasmMemory;
  readonly arena: Arena;
  readonly #core: CoreExports;
  readonly #views: MemoryViews;
  #log2Slots: number = FIRST_LOG2_SLOTS;
  #directory: number;
  #frames = 0;

  /** @param core compiled cores; default: the one inlined in the package, compiled on first use */
  constructor(core?: CoreModules) {
    this.wasm = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
    this.arena = new Arena(this.wasm, { at: DIRECTORY_END, bytes: WASM_PAGE - DIRECTORY_END, grows: true });
    this.#core = instantiateOn(core, this.kind, SPARSE_CORE, this.wasm);
    this.#views = new MemoryViews(this.wasm);
    this.#directory = this.arena.allocate(8 << this.#log2Slots);
    this.#core.moveDirectory(this.#directory, this.#log2Slots);
  }

  /** How many frames it holds. */
  get frames(): number {
    return this.#frames;
  }

  get inlinedCore(): InlinedCore {
    return SPARSE_CORE;
  }

  get frameCount(): number {
    return this.wasm.buffer.byteLength / TABLE_BYTES;
  }

  get isReleased(): boolean {
    return this.arena.isReleased;
  }

  /** Ends its use, and that of all Mmus, TLBs and batches over it. More than once does nothing. */
  release(): void {
    this.arena.releaseAll();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** @internal */
  attach(): void {
    /* The directory's header stands where every core looks for it. */
  }

  /** Whether there is memory at a physical address. */
  has(physical: bigint): boolean {
    checkBigint('physical', physical);
    return this.locate(physical) !== undefined;
  }

  /**
   * Adds the 4 KiB frame at a physical address (a multiple of 4096), filled with `content` or zeros. A frame that
   * exists is filled again.
   *
   * @throws RangeError when `content` is not 4096 bytes long, or linear memory is used up
   */
  addFrame(physical: bigint, content?: Uint8Array): void {
    checkAligned('physical', physical, BigInt(TABLE_BYTES), ADDRESS_MASK);
    if (content !== undefined && !(content instanceof Uint8Array)) throw wrongKind('content', 'a Uint8Array', content);
    if (content && content.length !== TABLE_BYTES) {
      throw new RangeError(`content: expected 4096 bytes, got ${content.length}`);
    }
    const at = this.locate(physical) ?? this.#newFrame(physical);
    if (content) this.#views.bytes.set(content, at);
    else this.#views.bytes.fill(0, at, at + TABLE_BYTES);
  }

  readEntry(physical: bigint): bigint | undefined {
    checkAligned('physical', physical, 8n);
    const at = this.locate(physical);
    return at === undefined ? undefined : this.#views.data.getBigUint64(at, true);
  }

  writeEntry(physical: bigint, entry: bigint): void {
    checkAligned('physical', physical, 8n);
    checkBigint('entry', entry);
    const at = this.locate(physical);
    if (at === undefined) throw new RangeError(`physical: expected a frame that exists, got ${hex(physical)}`);
    this.#views.data.setBigUint64(at, entry, true);
  }

  /** @internal */
  locate(physical: bigint): number | undefined {
    if (this.isReleased) throw releasedError('memory');
    if (physical > (ADDRESS_MASK | 0xfffn)) return undefined;
    const frame = this.#core.tableAt(physical & ADDRESS_MASK) >>> 0;
    return frame === NO_TABLE ? undefined : frame + Number(physical & 0xfffn);
  }

  #newFrame(physical: bigint): number {
    const at = this.arena.allocate(TABLE_BYTES);
    if (!this.#core.addFrame(physical, at)) {
      this.#growDirectory();
      this.#core.addFrame(physical, at);
    }
    this.#frames++;
    return at;
  }

  #growDirectory(): void {
    const bytes = 16 << this.#log2Slots;
    const at = this.arena.allocate(bytes);
    this.#views.bytes.fill(0, at, at + bytes);
    this.#core.moveDirectory(at, ++this.#log2Slots);
    this.arena.release(this.#directory, bytes / 2);
    this.#directory = at;
  }
}
