import { TABLE_CACHE_ARRAYS, TABLE_CACHE_EPOCHS, TABLE_CACHE_SLOT_BYTES } from '../core/generated/layout.ts';
import type { PhysicalMemory } from '../core/physical-memory.ts';

/** log2 of the slots for each level: at least those for 8 GiB of 4 KiB pages, at most 12 MiB for all levels together. */
const LEAST_LOG2_SLOTS = 12;
const MOST_LOG2_SLOTS = 18;
/**
 * Slots for each frame, as each may hold a table: sixteen, so that tables that lie anywhere in the linear addresses seldom
 * fight for one (those that follow each other never do). Where the processor's caches could not hold so many, fights cost
 * less than misses: no more than 2^16 then, as long as there is one for each frame.
 */
const LOG2_SLOTS_A_FRAME = 4;
const CACHED_LOG2_SLOTS = 16;
/** With fewer slots, in an embedder's scratch, a cache would cost more than it saves. */
const TOO_FEW_LOG2_SLOTS = 3;

/** Bytes of one slot at every level. */
const SLOT_BYTES = TABLE_CACHE_ARRAYS * TABLE_CACHE_SLOT_BYTES;

const caches = new WeakMap<PhysicalMemory, TableCache>();

/**
 * The cache of tables that batches over a memory use (assembly/table-cache.ts). All Mmus over one memory object share it,
 * since it serves only one list of addresses at a time; a worker has a memory object, and a cache, of its own.
 */
export class TableCache {
  readonly #memory: PhysicalMemory;
  /** How many frames the memory had when the cache was last made. */
  #frames = 0;
  #at = 0;
  #log2Slots = 0;
  #epoch = 0;

  private constructor(memory: PhysicalMemory) {
    this.#memory = memory;
  }

  /** The one cache for a memory. */
  static of(memory: PhysicalMemory): TableCache {
    const cache = caches.get(memory) ?? new TableCache(memory);
    caches.set(memory, cache);
    return cache;
  }

  /** Linear address; 0 where there is none. */
  get at(): number {
    return this.#at;
  }

  /** log2 of the slots for each level. */
  get log2Slots(): number {
    return this.#log2Slots;
  }

  /** The list of addresses that what it holds is good for. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Begins a list of addresses: what was cached for the one before does not count any more. Never grows the memory. */
  begin(): void {
    this.#epoch++;
    if (this.#epoch < TABLE_CACHE_EPOCHS) return;
    this.#clear();
    this.#epoch = 1;
  }

  /**
   * Makes the cache larger, if the memory calls for it and has room; this may grow the linear memory. An embedder's
   * scratch gives a quarter of its room at most; where there is too little, batches do without.
   */
  prepare(): void {
    const { arena, frameCount } = this.#memory;
    if (frameCount === this.#frames) return;
    this.#frames = frameCount;
    const wanted = slotsFor(Math.ceil(Math.log2(frameCount)));
    const held = this.#log2Slots;
    if (held >= wanted) return;
    let log2Slots = Math.min(wanted, Math.floor(Math.log2(arena.available / 4 / SLOT_BYTES))) + 1;
    let at: number | undefined;
    while (at === undefined) {
      log2Slots--;
      if (log2Slots <= Math.max(held, TOO_FEW_LOG2_SLOTS)) return;
      at = arena.tryAllocate(SLOT_BYTES * 2 ** log2Slots);
    }
    if (held) arena.release(this.#at, SLOT_BYTES * 2 ** held);
    this.#at = at;
    this.#log2Slots = log2Slots;
    this.#clear();
  }

  #clear(): void {
    if (!this.#log2Slots) return;
    new Uint8Array(this.#memory.wasm.buffer, this.#at, SLOT_BYTES * 2 ** this.#log2Slots).fill(0);
  }
}

/** log2 of the slots that are best for so many frames. */
function slotsFor(log2Frames: number): number {
  const roomy = Math.min(log2Frames + LOG2_SLOTS_A_FRAME, CACHED_LOG2_SLOTS);
  return Math.min(Math.max(roomy, log2Frames, LEAST_LOG2_SLOTS), MOST_LOG2_SLOTS);
}
