/**
 * Gzipped dumps. RFC 1952; the decompressor is the platform's own DecompressionStream, in Node and browsers.
 *
 * The stream is decompressed once, which verifies its CRC and length and tells the content's size. What fits in `keep`
 * bytes stays in memory; a longer content does not, and each later read streams the file again and picks its ranges out.
 *
 * One stream that ends with the file: what follows it is an error, as the Compression Standard has it. Node and browsers
 * differ there (Node accepts more streams, and zeros), so it is told from the last four bytes of the file, which are the
 * length of the content.
 */
import { checkFunction, checkInteger, checkOptions, hex, type OptionNames } from '../core/errors.ts';
import type { ByteSource } from './byte-source.ts';
import { DumpError, messageOf } from './dump-error.ts';
import { checkRanges, endOf } from './ranges.ts';
import { StoredBytes } from './stored-bytes.ts';

/** How to read a gzipped file. */
export interface InflateOptions {
  /**
   * Bytes of decompressed content that may stay in memory. A longer content is streamed again for each pass, so that
   * memory stays bounded. Default 256 MiB.
   */
  readonly keep?: number;
  /** Called as a pass over the file goes on, with the bytes read so far and the file's size. */
  readonly onProgress?: (done: number, total: number) => void;
}

const OPTIONS: OptionNames<InflateOptions> = { keep: true, onProgress: true };

const KEEP = 2 ** 28;
/** Bytes from the content's start that stay in memory, if `keep` allows, when the content does not: a dump's headers. */
const KEEP_OF_LONG = 2 ** 20;
/** Compressed bytes read at a time. */
const CHUNK = 2 ** 18;

/**
 * The decompressed content of a gzipped source; any other source as it is.
 *
 * @throws {@link DumpError} for a stream that is damaged, truncated, or followed by anything
 */
export async function inflated(source: ByteSource, options: InflateOptions = {}): Promise<ByteSource> {
  checkOptions('options', options, OPTIONS);
  const { keep = KEEP, onProgress } = options;
  if (onProgress !== undefined) checkFunction('onProgress', onProgress, 'of the bytes read and the size');
  checkInteger('keep', keep, 0, Number.MAX_SAFE_INTEGER);
  if (source.size < 2) return source;
  const [magic] = await source.read([{ offset: 0, length: 2 }]);
  if (magic![0] !== 0x1f || magic![1] !== 0x8b) return source;

  const start = new StoredBytes();
  let size = 0;
  for await (const chunk of decompressed(source, onProgress)) {
    if (size + chunk.length <= keep) start.append(chunk);
    else if (size <= keep) start.truncate(Math.min(keep, KEEP_OF_LONG));
    size += chunk.length;
  }
  await checkEnd(source, size);
  return {
    name: source.name,
    size,
    async read(ranges) {
      checkRanges(ranges, size);
      if (ranges.every((range) => endOf(range) <= start.length)) return ranges.map((range) => start.read(range));
      return pick(source, ranges, onProgress);
    },
    ...(start.length < size && { stream: () => decompressed(source, onProgress) }),
    close: () => source.close(),
  };
}

/** Streams the file up to the end of the last range and copies the ranges out. */
async function pick(
  source: ByteSource,
  ranges: Parameters<ByteSource['read']>[0],
  onProgress: InflateOptions['onProgress'],
): Promise<Uint8Array[]> {
  const results = ranges.map(({ length }) => new Uint8Array(length));
  let first = 0;
  let at = 0;
  for await (const chunk of decompressed(source, onProgress)) {
    const end = at + chunk.length;
    for (let i = first; i < ranges.length && ranges[i]!.offset < end; i++) {
      const { offset } = ranges[i]!;
      const from = Math.max(offset, at);
      const to = Math.min(endOf(ranges[i]!), end);
      if (from < to) results[i]!.set(chunk.subarray(from - at, to - at), from - offset);
    }
    while (first < ranges.length && endOf(ranges[first]!) <= end) first++;
    if (first === ranges.length) return results;
    at = end;
  }
  throw new DumpError(
    source.name,
    `expected the same file as when it was opened, found its content ends at ${hex(at)}`,
  );
}

/** The content, chunk by chunk. */
async function* decompressed(
  source: ByteSource,
  onProgress: InflateOptions['onProgress'],
): AsyncGenerator<Uint8Array, void, undefined> {
  const stream = new DecompressionStream('gzip');
  const reader = stream.readable.getReader();
  const feed = new Feed(source, stream.writable.getWriter());
  try {
    for (let reported = 0; ; ) {
      const step = await reader.read().catch((error: unknown) => {
        throw feed.failure ? feed.failure.error : damaged(source, feed.done, error);
      });
      if (reported < feed.done) onProgress?.(feed.done, source.size);
      reported = feed.done;
      if (step.done) return;
      yield step.value;
    }
  } finally {
    feed.stop();
    /* A stream that has failed says so once more. */
    await reader.cancel().catch(() => undefined);
  }
}

/**
 * Writes a file into a stream, a chunk when the one before is used up. Piping would not do: Node lets a pipe run
 * thousands of chunks ahead.
 */
class Feed {
  /** Bytes read of the file. */
  done = 0;
  /** What the file failed with. */
  failure: { readonly error: unknown } | undefined;
  #stopped = false;

  constructor(source: ByteSource, writer: WritableStreamDefaultWriter<BufferSource>) {
    /* What fails here fails in the reader, too, which reports it. */
    this.#run(source, writer).catch(() => undefined);
    writer.closed.catch(() => undefined);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(source: ByteSource, writer: WritableStreamDefaultWriter<BufferSource>): Promise<void> {
    try {
      while (this.done < source.size && !this.#stopped) await writer.write(await this.#next(source));
      if (!this.#stopped) await writer.close();
    } catch (error) {
      await writer.abort(error);
    }
  }

  async #next(source: ByteSource): Promise<Uint8Array<ArrayBuffer>> {
    try {
      const length = Math.min(CHUNK, source.size - this.done);
      const [bytes] = await source.read([{ offset: this.done, length }]);
      this.done += length;
      return new Uint8Array(bytes!);
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }
}

function damaged(source: ByteSource, done: number, error: unknown): DumpError {
  const where = done === source.size ? 'at its end' : `before ${hex(done)}`;
  return new DumpError(source.name, `expected a whole gzip stream, found an error ${where}: ${messageOf(error)}`, {
    cause: error,
  });
}

/** RFC 1952, 2.3.1: ISIZE, the length of the content modulo 2^32, is what a stream ends with. */
async function checkEnd(source: ByteSource, size: number): Promise<void> {
  const [tail] = await source.read([{ offset: source.size - 4, length: 4 }]);
  const found = new DataView(tail!.buffer, tail!.byteOffset, 4).getUint32(0, true);
  const expected = size % 2 ** 32;
  if (found === expected) return;
  throw new DumpError(
    source.name,
    `expected one gzip stream that ends with its content's length ${hex(expected)}, found ${hex(found)} at the end of the file: something follows the stream`,
  );
}
