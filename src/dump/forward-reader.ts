import { InvariantError } from '../core/errors.ts';
import type { ByteSource } from './byte-source.ts';

/** Bytes before the last that were read, which may be asked for again. */
const BACK = 1024;

/** Whoever reads a file's structures in the order in which they stand. */
export interface Reader {
  /** As many bytes as asked for, at most: fewer at the end of the file. Offsets ascend, but for BACK bytes. */
  at(offset: number, length: number): Promise<Uint8Array>;
  /** Ends the reading. */
  end(): Promise<void>;
}

/**
 * Reads a source from its start to its end in one pass, also one that is streamed anew for every pass, as a long gzipped
 * content is.
 *
 * @param ahead bytes worth reading at a time, where what is asked for lies close together
 */
export function forwardReader(source: ByteSource, ahead = 0): Reader {
  const chunks = source.stream?.();
  return chunks ? streamed(source, chunks[Symbol.asyncIterator]()) : windowed(source, ahead);
}

function windowed(source: ByteSource, ahead: number): Reader {
  let start = 0;
  let window = new Uint8Array(0);
  return {
    async at(offset, length) {
      const wanted = Math.max(0, Math.min(length, source.size - offset));
      if (offset < start || offset + wanted > start + window.length) {
        const longer = Math.min(Math.max(wanted, ahead), source.size - offset);
        start = offset;
        window = longer > 0 ? new Uint8Array((await source.read([{ offset, length: longer }]))[0]!) : new Uint8Array(0);
      }
      return window.subarray(offset - start, offset - start + wanted);
    },
    async end() {
      window = new Uint8Array(0);
    },
  };
}

function streamed(source: ByteSource, chunks: AsyncIterator<Uint8Array>): Reader {
  /** What was streamed and may still be asked for: from `start` on. */
  let held = new Uint8Array(0);
  let start = 0;
  return {
    async at(offset, length) {
      const wanted = Math.max(0, Math.min(length, source.size - offset));
      if (wanted === 0) return new Uint8Array(0);
      const result = new Uint8Array(wanted);
      for (let filled = 0; ; ) {
        const from = offset + filled - start;
        if (from < 0) throw new InvariantError('a forward reader was asked for what it has passed');
        if (from < held.length) {
          const part = held.subarray(from, from + wanted - filled);
          result.set(part, filled);
          filled += part.length;
        }
        if (filled === wanted) return result;
        const next = await chunks.next();
        if (next.done) return result.subarray(0, filled);
        const kept = held.subarray(-BACK);
        start += held.length - kept.length;
        held = new Uint8Array(kept.length + next.value.length);
        held.set(kept);
        held.set(next.value, kept.length);
      }
    },
    async end() {
      await chunks.return?.();
    },
  };
}
