/**
 * The search for the root tables in a dump, which is loaded when it is asked for.
 */
import { checkFunction, checkInteger, checkOptions, type OptionNames } from '../../core/errors.ts';
import { checkDump } from '../check-dump.ts';
import type { Dump } from '../dump.ts';
import type { RootCandidate } from './candidate.ts';
import type { Vmcoreinfo } from './vmcoreinfo.ts';

/** How to search for roots. */
export interface FindRootsOptions {
  /** The C-bit of memory that is encrypted, 32 to 51. Default: the one that VMCOREINFO tells of. */
  readonly cBit?: number;
  /** Called as the search goes on, with bytes of memory done, and there are. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a search found. */
export interface RootSearch {
  /** The roots, the best founded first. */
  readonly roots: readonly RootCandidate[];
  /** What VMCOREINFO says, if the file or the memory has it. */
  readonly vmcoreinfo: Vmcoreinfo | undefined;
  readonly cBit: number | undefined;
  /** Whether there were more candidates than were looked at, as no memory of a machine has. */
  readonly more: boolean;
}

const OPTIONS: OptionNames<FindRootsOptions> = { cBit: true, onProgress: true };

/**
 * Searches a dump's memory for root tables, of four and of five levels: those of every process, and the kernel's. It needs
 * no register, no symbol and no note; it uses those that there are.
 *
 * @throws TypeError or RangeError for options that are wrong; {@link DumpError} when the file cannot be read
 *
 * @example
 * ```ts
 * import { AddressSpace, findRoots } from 'hugewalk';
 * import { openDumpFile } from 'hugewalk/node';
 * const dump = await openDumpFile('test/fixtures/linux-6.1-4level.elf.gz');
 * const { roots } = await findRoots(dump);
 * for (const { root, levels, kind } of roots) console.log(root.toString(16), levels, kind);
 * const space = await AddressSpace.open(dump, { cr3: roots[0]!.root });
 * ```
 */
export async function findRoots(dump: Dump, options: FindRootsOptions = {}): Promise<RootSearch> {
  checkDump(dump);
  checkOptions('options', options, OPTIONS);
  if (options.cBit !== undefined) checkInteger('cBit', options.cBit, 32, 51);
  if (options.onProgress !== undefined)
    checkFunction('onProgress', options.onProgress, 'of bytes done and bytes there are');
  const { searchRoots } = await import('./search-roots.ts');
  return searchRoots(dump, options);
}
