/**
 * From a file's name and options to an address space.
 */
import { AddressSpace } from '../dump/address-space.ts';
import type { Dump } from '../dump/dump.ts';
import { openDumpFile } from '../dump/open-dump-file.ts';
import type { RawRange } from '../dump/raw-ranges.ts';
import { Failure, line } from './failure.ts';
import type { Progress } from './progress.ts';
import { printable, sizeOfPages } from './text.ts';

/** The options that say which address space of a dump is meant, and what the dump is. */
export interface SpaceOptions {
  readonly format?: string;
  readonly ranges?: readonly RawRange[];
  readonly strict?: boolean;
  readonly cpu?: number;
  readonly cr3?: bigint;
  readonly cr4?: bigint;
}

/** Where a command tells how far it is, and what is missing. */
interface Tells {
  readonly progress: Progress;
  readonly errors: { write(text: string): unknown };
}

/** Tells warnings, each once. */
type Warn = (warnings: readonly string[]) => void;

/** The options that say what a dump is. */
export type DumpOptions = Pick<SpaceOptions, 'format' | 'ranges' | 'strict'>;

/** Opens a dump, does the work, and closes it. */
export async function withDump(
  paths: readonly string[],
  { format, ranges, strict }: DumpOptions,
  { progress, errors }: Tells,
  work: (dump: Dump, warn: Warn) => Promise<void>,
): Promise<void> {
  const onProgress = (done: number, total: number): void =>
    progress.report(
      () => `reading ${printable(paths[0]!)}: ${sizeOfPages(done / 4096)} of ${sizeOfPages(total / 4096)}`,
    );
  const dump = await openDumpFile(paths.length === 1 ? paths[0]! : paths, {
    onProgress,
    ...(strict !== undefined && { strict }),
    ...(format !== undefined && { format }),
    ...(ranges !== undefined && { ranges }),
  });
  const told = new Set<string>();
  const warn: Warn = (warnings) => {
    const news = warnings.filter((warning) => !told.has(warning));
    if (news.length > 0) progress.clear();
    for (const warning of news) {
      told.add(warning);
      errors.write(line(`warning: ${dump.name}: ${warning}`));
    }
  };
  try {
    warn(dump.warnings);
    await work(dump, warn);
  } finally {
    /* Reading may have met what was broken. */
    warn(dump.warnings);
    await dump.close();
  }
}

/** Opens a dump and the address space that the options mean, does the work, and closes the dump. */
export async function withSpace(
  paths: readonly string[],
  options: SpaceOptions,
  tells: Tells,
  work: (space: AddressSpace) => Promise<void>,
): Promise<void> {
  const { cpu, cr3, cr4, strict } = options;
  await withDump(paths, options, tells, async (dump, warn) => {
    const registers = {
      ...(cpu !== undefined && { cpu }),
      ...(cr3 !== undefined && { cr3 }),
      ...(cr4 !== undefined && { cr4 }),
    };
    const space = await AddressSpace.open(dump, registers);
    const [assumed] = space.warnings;
    if (strict && assumed !== undefined) throw new Failure(`${dump.name}: ${assumed} (an error because of --strict)`);
    warn(space.warnings);
    await work(space);
  });
}

/** Says how far a search through a dump's memory is. */
export function searchProgress(dump: Dump, progress: Progress): (done: number, total: number) => void {
  return (done, total) =>
    progress.report(
      () => `searching ${printable(dump.name)}: ${sizeOfPages(done / 4096)} of ${sizeOfPages(total / 4096)}`,
    );
}

/** The address space in one line: file, processor, CR3, levels. */
export function titleOf(space: AddressSpace, { cr3 }: SpaceOptions): string {
  const { dump, mmu, cpu } = space;
  const processors = dump.cpus.length;
  const which = cpu === undefined ? [] : [`CPU ${cpu}${processors > 1 ? ` of ${processors}` : ''}`];
  const format = dump.format === 'elf-core' ? '' : ` (${dump.format})`;
  const root = `CR3 0x${mmu.registers.cr3.toString(16)}${cr3 === undefined ? '' : ' (given)'}`;
  return [printable(dump.name) + format, ...which, root, `${mmu.levels} levels`].join(', ');
}
