/*
 * The processor state that a walk depends on, kept the way the walk wants it.
 * Intel SDM vol. 3A, sections 4.1.3 and 4.1.4 (which bits of CR0, CR4, EFER and which CPUID facts modify paging).
 */
import { ADDRESS_MASK, EXECUTE_DISABLE, LEVEL3_SHIFT, LEVEL4_SHIFT, LEVEL5_SHIFT } from "./entry";

/** CR0.WP: supervisor writes, too, need a writable page. */
export const CR0_WP: u64 = 1 << 16;
/** CR4.LA57: 5-level paging, 57-bit linear addresses. */
export const CR4_LA57: u64 = 1 << 12;
/** CR4.SMEP: the supervisor may not fetch instructions from user pages. */
export const CR4_SMEP: u64 = 1 << 20;
/** CR4.SMAP: the supervisor may not read or write user pages while RFLAGS.AC is 0. */
export const CR4_SMAP: u64 = 1 << 21;
/** EFER.NXE: bit 63 of an entry means execute-disable instead of being reserved. */
export const EFER_NXE: u64 = 1 << 11;
/** RFLAGS.AC: while set, SMAP lets explicit supervisor data accesses reach user pages. */
export const RFLAGS_AC: u64 = 1 << 18;

/** Feature: CPUID.80000001H:EDX.Page1GB, without which PS in a page-directory-pointer entry is reserved. */
export const FEATURE_PAGE_1G: u32 = 1 << 0;

/** Physical address of the root table: bits 51:12 of CR3. */
export let root: u64 = 0;
/** Shift of the root's level: 39 (PML4) or 48 (PML5). */
export let rootShift: u32 = 0;
/** Shift of the largest page the processor maps: 30, or 21 without 1 GiB pages. */
export let largestPageShift: u32 = 0;
/** Bits that must be 0 in every entry: 51:MAXPHYADDR, and 63 while EFER.NXE is 0. */
export let reservedEverywhere: u64 = 0;

export let writeProtect: bool = false;
export let smep: bool = false;
/** SMAP as it applies to an explicit access: CR4.SMAP with RFLAGS.AC clear. */
export let smap: bool = false;
export let noExecute: bool = false;

/**
 * Takes the registers over. maxPhysicalAddress is CPUID's MAXPHYADDR in bits, 36 to 52; features are FEATURE_ bits.
 * The host has checked every value.
 */
export function setRegisters(
  cr0: u64,
  cr3: u64,
  cr4: u64,
  efer: u64,
  rflags: u64,
  maxPhysicalAddress: u32,
  features: u32,
): void {
  root = cr3 & ADDRESS_MASK;
  rootShift = cr4 & CR4_LA57 ? LEVEL5_SHIFT : LEVEL4_SHIFT;
  largestPageShift = features & FEATURE_PAGE_1G ? LEVEL3_SHIFT : LEVEL3_SHIFT - 9;
  writeProtect = (cr0 & CR0_WP) != 0;
  smep = (cr4 & CR4_SMEP) != 0;
  smap = (cr4 & CR4_SMAP) != 0 && (rflags & RFLAGS_AC) == 0;
  noExecute = (efer & EFER_NXE) != 0;
  reservedEverywhere = ADDRESS_MASK & ~(((<u64>1) << maxPhysicalAddress) - 1);
  if (!noExecute) reservedEverywhere |= EXECUTE_DISABLE;
}

/** Whether bits 63 down to the linear-address width - 1 are all equal (SDM vol. 1, section 3.3.7.1). */
export function isCanonical(va: u64): bool {
  const unused = 64 - (rootShift + 9);
  return <u64>(<i64>(va << unused) >> unused) == va;
}
