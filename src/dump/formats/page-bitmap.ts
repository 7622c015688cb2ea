/**
 * A bitmap of page frames: bit n % 8 of byte n / 8 is frame n. It answers how many bits are set before one, as that is
 * which of the pages in a file is the frame's.
 *
 *   chunk   64 KiB of bitmap, 2 GiB of memory: the bits set before it; nothing more where all bits are clear
 *   line    64 bytes of it: the bits set in its chunk before it
 *   word    32 bits, counted when asked
 */
import type { ByteSource } from '../byte-source.ts';
import type { PhysicalRange } from '../dump.ts';
import type { ByteRange } from '../ranges.ts';
import { readBytes } from './in-file.ts';

const CHUNK_BYTES = 2 ** 16;
const CHUNK_BITS = CHUNK_BYTES * 8;
const LINE_WORDS = 16;
const LINE_BITS = LINE_WORDS * 32;
const LINES = CHUNK_BITS / LINE_BITS;
/** Bytes read at a time. */
const READ_BYTES = 16 * CHUNK_BYTES;
const FRAME = 4096n;

interface Chunk {
  readonly words: Uint32Array;
  /** Bits set before each line, and in all. */
  readonly before: Uint32Array;
}

/** The bits of all page frames of a dump. */
export class PageBitmap {
  /** Bits that are set. */
  readonly count: number;
  readonly #chunks: readonly (Chunk | undefined)[];
  /** Bits set before each chunk. */
  readonly #before: Float64Array;

  private constructor(chunks: readonly (Chunk | undefined)[]) {
    this.#chunks = chunks;
    this.#before = new Float64Array(chunks.length + 1);
    for (const [i, chunk] of chunks.entries()) this.#before[i + 1] = this.#before[i]! + (chunk?.before[LINES] ?? 0);
    this.count = this.#before[chunks.length]!;
  }

  /** Reads the bits of frames 0 to `frames`, in which there is a bit for each. */
  static async read(source: ByteSource, { offset }: ByteRange, frames: number): Promise<PageBitmap> {
    const chunks: (Chunk | undefined)[] = [];
    const bytes = Math.ceil(frames / 8);
    for (let done = 0; done < bytes; done += READ_BYTES) {
      const length = Math.min(READ_BYTES, bytes - done);
      const part = await readBytes(source, { offset: offset + done, length });
      for (let at = 0; at < length; at += CHUNK_BYTES) {
        chunks.push(chunkOf(part.subarray(at, at + CHUNK_BYTES), frames - (done + at) * 8));
      }
    }
    return new PageBitmap(chunks);
  }

  has(frame: number): boolean {
    const chunk = this.#chunks[Math.floor(frame / CHUNK_BITS)];
    const bit = frame % CHUNK_BITS;
    return chunk !== undefined && ((chunk.words[bit >>> 5]! >>> (bit & 31)) & 1) === 1;
  }

  /** How many bits are set before that of a frame. */
  rank(frame: number): number {
    const index = Math.floor(frame / CHUNK_BITS);
    if (index >= this.#chunks.length) return this.count;
    const chunk = this.#chunks[index];
    if (!chunk) return this.#before[index]!;
    const bit = frame % CHUNK_BITS;
    const line = Math.floor(bit / LINE_BITS);
    let sum = this.#before[index]! + chunk.before[line]!;
    for (let at = line * LINE_WORDS; at < bit >>> 5; at++) sum += onesIn(chunk.words[at]!);
    return sum + onesIn(chunk.words[bit >>> 5]! & ((1 << (bit & 31)) - 1));
  }

  equals(other: PageBitmap): boolean {
    if (this.count !== other.count || this.#chunks.length !== other.#chunks.length) return false;
    return this.#chunks.every((chunk, i) => {
      const its = other.#chunks[i];
      return chunk && its ? chunk.words.every((word, at) => word === its.words[at]) : chunk === its;
    });
  }

  /**
   * The memory whose bits are set, sorted. Beyond `most` ranges, the last one reaches over all that follow: a file of
   * chance has a range every other bit.
   */
  ranges(most: number): PhysicalRange[] {
    const ranges: PhysicalRange[] = [];
    let start = -1;
    let end = -1;
    for (const { from, to } of this.#runs()) {
      if (from !== end) {
        if (start >= 0 && ranges.length === most - 1) {
          end = this.#end();
          break;
        }
        if (start >= 0) ranges.push(rangeOf(start, end));
        start = from;
      }
      end = to;
    }
    if (start >= 0) ranges.push(rangeOf(start, end));
    return ranges;
  }

  /** Runs of set bits, in order; two may touch where a line ends. */
  *#runs(): Generator<{ readonly from: number; readonly to: number }> {
    for (const [index, chunk] of this.#chunks.entries()) {
      for (let line = 0; chunk && line < LINES; line++) {
        const ones = chunk.before[line + 1]! - chunk.before[line]!;
        const at = index * CHUNK_BITS + line * LINE_BITS;
        if (ones === LINE_BITS) yield { from: at, to: at + LINE_BITS };
        else if (ones > 0) yield* runsOfLine(chunk.words, line, at);
      }
    }
  }

  /** The frame behind the last whose bit is set. */
  #end(): number {
    const index = this.#chunks.findLastIndex((chunk) => chunk !== undefined);
    const words = this.#chunks[index]?.words;
    if (!words) return 0;
    const at = words.findLastIndex((word) => word !== 0);
    return index * CHUNK_BITS + at * 32 + 32 - Math.clz32(words[at]!);
  }
}

function rangeOf(from: number, to: number): PhysicalRange {
  return { physical: BigInt(from) * FRAME, bytes: BigInt(to - from) * FRAME };
}

function* runsOfLine(words: Uint32Array, line: number, at: number): Generator<{ from: number; to: number }> {
  let from = -1;
  for (let bit = 0; bit < LINE_BITS; bit++) {
    const isSet = (words[line * LINE_WORDS + (bit >>> 5)]! >>> (bit & 31)) & 1;
    if (isSet && from < 0) from = bit;
    if (isSet || from < 0) continue;
    yield { from: at + from, to: at + bit };
    from = -1;
  }
  if (from >= 0) yield { from: at + from, to: at + LINE_BITS };
}

/** Copies a chunk whose first `bits` bits count; undefined where none is set. */
function chunkOf(bytes: Uint8Array, bits: number): Chunk | undefined {
  const words = new Uint32Array(CHUNK_BITS / 32);
  new Uint8Array(words.buffer).set(bytes);
  if (bits < CHUNK_BITS) {
    if (bits % 32) words[bits >>> 5]! &= (1 << (bits % 32)) - 1;
    words.fill(0, Math.ceil(bits / 32));
  }
  const before = new Uint32Array(LINES + 1);
  let sum = 0;
  for (let line = 0; line < LINES; line++) {
    sum += onesInLine(words, line * LINE_WORDS);
    before[line + 1] = sum;
  }
  return sum > 0 ? { words, before } : undefined;
}

/** Bits set in 16 words: three words at a time are added up in fields of 4 bits, which hold 12, and all in fields of 8. */
function onesInLine(words: Uint32Array, from: number): number {
  let sum = 0;
  for (let at = from; at < from + LINE_WORDS - 1; at += 3) {
    const nibbles = (nibblesOf(words[at]!) + nibblesOf(words[at + 1]!) + nibblesOf(words[at + 2]!)) | 0;
    sum = (sum + (nibbles & 0x0f0f_0f0f) + ((nibbles >>> 4) & 0x0f0f_0f0f)) | 0;
  }
  return (
    (Math.imul(sum & 0x00ff_00ff, 0x1_0001) >>> 16) +
    (Math.imul((sum >>> 8) & 0x00ff_00ff, 0x1_0001) >>> 16) +
    onesIn(words[from + LINE_WORDS - 1]!)
  );
}

/** Bits set in each four of a word. */
function nibblesOf(word: number): number {
  const pairs = (word - ((word >>> 1) & 0x5555_5555)) | 0;
  return (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
}

function onesIn(word: number): number {
  const nibbles = nibblesOf(word);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
