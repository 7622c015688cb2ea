import type { ByteSource } from './byte-source.ts';
import type { Dump } from './dump.ts';
import { fileSource } from './file-source.ts';
import { type OpenDumpOptions, openDump } from './open-dump.ts';

/**
 * Opens a dump on disk, of which only what is needed is read.
 *
 * @param path the file; or all files of the dump, where it has several
 * @throws {@link DumpError} for a file that cannot be read or is no dump: see {@link openDump}
 *
 * @example
 * ```ts
 * import { AddressSpace } from 'hugewalk';
 * import { openDumpFile } from 'hugewalk/node';
 * const dump = await openDumpFile('test/fixtures/linux-6.1-4level.elf.gz');
 * const space = await AddressSpace.open(dump);
 * console.log(await space.translate(0xffff_ffff_8100_0000n));
 * await dump.close();
 * ```
 */
export async function openDumpFile(path: string | readonly string[], options?: OpenDumpOptions): Promise<Dump> {
  if (!Array.isArray(path)) return openDump(await fileSource(path as string), options);
  const sources: ByteSource[] = [];
  try {
    for (const one of path as readonly string[]) sources.push(await fileSource(one));
  } catch (error) {
    for (const source of sources) await source.close();
    throw error;
  }
  return openDump(sources, options);
}
