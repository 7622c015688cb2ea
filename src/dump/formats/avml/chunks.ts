/**
 * The chunks of a snappy stream: snappy, framing_format.txt.
 *
 *   chunk             u8 type | u24 length | as many bytes
 *   0xff              stream identifier: "sNaPpY"
 *   0x00, 0x01        u32 masked CRC-32C of the content | the content, compressed or not; at most 64 KiB uncompressed
 *   0x80 .. 0xfe      may be skipped
 *
 * A compressed content begins with its uncompressed length as a varint (snappy, format_description.txt).
 */
import { hex } from '../../../core/errors.ts';
import type { Reader } from '../../forward-reader.ts';
import { maskedCrc32c } from './crc32c.ts';

const HEADER = 4;
const CRC = 4;
const COMPRESSED = 0x00;
const STORED = 0x01;
const IDENTIFIER = 0xff;
const SKIPPABLE = 0x80;
/** What a chunk may hold, uncompressed. */
const MOST = 65_536;
/** A varint of up to 64 KiB has three bytes. */
const VARINT = 3;

/** Where the chunks of a block lie: number i begins at `offsets[i]` of the file and holds what is at `starts[i]` of the block. */
export interface Chunks {
  readonly offsets: readonly number[];
  /** One more than offsets: the last is where the content ends. */
  readonly starts: readonly number[];
  /** Offset in the file of what follows the last chunk. */
  readonly end: number;
  /** Why the content is shorter than expected, if it is. */
  readonly broken?: string;
}

/** Follows the chunks from `offset` on until they hold `bytes`. */
export async function readChunks(reader: Reader, offset: number, bytes: number): Promise<Chunks> {
  const offsets: number[] = [];
  const starts = [0];
  let at = offset;
  while (starts.at(-1)! < bytes) {
    const chunk = chunkOf(await reader.at(at, HEADER + CRC + VARINT));
    if (typeof chunk === 'string')
      return { offsets, starts, end: at, broken: `chunk at file offset ${hex(at)}: ${chunk}` };
    if (chunk.content > 0) {
      offsets.push(at);
      starts.push(starts.at(-1)! + chunk.content);
    }
    at += chunk.length;
  }
  return { offsets, starts, end: at };
}

/** Bytes of a chunk in the file, and those of memory in it; or what is wrong with it. */
function chunkOf(bytes: Uint8Array): { readonly length: number; readonly content: number } | string {
  if (bytes.length < HEADER) return 'expected a chunk, found the end of the file';
  const type = bytes[0]!;
  const length = bytes[1]! | (bytes[2]! << 8) | (bytes[3]! << 16);
  if (type === IDENTIFIER || type >= SKIPPABLE) return { length: HEADER + length, content: 0 };
  if (type !== COMPRESSED && type !== STORED)
    return `expected a chunk of type 0x0, 0x1, or from 0x80 on, found ${hex(type)}`;
  if (length <= CRC) return `expected a content after the checksum, found a chunk of length ${hex(length)}`;
  const content = type === STORED ? length - CRC : varint(bytes.subarray(HEADER + CRC));
  if (content < 1 || content > MOST) return `expected a content of 0x1 to 0x10000 bytes, found ${hex(content)}`;
  return { length: HEADER + length, content };
}

function varint(bytes: Uint8Array): number {
  let value = 0;
  for (let i = 0; i < Math.min(VARINT, bytes.length); i++) {
    value |= (bytes[i]! & 0x7f) << (7 * i);
    if (bytes[i]! < 0x80) return value;
  }
  return 2 ** 24;
}

/**
 * The content of a chunk, or what is wrong with it.
 *
 * @param chunk all its bytes, which may be followed by others
 * @param length what it holds
 */
export function contentOf(
  chunk: Uint8Array,
  length: number,
  unsnappy: (bytes: Uint8Array, length: number) => Uint8Array,
): Uint8Array | string {
  const end = HEADER + (chunk[1]! | (chunk[2]! << 8) | (chunk[3]! << 16));
  if (end > chunk.length) return 'expected a whole chunk, found the end of the file';
  const body = chunk.subarray(HEADER + CRC, end);
  let content: Uint8Array;
  try {
    content = chunk[0] === STORED ? body : unsnappy(body, length);
  } catch (error) {
    return `expected a snappy stream, found: ${error instanceof Error ? error.message : String(error)}`;
  }
  const expected = new DataView(chunk.buffer, chunk.byteOffset + HEADER, CRC).getUint32(0, true);
  const found = maskedCrc32c(content);
  return found === expected ? content : `expected the checksum ${hex(expected)}, found ${hex(found)}`;
}
