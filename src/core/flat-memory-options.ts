/**
 * How a flat memory is laid out, and what does not fit together.
 */
import { WASM_PAGE } from './arena.ts';
import type { LinearRange } from './claims.ts';
import { checkBoolean, checkInteger, checkOptions, hex, type OptionNames, wrongKind } from './errors.ts';
import { TABLE_BYTES } from './generated/layout.ts';
import type { WasmMemory } from './platform.ts';

/** How to lay out a FlatMemory. */
export interface FlatMemoryOptions {
  /** Bytes of physical memory, from 4096 to almost 4 GiB: physical addresses 0 to bytes - 1 exist. */
  readonly bytes: number;
  /**
   * Bytes that it can become by `FlatMemory.grow`, of a memory of our own that is not shared. Default: `bytes`. What is not used
   * yet costs nothing.
   */
  readonly maxBytes?: number;
  /** The embedder's own memory, in which the physical memory already lies. Default: a new one, filled with zeros. */
  readonly memory?: WasmMemory;
  /** Where in `memory` physical address 0 lies: a byte offset, a multiple of 8. Default 0. */
  readonly base?: number;
  /**
   * Whether the new memory is shared, so that workers can walk it at the same time: see `FlatMemory.share`.
   * Default false. An embedder's `memory` is shared if it was made so.
   */
  readonly shared?: boolean;
  /**
   * A piece of `memory` that hugewalk may write to, for batches and listings. Without it only calls that need no
   * buffer work: an embedder's memory is never grown, since that would detach the embedder's views.
   */
  readonly scratch?: LinearRange;
}

const OPTIONS: OptionNames<FlatMemoryOptions> = {
  bytes: true,
  maxBytes: true,
  memory: true,
  base: true,
  shared: true,
  scratch: true,
};

/** Room that a new memory keeps for buffers next to the physical memory. */
const RESERVED_FOR_BUFFERS = 64 * WASM_PAGE;
const LARGEST = 65536 * WASM_PAGE - WASM_PAGE - RESERVED_FOR_BUFFERS;

/** @throws TypeError or RangeError for options that do not fit together */
export function checkFlatMemory(options: FlatMemoryOptions): void {
  checkOptions('options', options, OPTIONS);
  const { bytes, maxBytes, memory, base = 0, scratch, shared = false } = options;
  checkBytes('bytes', bytes, TABLE_BYTES, memory === undefined ? LARGEST : 2 ** 32);
  checkBoolean('shared', shared);
  if (maxBytes !== undefined) {
    checkBytes('maxBytes', maxBytes, bytes, LARGEST);
    if (memory !== undefined || shared)
      throw new TypeError(
        'maxBytes: expected only of a new memory that is not shared: nobody else learns that it has grown',
      );
  }
  if (memory === undefined) {
    if (options.base !== undefined || scratch !== undefined)
      throw new TypeError('base, scratch: expected only together with memory');
    return;
  }
  if (!(memory instanceof WebAssembly.Memory)) throw wrongKind('memory', 'a WebAssembly.Memory', memory);
  checkPiece('base', { at: base, bytes }, memory);
  if (scratch === undefined) return;
  checkPiece('scratch', scratch, memory);
  if (scratch.at < base + bytes && base < scratch.at + scratch.bytes) {
    throw new RangeError(`scratch: expected a piece outside the physical memory, got ${hex(scratch.at)}`);
  }
}

/** @throws RangeError for more than fits in 4 GiB of linear memory, and says what has no such limit */
function checkBytes(name: string, bytes: unknown, least: number, most: number): void {
  if (typeof bytes === 'number' && Number.isInteger(bytes) && bytes > most) {
    const remedy = 'SparseMemory takes frames at any address below 2^52';
    throw new RangeError(`${name}: expected at most ${hex(most)}, got ${hex(bytes)}; ${remedy}`);
  }
  checkInteger(name, bytes, least, most);
}

/** @throws TypeError or RangeError unless a piece lies within a memory */
export function checkPiece(name: string, piece: LinearRange, memory: WasmMemory): void {
  checkOptions(name, piece, { at: true, bytes: true });
  const { at, bytes } = piece;
  const size = memory.buffer.byteLength;
  checkInteger(name, at, 0, size);
  checkInteger(`${name} (bytes)`, bytes, 0, size - at);
  if (at % 8 !== 0) throw new RangeError(`${name}: expected a multiple of 0x8, got ${hex(at)}`);
}
