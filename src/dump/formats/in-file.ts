import { hex } from '../../core/errors.ts';
import type { ByteSource } from '../byte-source.ts';
import { DumpError } from '../dump-error.ts';
import { type ByteRange, endOf } from '../ranges.ts';

/** Bytes between two ranges that are read with them, since one longer read is quicker than two. */
const NEARBY = 2048;

/** @throws {@link DumpError} unless the range lies within the file */
export function checkInFile(source: ByteSource, what: string, { offset, length }: ByteRange): void {
  if (offset + length <= source.size) return;
  throw new DumpError(
    source.name,
    `${what}: expected ${hex(length)} bytes at file offset ${hex(offset)}, found the end of the file at ${hex(source.size)} (truncated?)`,
  );
}

/** One range of a file. */
export async function readBytes(source: ByteSource, range: ByteRange): Promise<Uint8Array> {
  const [bytes] = await source.read([range]);
  return bytes!;
}

/** Like `source.read`, in ascending order of offset, but ranges that lie near each other are read at once. */
export async function readNearby(source: ByteSource, ranges: readonly ByteRange[]): Promise<Uint8Array[]> {
  const wide: { offset: number; length: number }[] = [];
  const within = ranges.map((range) => {
    const last = wide.at(-1);
    if (last && range.offset <= endOf(last) + NEARBY) last.length = Math.max(endOf(last), endOf(range)) - last.offset;
    else wide.push({ ...range });
    return wide.length - 1;
  });
  const contents = wide.length ? await source.read(wide) : [];
  return ranges.map(({ offset, length }, i) => {
    const start = offset - wide[within[i]!]!.offset;
    return contents[within[i]!]!.subarray(start, start + length);
  });
}
