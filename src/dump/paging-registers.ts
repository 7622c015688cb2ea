/**
 * The registers of an address space: those of a processor in the dump, overridden by what the caller gives.
 */
import { checkInteger } from '../core/errors.ts';
import { ADDRESS_MASK } from '../core/generated/layout.ts';
import { lma, lme, nxe, sce } from '../mmu/bits/efer.ts';
import { checkRegisters, DEFAULT_REGISTERS, type Registers } from '../mmu/registers.ts';
import type { CpuState } from './cpu-state.ts';
import type { Dump } from './dump.ts';
import { DumpError, messageOf } from './dump-error.ts';

/** Registers to use instead of the dump's, and which processor's those are. */
export interface RegisterOptions extends Partial<Registers> {
  /** Which of the dump's processors, from 0. Default: the first that uses 4-level or 5-level paging. */
  readonly cpu?: number;
}

/** EFER of every 64-bit system, for dumps that do not keep it. */
const EFER = nxe | lma | lme | sce;

/** Registers, and whose they are. */
export interface ChosenRegisters {
  readonly registers: Registers;
  /** The dump's processor whose registers they are, where nothing else is given; undefined where they are none's. */
  readonly cpu: number | undefined;
  /** Why they are not those of the first processor. */
  readonly warnings: readonly string[];
}

/**
 * The registers of the processor that is asked for, or of the first one that uses 4-level or 5-level paging.
 *
 * @throws TypeError or RangeError for options that are wrong in themselves; {@link DumpError} where the dump lacks what
 *   is needed, or no processor that may be taken uses 4-level or 5-level paging
 */
export function pagingRegisters(dump: Dump, options: RegisterOptions): ChosenRegisters {
  const asked = checkCpu(dump, options.cpu);
  const given = givenRegisters(options);
  checkRegisters({ ...DEFAULT_REGISTERS, efer: EFER, ...given });
  const candidates = asked === undefined ? [...dump.cpus.keys()] : [asked];
  const warnings: string[] = [];
  let first: unknown;
  for (const cpu of candidates) {
    try {
      return { registers: registersOf(dump.cpus[cpu], given), cpu, warnings: warnings.slice(0, 1) };
    } catch (error) {
      first ??= error;
      warnings.push(`CPU ${cpu}: ${messageOf(error)}: other registers are used`);
    }
  }
  /* Windows keeps bits in it that are none of the address. */
  const table = dump.windows?.directoryTableBase;
  const root = table === undefined ? {} : { cr3: table & ADDRESS_MASK };
  if ((given.cr3 ?? table) !== undefined && asked === undefined) {
    return { registers: registersOf(undefined, { ...root, ...given }), cpu: undefined, warnings: warnings.slice(0, 1) };
  }
  if (first) throw new DumpError(dump.name, `CPU ${candidates[0]}: ${messageOf(first)}`, { cause: first });
  throw new DumpError(dump.name, 'expected a QEMU note with CR3, found none: give the CR3 to use (--cr3)');
}

function registersOf(state: CpuState | undefined, given: Partial<Registers>): Registers {
  const registers: Registers = {
    ...DEFAULT_REGISTERS,
    efer: EFER,
    ...(state && { cr0: state.cr0, cr3: state.cr3, cr4: state.cr4, rflags: state.rflags }),
    ...(state?.efer !== undefined && { efer: state.efer }),
    ...given,
  };
  checkRegisters(registers);
  return registers;
}

function checkCpu(dump: Dump, cpu: number | undefined): number | undefined {
  if (cpu === undefined) return undefined;
  checkInteger('cpu', cpu, 0, Number.MAX_SAFE_INTEGER);
  if (cpu < dump.cpus.length) return cpu;
  const held = dump.cpus.length ? `0 to ${dump.cpus.length - 1}` : 'none';
  throw new RangeError(`cpu: expected a CPU that ${dump.name} has (${held}), got ${cpu}`);
}

/** The registers among the options, without those that are undefined. */
function givenRegisters(options: RegisterOptions): Partial<Registers> {
  const given = Object.entries(options).filter(([name, value]) => name in DEFAULT_REGISTERS && value !== undefined);
  return Object.fromEntries(given);
}
