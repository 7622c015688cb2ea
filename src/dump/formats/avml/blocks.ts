/**
 * The blocks of an AVML file: AVML, README.md and src/image.rs.
 *
 *   block   +0 u32 "AVML"   +4 u32 version 2   +8 u64 first address   +16 u64 last address   +24 u64 0
 *           +32 a snappy stream of the memory   then u64: the stream's length
 *
 * As the length comes last, blocks are found from the end of the file backwards. Where that fails, since the file is
 * truncated or damaged, or is streamed, they are found forwards, chunk by chunk of their streams.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { forwardReader, type Reader } from '../../forward-reader.ts';
import { PHYSICAL_LIMIT } from '../../segment.ts';
import type { Warnings } from '../../warnings.ts';
import { AVML_MAGIC, beginsWith } from '../magic.ts';
import { type Chunks, readChunks } from './chunks.ts';

const VERSION = 2;
const HEADER_BYTES = 32;
const LENGTH_BYTES = 8;
/** AVML writes 16 MiB; what is believed. */
const MOST_BYTES = 2 ** 30;
/** Bytes read at a time where chunks are followed. */
const AHEAD = 2 ** 20;

/** A block of memory. */
export interface Block {
  readonly physical: bigint;
  readonly bytes: number;
  /** Where its stream begins, and where it ends. */
  readonly from: number;
  readonly to: number;
  /** Its chunks, where they have been followed. */
  chunks?: Chunks;
}

/** All blocks, in the order of the file. */
export async function readBlocks(source: ByteSource, warnings: Warnings): Promise<Block[]> {
  const backwards = source.stream ? undefined : await readBackwards(source);
  return backwards ?? readForwards(source, warnings);
}

async function readBackwards(source: ByteSource): Promise<Block[] | undefined> {
  const blocks: Block[] = [];
  for (let end = source.size; end > 0; ) {
    const to = end - LENGTH_BYTES;
    if (to < HEADER_BYTES) return undefined;
    const [tail] = await source.read([{ offset: to, length: LENGTH_BYTES }]);
    const length = new DataView(tail!.buffer, tail!.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
    if (length > BigInt(to - HEADER_BYTES)) return undefined;
    const from = to - Number(length);
    const [head] = await source.read([{ offset: from - HEADER_BYTES, length: HEADER_BYTES }]);
    const header = headerOf(head!);
    /* A stream of less cannot be as long as a header of bytes: snappy makes 64 of 3, and no chunk holds more than 64 KiB. */
    if (typeof header === 'string' || header.bytes > Number(length) * 32) return undefined;
    blocks.push({ ...header, from, to });
    end = from - HEADER_BYTES;
  }
  return blocks.reverse();
}

async function readForwards(source: ByteSource, warnings: Warnings): Promise<Block[]> {
  const blocks: Block[] = [];
  const reader = forwardReader(source, AHEAD);
  for (let at = 0; at < source.size; ) {
    const block = await blockAt(reader, at);
    if (typeof block === 'string') {
      warnings.add(`block at file offset ${hex(at)}: ${block}: what follows is left out`);
      break;
    }
    blocks.push(block);
    if (block.chunks.broken) {
      warnings.add(`${block.chunks.broken}: what follows is left out`);
      break;
    }
    at = block.to + LENGTH_BYTES;
    if (at > source.size)
      warnings.add(`truncated: expected a block's length at file offset ${hex(block.to)}, found the end`);
  }
  await reader.end();
  return blocks;
}

async function blockAt(reader: Reader, at: number): Promise<(Block & { readonly chunks: Chunks }) | string> {
  const header = headerOf(await reader.at(at, HEADER_BYTES));
  if (typeof header === 'string') return header;
  const from = at + HEADER_BYTES;
  const chunks = await readChunks(reader, from, header.bytes);
  return { ...header, from, to: chunks.end, chunks };
}

/** A block's addresses, or what is wrong with them. */
function headerOf(bytes: Uint8Array): { readonly physical: bigint; readonly bytes: number } | string {
  if (bytes.length < HEADER_BYTES) return `truncated: expected a header of 0x20 bytes, found ${hex(bytes.length)}`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (!beginsWith(bytes, AVML_MAGIC)) return `expected the magic "AVML", found ${hex(view.getUint32(0, true))}`;
  const version = view.getUint32(4, true);
  if (version !== VERSION) return `expected version 0x2, found ${hex(version)}`;
  const physical = view.getBigUint64(8, true);
  const last = view.getBigUint64(16, true);
  if (physical > last) return `expected a last address from ${hex(physical)} on, found ${hex(last)}`;
  if (last >= PHYSICAL_LIMIT) return `expected physical memory below ${hex(PHYSICAL_LIMIT)}, found ${hex(last)}`;
  const bytesHeld = last - physical + 1n;
  if (bytesHeld > MOST_BYTES) return `expected a block of at most ${hex(MOST_BYTES)} bytes, found ${hex(bytesHeld)}`;
  return { physical, bytes: Number(bytesHeld) };
}
