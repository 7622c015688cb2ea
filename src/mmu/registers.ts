/**
 * The processor state that paging depends on. Intel SDM vol. 3A, sections 2.5 (control registers), 4.1.1 (paging
 * modes) and 4.1.4 (enumeration by CPUID).
 */
import { checkBigint, checkInteger, hex } from '../core/errors.ts';
import type { CoreExports } from '../core/exports.ts';
import { CR0_PG, CR0_WP, CR4_CET, CR4_LA57, EFER_NXE, FEATURE_AMD, FEATURE_PAGE_1G } from '../core/generated/layout.ts';
import { type MemoryType, patType } from '../reference/memory-type.ts';

/** CR0.PE: protected mode; paging needs it. */
export const CR0_PE: bigint = 1n << 0n;
/** CR4.PAE: entries are 64 bits wide; 4-level and 5-level paging need it. */
export const CR4_PAE: bigint = 1n << 5n;
/** EFER.LME: long mode is enabled. */
export const EFER_LME: bigint = 1n << 8n;
/** EFER.LMA: long mode is active; the processor sets it when paging is switched on with LME. */
export const EFER_LMA: bigint = 1n << 10n;

/** Registers and processor facts; whatever is left out keeps its default, or its present value. */
export interface Registers {
  /** Bits 51:12 are the physical address of the root table. */
  readonly cr3: bigint;
  /** Default: PG, WP, PE. */
  readonly cr0: bigint;
  /** Default: PAE, hence 4-level paging without SMEP and SMAP. Add `CR4.LA57` for 5 levels. */
  readonly cr4: bigint;
  /** Default: NXE, LMA, LME. */
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
  cr0: CR0_PG | CR0_WP | CR0_PE,
  cr4: CR4_PAE,
  efer: EFER_NXE | EFER_LMA | EFER_LME,
  rflags: 0n,
  pkru: 0,
  pkrs: 0,
  pat: 0x0007_0406_0007_0406n,
  mtrrDefault: 'WB',
  maxPhysicalAddress: 52,
  page1G: true,
  vendor: 'intel',
};

/**
 * Throws unless the registers describe 4-level or 5-level paging, the only kinds hugewalk walks; or, where paging need not be on
 * and CR0.PG is 0, no paging at all.
 */
export function checkRegisters(registers: Registers, mustPage = true): void {
  const { cr0, cr3, cr4, efer, rflags, pkru, pkrs, pat, maxPhysicalAddress, page1G, vendor } = registers;
  checkInteger('maxPhysicalAddress', maxPhysicalAddress, 36, 52);
  for (const [name, value] of Object.entries({ cr0, cr3, cr4, efer, rflags, pat })) checkBigint(name, value);
  for (const [name, value] of Object.entries({ pkru, pkrs })) checkInteger(name, value, 0, 0xffff_ffff);
  if (typeof page1G !== 'boolean') throw new TypeError(`page1G: expected a boolean, got ${typeof page1G}`);
  checkMemoryTypes(pat, registers.mtrrDefault);
  if (vendor !== 'intel' && vendor !== 'amd')
    throw new TypeError(`vendor: expected 'intel' or 'amd', got ${String(vendor)}`);
  if (mustPage || cr0 & CR0_PG) {
    expectSet('cr0', cr0, CR0_PG | CR0_PE, 'PG and PE set (paging on)');
    expectSet('cr4', cr4, CR4_PAE, 'PAE set (4-level or 5-level paging)');
    expectSet('efer', efer, EFER_LME, 'LME set (long mode)');
  }
  if (cr4 & CR4_CET) expectSet('cr0', cr0, CR0_WP, 'WP set, which CR4.CET demands');
  const reserved = (cr3 & ~(1n << 63n)) >> BigInt(maxPhysicalAddress);
  if (reserved)
    throw new RangeError(`cr3: expected no bit from MAXPHYADDR ${maxPhysicalAddress} to 62, got ${hex(cr3)}`);
}

function checkMemoryTypes(pat: bigint, mtrrDefault: string): void {
  for (let index = 0; index < 8; index++) {
    const encoded = (pat >> BigInt(8 * index)) & 0xffn;
    if (encoded > 7n || !patType(pat, index)) {
      throw new RangeError(`pat: expected 0, 1, 4, 5, 6 or 7 in byte ${index}, got ${hex(encoded)}`);
    }
  }
  if (!['UC', 'WC', 'WT', 'WP', 'WB'].includes(mtrrDefault)) {
    throw new RangeError(`mtrrDefault: expected UC, WC, WT, WP or WB, got ${String(mtrrDefault)}`);
  }
}

function expectSet(name: string, value: bigint, bits: bigint, meaning: string): void {
  if ((value & bits) !== bits) throw new RangeError(`${name}: expected ${meaning}, got ${hex(value)}`);
}

/** Hands the registers to a core. */
export function loadRegisters(core: CoreExports, registers: Registers): void {
  const { cr0, cr3, cr4, efer, rflags, pkru, pkrs, maxPhysicalAddress, page1G, vendor } = registers;
  const features = (page1G ? FEATURE_PAGE_1G : 0) | (vendor === 'amd' ? FEATURE_AMD : 0);
  core.setRegisters(cr0, cr3, cr4, efer, rflags, pkru, pkrs, maxPhysicalAddress, features);
}

/** How many levels the walk has: 5 with CR4.LA57, else 4. */
export function levelsOf(registers: Registers): 4 | 5 {
  return registers.cr4 & CR4_LA57 ? 5 : 4;
}
