/**
 * The files that a kdump-compressed dump lies in. makedumpfile --split writes several: each has the headers, the whole of
 * bitmap 1, and of bitmap 2 as of descriptors and pages what belongs to the frames from its first on to its last.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import { PageBitmap } from '../page-bitmap.ts';
import type { KdumpHeader } from './header.ts';
import type { Warn } from './warn.ts';

/** A file, and what its headers say. */
export interface KdumpFile {
  readonly source: ByteSource;
  readonly header: KdumpHeader;
  /** Where to tell what is wrong with it. */
  readonly warnings: Warn;
}

/** A file, and the frames that it is about. */
export interface Part extends KdumpFile {
  readonly from: number;
  readonly to: number;
  /** Which frames have a descriptor; others than its own may be marked, too. */
  readonly dumped: PageBitmap;
  /** How many descriptors stand before that of frame `from`, if the bits of `dumped` are counted. */
  readonly first: number;
}

/** Which frames are memory, by one of the files. */
export async function readMemory({ source, header }: KdumpFile): Promise<PageBitmap> {
  return PageBitmap.read(source, header.memory, header.frames);
}

/**
 * Sorts the files of one dump by what they hold.
 *
 * @throws {@link DumpError} for files that do not belong together, or hold the same
 */
export async function arrange(files: readonly KdumpFile[], memory: PageBitmap, warnings: Warn): Promise<Part[]> {
  const [first] = files;
  for (const file of files.slice(1)) await checkTogether(first!, file, memory);
  const parts: Part[] = [];
  for (const file of files) {
    const { source, header } = file;
    const { from, to } = header.part ?? { from: 0, to: header.frames };
    const dumped = await PageBitmap.read(source, header.dumped, header.frames);
    parts.push({ ...file, from, to, dumped, first: dumped.rank(from) });
  }
  parts.sort((a, b) => a.from - b.from);
  let end = 0;
  for (const [i, { source, from, to }] of parts.entries()) {
    if (from < end) {
      const before = parts[i - 1]!.source.name;
      throw new DumpError(
        source.name,
        `expected pages that no other file has, found page frames ${hex(from)} to ${hex(end)} in ${before}, too: name each file once`,
      );
    }
    missing(end, from, warnings);
    end = to;
  }
  missing(end, first!.header.frames, warnings);
  return parts;
}

function missing(from: number, to: number, warnings: Warn): void {
  if (from >= to) return;
  warnings.add(
    `expected all files of a split dump, found none with page frames ${hex(from)} to ${hex(to)}: name the others, too`,
  );
}

async function checkTogether(first: KdumpFile, file: KdumpFile, memory: PageBitmap): Promise<void> {
  const wrong = (found: string): DumpError =>
    new DumpError(
      file.source.name,
      `expected another part of the dump that ${first.source.name} is of, found ${found}`,
    );
  if (!first.header.part || !file.header.part) throw wrong('a dump that is not split');
  if (!file.header.common.every((byte, i) => byte === first.header.common[i])) throw wrong('another header');
  if (!(await readMemory(file)).equals(memory)) throw wrong('another bitmap of memory');
}
