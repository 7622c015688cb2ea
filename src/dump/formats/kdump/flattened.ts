/**
 * The flattened form of a kdump-compressed file, which makedumpfile -F and QEMU write where they cannot seek: what was
 * written, in order, each with the place where it belongs. makedumpfile, makedumpfile.h and IMPLEMENTATION.
 *
 *   header, 4096 bytes   +0 "makedumpfile"   +16 s64 type 1   +24 s64 version 1        all numbers big-endian
 *   record               +0 s64 offset in the file that is meant   +8 s64 size   +16 its bytes
 *   end                  a record of offset -1 and size -1
 *
 * Records go back and forth, and a later one counts where two are for the same place. What none is for is zeros. The records
 * are listed once, and read when needed.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import { type ByteRange, checkRanges, endOf } from '../../ranges.ts';
import { checkInFile, readBytes } from '../in-file.ts';
import { type Piece, piecesOf, type Record } from './record-pieces.ts';
import type { Warn } from './warn.ts';

const HEADER = 4096;
const RECORD = 16;
/** Bytes read at a time, as long as records are near each other: more each time, since a gzipped file is read from its start again each time. */
const LEAST_READ = 2 ** 16;
const MOST_READ = 2 ** 25;

/**
 * The file that a flattened one stands for.
 *
 * @throws {@link DumpError} for records that are malformed
 */
export async function unflattened(source: ByteSource, warnings: Warn): Promise<ByteSource> {
  await checkHeader(source);
  const pieces = piecesOf(await readRecords(source, warnings));
  const last = pieces.at(-1);
  const size = last ? last.to + last.length : 0;
  return {
    name: source.name,
    size,
    async read(ranges) {
      checkRanges(ranges, size);
      return readPieces(source, pieces, ranges);
    },
    close: () => source.close(),
  };
}

async function checkHeader(source: ByteSource): Promise<void> {
  checkInFile(source, 'flattened header', { offset: 0, length: HEADER });
  const view = viewOf(await readBytes(source, { offset: 16, length: 16 }));
  for (const [what, at] of [
    ['type', 0],
    ['version', 8],
  ] as const) {
    const found = view.getBigUint64(at);
    if (found !== 1n) throw new DumpError(source.name, `expected a flattened file of ${what} 0x1, found ${hex(found)}`);
  }
}

/** All records but empty ones, in the file's order. */
async function readRecords(source: ByteSource, warnings: Warn): Promise<Record[]> {
  const records: Record[] = [];
  let window = { offset: 0, bytes: new Uint8Array(0) };
  let length = LEAST_READ;
  for (let at = HEADER; ; ) {
    if (at + RECORD > source.size) {
      warnings.add(
        `expected the end mark of the flattened form, found the end of the file at ${hex(source.size)} (truncated?): pages are missing`,
      );
      return records;
    }
    const end = window.offset + window.bytes.length;
    if (at + RECORD > end) {
      length = at - end < length ? Math.min(length * 2, MOST_READ) : LEAST_READ;
      const range = { offset: at, length: Math.min(length, source.size - at) };
      window = { offset: at, bytes: new Uint8Array(await readBytes(source, range)) };
    }
    const record = viewOf(window.bytes.subarray(at - window.offset, at - window.offset + RECORD));
    const [to, size] = [record.getBigInt64(0), record.getBigInt64(8)];
    if (to === -1n && size === -1n) return records;
    checkRecord(source, at, to, size);
    const stored = Math.min(Number(size), source.size - at - RECORD);
    if (stored > 0) records.push({ to: Number(to), length: stored, from: at + RECORD });
    at += RECORD + Number(size);
  }
}

function checkRecord(source: ByteSource, at: number, to: bigint, size: bigint): void {
  if (to >= 0n && size >= 0n && to + size <= BigInt(Number.MAX_SAFE_INTEGER)) return;
  throw new DumpError(
    source.name,
    `flattened record at ${hex(at)}: expected an offset and a size, or -1 for both at the end, found ${hex(BigInt.asUintN(64, to))} and ${hex(BigInt.asUintN(64, size))}`,
  );
}

/** Reads what lies in ranges (ascending) of the file that is meant. */
async function readPieces(
  source: ByteSource,
  pieces: readonly Piece[],
  ranges: readonly ByteRange[],
): Promise<Uint8Array[]> {
  const parts: { readonly from: ByteRange; readonly range: number; readonly at: number }[] = [];
  for (const [index, range] of ranges.entries()) {
    for (let i = firstBehind(pieces, range.offset); i < pieces.length && pieces[i]!.to < endOf(range); i++) {
      const { to, length, from } = pieces[i]!;
      const start = Math.max(to, range.offset);
      const end = Math.min(to + length, endOf(range));
      if (start >= end) continue;
      const part = { offset: from + (start - to), length: end - start };
      parts.push({ from: part, range: index, at: start - range.offset });
    }
  }
  parts.sort((a, b) => a.from.offset - b.from.offset);
  const contents = parts.length ? await source.read(parts.map(({ from }) => from)) : [];
  const results: (Uint8Array | undefined)[] = ranges.map(() => undefined);
  for (const [i, { range, at }] of parts.entries()) {
    const content = contents[i]!;
    const { length } = ranges[range]!;
    if (content.length === length) {
      results[range] = content;
      continue;
    }
    results[range] ??= new Uint8Array(length);
    results[range].set(content, at);
  }
  return results.map((result, i) => result ?? new Uint8Array(ranges[i]!.length));
}

/** Index of the first piece that ends behind an offset. */
function firstBehind(pieces: readonly Piece[], offset: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle]!.to + pieces[middle]!.length <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
