/**
 * The registers of an address space: those of a processor in the dump, overridden by what the caller gives.
 */
import { checkInteger } from '../core/errors.ts';
import { lma, lme, nxe, sce } from '../mmu/bits/efer.ts';
import { checkRegisters, DEFAULT_REGISTERS, type Registers } from '../mmu/registers.ts';
import type { Dump } from './dump.ts';
import { DumpError, messageOf } from './dump-error.ts';

/** Registers to use instead of the dump's, and which processor's those are. */
export interface RegisterOptions extends Partial<Registers> {
  /** Which of the dump's processors, from 0. Default 0. */
  readonly cpu?: number;
}

/** EFER of every 64-bit system, for dumps that do not keep it. */
const EFER = nxe | lma | lme | sce;

/**
 * @throws TypeError or RangeError for options that are wrong in themselves; {@link DumpError} where the dump lacks what
 *   is needed, or its processor does not use 4-level or 5-level paging
 */
export function pagingRegisters(dump: Dump, options: RegisterOptions): Registers {
  const cpu = chooseCpu(dump, options.cpu);
  const given = givenRegisters(options);
  checkRegisters({ ...DEFAULT_REGISTERS, efer: EFER, ...given });
  const state = dump.cpus[cpu];
  if (!state && given.cr3 === undefined) {
    throw new DumpError(dump.name, 'expected a QEMU note with CR3, found none: give the CR3 to use (--cr3)');
  }
  const registers: Registers = {
    ...DEFAULT_REGISTERS,
    efer: EFER,
    ...(state && { cr0: state.cr0, cr3: state.cr3, cr4: state.cr4, rflags: state.rflags }),
    ...(state?.efer !== undefined && { efer: state.efer }),
    ...given,
  };
  try {
    checkRegisters(registers);
  } catch (error) {
    throw new DumpError(dump.name, `CPU ${cpu}: ${messageOf(error)}`, { cause: error });
  }
  return registers;
}

function chooseCpu(dump: Dump, cpu: number | undefined): number {
  if (cpu === undefined) return 0;
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
