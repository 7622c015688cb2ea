/**
 * The state file of a VMware machine, .vmss or .vmsn: groups of tags. As published in Volatility's framework/layers/vmware.py
 * and rekall's vmss.py; VMware describes it nowhere.
 *
 *   header   +0 u32 magic 0xbed2bed0 or 0xbed2bed2, 0xbad1bad1, 0xbed3bed3   +4 u32   +8 u32 number of groups
 *   group    +0 name, 64 bytes   +64 u64 offset of its tags   +72 u64
 *   tag      u8 flags | u8 name length | name | u32 index, as many as flags 7:6 say | data
 *            flags 5:0 are the data's length; 62 and 63: word length in the file, word length in memory, u16 padding length,
 *            padding, data; a word has 4 bytes in version 0, else 8
 *            flags 0 and name length 0 end the group
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import { forwardReader, type Reader } from '../../forward-reader.ts';

const HEADER_BYTES = 12;
const GROUP_BYTES = 80;
const NAME_BYTES = 64;
const MOST_GROUPS = 1024;
const MOST_TAGS = 2 ** 20;
/** Bytes read at a time. */
const AHEAD = 2 ** 16;

/** A tag of the group of memory. */
export interface Tag {
  readonly name: string;
  readonly indices: readonly number[];
  /** Where its data lies in the file. */
  readonly offset: number;
  readonly length: number;
  /** The data as a number, where it has one to eight bytes. */
  readonly value: number | undefined;
}

/** The tags of the group called `memory`. */
export async function memoryTags(source: ByteSource): Promise<Tag[]> {
  const reader = forwardReader(source, AHEAD);
  const header = view(await reader.at(0, HEADER_BYTES));
  if (header.byteLength < HEADER_BYTES) throw new DumpError(source.name, 'expected a header of 0xc bytes, found less');
  const count = header.getUint32(8, true);
  if (count > MOST_GROUPS)
    throw new DumpError(source.name, `expected at most ${hex(MOST_GROUPS)} groups, found ${hex(count)}`);
  const groups = await reader.at(HEADER_BYTES, count * GROUP_BYTES);
  for (let at = 0; at + GROUP_BYTES <= groups.length; at += GROUP_BYTES) {
    const name = text(groups.subarray(at, at + NAME_BYTES));
    if (name !== 'memory') continue;
    const offset = view(groups).getBigUint64(at + NAME_BYTES, true);
    if (offset >= BigInt(source.size)) {
      throw new DumpError(source.name, `group memory: expected tags below ${hex(source.size)}, found ${hex(offset)}`);
    }
    /* Version 0 has words of 32 bits. */
    return readTags(source, reader, Number(offset), (header.getUint32(0, true) & 0xf) === 0 ? 4 : 8);
  }
  throw new DumpError(source.name, 'expected a group of tags called memory, found none');
}

async function readTags(source: ByteSource, reader: Reader, from: number, word: 4 | 8): Promise<Tag[]> {
  const tags: Tag[] = [];
  for (let at = from; tags.length < MOST_TAGS; ) {
    const head = await reader.at(at, 2);
    const [flags, nameLength] = head;
    if (head.length < 2) throw cut(source, at);
    if (flags === 0 && nameLength === 0) return tags;
    const indexCount = flags! >> 6;
    const rest = await reader.at(at + 2, nameLength! + 4 * indexCount + 2 * word + 2);
    const name = text(rest.subarray(0, nameLength));
    const short = flags! & 0x3f;
    let offset = at + 2 + nameLength! + 4 * indexCount;
    let length = short;
    const long = short >= 62;
    const needed = nameLength! + 4 * indexCount + (long ? 2 * word + 2 : 0);
    if (rest.length < needed) throw cut(source, at);
    const numbers = view(rest);
    const indices = Array.from({ length: indexCount }, (_, i) => numbers.getUint32(nameLength! + 4 * i, true));
    if (long) {
      const sizes = nameLength! + 4 * indexCount;
      const size = word === 4 ? BigInt(numbers.getUint32(sizes, true)) : numbers.getBigUint64(sizes, true);
      offset += 2 * word + 2 + numbers.getUint16(sizes + 2 * word, true);
      if (size > BigInt(source.size - offset) && name !== 'Memory') throw cut(source, at);
      length = size > BigInt(source.size) ? source.size : Number(size);
    }
    const data = length > 0 && length <= 8 ? await reader.at(offset, length) : undefined;
    tags.push({ name, indices, offset, length, value: data && unsigned(data) });
    at = offset + length;
    /* A memory that is cut ends the file. */
    if (at >= source.size && name === 'Memory') return tags;
  }
  throw new DumpError(source.name, `group memory: expected at most ${hex(MOST_TAGS)} tags, found more`);
}

function cut(source: ByteSource, at: number): DumpError {
  return new DumpError(
    source.name,
    `tag at file offset ${hex(at)}: expected a whole tag, found the end of the file at ${hex(source.size)}`,
  );
}

function unsigned(bytes: Uint8Array): number {
  let value = 0;
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256 + bytes[i]!;
  return value;
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes).replace(/\0.*$/s, '');
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
