import { type ByteRange, endOf } from './ranges.ts';

const BLOCK = 2 ** 20;

/** Bytes of a length not known beforehand, in blocks: appending copies nothing twice and needs no doubled room. */
export class StoredBytes {
  readonly #blocks: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = this.#length % BLOCK;
      if (at === 0) this.#blocks.push(new Uint8Array(BLOCK));
      const part = bytes.subarray(done, done + BLOCK - at);
      this.#blocks.at(-1)!.set(part, at);
      this.#length += part.length;
      done += part.length;
    }
  }

  /** Drops all but the first `length` bytes; nothing may be appended afterwards. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
    this.#blocks.length = Math.ceil(this.#length / BLOCK);
  }

  /** A view where the range lies in one block, else a copy. */
  read(range: ByteRange): Uint8Array {
    const first = Math.floor(range.offset / BLOCK);
    const start = range.offset - first * BLOCK;
    if (range.length === 0) return new Uint8Array(0);
    if (start + range.length <= BLOCK) return this.#blocks[first]!.subarray(start, start + range.length);
    const result = new Uint8Array(range.length);
    for (let at = range.offset; at < endOf(range); ) {
      const within = at % BLOCK;
      const part = this.#blocks[Math.floor(at / BLOCK)]!.subarray(within, within + endOf(range) - at);
      result.set(part, at - range.offset);
      at += part.length;
    }
    return result;
  }
}
