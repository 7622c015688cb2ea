/**
 * The processor state that paging depends on. Intel SDM vol. 3A, sections 2.5 (control registers), 4.1.1 (paging
 * modes) and 4.1.4 (enumeration by CPUID).
 */
import {
  checkBigint,
  checkBoolean,
  checkInteger,
  checkOptions,
  hex,
  type OptionNames,
  shown,
  wrongKind,
} from '../core/errors.ts';
import type { CoreExports } from '../core/exports.ts';
import { FEATURE_AMD, FEATURE_PAGE_1G } from '../core/generated/layout.ts';
import { type MemoryType, patType } from '../reference/memory-type.ts';
import * as CR0 from './bits/cr0.ts';
import * as CR4 from './bits/cr4.ts';
import * as EFER from './bits/efer.ts';

/** Registers and processor facts; whatever is left out keeps its default, or its present value. */
export interface Registers {
  /** Bits 51:12 are the physical address of the root table. */
  readonly cr3: bigint;
  /** Default: PG, WP, PE: `CR0.pg | CR0.wp | CR0.pe`. */
  readonly cr0: bigint;
  /** Default: PAE, hence 4-level paging without SMEP and SMAP: `CR4.pae`. `CR4.pae | CR4.la57` has 5 levels. */
  readonly cr4: bigint;
  /** Default: NXE, LMA, LME: `EFER.nxe | EFER.lma | EFER.lme`. */
  readonly efer: bigint;
  /** Only AC matters, to SMAP and LASS. Default 0n. */
  readonly rflags: bigint;
  /** PKRU: for each of 16 protection keys k, bit 2k disables access to user pages, bit 2k + 1 writes. Default 0. */
  readonly pkru: number;
  /** IA32_PKRS: the same for supervisor pages. Default 0. */
  readonly pkrs: number;
  /** IA32_PAT: eight memory types of 8 bits. Default: its value after a reset, WB WT UC- UC, twice. */
  readonly pat: bigint;
  /** What the MTRRs say, of all memory alike: the type in IA32_MTRR_DEF_TYPE. Default 'WB'. */
  readonly mtrrDefault: Exclude<MemoryType, 'UC-'>;
  /** MAXPHYADDR, the width of a physical address in bits, 36 to 52. Default 52. */
  readonly maxPhysicalAddress: number;
  /** Whether the processor maps 1 GiB pages; without them PS is a reserved bit at level 3. Default true. */
  readonly page1G: boolean;
  /** Whose processor: AMD's demands that bit 8 of PML4 and PML5 entries be 0, Intel's ignores it. Default 'intel'. */
  readonly vendor: 'intel' | 'amd';
}

/** What the processor has before anything is said. */
export const DEFAULT_REGISTERS: Registers = {
  cr3: 0n,
  cr0: CR0.pg | CR0.wp | CR0.pe,
  cr4: CR4.pae,
  efer: EFER.nxe | EFER.lma | EFER.lme,
  rflags: 0n,
  pkru: 0,
  pkrs: 0,
  pat: 0x0007_0406_0007_0406n,
  mtrrDefault: 'WB',
  maxPhysicalAddress: 52,
  page1G: true,
  vendor: 'intel',
};

/** Every register there is. */
export const REGISTER_NAMES: OptionNames<Registers> = {
  cr3: true,
  cr0: true,
  cr4: true,
  efer: true,
  rflags: true,
  pkru: true,
  pkrs: true,
  pat: true,
  mtrrDefault: true,
  maxPhysicalAddress: true,
  page1G: true,
  vendor: true,
};

/** Throws unless these are registers, and CR3 is among them: the ones that a processor begins with. */
export function checkFirstRegisters(registers: Partial<Registers>): void {
  checkOptions('registers', registers, REGISTER_NAMES);
  if (registers.cr3 === undefined)
    throw wrongKind('cr3', 'a bigint, the physical address of the root table', undefined);
}

/**
 * Throws unless the registers describe 4-level or 5-level paging, the only kinds hugewalk walks; or, where paging need not be on
 * and CR0.PG is 0, no paging at all.
 */
export function checkRegisters(registers: Registers, mustPage = true): void {
  const { cr0, cr3, cr4, efer, rflags, pkru, pkrs, pat, maxPhysicalAddress, page1G, vendor } = registers;
  checkInteger('maxPhysicalAddress', maxPhysicalAddress, 36, 52);
  for (const [name, value] of Object.entries({ cr0, cr3, cr4, efer, rflags, pat })) checkBigint(name, value);
  for (const [name, value] of Object.entries({ pkru, pkrs })) checkInteger(name, value, 0, 0xffff_ffff);
  checkBoolean('page1G', page1G);
  checkMemoryTypes(pat, registers.mtrrDefault);
  if (vendor !== 'intel' && vendor !== 'amd') throw wrongKind('vendor', "'intel' or 'amd'", vendor);
  if (mustPage || cr0 & CR0.pg) checkPagingMode(registers);
  if (cr4 & CR4.cet) expectSet('cr0', cr0, CR0.wp, 'WP set, which CR4.CET demands');
  const reserved = (cr3 & ~(1n << 63n)) >> BigInt(maxPhysicalAddress);
  if (reserved)
    throw new RangeError(`cr3: expected no bit from MAXPHYADDR ${maxPhysicalAddress} to 62, got ${hex(cr3)}`);
}

/**
 * SDM vol. 3A, 4.1.1: CR0.PE and PG, CR4.PAE and EFER.LME say which mode it is. The others have no tables, or tables of
 * other kinds: a guest that has not got as far needs no Mmu yet.
 */
function checkPagingMode({ cr0, cr4, efer }: Registers): void {
  const untranslated = 'linear addresses are physical ones, so translate none until the guest sets PG';
  expectSet('cr0', cr0, CR0.pe, 'PG and PE set (paging on)', `that is real mode: ${untranslated}`);
  expectSet('cr0', cr0, CR0.pg, 'PG and PE set (paging on)', `that is paging switched off: ${untranslated}`);
  const others = 'which hugewalk does not walk; it walks 4-level and 5-level paging, with CR4.PAE and EFER.LME';
  const legacy = `that is 32-bit paging, ${others}`;
  expectSet('cr4', cr4, CR4.pae, 'PAE set (4-level or 5-level paging)', legacy);
  const pae = `that is PAE paging (three levels, CR3 points to four entries), ${others}`;
  expectSet('efer', efer, EFER.lme, 'LME set (long mode)', pae);
}

function checkMemoryTypes(pat: bigint, mtrrDefault: unknown): void {
  for (let index = 0; index < 8; index++) {
    const encoded = (pat >> BigInt(8 * index)) & 0xffn;
    if (encoded > 7n || !patType(pat, index)) {
      throw new RangeError(`pat: expected 0, 1, 4, 5, 6 or 7 in byte ${index}, got ${hex(encoded)}`);
    }
  }
  if (['UC', 'WC', 'WT', 'WP', 'WB'].some((type) => type === mtrrDefault)) return;
  const types = 'UC, WC, WT, WP or WB';
  if (typeof mtrrDefault !== 'string') throw wrongKind('mtrrDefault', types, mtrrDefault);
  throw new RangeError(`mtrrDefault: expected ${types}, got ${shown(mtrrDefault)}`);
}

/** @param consequence what it means that they are not, and what to do */
function expectSet(name: string, value: bigint, bits: bigint, meaning: string, consequence?: string): void {
  if ((value & bits) === bits) return;
  const remedy = consequence ? `; ${consequence}` : '';
  throw new RangeError(`${name}: expected ${meaning}, got ${hex(value)}${remedy}`);
}

/** Hands the registers to a core. */
export function loadRegisters(core: CoreExports, registers: Registers): void {
  const { cr0, cr3, cr4, efer, rflags, pkru, pkrs, maxPhysicalAddress, page1G, vendor } = registers;
  const features = (page1G ? FEATURE_PAGE_1G : 0) | (vendor === 'amd' ? FEATURE_AMD : 0);
  core.setRegisters(cr0, cr3, cr4, efer, rflags, pkru, pkrs, maxPhysicalAddress, features);
}

/** How many levels the walk has: 5 with CR4.LA57, else 4. */
export function levelsOf(registers: Registers): 4 | 5 {
  return registers.cr4 & CR4.la57 ? 5 : 4;
}
