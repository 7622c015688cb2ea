/**
 * AVML's memory images: blocks of up to 16 MiB, compressed by snappy. Blocks of zeros are left out; they cannot be told from
 * holes, and are no memory here. AVML, README.md and src/image.rs.
 *
 * AVML takes the last address of a range in /proc/iomem for the one after it, so that a range lacks its last byte. Where
 * that is the last byte of a page, it is taken for 0: it is the upper half of entry 511's last word, which holds XD and the
 * protection key of one page. A warning names it.
 */
import { hex } from '../../../core/errors.ts';
import { DumpError } from '../../dump-error.ts';
import { type Segment, sortSegments } from '../../segment.ts';
import { SegmentedDump } from '../../segmented-dump.ts';
import type { Warnings } from '../../warnings.ts';
import { type OpenFormat, onlySource } from '../format.ts';
import { type Block, readBlocks } from './blocks.ts';
import { AvmlContent, type PlacedBlock } from './content.ts';

/** Opens what AVML writes with compression; without, it writes LiME's format. */
export const openAvml: OpenFormat = async (sources, { warnings }) => {
  const source = onlySource(sources);
  const { name } = source;
  const blocks = place(await readBlocks(source, warnings), warnings);
  const { segments, repetitions } = sortSegments(name, blocks.flatMap(segmentOf));
  if (segments.length === 0) {
    throw new DumpError(name, warnings.lines[0] ?? 'expected a block of memory, found none that is whole');
  }
  const [repeated] = repetitions;
  if (repeated) warnings.add(`expected memory once, found physical ${hex(repeated.physical)} again: one is used`);
  const content = new AvmlContent(source, blocks, warnings);
  return new SegmentedDump({ name, format: 'avml', segments, content, warnings });
};

/** Lays the blocks out one after the other, and gives back last bytes of pages. */
function place(blocks: readonly Block[], warnings: Warnings): PlacedBlock[] {
  const starts = new Set(blocks.map(({ physical }) => physical));
  const lacking: bigint[] = [];
  let offset = 0;
  const placed = blocks.map((block) => {
    const end = block.physical + BigInt(block.bytes);
    const lacksByte = end % 4096n === 4095n && !starts.has(end);
    if (lacksByte) lacking.push(end);
    const room = block.bytes + (lacksByte ? 1 : 0);
    const result = { ...block, offset, room };
    offset += room;
    return result;
  });
  if (lacking.length > 0) {
    const more = lacking.length > 1 ? ` and ${lacking.length - 1} more` : '';
    warnings.add(
      `expected ranges of whole pages, found that AVML left out their last byte, at physical ${hex(lacking[0]!)}${more}: it is taken for 0x0`,
    );
  }
  return placed;
}

/** The memory of a block, as far as its chunks are known to reach. */
function segmentOf({ physical, bytes, room, offset, chunks }: PlacedBlock): Segment[] {
  const held = chunks?.broken === undefined ? room : Math.min(bytes, chunks.starts.at(-1)!);
  return held > 0 ? [{ physical, bytes: BigInt(held), offset }] : [];
}
