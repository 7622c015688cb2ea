/**
 * The registers that options give, and those of a processor in the dump.
 */
import { checkInteger } from '../core/errors.ts';
import { lma, lme, nxe, sce } from '../mmu/bits/efer.ts';
import { checkRegisters, DEFAULT_REGISTERS, type Registers } from '../mmu/registers.ts';
import type { Dump } from './dump.ts';
import { DumpError, messageOf } from './dump-error.ts';

/** Registers to use instead of the dump's, and which processor's those are. */
export interface RegisterOptions extends Partial<Registers> {
  /** Which of the dump's processors, from 0. Default: the first that uses 4-level or 5-level paging. */
  readonly cpu?: number;
}

/** EFER of every 64-bit system, for dumps that do not keep it. */
export const ASSUMED_EFER: bigint = nxe | lma | lme | sce;

/**
 * LAM_U57 and LAM_U48 (SDM vol. 1, linear-address masking): they say which bits of a user pointer are the program's own.
 * The root is the same with and without them, and an address that is canonical is translated alike.
 */
const LAM = 3n << 61n;
/** Bits of CR3 that are reserved beside them: 63, which is never stored, and 60:52. */
const RESERVED = (1n << 63n) | (0x1ffn << 52n);

/** CR3 without LAM_U57 and LAM_U48; unchanged where other bits of it are wrong, so that a message shows it as it was given. */
export function withoutLam(cr3: bigint): bigint {
  return cr3 & RESERVED ? cr3 : cr3 & ~LAM;
}

/** CR3 without the C-bit. */
export function withoutBit(cr3: bigint, bit: number | undefined): bigint {
  return bit === undefined ? cr3 : cr3 & ~(1n << BigInt(bit));
}

/** What the dump knows of the processor that is used. */
export interface CpuRegisters {
  /** Its number; undefined where no processor of the dump can be used. */
  readonly cpu: number | undefined;
  /** Its registers: EFER only where the dump keeps it. */
  readonly registers: Partial<Registers>;
  /** Why the first was passed over, if it was. */
  readonly problem: string | undefined;
}

/** The registers among the options, without those that are undefined. @throws TypeError or RangeError where they are wrong in themselves */
export function givenRegisters(options: RegisterOptions, cBit: number | undefined): Partial<Registers> {
  const entries = Object.entries(options).filter(([name, value]) => name in DEFAULT_REGISTERS && value !== undefined);
  const given: Partial<Registers> = Object.fromEntries(entries);
  const cr3 = typeof given.cr3 === 'bigint' ? withoutBit(withoutLam(given.cr3), cBit) : given.cr3;
  checkRegisters({ ...DEFAULT_REGISTERS, efer: ASSUMED_EFER, ...given, ...(cr3 !== undefined && { cr3 }) });
  return given;
}

/** The processor that is asked for, or the first that pages as hugewalk walks. @throws RangeError where the dump does not have it */
export function chooseCpu(
  dump: Dump,
  cpu: number | undefined,
  given: Partial<Registers>,
  cBit: number | undefined,
): CpuRegisters {
  if (cpu !== undefined) {
    checkInteger('cpu', cpu, 0, Number.MAX_SAFE_INTEGER);
    if (cpu >= dump.cpus.length) {
      const held = dump.cpus.length ? `0 to ${dump.cpus.length - 1}` : 'none';
      throw new RangeError(`cpu: expected a CPU that ${dump.name} has (${held}), got ${cpu}`);
    }
    return { cpu, registers: registersOf(dump, cpu), problem: undefined };
  }
  let problem: string | undefined;
  for (const index of dump.cpus.keys()) {
    const registers = registersOf(dump, index);
    const found = problemOf({ ...registers, ...given }, index, cBit);
    if (found === undefined) return { cpu: index, registers, problem };
    problem ??= found;
  }
  return { cpu: undefined, registers: {}, problem };
}

function registersOf(dump: Dump, cpu: number): Partial<Registers> {
  const { cr0, cr3, cr4, rflags, efer } = dump.cpus[cpu]!;
  return { cr0, cr3, cr4, rflags, ...(efer !== undefined && { efer }) };
}

function problemOf(registers: Partial<Registers>, cpu: number, cBit: number | undefined): string | undefined {
  try {
    const cr3 = withoutBit(withoutLam(registers.cr3 ?? 0n), cBit);
    checkRegisters({ ...DEFAULT_REGISTERS, efer: ASSUMED_EFER, ...registers, cr3 });
    return undefined;
  } catch (error) {
    return `CPU ${cpu}: ${messageOf(error)}`;
  }
}

/** @throws {@link DumpError} where the registers, as they were put together, are those of another mode */
export function checkPaging(dump: Dump, registers: Registers, cpu: number | undefined): void {
  try {
    checkRegisters(registers);
  } catch (error) {
    const whose = cpu === undefined ? '' : `CPU ${cpu}: `;
    throw new DumpError(dump.name, `${whose}${messageOf(error)}`, { cause: error });
  }
}
