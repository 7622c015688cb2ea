import type { Arena } from './arena.ts';
import { wrongKind } from './errors.ts';
import type { CoreExports } from './exports.ts';
import type { InlinedCore } from './inlined.ts';
import type { CoreModules } from './instantiate.ts';
import type { WasmMemory } from './platform.ts';
import type { Releasable } from './released.ts';

/** Physical memory with page tables in it, as an {@link Mmu} sees it: {@link FlatMemory} or {@link SparseMemory}. */
export interface PhysicalMemory extends Releasable {
  /** Which of the cores walks it. */
  readonly kind: keyof CoreModules;
  /** That core, from the bytes inlined in this package. */
  readonly inlinedCore: InlinedCore;
  /** The linear memory in which its tables lie. */
  readonly wasm: WasmMemory;
  /** Where buffers of the host come from. */
  readonly arena: Arena;
  /** How many 4 KiB frames can hold tables, counted as the core counts them. */
  readonly frameCount: number;
  /** Whether it was released: then nothing that was made over it can be used any more. */
  readonly isReleased: boolean;

  /** Tells a fresh instance of the core where this memory lies. @internal */
  attach(core: CoreExports): void;
  /** Where in the linear memory a physical address lies; undefined where there is no memory. @internal */
  locate(physical: bigint): number | undefined;
  /**
   * The eight bytes at a physical address (a multiple of 8), as a paging-structure entry is read; undefined where there
   * is no memory.
   */
  readEntry(physical: bigint): bigint | undefined;
  /** Writes eight bytes at a physical address (a multiple of 8). */
  writeEntry(physical: bigint, entry: bigint): void;
}

/** Throws unless something can serve as physical memory. */
export function checkPhysicalMemory(memory: PhysicalMemory): void {
  const given: Partial<PhysicalMemory> | null | undefined = memory;
  if (given?.wasm instanceof WebAssembly.Memory && typeof given.attach === 'function') return;
  throw wrongKind('memory', 'a FlatMemory or a SparseMemory', memory);
}

/** Views of a linear memory, made anew only when it has grown (a shared one's old views stay valid, but end too early). */
export class MemoryViews {
  readonly #memory: WasmMemory;
  #data: DataView;
  #bytes: Uint8Array;
  #words: BigUint64Array;

  constructor(memory: WasmMemory) {
    this.#memory = memory;
    this.#data = new DataView(memory.buffer);
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new BigUint64Array(memory.buffer);
  }

  /** Little-endian access at any byte offset. */
  get data(): DataView {
    this.#refresh();
    return this.#data;
  }

  /** All bytes; index = linear address. */
  get bytes(): Uint8Array {
    this.#refresh();
    return this.#bytes;
  }

  /** All aligned 64-bit words; index = linear address / 8. */
  get words(): BigUint64Array {
    this.#refresh();
    return this.#words;
  }

  #refresh(): void {
    const { buffer } = this.#memory;
    if (this.#data.buffer === buffer) return;
    this.#data = new DataView(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#words = new BigUint64Array(buffer);
  }
}
