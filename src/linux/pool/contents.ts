/**
 * What is written in huge pages, kept sparsely: only 4 KiB blocks that were written cost memory; the rest reads as zero,
 * as `clear_huge_page` leaves it.
 */
import { hex } from '../../core/errors.ts';
import { type Checkpoint, type Kept, keepArray, keepMap, type PutBack, WrittenPieces } from '../base/checkpoint.ts';
import { Touch, watch } from '../base/watch.ts';

const BLOCK = 4096;
/** Blocks are cut from pieces of this many: an array of their own would cost each more than its bytes. */
const BLOCKS_OF_SLAB = 256;

/** Blocks of 4 KiB, by number. */
export class Blocks implements Kept {
  readonly #slabs: Uint8Array[] = [];
  readonly #free: number[] = [];
  #next = 0;
  /** Behind the last block that ever held anything: what is newer is zero. */
  #clean = 0;
  readonly #written = new WrittenPieces();

  /** A block of zeros. */
  allocate(): number {
    const block = this.#free.pop() ?? this.#next++;
    if (block < this.#clean) this.writable(block).fill(0);
    else {
      this.#clean = block + 1;
      if (block % BLOCKS_OF_SLAB === 0) this.#slabs.push(new Uint8Array(BLOCK * BLOCKS_OF_SLAB));
    }
    return block;
  }

  free(block: number): void {
    this.#free.push(block);
  }

  /** The bytes of a block, to be read. */
  bytes(block: number): Uint8Array {
    const at = (block % BLOCKS_OF_SLAB) * BLOCK;
    return this.#slab(block).subarray(at, at + BLOCK);
  }

  /** The bytes of a block, to be written at once. */
  writable(block: number): Uint8Array {
    this.#written.mark(block);
    return this.bytes(block);
  }

  read(block: number, offset: number): number {
    return this.#slab(block)[(block % BLOCKS_OF_SLAB) * BLOCK + offset]!;
  }

  write(block: number, offset: number, byte: number): void {
    this.#written.mark(block);
    this.#slab(block)[(block % BLOCKS_OF_SLAB) * BLOCK + offset] = byte;
  }

  #slab(block: number): Uint8Array {
    return this.#slabs[Math.floor(block / BLOCKS_OF_SLAB)]!;
  }

  /** Slabs that were made since stay, and blocks that were used since are made zero when they are used again. @internal */
  keep(checkpoint: Checkpoint): PutBack {
    const next = this.#next;
    const free = keepArray(this.#free);
    const unused = new Set(this.#free);
    const blocks = Array.from({ length: next }, (_, block) => block).filter((block) => !unused.has(block));
    const kept = blocks.map((block) => this.bytes(block).slice());
    const putBack = (index: number): void => this.bytes(blocks[index]!).set(kept[index]!);
    return () => {
      this.#next = next;
      free();
      this.#written.putBack(checkpoint, blocks, putBack);
    };
  }
}

const NOWHERE = -1;

/** The bytes of one huge page. */
export class PageContents implements Kept {
  readonly #blocks: Blocks;
  readonly #pfn: number;
  /** Most pages that are touched are touched in one place: its index, and its block. */
  #firstIndex = NOWHERE;
  #firstBlock = NOWHERE;
  /** Index in the page: block. */
  #others: Map<number, number> | undefined;

  /** @param pfn number of its first 4 KiB frame */
  constructor(blocks: Blocks, pfn: number) {
    this.#blocks = blocks;
    this.#pfn = pfn;
  }

  get name(): string {
    return `bytes of pfn ${hex(this.#pfn)}`;
  }

  /** The byte at `offset` in the page. */
  read(offset: number): number {
    watch?.touch(Touch.read, this, 0);
    const block = this.#find(offset >>> 12);
    return block === NOWHERE ? 0 : this.#blocks.read(block, offset & 0xfff);
  }

  write(offset: number, byte: number): void {
    watch?.touch(Touch.write, this, 0);
    let block = this.#find(offset >>> 12);
    if (block === NOWHERE) {
      if (byte === 0) return;
      block = this.#put(offset >>> 12);
    }
    this.#blocks.write(block, offset & 0xfff, byte);
  }

  /** Copies bytes from `offset` on into `bytes`; they lie in one 4 KiB block. */
  readBytes(offset: number, bytes: Uint8Array): void {
    watch?.touch(Touch.read, this, 0);
    const block = this.#find(offset >>> 12);
    if (block === NOWHERE) bytes.fill(0);
    else bytes.set(this.#blocks.bytes(block).subarray(offset & 0xfff, (offset & 0xfff) + bytes.length));
  }

  /** Copies `bytes` to `offset`, into one 4 KiB block; zeros where there was nothing cost nothing. */
  writeBytes(offset: number, bytes: Uint8Array): void {
    watch?.touch(Touch.write, this, 0);
    let block = this.#find(offset >>> 12);
    if (block === NOWHERE) {
      if (isZero(bytes, 0, bytes.length)) return;
      block = this.#put(offset >>> 12);
    }
    this.#blocks.writable(block).set(bytes, offset & 0xfff);
  }

  /** `clear_huge_page`. */
  clear(): void {
    watch?.touch(Touch.write, this, 0);
    for (const [, block] of this) this.#blocks.free(block);
    this.#firstIndex = NOWHERE;
    this.#others = undefined;
  }

  /** `folio_zero_segment`: zeros from `start` to `end`, byte offsets in the page. */
  zero(start: number, end: number): void {
    watch?.touch(Touch.write, this, 0);
    for (const [index, block] of this) {
      const at = index * BLOCK;
      const from = Math.max(start - at, 0);
      const to = Math.min(end - at, BLOCK);
      if (from < to) this.#blocks.writable(block).fill(0, from, to);
    }
  }

  /** Writes bytes from the start of the page on, whole blocks of them; blocks of zeros cost nothing. */
  set(bytes: Uint8Array): void {
    watch?.touch(Touch.write, this, 0);
    /* As words where that can be: looking for zeros is what 1 GiB takes its time for. */
    const words = bytes.byteOffset % 4 === 0 ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4) : bytes;
    const each = BLOCK / words.BYTES_PER_ELEMENT;
    for (let index = 0; index * BLOCK < bytes.length; index++) {
      if (isZero(words, index * each, (index + 1) * each)) continue;
      this.#blocks.writable(this.#put(index)).set(bytes.subarray(index * BLOCK, (index + 1) * BLOCK));
    }
  }

  /** `copy_user_huge_page`. */
  copyFrom(other: PageContents): void {
    watch?.touch(Touch.read, other, 0);
    this.clear();
    for (const [index, block] of other) this.#blocks.writable(this.#put(index)).set(other.#blocks.bytes(block));
  }

  /** Bytes of memory that the contents take. */
  get bytes(): number {
    return [...this].length * BLOCK;
  }

  /** The blocks with their index in the page, in 4 KiB. */
  *[Symbol.iterator](): Generator<[index: number, block: number], void, undefined> {
    if (this.#firstIndex !== NOWHERE) yield [this.#firstIndex, this.#firstBlock];
    if (this.#others) yield* this.#others;
  }

  /** @internal */
  keep(): PutBack {
    const firstIndex = this.#firstIndex;
    const firstBlock = this.#firstBlock;
    const others = this.#others;
    const size = others?.size;
    const otherBlocks = others && keepMap(others);
    return () => {
      this.#firstIndex = firstIndex;
      this.#firstBlock = firstBlock;
      this.#others = others;
      /* It only ever grows. */
      if (others?.size !== size) otherBlocks?.();
    };
  }

  #find(index: number): number {
    if (index === this.#firstIndex) return this.#firstBlock;
    return this.#others?.get(index) ?? NOWHERE;
  }

  #put(index: number): number {
    const block = this.#blocks.allocate();
    if (this.#firstIndex === NOWHERE) {
      this.#firstIndex = index;
      this.#firstBlock = block;
    } else {
      this.#others ??= new Map();
      this.#others.set(index, block);
    }
    return block;
  }
}

function isZero(words: Int32Array | Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (words[at] !== 0) return false;
  return true;
}
