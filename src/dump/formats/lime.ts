/**
 * LiME's memory images, format=lime: LiME, doc/README.md and src/lime.h.
 *
 *   range   +0 u32 "EMiL"   +4 u32 version 1   +8 u64 first address   +16 u64 last address   +24 8 bytes 0   +32 memory
 *
 * The last address is that of the last byte, and need not end a page: the memory below 640 KiB of a PC ends at 0x9fbff.
 */
import { hex } from '../../core/errors.ts';
import type { ByteSource } from '../byte-source.ts';
import { DumpError } from '../dump-error.ts';
import { forwardReader } from '../forward-reader.ts';
import { PHYSICAL_LIMIT, type Segment, sortSegments } from '../segment.ts';
import { SegmentedDump } from '../segmented-dump.ts';
import type { Warnings } from '../warnings.ts';
import { type OpenFormat, onlySource } from './format.ts';
import { beginsWith, LIME_MAGIC } from './magic.ts';

const VERSION = 1;
const HEADER_BYTES = 32;
/** More ranges than any machine's memory has. */
const MOST_RANGES = 2 ** 16;

/** Opens LiME's own format. */
export const openLime: OpenFormat = async (sources, { warnings }) => {
  const source = onlySource(sources);
  const ranges = await readRanges(source, warnings);
  const { segments, repetitions } = sortSegments(source.name, ranges);
  const [repeated] = repetitions;
  if (repeated) warnings.add(`expected memory once, found physical ${hex(repeated.physical)} again: one is used`);
  return new SegmentedDump({ name: source.name, format: 'lime', segments, content: source, warnings });
};

async function readRanges(source: ByteSource, warnings: Warnings): Promise<Segment[]> {
  const segments: Segment[] = [];
  const reader = forwardReader(source);
  for (let at = 0; at < source.size; ) {
    const header = headerAt(await reader.at(at, HEADER_BYTES), segments.length);
    if (typeof header === 'string') {
      if (segments.length === 0) throw new DumpError(source.name, `range at file offset ${hex(at)}: ${header}`);
      warnings.add(`range at file offset ${hex(at)}: ${header}: what follows is left out`);
      break;
    }
    const offset = at + HEADER_BYTES;
    const held = Math.min(header.bytes, source.size - offset);
    if (held < header.bytes) {
      warnings.add(
        `truncated: expected ${hex(header.bytes)} bytes of physical ${hex(header.first)} at file offset ${hex(offset)}, found the end of the file at ${hex(source.size)}`,
      );
    }
    if (held > 0) segments.push({ physical: header.first, bytes: BigInt(held), offset });
    at = offset + held;
  }
  await reader.end();
  if (segments.length === 0) {
    throw new DumpError(source.name, warnings.lines[0] ?? 'expected memory after the header, found none');
  }
  return segments;
}

/** A range's addresses, or what is wrong with them. */
function headerAt(bytes: Uint8Array, before: number): { readonly first: bigint; readonly bytes: number } | string {
  if (bytes.length < HEADER_BYTES)
    return `expected a header of 0x20 bytes, found the end of the file after ${hex(bytes.length)}`;
  if (before >= MOST_RANGES) return `expected at most ${hex(MOST_RANGES)} ranges, found more`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (!beginsWith(bytes, LIME_MAGIC)) return `expected the magic "EMiL", found ${hex(view.getUint32(0, true))}`;
  const version = view.getUint32(4, true);
  if (version !== VERSION) return `expected version 0x1, found ${hex(version)}`;
  const first = view.getBigUint64(8, true);
  const last = view.getBigUint64(16, true);
  if (first > last) return `expected a last address from ${hex(first)} on, found ${hex(last)}`;
  if (last >= PHYSICAL_LIMIT) return `expected physical memory below ${hex(PHYSICAL_LIMIT)}, found ${hex(last)}`;
  return { first, bytes: Number(last - first + 1n) };
}
