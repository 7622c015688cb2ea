/**
 * Which root table and which mode an address space has, and why. In this order: what the caller says; a processor of the dump that
 * pages; VMCOREINFO, of the file or found in memory; the header of a Windows crash dump; a search for roots. What nobody tells is
 * assumed, and said.
 */
import { checkInteger } from '../core/errors.ts';
import { ADDRESS_MASK } from '../core/generated/layout.ts';
import { la57, pae, pke } from '../mmu/bits/cr4.ts';
import { DEFAULT_REGISTERS, type Registers } from '../mmu/registers.ts';
import type { Dump } from './dump.ts';
import {
  ASSUMED_EFER,
  type CpuRegisters,
  checkPaging,
  chooseCpu,
  givenRegisters,
  type RegisterOptions,
  withoutBit,
  withoutLam,
} from './paging-registers.ts';
import type { NamedRoot } from './roots/named-root.ts';
import { type Vmcoreinfo, vmcoreinfoOf } from './roots/vmcoreinfo.ts';

/** Where an address space's root and mode come from. */
export interface RootOrigin {
  /** Who named the root: the caller, a processor of the dump, VMCOREINFO, Windows' header, or a search. */
  readonly from: NamedRoot['from'];
  /** The processor whose registers are used; undefined where none is. */
  readonly cpu: number | undefined;
  /** Why this root, in words: `from VMCOREINFO`. */
  readonly why: string;
  /** Why so many levels, in words: `given`; undefined where CR4 is the processor's. */
  readonly levelsWhy: string | undefined;
  /** Why the dump's first processor was passed over: `CPU 0: cr0: expected …`; undefined where it was not. */
  readonly problem: string | undefined;
  /** The C-bit that is taken out of every entry and of CR3. */
  readonly cBit: number | undefined;
  /** Registers and processor facts that neither dump nor caller tell. */
  readonly assumed: readonly (keyof Registers)[];
}

/** Registers of an address space, and where they are from. */
export interface ChosenRoot {
  readonly registers: Registers;
  readonly origin: RootOrigin;
}

/** How to choose. */
export interface RootOptions extends RegisterOptions {
  /** 4 or 5: CR4.LA57, whatever CR4 the dump has. */
  readonly levels?: 4 | 5;
  /** The C-bit of a guest's encrypted memory (AMD SEV), 32 to 51: it is no part of an address. Default: the one VMCOREINFO tells of. */
  readonly cBit?: number;
  /** Called while the dump's memory is searched for a root, with bytes done and bytes there are. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * @throws TypeError or RangeError for options that are wrong in themselves; {@link DumpError} where nothing names a root, or
 *   the processor asked for does not use 4-level or 5-level paging
 */
export async function chooseRoot(dump: Dump, options: RootOptions): Promise<ChosenRoot> {
  const { levels } = options;
  if (levels !== undefined && levels !== 4 && levels !== 5) {
    throw new RangeError(`levels: expected 4 or 5, got ${String(levels)}`);
  }
  if (options.cBit !== undefined) checkInteger('cBit', options.cBit, 32, 51);
  const given = givenRegisters(options, options.cBit);
  const cpu = chooseCpu(dump, options.cpu, given, options.cBit);
  const named = nameRoot(dump, given, cpu) ?? (await rootInMemory(dump, options, cpu.problem));
  const fromFile = vmcoreinfoOf(dump);
  const cBit = options.cBit ?? named.cBit ?? fromFile?.cBit;
  const root = withoutBit(withoutLam(named.cr3), cBit);
  const mode = await levelsFor(dump, root, { given, cpu, asked: levels, named, vmcoreinfo: fromFile, cBit });
  const whole = { ...DEFAULT_REGISTERS, efer: ASSUMED_EFER, ...cpu.registers, ...given };
  const registers: Registers = { ...whole, cr3: root, cr4: mode.cr4 };
  checkPaging(dump, registers, cpu.cpu);
  const { from, why } = named;
  return {
    registers,
    origin: {
      from,
      cpu: cpu.cpu,
      why,
      levelsWhy: mode.why,
      problem: cpu.problem,
      cBit,
      assumed: assumedOf(cpu, given, mode.cr4),
    },
  };
}

/** The root that the caller, a processor or Windows' header names. */
function nameRoot(dump: Dump, given: Partial<Registers>, { cpu, registers }: CpuRegisters): NamedRoot | undefined {
  if (given.cr3 !== undefined) return { cr3: given.cr3, from: 'given', why: 'given' };
  if (cpu !== undefined && registers.cr3 !== undefined) {
    const of = dump.cpus.length > 1 ? ` of ${dump.cpus.length}` : '';
    return { cr3: registers.cr3, from: 'cpu', why: `of CPU ${cpu}${of}` };
  }
  /* Such a dump is no Linux: nothing is lost by not looking for VMCOREINFO. Windows keeps bits in it that are none of the address. */
  const table = dump.windows?.directoryTableBase;
  return table === undefined ? undefined : { cr3: table & ADDRESS_MASK, from: 'windows', why: "from Windows' header" };
}

/** The root that the dump's memory names. The search is loaded when it is needed: most dumps tell their root. */
async function rootInMemory(
  dump: Dump,
  { cBit, onProgress }: RootOptions,
  problem: string | undefined,
): Promise<NamedRoot> {
  const { nameRootByMemory } = await import('./roots/named-root.ts');
  return nameRootByMemory(dump, { cBit, onProgress, problem });
}

interface Mode {
  readonly given: Partial<Registers>;
  readonly cpu: CpuRegisters;
  readonly asked: 4 | 5 | undefined;
  readonly named: NamedRoot;
  readonly vmcoreinfo: Vmcoreinfo | undefined;
  readonly cBit: number | undefined;
}

/** CR4, and who says whether it has LA57. */
async function levelsFor(
  dump: Dump,
  root: bigint,
  { given, cpu, asked, named, vmcoreinfo, cBit }: Mode,
): Promise<{ readonly cr4: bigint; readonly why: string | undefined }> {
  const cr4 = given.cr4 ?? cpu.registers.cr4;
  if (asked !== undefined) return { cr4: withLevels(cr4 ?? pae, asked), why: 'given' };
  if (cr4 !== undefined) return { cr4, why: given.cr4 === undefined ? undefined : 'given' };
  if (named.levels) return { cr4: withLevels(pae, named.levels), why: named.levelsWhy };
  if (vmcoreinfo?.levels) {
    return { cr4: withLevels(pae, vmcoreinfo.levels), why: "by VMCOREINFO's pgtable_l5_enabled" };
  }
  const { levelsByEvidence } = await import('./roots/levels-by-evidence.ts');
  const seen = await levelsByEvidence(dump, Number(root), cBit);
  if (!seen) return { cr4: pae, why: 'assumed: its tables do not tell' };
  const why = seen.fitsBoth ? 'assumed: its tables fit 5, too' : 'by what its tables look like';
  return { cr4: withLevels(pae, seen.levels), why };
}

function withLevels(cr4: bigint, levels: 4 | 5): bigint {
  return levels === 5 ? cr4 | la57 : cr4 & ~la57;
}

/** What the answer of a walk can depend on and nobody told. PKRU matters only where CR4.PKE is set; no dump keeps it. */
function assumedOf({ registers }: CpuRegisters, given: Partial<Registers>, cr4: bigint): (keyof Registers)[] {
  const names = ['cr0', 'cr4', 'efer', 'pkru', 'maxPhysicalAddress', 'vendor', 'page1G'] as const;
  const told = { ...registers, ...given };
  return names.filter((name) => told[name] === undefined && (name !== 'pkru' || cr4 & pke));
}
