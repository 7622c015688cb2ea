import type { Dump } from './dump.ts';
import { fileSource } from './file-source.ts';
import { type OpenDumpOptions, openDump } from './open-dump.ts';

/**
 * Opens a dump on disk, of which only what is needed is read.
 *
 * @throws {@link DumpError} for a file that cannot be read or is no ELF64 core
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
export async function openDumpFile(path: string, options?: OpenDumpOptions): Promise<Dump> {
  return openDump(await fileSource(path), options);
}
