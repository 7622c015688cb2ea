/**
 * The memory of a bitmap dump: kernel memory, active memory, or all of it. Source: see header.ts.
 *
 *   0x2000  "SDMP" or "FDMP", "DUMP"
 *   0x2020  u64 FirstPage: where in the file the pages begin
 *   0x2028  u64 TotalPresentPages: how many there are, which is how many bits are set
 *   0x2030  u64 Pages: how many bits the bitmap has; need not be whole words
 *   0x2038  the bitmap: bit n % 8 of byte n / 8 is frame n
 *   FirstPage: the pages of those frames whose bits are set, in order
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import { PHYSICAL_LIMIT } from '../../segment.ts';
import type { Warnings } from '../../warnings.ts';
import { checkInFile, readBytes } from '../in-file.ts';
import { beginsWith } from '../magic.ts';
import { PageBitmap } from '../page-bitmap.ts';
import { HEADER_BYTES } from './header.ts';

const BITMAP_HEADER_BYTES = 0x38;
const BITMAP = HEADER_BYTES + BITMAP_HEADER_BYTES;
const SIGNATURES = ['SDMPDUMP', 'FDMPDUMP'];
const PAGE = 4096;
const MOST_FRAMES = PHYSICAL_LIMIT / 4096n;

/** Which frames are there, and where. */
export interface StoredFrames {
  readonly bitmap: PageBitmap;
  /** Where the first page is. */
  readonly firstPage: number;
  /** Pages that are whole in the file. */
  readonly held: number;
}

/** @throws {@link DumpError} where the bitmap is not whole */
export async function readBitmap(source: ByteSource, warnings: Warnings): Promise<StoredFrames> {
  checkInFile(source, 'bitmap header', { offset: HEADER_BYTES, length: BITMAP_HEADER_BYTES });
  const header = await readBytes(source, { offset: HEADER_BYTES, length: BITMAP_HEADER_BYTES });
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  if (!SIGNATURES.some((signature) => beginsWith(header, signature))) {
    throw new DumpError(
      source.name,
      `bitmap header: expected "SDMPDUMP" or "FDMPDUMP" at file offset 0x2000, found ${hex(view.getBigUint64(0, true))}`,
    );
  }
  const [first, present, frames] = [0x20, 0x28, 0x30].map((at) => view.getBigUint64(at, true)) as [
    bigint,
    bigint,
    bigint,
  ];
  if (frames === 0n || frames > MOST_FRAMES) {
    throw new DumpError(
      source.name,
      `bitmap header: expected a bitmap of 0x1 to ${hex(MOST_FRAMES)} frames (Pages), found ${hex(frames)}`,
    );
  }
  const length = Math.ceil(Number(frames) / 8);
  checkInFile(source, 'bitmap', { offset: BITMAP, length });
  if (first < BigInt(BITMAP + length)) {
    throw new DumpError(
      source.name,
      `bitmap header: expected pages behind the bitmap, from file offset ${hex(BITMAP + length)} on (FirstPage), found ${hex(first)}`,
    );
  }
  const bitmap = await PageBitmap.read(source, { offset: BITMAP, length }, Number(frames));
  if (BigInt(bitmap.count) !== present) {
    warnings.add(
      `bitmap header: expected as many bits set as TotalPresentPages = ${hex(present)}, found ${hex(bitmap.count)}`,
    );
  }
  return { bitmap, firstPage: Number(first), held: heldPages(source, first, bitmap.count, warnings) };
}

function heldPages(source: ByteSource, first: bigint, count: number, warnings: Warnings): number {
  if (count === 0) throw new DumpError(source.name, 'expected memory, found no frame in the bitmap');
  const room = BigInt(source.size) > first ? source.size - Number(first) : 0;
  const held = Math.min(count, Math.floor(room / PAGE));
  if (held === count) return held;
  const problem = `truncated: expected ${hex(count)} pages from file offset ${hex(first)} on, found the end of the file at ${hex(source.size)}`;
  if (held === 0) throw new DumpError(source.name, problem);
  warnings.add(problem);
  return held;
}
