/**
 * The memory in the blocks of an AVML file as one content: block after block, uncompressed where it is asked for.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { type ByteRange, endOf } from '../../ranges.ts';
import type { Content } from '../../segmented-dump.ts';
import type { Warnings } from '../../warnings.ts';
import type { Block } from './blocks.ts';
import { type Chunks, contentOf, readChunks } from './chunks.ts';

/** Compressed bytes in memory at a time. */
const BATCH = 2 ** 25;

/** A block, and where in the content it lies. */
export interface PlacedBlock extends Block {
  readonly offset: number;
  /** Bytes of the content: those of the block, and zeros after it. */
  readonly room: number;
}

/** A chunk that somebody has asked for. */
interface Wanted {
  readonly block: PlacedBlock;
  readonly chunks: Chunks;
  readonly index: number;
}

type Results = (Uint8Array | undefined)[];

/** Reads ranges of the content. Of each block the chunks are followed once, when something in it is first asked for. */
export class AvmlContent implements Content {
  readonly #source: ByteSource;
  readonly #blocks: readonly PlacedBlock[];
  readonly #warnings: Warnings;

  constructor(source: ByteSource, blocks: readonly PlacedBlock[], warnings: Warnings) {
    this.#source = source;
    this.#blocks = blocks;
    this.#warnings = warnings;
  }

  async read(ranges: readonly ByteRange[]): Promise<Results> {
    const results: Results = ranges.map(({ length }) => new Uint8Array(length));
    const { unsnappy } = await import('./snappy.ts');
    const followed: Wanted[] = [];
    for (let i = 0; i < ranges.length; ) {
      const block = this.#blockAt(ranges[i]!.offset);
      let next = i + 1;
      while (next < ranges.length && ranges[next]!.offset < block.offset + block.room) next++;
      const bytes = block.chunks ? undefined : await this.#follow(block);
      const wanted = wantedOf(block, ranges, i, next);
      if (bytes) {
        for (const chunk of wanted)
          this.#fill(results, ranges, chunk, bytes.subarray(chunkStart(chunk) - block.from), unsnappy);
      } else {
        followed.push(...wanted);
      }
      loseWhatIsAfter(results, ranges, i, next, block);
      i = next;
    }
    await this.#readChunks(results, ranges, followed, unsnappy);
    return results;
  }

  async close(): Promise<void> {
    await this.#source.close();
  }

  /** Reads a block, and notes where its chunks lie. */
  async #follow(block: PlacedBlock): Promise<Uint8Array> {
    const [bytes] = await this.#source.read([{ offset: block.from, length: block.to - block.from }]);
    const at = async (offset: number, length: number): Promise<Uint8Array> =>
      bytes!.subarray(offset - block.from, offset - block.from + length);
    block.chunks = await readChunks({ at, end: async () => undefined }, block.from, block.bytes);
    if (block.chunks.broken) this.#warnings.add(block.chunks.broken);
    return bytes!;
  }

  /** Reads chunks whose places are known, as many at a time as a batch has room for. */
  async #readChunks(
    results: Results,
    ranges: readonly ByteRange[],
    wanted: readonly Wanted[],
    unsnappy: Unsnappy,
  ): Promise<void> {
    for (let i = 0; i < wanted.length; ) {
      const batch: ByteRange[] = [];
      const first = i;
      for (let size = 0; i < wanted.length && (size < BATCH || i === first); i++) {
        const offset = chunkStart(wanted[i]!);
        const { chunks, index } = wanted[i]!;
        const length = Math.min(chunks.offsets[index + 1] ?? chunks.end, this.#source.size) - offset;
        batch.push({ offset, length });
        size += length;
      }
      const contents = await this.#source.read(batch);
      for (const [n, bytes] of contents.entries()) this.#fill(results, ranges, wanted[first + n]!, bytes, unsnappy);
    }
  }

  /** Puts what a chunk holds into the results it is part of. */
  #fill(results: Results, ranges: readonly ByteRange[], wanted: Wanted, bytes: Uint8Array, unsnappy: Unsnappy): void {
    const { block, chunks, index } = wanted;
    const start = block.offset + chunks.starts[index]!;
    const length = chunks.starts[index + 1]! - chunks.starts[index]!;
    const content = contentOf(bytes, length, unsnappy);
    if (typeof content === 'string') {
      const physical = block.physical + BigInt(chunks.starts[index]!);
      this.#warnings.add(
        `chunk at file offset ${hex(chunkStart(wanted))} (physical ${hex(physical)}): ${content}: it is left out`,
      );
    }
    for (let i = firstEndingAfter(ranges, start); i < ranges.length && ranges[i]!.offset < start + length; i++) {
      const { offset } = ranges[i]!;
      if (typeof content === 'string') {
        results[i] = undefined;
        continue;
      }
      const from = Math.max(offset, start);
      const to = Math.min(endOf(ranges[i]!), start + length);
      results[i]?.set(content.subarray(from - start, to - start), from - offset);
    }
  }

  #blockAt(offset: number): PlacedBlock {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#blocks[middle]!.offset <= offset) low = middle + 1;
      else high = middle;
    }
    return this.#blocks[low - 1]!;
  }
}

type Unsnappy = (bytes: Uint8Array, length: number) => Uint8Array;

function chunkStart({ chunks, index }: Wanted): number {
  return chunks.offsets[index]!;
}

/** The chunks of a block that ranges `first` to `end` lie in. */
function wantedOf(block: PlacedBlock, ranges: readonly ByteRange[], first: number, end: number): Wanted[] {
  const chunks = block.chunks!;
  const wanted: Wanted[] = [];
  for (let i = first, index = 0; i < end && index < chunks.offsets.length; ) {
    const start = block.offset + chunks.starts[index]!;
    const after = block.offset + chunks.starts[index + 1]!;
    if (endOf(ranges[i]!) <= start) i++;
    else if (ranges[i]!.offset >= after) index++;
    else wanted.push({ block, chunks, index: index++ });
  }
  return wanted;
}

/** A block whose chunks break off holds nothing after them. */
function loseWhatIsAfter(
  results: Results,
  ranges: readonly ByteRange[],
  first: number,
  end: number,
  block: PlacedBlock,
): void {
  const held = block.chunks!.starts.at(-1)!;
  if (held >= block.bytes) return;
  for (let i = first; i < end; i++) if (endOf(ranges[i]!) > block.offset + held) results[i] = undefined;
}

/** Ranges have one length nearly always, and ascend: the first that ends after an offset is found by halving. */
function firstEndingAfter(ranges: readonly ByteRange[], offset: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (endOf(ranges[middle]!) <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
