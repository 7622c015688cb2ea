/*
 * The processor state that a walk depends on, kept the way the walk wants it.
 * Intel SDM vol. 3A, sections 4.1.3 and 4.1.4 (which bits of CR0, CR4, EFER and which CPUID facts modify paging).
 */
import {
  ADDRESS_MASK,
  EXECUTE_DISABLE,
  GLOBAL,
  LEVEL3_SHIFT,
  LEVEL4_SHIFT,
  LEVEL5_SHIFT,
  PAGE_SIZE,
  PRESENT,
} from "./entry";

/** CR0.PG: paging is on. */
export const CR0_PG: u64 = 1 << 31;
/** CR0.WP: supervisor writes, too, need a writable page. */
export const CR0_WP: u64 = 1 << 16;
/** CR4.PGE: leaves with G set keep their translation when CR3 changes. */
export const CR4_PGE: u64 = 1 << 7;
/** CR4.LA57: 5-level paging, 57-bit linear addresses. */
export const CR4_LA57: u64 = 1 << 12;
/** CR4.PCIDE: bits 11:0 of CR3 are the process-context identifier; without it they hold PWT and PCD, and the PCID is 0. */
export const CR4_PCIDE: u64 = 1 << 17;
/** CR4.SMEP: the supervisor may not fetch instructions from user pages. */
export const CR4_SMEP: u64 = 1 << 20;
/** CR4.SMAP: the supervisor may not read or write user pages while RFLAGS.AC is 0. */
export const CR4_SMAP: u64 = 1 << 21;
/** CR4.PKE: PKRU restricts data accesses to user pages, by protection key. */
export const CR4_PKE: u64 = 1 << 22;
/** CR4.CET: there are shadow stacks. */
export const CR4_CET: u64 = 1 << 23;
/** CR4.PKS: IA32_PKRS restricts data accesses to supervisor pages, by protection key. */
export const CR4_PKS: u64 = 1 << 24;
/** CR4.LASS: user mode may not touch the upper half of the linear addresses, nor the supervisor the lower. */
export const CR4_LASS: u64 = 1 << 27;
/** EFER.NXE: bit 63 of an entry means execute-disable instead of being reserved. */
export const EFER_NXE: u64 = 1 << 11;
/** RFLAGS.AC: while set, SMAP and LASS let explicit supervisor data accesses reach user addresses. */
export const RFLAGS_AC: u64 = 1 << 18;

/** Feature: CPUID.80000001H:EDX.Page1GB, without which PS in a page-directory-pointer entry is reserved. */
export const FEATURE_PAGE_1G: u32 = 1 << 0;
/** Feature: an AMD processor, where bit 8 of a PML4 or PML5 entry must be 0. */
export const FEATURE_AMD: u32 = 1 << 1;

/** Physical address of the root table: bits 51:12 of CR3. */
export let root: u64 = 0;
/** Shift of the root's level: 39 (PML4) or 48 (PML5). */
export let rootShift: u32 = 0;
/** CR0.PG: without it linear addresses are physical ones. */
export let paging: bool = false;
/** Half of the canonical addresses: 2^47 or 2^56; 0 while paging is off, so that no walk begins: none counts as canonical then. */
let canonicalHalf: u64 = 0;
/** Shift of the largest page the processor maps: 30, or 21 without 1 GiB pages. */
export let largestPageShift: u32 = 0;
/** Bits that must be 0 in every entry: 51:MAXPHYADDR, and 63 while EFER.NXE is 0. */
export let reservedEverywhere: u64 = 0;
/** Bits that must be 0 in PML4 and PML5 entries besides: none, or bit 8 on AMD. */
export let reservedAtTop: u64 = 0;

/** Above level 1, an entry that has of these bits only P points to a table: the usual case, settled by one test. */
export let pointerBits: u64 = 0;
/** How often registers were taken over: tells whether something that was worked out from them still holds. */
export let registersTaken: u32 = 0;

export let writeProtect: bool = false;
export let smep: bool = false;
export let smap: bool = false;
export let lass: bool = false;
export let noExecute: bool = false;
/** RFLAGS.AC, which SMAP and LASS heed. */
export let alignmentCheck: bool = false;
/** CR4.PGE. */
export let globalPages: bool = false;
/** The process-context identifier that tags what the TLB caches: bits 11:0 of CR3 with CR4.PCIDE, else 0. */
export let pcid: u64 = 0;
/** PKRU where CR4.PKE makes it count, else 0: for each of 16 keys, bit 2k disables access, bit 2k + 1 writes. */
export let userKeys: u32 = 0;
/** IA32_PKRS where CR4.PKS makes it count, else 0; laid out like PKRU. */
export let supervisorKeys: u32 = 0;

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
  pkru: u32,
  pkrs: u32,
  maxPhysicalAddress: u32,
  features: u32,
): void {
  root = cr3 & ADDRESS_MASK;
  rootShift = cr4 & CR4_LA57 ? LEVEL5_SHIFT : LEVEL4_SHIFT;
  paging = (cr0 & CR0_PG) != 0;
  canonicalHalf = paging ? (<u64>1) << (rootShift + 8) : 0;
  largestPageShift = features & FEATURE_PAGE_1G ? LEVEL3_SHIFT : LEVEL3_SHIFT - 9;
  writeProtect = (cr0 & CR0_WP) != 0;
  smep = (cr4 & CR4_SMEP) != 0;
  smap = (cr4 & CR4_SMAP) != 0;
  lass = (cr4 & CR4_LASS) != 0;
  alignmentCheck = (rflags & RFLAGS_AC) != 0;
  globalPages = (cr4 & CR4_PGE) != 0;
  pcid = cr4 & CR4_PCIDE ? cr3 & 0xfff : 0;
  userKeys = cr4 & CR4_PKE ? pkru : 0;
  supervisorKeys = cr4 & CR4_PKS ? pkrs : 0;
  noExecute = (efer & EFER_NXE) != 0;
  reservedEverywhere = ADDRESS_MASK & ~(((<u64>1) << maxPhysicalAddress) - 1);
  if (!noExecute) reservedEverywhere |= EXECUTE_DISABLE;
  reservedAtTop = features & FEATURE_AMD ? GLOBAL : 0;
  pointerBits = PRESENT | PAGE_SIZE | reservedEverywhere | reservedAtTop;
  ++registersTaken;
}

/** Whether bits 63 down to the linear-address width - 1 are all equal (SDM vol. 1, section 3.3.7.1), and paging is on. */
export function isCanonical(va: u64): bool {
  return va + canonicalHalf < canonicalHalf << 1;
}
