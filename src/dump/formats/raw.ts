/**
 * Raw images: physical memory as it is. They tell nothing of themselves, so a user chooses them: by name (memory.raw,
 * .mem, .vmem, .img, .bin, .dd), by `format: 'raw'`, or by the ranges that lie in the file.
 *
 * Without ranges the file is memory from physical 0 on, holes included, as QEMU's pmemsave and dd write it. What a
 * hypervisor keeps in a file (QEMU's memory-backend-file, VMware's .vmem) has no holes: there ranges say what lies where.
 */
import { hex } from '../../core/errors.ts';
import { DumpError } from '../dump-error.ts';
import { PHYSICAL_LIMIT, type Segment, sortSegments } from '../segment.ts';
import { SegmentedDump } from '../segmented-dump.ts';
import type { Warnings } from '../warnings.ts';
import { type OpenFormat, onlySource } from './format.ts';

/** VMware's machines have memory up to here, and the rest from 4 GiB on. */
const VMWARE_HOLE = 0xc000_0000;

/** Opens memory and nothing else. */
export const openRaw: OpenFormat = async (sources, { warnings, ranges }) => {
  const source = onlySource(sources);
  const { name, size } = source;
  if (size === 0) throw new DumpError(name, 'expected a raw image of memory, found an empty file');
  if (BigInt(size) > PHYSICAL_LIMIT) throw new DumpError(name, `expected at most 2^52 bytes, found ${hex(size)}`);
  if (/\.vmem(\.gz)?$/i.test(name) && !ranges && size > VMWARE_HOLE) {
    warnings.add(
      'a .vmem of more than 0xc0000000 bytes has a hole below 4 GiB, which its .vmss or .vmsn tells: name that file, too; without it all is taken to lie from physical 0x0 on',
    );
  }
  const placed = ranges ? withinFile(ranges, size, warnings) : [{ physical: 0n, bytes: BigInt(size), offset: 0 }];
  if (placed.length === 0)
    throw new DumpError(name, `expected ranges within the file of ${hex(size)} bytes, found none`);
  const { segments, repetitions } = sortSegments(name, placed);
  const [repeated] = repetitions;
  if (repeated) throw new DumpError(name, `expected ranges of separate memory, found ${hex(repeated.physical)} twice`);
  if (!ranges && size % 4096 !== 0) {
    warnings.add(`expected whole pages, found ${hex(size % 4096)} bytes of a page at the end`);
  }
  return new SegmentedDump({ name, format: 'raw', segments, content: source, warnings });
};

/** Ranges, cut where the file ends. */
export function withinFile(ranges: readonly Segment[], size: number, warnings: Warnings): Segment[] {
  return ranges.flatMap((range) => {
    const held = BigInt(Math.max(0, size - range.offset));
    if (range.bytes <= held) return [range];
    warnings.add(
      `truncated: expected ${hex(range.bytes)} bytes of physical ${hex(range.physical)} at file offset ${hex(range.offset)}, found the end of the file at ${hex(size)}`,
    );
    return held > 0n ? [{ ...range, bytes: held }] : [];
  });
}
