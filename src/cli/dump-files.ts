/**
 * The files that a command is given: paths, `-` for what comes on standard input, or `example:` for the dump that is in the package.
 */
import { fstatSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ByteSource } from '../dump/byte-source.ts';
import { fileSource } from '../dump/file-source.ts';
import { streamSource } from '../dump/stream-source.ts';
import { Failure } from './failure.ts';
import type { Progress } from './progress.ts';
import { printable, sizeOfPages } from './text.ts';

/** What stands for standard input. */
export const STANDARD_INPUT = '-';
const NAME = 'standard input';

/** What stands for a dump to try things on: the tables of a process of Linux 6.1 with pages of all sizes. */
export const EXAMPLE = 'example:';
const EXAMPLE_NAME = 'the example';
/** scripts/finish-build.mjs puts it there. */
const EXAMPLE_FILE = new URL('../example.elf.gz', import.meta.url);

/** A path as messages call it. */
export function nameOfPath(path: string): string {
  if (path === STANDARD_INPUT) return NAME;
  return path === EXAMPLE ? EXAMPLE_NAME : printable(path);
}

/** Opens what the paths name. A pipe is read to its end first. */
export async function openSources(paths: readonly string[], progress: Progress): Promise<ByteSource[]> {
  checkOnce(paths);
  const sources: ByteSource[] = [];
  try {
    for (const path of paths) {
      sources.push(await openOne(path, progress));
    }
    return sources;
  } catch (error) {
    for (const source of sources) await source.close();
    throw error;
  }
}

async function openOne(path: string, progress: Progress): Promise<ByteSource> {
  if (path === STANDARD_INPUT) return standardInput(progress);
  if (path === EXAMPLE) return named(await fileSource(fileURLToPath(EXAMPLE_FILE)), EXAMPLE_NAME);
  return fileSource(path);
}

/** Standard input can be read once. */
export function checkOnce(paths: readonly string[]): void {
  if (paths.indexOf(STANDARD_INPUT) === paths.lastIndexOf(STANDARD_INPUT)) return;
  throw new Failure('-: expected standard input once, got it twice: name a file');
}

async function standardInput(progress: Progress): Promise<ByteSource> {
  const { stdin } = process;
  if (stdin.isTTY) throw new Failure('-: expected a dump on standard input, found a terminal: name a file');
  if (fstatSync(0).isFile()) {
    /* `< FILE`: read by need, where the system has a name for it. */
    const file = await fileSource('/dev/stdin').catch(() => undefined);
    if (file) return named(file, NAME);
  }
  return streamSource(stdin, NAME, {
    onProgress: (bytes) => progress.report(() => `reading ${NAME}: ${sizeOfPages(Math.ceil(bytes / 4096))}`),
  });
}

function named(source: ByteSource, name: string): ByteSource {
  return { name, size: source.size, read: (ranges) => source.read(ranges), close: () => source.close() };
}
