/**
 * Cores of Xen's guests (xl dump-core), which have sections and no program headers. Xen, docs/misc/dump-core-format.txt.
 *
 *   section header   +0 u32 name   +4 u32 type   +24 u64 offset   +32 u64 size   +56 u64 entry size
 *   .xen_pages       frames of 4 KiB, in the order of the other table
 *   .xen_pfn         u64 pfn of each frame: of a guest with nested paging (HVM, PVH)
 *   .xen_p2m         u64 pfn | u64 gmfn of each frame: of a paravirtual guest, whose page tables hold machine frames (gmfn)
 *
 * An entry of all ones (of 32 or 64 bits) is a frame that is not there.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import type { ByteRange } from '../../ranges.ts';
import { PHYSICAL_LIMIT, type Segment } from '../../segment.ts';
import type { Warnings } from '../../warnings.ts';
import { readView } from './program-headers.ts';

const SECTION_HEADER_BYTES = 64;
const MOST_NAMES = 2 ** 16;
const PAGE = 4096;
const MOST_PFN = PHYSICAL_LIMIT / BigInt(PAGE);
/** Frames whose entries are read at a time. */
const CHUNK = 2 ** 20;

type Sections = ReadonlyMap<string, ByteRange>;

/** The memory in a core's sections; undefined if it has none of Xen's. */
export async function xenMemory(
  source: ByteSource,
  header: DataView,
  warnings: Warnings,
): Promise<Segment[] | undefined> {
  const sections = await readSections(source, header);
  const pages = sections.get('.xen_pages');
  const p2m = sections.get('.xen_p2m');
  const table = p2m ?? sections.get('.xen_pfn');
  if (!pages) return undefined;
  if (!table) throw new DumpError(source.name, 'expected a section .xen_pfn or .xen_p2m beside .xen_pages, found none');
  const entry = p2m ? 16 : 8;
  const counts = [Math.floor(pages.length / PAGE), Math.floor(table.length / entry)] as const;
  const count = Math.min(...counts);
  if (counts[0] !== counts[1]) {
    warnings.add(
      `expected as many entries as pages in Xen's sections, found ${hex(counts[1])} and ${hex(counts[0])} (truncated?)`,
    );
  }
  return joinFrames(source, { pages, table, entry, count }, warnings);
}

interface Frames {
  readonly pages: ByteRange;
  readonly table: ByteRange;
  readonly entry: number;
  readonly count: number;
}

/** Frames that follow each other in the file and in memory are one segment. */
async function joinFrames(
  source: ByteSource,
  { pages, table, entry, count }: Frames,
  warnings: Warnings,
): Promise<Segment[]> {
  const segments: Segment[] = [];
  let first = 0;
  let pfn = -1n;
  let run = 0n;
  const flush = (): void => {
    if (run > 0n)
      segments.push({ physical: pfn * BigInt(PAGE), bytes: run * BigInt(PAGE), offset: pages.offset + first * PAGE });
    run = 0n;
  };
  for (let done = 0; done < count; done += CHUNK) {
    const length = Math.min(CHUNK, count - done);
    const view = await readView(source, table.offset + done * entry, length * entry);
    for (let i = 0; i < length; i++) {
      const frame = view.getBigUint64(i * entry + entry - 8, true);
      if (run > 0n && frame === pfn + run) {
        run++;
        continue;
      }
      flush();
      if (isAbsent(frame)) continue;
      if (frame >= MOST_PFN) {
        warnings.add(`expected frames below ${hex(MOST_PFN)} in Xen's table, found ${hex(frame)}: such are skipped`);
        continue;
      }
      [first, pfn, run] = [done + i, frame, 1n];
    }
  }
  flush();
  return segments;
}

function isAbsent(frame: bigint): boolean {
  return frame === 0xffff_ffffn || frame === 0xffff_ffff_ffff_ffffn;
}

/** The sections by name, as far as they are in the file. */
async function readSections(source: ByteSource, header: DataView): Promise<Sections> {
  const offset = header.getBigUint64(40, true);
  const size = header.getUint16(58, true);
  const count = header.getUint16(60, true);
  const sections = new Map<string, ByteRange>();
  if (offset === 0n || count === 0 || size !== SECTION_HEADER_BYTES) return sections;
  if (offset + BigInt(size * count) > BigInt(source.size)) return sections;
  const table = await readView(source, Number(offset), size * count);
  const rangeOf = (index: number): ByteRange => {
    const from = table.getBigUint64(index * size + 24, true);
    const length = table.getBigUint64(index * size + 32, true);
    const start = from < BigInt(source.size) ? Number(from) : source.size;
    return { offset: start, length: Math.min(source.size - start, Number(length)) };
  };
  const namesIndex = header.getUint16(62, true);
  if (namesIndex >= count) return sections;
  const namesRange = rangeOf(namesIndex);
  const [names] = await source.read([{ ...namesRange, length: Math.min(namesRange.length, MOST_NAMES) }]);
  for (let i = 0; i < count; i++) {
    const name = names!.subarray(table.getUint32(i * size, true)).subarray(0, 32);
    sections.set(String.fromCharCode(...name).replace(/\0.*$/s, ''), rangeOf(i));
  }
  return sections;
}
