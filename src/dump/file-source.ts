/**
 * A file on disk as a byte source. Node only: nothing that a browser loads may import it.
 */
import { open } from 'node:fs/promises';
import { checkString } from '../core/errors.ts';
import { type ByteSource, truncated } from './byte-source.ts';
import { DumpError, messageOf } from './dump-error.ts';
import { type ByteRange, checkRanges, readMerged } from './ranges.ts';

/** Bytes a system call reads at most: Node takes no more than 2 GiB. */
const LONGEST_READ = 2 ** 28;

/** What is needed of Node's FileHandle; the package's types need none of Node's. */
export interface OpenFile {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  close(): Promise<void>;
}

/**
 * Opens a file, of which only what is asked for is read. Ranges that touch are read at once.
 *
 * @throws {@link DumpError} when it cannot be opened or is not a regular file
 */
export async function fileSource(path: string): Promise<ByteSource> {
  checkString('path', path);
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      throw new DumpError(path, `expected a file, found ${stat.isDirectory() ? 'a directory' : 'a device or pipe'}`);
    }
    return handleSource(path, stat.size, handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A file that is open, as a source. @param closed to be called when it is closed */
export function handleSource(
  name: string,
  size: number,
  handle: OpenFile,
  closed: () => Promise<void> = async () => undefined,
): ByteSource {
  return new FileSource(name, size, handle, closed);
}

class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #handle: OpenFile;
  readonly #closed: () => Promise<void>;

  constructor(name: string, size: number, handle: OpenFile, closed: () => Promise<void>) {
    this.name = name;
    this.size = size;
    this.#handle = handle;
    this.#closed = closed;
  }

  async read(ranges: readonly ByteRange[]): Promise<Uint8Array[]> {
    checkRanges(ranges, this.size);
    return readMerged(ranges, (range) => this.#readOne(range));
  }

  async close(): Promise<void> {
    await this.#handle.close();
    await this.#closed();
  }

  async #readOne(range: ByteRange): Promise<Uint8Array> {
    const bytes = new Uint8Array(range.length);
    let filled = 0;
    while (filled < range.length) {
      const length = Math.min(range.length - filled, LONGEST_READ);
      const { bytesRead } = await this.#handle
        .read(bytes, filled, length, range.offset + filled)
        .catch((error: unknown) => {
          throw unreadable(this.name, error);
        });
      if (bytesRead === 0) throw truncated(this.name, range, range.offset + filled);
      filled += bytesRead;
    }
    return bytes;
  }
}

function unreadable(path: string, error: unknown): DumpError {
  const reason = messageOf(error).replace(/, (open|read|stat|fstat)( '.*')?$/s, '');
  return new DumpError(path, `expected a readable file, found ${reason}`, { cause: error });
}
