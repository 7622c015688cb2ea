/**
 * What comes through a pipe as a byte source. Node only: nothing that a browser loads may import it.
 *
 * A dump is read here and there, a pipe only once: what comes is kept in a temporary file. It has no name any more as soon as
 * it is open, where the system allows that, so that nothing stays behind however the process ends.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkFunction, checkOptions, checkString, type OptionNames, wrongKind } from '../core/errors.ts';
import type { ByteSource } from './byte-source.ts';
import { DumpError, messageOf } from './dump-error.ts';
import { handleSource } from './file-source.ts';

/** What goes on while a stream is read. */
export interface StreamSourceOptions {
  /** Called as bytes come, with how many have. */
  readonly onProgress?: (bytes: number) => void;
}

const OPTIONS: OptionNames<StreamSourceOptions> = { onProgress: true };

/**
 * Reads a stream to its end into a temporary file, which is gone when the source is closed. It takes as much room there as the
 * stream has bytes, gzipped ones as they are, and a piece of it in memory.
 *
 * @param stream pieces of bytes: a `Readable` of Node, `process.stdin`, a fetch's body
 * @param name how messages call it
 * @throws {@link DumpError} when the stream fails, or the file cannot be written
 *
 * @example
 * ```ts
 * import { createReadStream } from 'node:fs';
 * import { openDump } from 'hugewalk';
 * import { streamSource } from 'hugewalk/node';
 * const stream = createReadStream('test/fixtures/linux-6.1-4level.elf.gz');   // or process.stdin
 * const dump = await openDump(await streamSource(stream, 'standard input'));
 * console.log(dump.segments.length);
 * await dump.close();
 * ```
 */
export async function streamSource(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  options: StreamSourceOptions = {},
): Promise<ByteSource> {
  if (typeof stream?.[Symbol.asyncIterator] !== 'function') throw wrongKind('stream', 'pieces of bytes', stream);
  checkString('name', name);
  checkOptions('options', options, OPTIONS);
  const { onProgress } = options;
  if (onProgress !== undefined) checkFunction('onProgress', onProgress, 'of the bytes read');
  const spool = await openSpool(name);
  try {
    const size = await fill(spool.handle, stream, name, onProgress);
    return handleSource(name, size, spool.handle, spool.remove);
  } catch (error) {
    await spool.handle.close();
    await spool.remove();
    throw error;
  }
}

async function fill(
  handle: FileHandle,
  stream: AsyncIterable<Uint8Array>,
  name: string,
  onProgress: StreamSourceOptions['onProgress'],
): Promise<number> {
  let size = 0;
  const pieces = stream[Symbol.asyncIterator]();
  try {
    for (;;) {
      const piece = await pieces.next().catch((error: unknown) => {
        throw new DumpError(name, `expected a readable stream, found ${messageOf(error)}`, { cause: error });
      });
      if (piece.done) return size;
      if (!(piece.value instanceof Uint8Array)) throw wrongKind('stream', 'pieces that are Uint8Arrays', piece.value);
      await write(handle, piece.value, name);
      size += piece.value.length;
      onProgress?.(size);
    }
  } finally {
    await pieces.return?.();
  }
}

async function write(handle: FileHandle, bytes: Uint8Array, name: string): Promise<void> {
  try {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, done);
      done += bytesWritten;
    }
  } catch (error) {
    throw noRoom(name, error);
  }
}

interface Spool {
  readonly handle: FileHandle;
  /** To be called when the handle is closed. */
  readonly remove: () => Promise<void>;
}

async function openSpool(name: string): Promise<Spool> {
  try {
    const folder = await mkdtemp(join(tmpdir(), 'hugewalk-'));
    const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
    const handle = await open(join(folder, 'stream'), 'wx+', 0o600).catch(async (error: unknown) => {
      await remove();
      throw error;
    });
    /* Windows refuses while the file is open: there it is removed at the end. */
    await remove().catch(() => undefined);
    return { handle, remove };
  } catch (error) {
    throw noRoom(name, error);
  }
}

function noRoom(name: string, error: unknown): DumpError {
  return new DumpError(
    name,
    `expected room for a copy of it in ${tmpdir()}, found ${messageOf(error)}: name the file itself, or another folder in TMPDIR`,
    { cause: error },
  );
}
