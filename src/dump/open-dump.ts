import { wrongKind } from '../core/errors.ts';
import type { WebBlob } from '../core/platform.ts';
import { type ByteSource, blobSource } from './byte-source.ts';
import { type Dump, SegmentedDump } from './dump.ts';
import { DumpError } from './dump-error.ts';
import { readElfCore } from './elf-core.ts';
import { beginsWith, describeFormat, ELF_MAGIC, MAGIC_BYTES } from './formats.ts';
import { type InflateOptions, inflated } from './gzip.ts';

/** How to open a dump: they matter to gzipped ones only. */
export type OpenDumpOptions = InflateOptions;

/**
 * Opens a dump: an ELF64 core, plain or gzipped. It takes the source over: closes it with the dump, or when opening fails.
 *
 * @throws {@link DumpError} for a file of another format, or one that is damaged or truncated
 *
 * @example
 * ```ts
 * import { readFileSync } from 'node:fs';
 * import { bytesSource, openDump } from 'hugewalk';
 * const bytes = readFileSync('test/fixtures/linux-6.1-4level.elf.gz');   // or those of a fetch
 * const dump = await openDump(bytesSource(bytes, 'guest.elf.gz'));
 * for (const { physical, bytes } of dump.segments) console.log(physical, bytes);
 * ```
 */
export async function openDump(source: ByteSource | WebBlob, options: OpenDumpOptions = {}): Promise<Dump> {
  const file = source instanceof Blob ? blobSource(source) : source;
  if (typeof file?.read !== 'function') throw wrongKind('source', 'a ByteSource or a Blob', source);
  try {
    const content = await inflated(file, options);
    const [start] = await content.read([{ offset: 0, length: Math.min(MAGIC_BYTES, content.size) }]);
    if (!beginsWith(start!, ELF_MAGIC)) {
      throw new DumpError(file.name, `expected an ELF64 core (plain or gzipped), found ${describeFormat(start!)}`);
    }
    const { segments, cpus } = await readElfCore(content);
    return new SegmentedDump(content, segments, cpus);
  } catch (error) {
    await file.close();
    throw error;
  }
}
