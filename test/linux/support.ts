/**
 * What the tests of the rules share: machines with a few huge pages, mappings, and what can be seen of both.
 */
import { compileCoreSync } from '../../src/core/instantiate.ts';
import {
  type Folio,
  type HugetlbFile,
  type Hugetlbfs,
  interleave,
  MAP_ANONYMOUS,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  type MachineOptions,
  type MappedPage,
  type MmapOptions,
  type MountOptions,
  type Path,
  PROT_READ,
  PROT_WRITE,
  type Process,
  type Syscalls,
  type TraceEvent,
  type Work,
} from '../../src/linux/index.ts';

export const KIB4: number = 2 ** 12;
export const MIB2: number = 2 ** 21;
export const GIB1: number = 2 ** 30;
export const RW: number = PROT_READ | PROT_WRITE;

/** For `describe.each`. */
export const SIZES: readonly { readonly name: string; readonly size: number }[] = [
  { name: '2 MiB', size: MIB2 },
  { name: '1 GiB', size: GIB1 },
];

/* Bits of an entry, from arch/x86/include/asm/pgtable_types.h. */
export const P: bigint = 1n << 0n;
export const W: bigint = 1n << 1n;
export const U: bigint = 1n << 2n;
export const A: bigint = 1n << 5n;
export const D: bigint = 1n << 6n;
export const PS: bigint = 1n << 7n;
export const PROTNONE: bigint = 1n << 8n;
export const SOFT_DIRTY: bigint = 1n << 11n;
export const NX: bigint = 1n << 63n;
/** Where the frame number stands. */
export const FRAME: bigint = ((1n << 52n) - 1n) & ~0xfffn;

const core = compileCoreSync();

export interface MachineParts extends Omit<MachineOptions, 'pools' | 'core'> {
  /** Bytes of a huge page. Default 2 MiB. */
  readonly size?: number;
  readonly pages?: number;
  readonly overcommit?: number;
}

/** A machine with one pool, all counts of which are checked after every system call. */
export function machineWith({ size = MIB2, pages = 0, overcommit = 0, ...options }: MachineParts = {}): Machine {
  const pools = [{ hugePageSize: size, pages, overcommit }];
  return new Machine({ checks: true, tables: 2 ** 21, ...options, core, pools });
}

/** [nr, free, resv, surplus] of a pool. */
export function counts(machine: Machine, size: number = MIB2): [number, number, number, number] {
  const { nrHugePages, freeHugePages, resvHugePages, surplusHugePages } = machine.hstate(size);
  return [nrHugePages, freeHugePages, resvHugePages, surplusHugePages];
}

export interface MappingParts {
  readonly size?: number;
  readonly prot?: number;
  /** Besides those that say private, shared, anonymous and how large. */
  readonly flags?: number;
  readonly address?: number;
  readonly file?: HugetlbFile;
  /** Bytes. */
  readonly offset?: number;
}

/** Arguments of mmap for so many private huge pages, of a file or anonymous. */
export function privately(pages: number, parts: MappingParts = {}): MmapOptions {
  return mapping(pages, MAP_PRIVATE, parts);
}

/** Likewise, shared. */
export function shared(pages: number, parts: MappingParts = {}): MmapOptions {
  return mapping(pages, MAP_SHARED, parts);
}

function mapping(
  pages: number,
  type: number,
  { size = MIB2, prot = RW, flags = 0, ...rest }: MappingParts,
): MmapOptions {
  const anonymous = rest.file ? 0 : MAP_ANONYMOUS | MAP_HUGETLB | (size === GIB1 ? MAP_HUGE_1GB : MAP_HUGE_2MB);
  return { length: pages * size, prot, flags: type | anonymous | flags, ...rest };
}

/** What must not be refused. */
export function granted<T>(result: T): Exclude<T, string> {
  if (typeof result === 'string') throw new Error(`refused: ${result}`);
  return result as Exclude<T, string>;
}

export function mapPrivate(process: Process, pages: number, parts?: MappingParts): number {
  return granted(process.mmap(privately(pages, parts)));
}

export function mapShared(process: Process, pages: number, parts?: MappingParts): number {
  return granted(process.mmap(shared(pages, parts)));
}

export function forkOf(process: Process): Process {
  return granted(process.fork());
}

export function mounted(machine: Machine, options: MountOptions): Hugetlbfs {
  return granted(machine.mountHugetlbfs(options));
}

/** The entry that maps an address, or undefined. */
export function pageAt(process: Process, address: number): MappedPage | undefined {
  for (const page of process.mappedPages()) {
    if (page.address <= address && address < page.address + page.bytes) return page;
  }
  return undefined;
}

/** The huge page that is mapped at an address. */
export function folioAt(process: Process, address: number): Folio {
  const folio = pageAt(process, address)?.folio;
  if (!folio) throw new Error(`nothing is mapped at 0x${address.toString(16)}`);
  return folio;
}

/** An entry that maps a page with these bits. */
export function entryOf({ pfn }: Folio, bits: bigint): bigint {
  return (BigInt(pfn) << 12n) | bits;
}

/** What is recorded while `action` runs. */
export function traced(machine: Machine, action: () => unknown): TraceEvent[] {
  const events: TraceEvent[] = [];
  machine.trace = events;
  action();
  machine.trace = undefined;
  return events;
}

/** How many page faults `action` takes. */
export function faultsIn(machine: Machine, action: () => unknown): number {
  return traced(machine, action).filter(({ kind }) => kind === 'fault').length;
}

/** What a thread does, for {@link atEveryStep}. */
export function work<T>({ task }: Syscalls, path: Path<T>): Work<unknown> {
  return { task, path };
}

/**
 * Runs a race of two threads once for every place where the first may be interrupted: it goes on for 0, 1, 2... steps,
 * then the second runs until it ends or waits, then the first goes on. And the same with their parts exchanged.
 *
 * @param start makes the same machine each time, without checks: counts need not fit while something is under way
 * @param look what must hold at the end of each; results are in the order of `works`
 * @returns how often it ran
 */
export function atEveryStep<R extends { readonly works: readonly [Work<unknown>, Work<unknown>] }>(
  start: () => R,
  look: (race: R, results: readonly unknown[]) => void,
): number {
  let runs = 0;
  for (const first of [0, 1]) {
    for (let step = 0, interrupted = true; interrupted; step++) {
      const race = start();
      let turns = 0;
      interrupted = false;
      const results = interleave(race.works, (count) => {
        if (count === 1) return 0;
        if (turns++ < step) return first;
        interrupted = true;
        return 1 - first;
      });
      runs++;
      look(race, results);
    }
  }
  return runs;
}
