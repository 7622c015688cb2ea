import { Arena, WASM_PAGE } from './arena.ts';
import { checkAligned, checkInteger, hex } from './errors.ts';
import type { CoreExports } from './exports.ts';
import { TABLE_BYTES } from './generated/layout.ts';
import { MemoryViews, type PhysicalMemory } from './physical-memory.ts';

/** A piece of linear memory. */
export interface LinearRange {
  /** Byte offset in linear memory. */
  readonly at: number;
  /** Length in bytes. */
  readonly bytes: number;
}

/** How to lay out a {@link FlatMemory}. */
export interface FlatMemoryOptions {
  /** Bytes of physical memory, from 4096 to almost 4 GiB: physical addresses 0 to bytes - 1 exist. */
  readonly bytes: number;
  /** The embedder's own memory, in which the physical memory already lies. Default: a new one, filled with zeros. */
  readonly memory?: WebAssembly.Memory;
  /** Where in `memory` physical address 0 lies: a byte offset, a multiple of 8. Default 0. */
  readonly base?: number;
  /**
   * Whether the new memory is shared, so that workers can walk it at the same time (`memory.wasm` is posted to them).
   * Default false. An embedder's `memory` is shared if it was made so.
   */
  readonly shared?: boolean;
  /**
   * A piece of `memory` that hugewalk may write to, for batches and listings. Without it only calls that need no
   * buffer work: an embedder's memory is never grown, since that would detach the embedder's views.
   */
  readonly scratch?: LinearRange;
}

/** Room that a new memory keeps for buffers next to the physical memory. */
const RESERVED_FOR_BUFFERS = 64 * WASM_PAGE;
const NOTHING: LinearRange = { at: 0, bytes: 0 };
const LARGEST = 65536 * WASM_PAGE - WASM_PAGE - RESERVED_FOR_BUFFERS;

/**
 * Flat physical memory: one piece of linear memory, physical address = offset from its base.
 *
 * @example Memory of our own, with one 1 GiB page at linear address 0
 * ```ts
 * import { FlatMemory, Mmu } from 'hugewalk';
 * const memory = new FlatMemory({ bytes: 1 << 20 });
 * memory.writeEntry(0x1000n, 0x2007n);               // PML4[0] -> PDPT at 0x2000
 * memory.writeEntry(0x2000n, 0x4000_0087n);          // PDPT[0] -> 1 GiB page at 0x4000_0000
 * const mmu = new Mmu(memory, { cr3: 0x1000n });
 * mmu.translate(0x1234n);                            // { kind: 'page', physicalAddress: 0x4000_1234n, … }
 * ```
 */
export class FlatMemory implements PhysicalMemory {
  readonly kind: 'flat' | 'threads';
  readonly wasm: WebAssembly.Memory;
  readonly arena: Arena;
  /** Bytes of physical memory. */
  readonly bytes: number;
  /** Byte offset of physical address 0 in linear memory. */
  readonly base: number;
  readonly #views: MemoryViews;

  /** @throws TypeError or RangeError for options that do not fit together */
  constructor(options: FlatMemoryOptions) {
    const { bytes, memory, base = memory ? 0 : WASM_PAGE, scratch, shared = false } = options;
    checkInteger('bytes', bytes, TABLE_BYTES, memory ? 2 ** 32 : LARGEST);
    this.bytes = bytes;
    this.base = base;
    if (memory) {
      if (!(memory instanceof WebAssembly.Memory)) throw new TypeError('memory: expected a WebAssembly.Memory');
      checkPiece('base', { at: base, bytes }, memory);
      if (scratch) checkPiece('scratch', scratch, memory);
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
    this.kind = isShared(this.wasm) ? 'threads' : 'flat';
    this.#views = new MemoryViews(this.wasm);
  }

  get frameCount(): number {
    return Math.floor(this.bytes / TABLE_BYTES);
  }

  attach(core: CoreExports): void {
    core.setFlatMemory(this.base, BigInt(this.bytes));
  }

  /** All bytes; index = physical address. Valid until the memory grows: take it anew for each use. */
  view(): Uint8Array {
    return this.#views.bytes.subarray(this.base, this.base + this.bytes);
  }

  readEntry(physical: bigint): bigint | undefined {
    checkAligned('physical', physical, 8n);
    return physical < this.bytes ? this.#views.data.getBigUint64(this.base + Number(physical), true) : undefined;
  }

  writeEntry(physical: bigint, entry: bigint): void {
    checkAligned('physical', physical, 8n, BigInt(this.bytes - 1));
    this.#views.data.setBigUint64(this.base + Number(physical), entry, true);
  }
}

/** Whether a memory may be used by several threads at a time. */
function isShared(memory: WebAssembly.Memory): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
}

function checkPiece(name: string, { at, bytes }: LinearRange, memory: WebAssembly.Memory): void {
  const size = memory.buffer.byteLength;
  checkInteger(name, at, 0, size);
  checkInteger(`${name} (bytes)`, bytes, 0, size - at);
  if (at % 8 !== 0) throw new RangeError(`${name}: expected a multiple of 0x8, got ${hex(at)}`);
}
