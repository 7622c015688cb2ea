/**
 * From a file's name and options to an address space.
 */
import { hex } from '../core/errors.ts';
import { AddressSpace, type AddressSpaceOptions } from '../dump/address-space.ts';
import { assumedWords } from '../dump/assumed.ts';
import type { Dump } from '../dump/dump.ts';
import { messageOf } from '../dump/dump-error.ts';
import type { LiveMachine } from '../dump/live/live-machine.ts';
import { isLive, placeOf } from '../dump/live/place.ts';
import { openDump } from '../dump/open-dump.ts';
import type { RawRange } from '../dump/raw-ranges.ts';
import { nameOfPath, openSources } from './dump-files.ts';
import { EXIT, Failure, line } from './failure.ts';
import type { Progress } from './progress.ts';
import { type Paint, printable, sizeOfPages } from './text.ts';

/** The options that say which address space of a dump is meant, what the dump is, and what processor walks it. */
export interface SpaceOptions {
  readonly format?: string;
  readonly ranges?: readonly RawRange[];
  readonly strict?: boolean;
  /** Leave a machine that runs stopped. */
  readonly keepStopped?: boolean;
  readonly cpu?: number;
  readonly cr0?: bigint;
  readonly cr3?: bigint;
  readonly cr4?: bigint;
  readonly efer?: bigint;
  readonly pkru?: bigint;
  readonly maxphyaddr?: number;
  readonly vendor?: 'intel' | 'amd';
  /** False with `--no-1g`. */
  readonly '1g'?: boolean;
  readonly cBit?: number;
  readonly la57?: boolean;
}

/** Where a command tells how far it is, and what is missing. */
interface Tells {
  readonly progress: Progress;
  readonly errors: { write(text: string): unknown };
}

/** Tells warnings, each once. */
export type Warn = (warnings: readonly string[]) => void;

/** What ends a command from outside: a machine that is stopped must not stay so. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Machines that may be stopped at this moment. */
const machines = new Set<Promise<Dump>>();

/** The options that say what a dump is. */
export type DumpOptions = Pick<SpaceOptions, 'format' | 'ranges' | 'strict' | 'keepStopped'>;

/** Opens a dump, does the work, and closes it. */
export async function withDump(
  paths: readonly string[],
  options: DumpOptions,
  tells: Tells,
  work: (dump: Dump, warn: Warn) => Promise<void>,
): Promise<void> {
  const { progress } = tells;
  if (!paths.some(isLive)) return workOn(await openFile(paths, options, progress), tells, work);
  /* From here on it may be stopped. */
  const opening = openMachine(paths, options);
  machines.add(opening);
  const stop = (): void => {
    const all = [...machines].map((machine) => machine.then(letGo));
    void Promise.allSettled(all).finally(() => process.exit(EXIT.interrupted));
  };
  for (const signal of SIGNALS) process.once(signal, stop);
  try {
    await workOn(await opening, tells, work);
  } finally {
    machines.delete(opening);
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

async function workOn(
  dump: Dump,
  { progress, errors }: Tells,
  work: (dump: Dump, warn: Warn) => Promise<void>,
): Promise<void> {
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

/** Lets a machine that runs go on; what is read next stops it again. Nothing, for a file. */
export async function letGo(dump: Dump & Partial<Pick<LiveMachine, 'letGo'>>): Promise<void> {
  await dump.letGo?.();
}

async function openFile(
  paths: readonly string[],
  { format, ranges, strict, keepStopped }: DumpOptions,
  progress: Progress,
): Promise<Dump> {
  if (keepStopped) throw new Failure('--keep-stopped: expected a machine that runs, such as qemu:/tmp/gdb.sock');
  const onProgress = (done: number, total: number): void =>
    progress.report(
      () => `reading ${nameOfPath(paths[0]!)}: ${sizeOfPages(done / 4096)} of ${sizeOfPages(total / 4096)}`,
    );
  return openDump(await openSources(paths, progress), {
    onProgress,
    ...(strict !== undefined && { strict }),
    ...(format !== undefined && { format }),
    ...(ranges !== undefined && { ranges }),
  });
}

async function openMachine(
  paths: readonly string[],
  { format, ranges, strict, keepStopped }: DumpOptions,
): Promise<Dump> {
  const [place, ...others] = paths;
  if (others.length > 0)
    throw new Failure(`${place}: expected a machine that runs and no file with it, got ${others[0]}`);
  if (format !== undefined || ranges !== undefined) {
    throw new Failure(`${place}: expected no --format or --ranges with a machine that runs`);
  }
  try {
    placeOf(place!);
  } catch (error) {
    throw new Failure(messageOf(error).replace(/^place: /, ''));
  }
  const { openLiveMachine } = await import('../dump/live/live-machine.ts');
  const machine = await openLiveMachine(place!, { ...(keepStopped !== undefined && { keepStopped }) });
  const [missing] = machine.warnings;
  if (!strict || missing === undefined) return machine;
  await machine.close();
  throw new Failure(`${place}: ${missing} (an error because of --strict)`);
}

/** Opens a dump and the address space that the options mean, does the work, and closes the dump. */
export async function withSpace(
  paths: readonly string[],
  options: SpaceOptions,
  tells: Tells,
  work: (space: AddressSpace, warn: Warn) => Promise<void>,
): Promise<void> {
  await withDump(paths, options, tells, async (dump, warn) => {
    const onProgress = searchProgress(dump, tells.progress);
    const space = await AddressSpace.open(dump, { ...registersOf(options), onProgress });
    tells.progress.clear();
    const { problem } = space.origin;
    if (problem !== undefined) {
      const words = `${problem}: other registers are used`;
      if (options.strict) throw new Failure(`${dump.name}: ${words} (an error because of --strict)`);
      warn([words]);
    }
    await work(space, warn);
  });
}

/** The library's options for those of the command line. */
export function registersOf(options: SpaceOptions): AddressSpaceOptions {
  const { cpu, cr0, cr3, cr4, efer, pkru, maxphyaddr, vendor, cBit, la57 } = options;
  return {
    ...(cpu !== undefined && { cpu }),
    ...(cr0 !== undefined && { cr0 }),
    ...(cr3 !== undefined && { cr3 }),
    ...(cr4 !== undefined && { cr4 }),
    ...(efer !== undefined && { efer }),
    ...(pkru !== undefined && { pkru: Number(pkru) }),
    ...(maxphyaddr !== undefined && { maxPhysicalAddress: maxphyaddr }),
    ...(vendor !== undefined && { vendor }),
    ...(options['1g'] === false && { page1G: false }),
    ...(cBit !== undefined && { cBit }),
    ...(la57 === true && { levels: 5 as const }),
  };
}

/** Says how far a search through a dump's memory is. */
export function searchProgress(dump: Dump, progress: Progress): (done: number, total: number) => void {
  return (done, total) =>
    progress.report(
      () => `searching ${printable(dump.name)}: ${sizeOfPages(done / 4096)} of ${sizeOfPages(total / 4096)}`,
    );
}

/** The address space in one line: file, processor, CR3 and who named it, levels and who told of them; of a machine that runs, where it is, too. */
export function titleOf({ dump, mmu, origin }: AddressSpace): string {
  const { from, cpu, why, levelsWhy, cBit } = origin;
  const processors = dump.cpus.length;
  const which = cpu === undefined ? [] : [`CPU ${cpu}${processors > 1 ? ` of ${processors}` : ''}`];
  const format = dump.format === 'elf-core' ? '' : ` (${dump.format})`;
  const reason = from === 'cpu' ? '' : from === 'vmcoreinfo' || from === 'windows' ? ` ${why}` : ` (${why})`;
  const root = `CR3 0x${mmu.registers.cr3.toString(16)}${reason}`;
  const levels = `${mmu.levels} levels${levelsWhy === undefined ? '' : ` (${levelsWhy})`}`;
  const bit = cBit === undefined ? [] : [`C-bit ${cBit} taken out`];
  const state = cpu === undefined || dump.format !== 'live' ? undefined : dump.cpus[cpu];
  const moment = state ? [`RIP ${hex(state.rip)}`, `CR2 ${hex(state.cr2)}`] : [];
  return [printable(dump.name) + format, ...which, root, levels, ...bit, ...moment].join(', ');
}

/** What neither dump nor options tell, in a line; nothing where all is told. */
export function assumedLines({ mmu, origin }: AddressSpace): string[] {
  const words = assumedWords(origin, mmu.registers);
  return words.length === 0 ? [] : [`assumed: ${words.join(', ')}`];
}

/** The first lines of an output for people. */
export function headOf(space: AddressSpace, paint: Paint): string {
  return [paint.bold(titleOf(space)), ...assumedLines(space).map(paint.dim), ''].join('\n');
}

/** Root and mode on stderr, where the output has no place for them, and they are neither given nor a processor's. */
export function tellOrigin(space: AddressSpace, errors: Tells['errors']): void {
  if (space.origin.from === 'cpu' || space.origin.from === 'given') return;
  errors.write(line([titleOf(space), ...assumedLines(space)].join('; ')));
}
