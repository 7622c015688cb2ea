import { claim, extendClaim, releaseClaims, SET_ASIDE, yieldClaim } from './claims.ts';
import { InvariantError } from './errors.ts';
import type { WasmMemory } from './platform.ts';
import { releasedError } from './released.ts';

/** Bytes of a page of WebAssembly memory. */
export const WASM_PAGE = 65536;

/** How an arena begins. */
export interface ArenaOptions {
  /** Byte offset of the first piece it may give out. */
  readonly at: number;
  /** Length of that piece in bytes. */
  readonly bytes: number;
  /** Whether it may grow the memory when that piece is used up. */
  readonly grows: boolean;
  /** Called before it grows the memory for the first time: from then on, what it takes lies at the end. */
  readonly beforeGrowing?: () => void;
}

/**
 * Linear memory that the host gives out: batch buffers, lists, a scan's notes, the frames of a sparse memory.
 *
 * A growing arena takes whole WebAssembly pages from the memory's end: `grow` hands out each page once, also when
 * several workers call it. One that does not grow lives in a piece that the embedder set aside. What it has it claims, so
 * that nobody else is given it.
 */
export class Arena {
  readonly #memory: WasmMemory;
  readonly #free = new Map<number, number[]>();
  readonly #grows: boolean;
  readonly #beforeGrowing: (() => void) | undefined;
  #next: number;
  #end: number;
  #isReleased = false;

  /** @throws RangeError when somebody else uses the first piece */
  constructor(memory: WasmMemory, { at, bytes, grows, beforeGrowing }: ArenaOptions) {
    claim(memory, this, 'scratch', 'scratch', { at, bytes });
    this.#memory = memory;
    this.#grows = grows;
    this.#beforeGrowing = beforeGrowing;
    this.#next = at;
    this.#end = at + bytes;
  }

  /**
   * `bytes` (rounded up to 8) of linear memory with any content, aligned to 8 bytes; to 4096 where `bytes` is a
   * multiple of that and the arena grows.
   *
   * @throws RangeError when the memory cannot grow, or the fixed piece is used up; TypeError when the memory was released
   */
  allocate(bytes: number): number {
    const at = this.tryAllocate(bytes);
    if (at !== undefined) return at;
    throw new RangeError(
      this.#grows
        ? `memory: expected room to grow by ${bytes} bytes, got a WebAssembly.Memory at its limit of ${this.#memory.buffer.byteLength} bytes`
        : `scratch: expected room for ${bytes} more bytes, got ${this.#end - this.#next}; give the memory a larger scratch`,
    );
  }

  /** Like {@link allocate}, for what can be done without: undefined where there is no room. */
  tryAllocate(bytes: number): number | undefined {
    if (this.#isReleased) throw releasedError('memory');
    const size = Math.ceil(bytes / 8) * 8;
    const reused = this.#free.get(size)?.pop();
    if (reused !== undefined) return reused;
    if (this.#grows && size % 4096 === 0) this.#next = Math.ceil(this.#next / 4096) * 4096;
    if (this.#next + size > this.#end && !this.#grow(size)) return undefined;
    const at = this.#next;
    this.#next += size;
    return at;
  }

  /** Bytes that can still be had in one piece; an arena that grows has no end before the memory's own. */
  get available(): number {
    return this.#grows ? Number.POSITIVE_INFINITY : this.#end - this.#next;
  }

  /** Whether the memory has been released, and all that was allocated with it. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** Gives up everything: what it had may be used by others. */
  releaseAll(): void {
    this.#isReleased = true;
    releaseClaims(this.#memory, this);
  }

  /** Sets a piece that `allocate(bytes)` gave aside for another thread: it never comes back. */
  setAside(at: number, bytes: number): void {
    yieldClaim(this.#memory, this, { at, bytes });
    claim(this.#memory, SET_ASIDE, 'scratch', 'scratch', { at, bytes });
  }

  /** Takes back what `allocate(bytes)` gave. */
  release(at: number, bytes: number): void {
    if (this.#isReleased) return;
    const size = Math.ceil(bytes / 8) * 8;
    if (at + size > this.#memory.buffer.byteLength) throw new InvariantError('Arena.release: outside memory');
    const list = this.#free.get(size);
    if (list) list.push(at);
    else this.#free.set(size, [at]);
  }

  /** False where the memory cannot grow. */
  #grow(bytes: number): boolean {
    if (!this.#grows) return false;
    const pages = Math.ceil(bytes / WASM_PAGE);
    let at: number;
    try {
      this.#beforeGrowing?.();
      at = this.#memory.grow(pages) * WASM_PAGE;
    } catch {
      return false;
    }
    if (at !== this.#end) this.#next = at;
    this.#end = at + pages * WASM_PAGE;
    extendClaim(this.#memory, this, { at, bytes: pages * WASM_PAGE });
    return true;
  }
}
