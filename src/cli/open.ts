/**
 * From a file's name and options to an address space.
 */
import { AddressSpace } from '../dump/address-space.ts';
import { openDumpFile } from '../dump/open-dump-file.ts';
import type { Progress } from './progress.ts';
import { printable, sizeOfPages } from './text.ts';

/** The options that say which address space of a dump is meant. */
export interface SpaceOptions {
  readonly cpu?: number;
  readonly cr3?: bigint;
  readonly cr4?: bigint;
}

/** Opens a dump and the address space that the options mean, does the work, and closes the dump. */
export async function withSpace(
  path: string,
  options: SpaceOptions,
  progress: Progress,
  work: (space: AddressSpace) => Promise<void>,
): Promise<void> {
  const { cpu, cr3, cr4 } = options;
  const onProgress = (done: number, total: number): void =>
    progress.report(() => `reading ${printable(path)}: ${sizeOfPages(done / 4096)} of ${sizeOfPages(total / 4096)}`);
  const dump = await openDumpFile(path, { onProgress });
  try {
    const registers = {
      ...(cpu !== undefined && { cpu }),
      ...(cr3 !== undefined && { cr3 }),
      ...(cr4 !== undefined && { cr4 }),
    };
    await work(await AddressSpace.open(dump, registers));
  } finally {
    await dump.close();
  }
}

/** The address space in one line: file, processor, CR3, levels. */
export function titleOf(space: AddressSpace, { cpu, cr3 }: SpaceOptions): string {
  const { dump, mmu } = space;
  const processors = dump.cpus.length;
  const which = processors === 0 ? [] : [`CPU ${cpu ?? 0}${processors > 1 ? ` of ${processors}` : ''}`];
  const root = `CR3 0x${mmu.registers.cr3.toString(16)}${cr3 === undefined ? '' : ' (given)'}`;
  return [printable(dump.name), ...which, root, `${mmu.levels} levels`].join(', ');
}
