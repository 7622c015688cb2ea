/**
 * Where the bytes of a dump come from. Nothing above this file knows whether that is memory, a file or a Blob.
 */
import { checkString, hex, wrongKind } from '../core/errors.ts';
import type { WebBlob } from '../core/platform.ts';
import { DumpError, messageOf } from './dump-error.ts';
import { type ByteRange, checkRanges, endOf, readMerged } from './ranges.ts';

/** A file of known size that can be read anywhere. Write your own for a dump on a server. */
export interface ByteSource {
  /** How messages call it: a path, or a file's name. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /**
   * Reads ranges, given in ascending order of offset, in one pass over the file.
   *
   * @returns as many bytes as asked for, one array a range; they may share memory: do not write to them
   * @throws RangeError for ranges that are not ascending or not within the file; {@link DumpError} when reading fails
   */
  read(ranges: readonly ByteRange[]): Promise<Uint8Array[]>;
  /** The whole content from its start, for sources of which each pass costs as much as that; others need none. */
  stream?(): AsyncIterable<Uint8Array>;
  /** Gives back what it holds open. More than once does nothing. */
  close(): Promise<void>;
}

/** Bytes in memory, not copied. */
export function bytesSource(bytes: Uint8Array, name: string): ByteSource {
  if (!(bytes instanceof Uint8Array)) throw wrongKind('bytes', 'a Uint8Array', bytes);
  checkString('name', name);
  return {
    name,
    size: bytes.length,
    async read(ranges) {
      checkRanges(ranges, bytes.length);
      return ranges.map((range) => bytes.subarray(range.offset, endOf(range)));
    },
    async close() {
      /* Nothing is held open. */
    },
  };
}

/**
 * A Blob or File, of which only what is asked for is read.
 *
 * @param name default: the File's name, or `blob`
 *
 * @example A file that somebody dropped on a page, or chose in an `<input type="file">`
 * ```ts
 * import { AddressSpace, openDump } from 'hugewalk';
 * async function show(file: File): Promise<void> {
 *   const space = await AddressSpace.open(await openDump(file));   // openDump makes the blobSource
 *   console.log(await space.translate(0xffff_ffff_8100_0000n));
 * }
 * ```
 */
export function blobSource(blob: WebBlob, name: string = blob instanceof File ? blob.name : 'blob'): ByteSource {
  if (!(blob instanceof Blob)) throw wrongKind('blob', 'a Blob', blob);
  checkString('name', name);
  const readOne = async (range: ByteRange): Promise<Uint8Array> => {
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(await blob.slice(range.offset, endOf(range)).arrayBuffer());
    } catch (error) {
      throw new DumpError(name, `expected a readable file, found: ${messageOf(error)}`, { cause: error });
    }
    if (bytes.length !== range.length) throw truncated(name, range, range.offset + bytes.length);
    return bytes;
  };
  return {
    name,
    size: blob.size,
    async read(ranges) {
      checkRanges(ranges, blob.size);
      return readMerged(ranges, readOne);
    },
    async close() {
      /* Nothing is held open. */
    },
  };
}

/** The error for a file that ended within a range that it once had. */
export function truncated(name: string, { offset, length }: ByteRange, end: number): DumpError {
  const found = `found the end of the file at ${hex(end)}: it was truncated meanwhile`;
  return new DumpError(name, `expected ${hex(length)} bytes at file offset ${hex(offset)}, ${found}`);
}
