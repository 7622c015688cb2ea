import { hex } from '../core/errors.ts';
import type { SparseMemory } from '../core/sparse-memory.ts';
import type { Dump } from './dump.ts';
import { DumpError } from './dump-error.ts';

/** Frames asked of the dump at a time: 64 MiB. */
const CHUNK = 2 ** 14;

/**
 * Copies frames from a dump into memory, each once, and remembers which ones the dump does not have.
 * Frames are named by their physical address as a number, which is exact up to 52 bits.
 */
export class TableLoader {
  readonly #dump: Dump;
  readonly #memory: SparseMemory;
  readonly #limit: number;
  readonly #cBit: number | undefined;
  readonly #absent = new Set<number>();
  #last: Promise<unknown> = Promise.resolve();

  /** @param cBit the bit to take out of every entry that is present: see {@link withoutCBit} */
  constructor(dump: Dump, memory: SparseMemory, limit: number, cBit?: number) {
    this.#dump = dump;
    this.#memory = memory;
    this.#limit = limit;
    this.#cBit = cBit;
  }

  /** Whether the dump was asked for a frame and did not have it. */
  lacks(frame: number): boolean {
    return this.#absent.has(frame);
  }

  /**
   * Adds those of the frames that the dump has; one call after the other, so that none is read twice.
   *
   * @param onProgress called with the number of frames in memory
   * @throws {@link DumpError} when the file cannot be read, or memory would hold more frames than its limit
   */
  fetch(frames: Iterable<number>, onProgress?: (tables: number) => void): Promise<void> {
    const turn = this.#last.then(() => this.#fetchNow(frames, onProgress));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #fetchNow(frames: Iterable<number>, onProgress?: (tables: number) => void): Promise<void> {
    const wanted = [...frames].filter((frame) => !this.lacks(frame) && !this.#memory.has(BigInt(frame)));
    wanted.sort((a, b) => a - b);
    for (let done = 0; done < wanted.length; done += CHUNK) {
      const chunk = wanted.slice(done, done + CHUNK);
      const contents = await this.#dump.readFrames(chunk.map(BigInt));
      for (const [i, frame] of chunk.entries()) this.#add(frame, contents[i]);
      onProgress?.(this.#memory.frames);
    }
  }

  #add(frame: number, content: Uint8Array | undefined): void {
    if (!content) {
      this.#absent.add(frame);
    } else if (!this.#memory.has(BigInt(frame))) {
      if (this.#memory.frames >= this.#limit) {
        throw new DumpError(this.#dump.name, `expected at most ${hex(this.#limit)} page tables, found more`);
      }
      this.#memory.addFrame(BigInt(frame), this.#cBit === undefined ? content : withoutCBit(content, this.#cBit));
    }
  }
}

/**
 * A table as the processor sees it where bit `cBit` of an entry says that memory is encrypted: AMD64 Architecture Programmer's
 * Manual vol. 2, 7.10 and 15.34: the bit is no part of the address, and not reserved. The core knows no such bit; without it,
 * its walk is that processor's. An entry that is not present means nothing to the walk, and keeps all its bits.
 */
function withoutCBit(table: Uint8Array, cBit: number): Uint8Array {
  const bare = new Uint8Array(table);
  for (let entry = 0; entry < bare.length; entry += 8) {
    if (bare[entry]! & 1) bare[entry + (cBit >> 3)]! &= ~(1 << (cBit & 7));
  }
  return bare;
}
