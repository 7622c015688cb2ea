import { checkBoolean, checkOptions, checkString, hex, type OptionNames, wrongKind } from '../core/errors.ts';
import type { WebBlob } from '../core/platform.ts';
import { type ByteSource, blobSource } from './byte-source.ts';
import type { Dump } from './dump.ts';
import { DumpError } from './dump-error.ts';
import type { DumpFormat } from './formats/format.ts';
import { START_BYTES } from './formats/magic.ts';
import { FORMATS, isRawByName, RAW } from './formats/registry.ts';
import { type InflateOptions, inflated } from './gzip.ts';
import { checkedRanges, type RawRange } from './raw-ranges.ts';
import { Warnings } from './warnings.ts';

/** How to open a dump. */
export interface OpenDumpOptions extends InflateOptions {
  /** What is missing or broken is an error, and no warning. */
  readonly strict?: boolean;
  /**
   * Not what the file's content says, but this: `raw`, `elf-core`, `kdump`, `lime`, `avml`, `vmware`, `windows`. Nothing in a raw image says
   * that it is one: without this, and without `ranges`, a file is taken for one if it is called .raw, .mem, .vmem, .img,
   * .bin or .dd.
   */
  readonly format?: string;
  /** Of a raw image: which physical memory it holds, in the order of the file. Default: all of it, from physical 0 on. */
  readonly ranges?: readonly RawRange[];
}

/** A file of a dump. */
export type DumpSource = ByteSource | WebBlob;

const OPTIONS: OptionNames<OpenDumpOptions> = {
  keep: true,
  onProgress: true,
  strict: true,
  format: true,
  ranges: true,
};
const READABLE =
  'an ELF64 core, a kdump-compressed, LiME, AVML, VMware or Windows file, or a raw image (--format raw), plain or gzipped';

/**
 * Opens a dump, plain or gzipped, of the format that its content tells: an ELF64 core, kdump-compressed, LiME, AVML, a VMware state with its
 * .vmem, a Windows crash dump, or a raw image. It takes the sources over: closes them with the dump, or when opening fails.
 *
 * @param source the file; or all files of the dump, where it has several
 * @throws TypeError or RangeError for options that are wrong in themselves; {@link DumpError} for a file of another format,
 *   or one of which nothing can be used. What can be done without is told in {@link Dump.warnings}
 *
 * @example
 * ```ts
 * import { readFileSync } from 'node:fs';
 * import { bytesSource, openDump } from 'hugewalk';
 * const bytes = readFileSync('test/fixtures/linux-6.1-4level.elf.gz');   // or those of a fetch
 * const dump = await openDump(bytesSource(bytes, 'guest.elf.gz'));
 * for (const { physical, bytes } of dump.segments) console.log(physical, bytes);
 * for (const line of dump.warnings) console.warn(line);
 * ```
 */
export async function openDump(
  source: DumpSource | readonly DumpSource[],
  options: OpenDumpOptions = {},
): Promise<Dump> {
  const given = Array.isArray(source) ? (source as readonly DumpSource[]) : [source as DumpSource];
  const files = given.map((one) => (one instanceof Blob ? blobSource(one) : one));
  for (const file of files) {
    if (typeof file?.read !== 'function') throw wrongKind('source', 'a ByteSource or a Blob', file);
  }
  if (files.length === 0) throw new RangeError('source: expected a ByteSource or a Blob, got an empty array');
  try {
    return await openFiles(files, options);
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
}

async function openFiles(files: readonly ByteSource[], options: OpenDumpOptions): Promise<Dump> {
  checkOptions('options', options, OPTIONS);
  const { keep, onProgress, strict = false, format, ranges } = options;
  checkBoolean('strict', strict);
  if (format !== undefined) checkFormat(format, ranges !== undefined);
  const checked = ranges === undefined ? undefined : checkedRanges(ranges);
  const inflate = { ...(keep !== undefined && { keep }), ...(onProgress && { onProgress }) };
  const contents: ByteSource[] = [];
  for (const file of files) contents.push(await inflated(file, inflate));
  const warnings = new Warnings(files[0]!.name, strict);
  const found = format === undefined && !checked ? await recognised(contents) : formatCalled(format ?? RAW.name);
  if (contents.length > (found.files ?? 1)) {
    const most = found.files ?? 1;
    throw new DumpError(
      contents[most]!.name,
      `expected ${most === 1 ? 'one file' : `at most ${most} files`} of format ${found.name}, found one more`,
    );
  }
  const open = await found.load();
  return open(contents, { warnings, ...(checked && { ranges: checked }) });
}

function checkFormat(format: string, hasRanges: boolean): void {
  checkString('format', format);
  const names = FORMATS.map(({ name }) => name);
  if (!names.includes(format))
    throw new RangeError(`format: expected one of ${names.join(', ')}, got ${JSON.stringify(format)}`);
  if (hasRanges && format !== RAW.name)
    throw new RangeError(`ranges: expected the format raw with them, got ${format}`);
}

function formatCalled(name: string): DumpFormat {
  return FORMATS.find((format) => format.name === name)!;
}

/** The first format that knows one of the files; one that the name says is raw, if nothing else is known of it. */
async function recognised(files: readonly ByteSource[]): Promise<DumpFormat> {
  const starts: Uint8Array[] = [];
  for (const file of files) {
    const [start] = await file.read([{ offset: 0, length: Math.min(START_BYTES, file.size) }]);
    starts.push(start!);
  }
  const format = FORMATS.find(({ recognises }) => starts.some(recognises));
  if (format) return format;
  const [start] = starts;
  const { name } = files[0]!;
  const { knownFormat, unknownFormat } = await import('./formats/known.ts');
  const known = knownFormat(start!);
  if (!known && isRawByName(name)) return RAW;
  throw new DumpError(
    name,
    `expected ${READABLE}, found ${known ?? `${unknownFormat(start!)} (${hex(files[0]!.size)} bytes): if that is raw memory, say --format raw`}`,
  );
}
