import type { ByteSource } from '../byte-source.ts';
import type { Dump } from '../dump.ts';
import { DumpError } from '../dump-error.ts';
import type { Segment } from '../segment.ts';
import type { Warnings } from '../warnings.ts';

/** What a user says of a dump, checked. */
export interface FormatOptions {
  /** Where to tell what is missing or broken; throws where that is to be an error. */
  readonly warnings: Warnings;
  /** Of a raw image: which physical memory lies where in the file, in order. */
  readonly ranges?: readonly Segment[];
}

/** A kind of file that holds physical memory. To add one, write what opens it, and put it into registry.ts. */
export interface DumpFormat {
  /** What {@link Dump.format} and the option `format` call it. */
  readonly name: string;
  /** Most files that a dump of it may have: 1, unless it says otherwise. */
  readonly files?: number;
  /** Whether a file is one, given its first 4096 bytes, or all of it if it is shorter; gzip has been taken off. */
  recognises(start: Uint8Array): boolean;
  /** Loads the code that opens it, when there is such a file. */
  load(): Promise<OpenFormat>;
}

/**
 * Opens a dump of a format, and closes nothing when that fails.
 *
 * @param sources the files in the order in which they were given; of several, at least one is recognised
 * @throws {@link DumpError} for files of which nothing can be used
 */
export type OpenFormat = (sources: readonly ByteSource[], options: FormatOptions) => Promise<Dump>;

/** The only file of a dump; openDump has checked that there is one. */
export function onlySource(sources: readonly ByteSource[]): ByteSource {
  const [source] = sources;
  if (!source) throw new DumpError('dump', 'expected a file, found none');
  return source;
}
