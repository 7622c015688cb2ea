/**
 * The reference walk: 4-level and 5-level paging in plain TypeScript, to be read beside the SDM, not to be fast.
 * Intel SDM vol. 3A: 4.5 (translation), 4.6.1 (access rights), 4.6.2 (protection keys), 4.7 (page faults), 4.8 (accessed
 * and dirty flags), 4.9 (memory types), the chapter on linear-address space separation; vol. 1, 3.3.7.1 (canonical
 * addresses), chapter 17 (shadow stacks). AMD APM vol. 2, 5.3 and 5.4, where AMD differs.
 *
 * It depends on nothing but its arguments and is the oracle of the core's tests and the engine of explain().
 */
import { bit, bits, shiftOf } from './entry.ts';
import type { MemoryType } from './memory-type.ts';
import type { Outcome, PageSize } from './outcome.ts';

/** What the walk must know of the processor; see Registers of the Mmu for the defaults. */
export interface PagingState {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly rflags: bigint;
  readonly pkru: number;
  readonly pkrs: number;
  readonly maxPhysicalAddress: number;
  readonly page1G: boolean;
  readonly vendor: 'intel' | 'amd';
  readonly pat: bigint;
  readonly mtrrDefault: Exclude<MemoryType, 'UC-'>;
}

/** Reads the entry at a physical address; undefined where there is no memory. */
export type ReadEntry = (physical: bigint) => bigint | undefined;

/** Rights over the levels so far. */
export interface Rights {
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  /** Whether this is the leaf of a shadow-stack page: R/W is 1 above, 0 here, and D is 1. */
  readonly shadowStack: boolean;
}

/** An entry that the access changes: its A or D bit. */
export interface Mark {
  /** Physical address of the entry. */
  readonly address: bigint;
  /** The entry afterwards. */
  readonly entry: bigint;
}

/** One entry that the walk has read. */
export interface WalkStep {
  /** 5 (PML5E) down to 1 (PTE). */
  readonly level: number;
  /** Physical address of the table. */
  readonly table: bigint;
  /** Which of its 512 entries. */
  readonly index: number;
  /** Physical address of the entry. */
  readonly address: bigint;
  readonly entry: bigint;
  /** Whether it maps a page. */
  readonly leaf: boolean;
  /** Those of its bits that should be 0 and are not; 0n where the entry is well-formed or not present. */
  readonly reserved: bigint;
  /** Rights over all levels down to this one. */
  readonly rights: Rights;
}

/** All steps of a walk and what became of it. */
export interface WalkRecord {
  readonly steps: readonly WalkStep[];
  /**
   * Entries in which the access, when really made, sets A or D; in the order of the walk. Where the walk comes through an entry
   * twice, since a table points to itself, it sets A once, and D when the entry maps the page.
   */
  readonly marks: readonly Mark[];
  readonly outcome: Outcome;
}

/* Bits of an access and of an error code (SDM figure 4-12). */
const P = 1;
const WRITE = 1 << 1;
const USER = 1 << 2;
const RSVD = 1 << 3;
const FETCH = 1 << 4;
const PK = 1 << 5;
const SHADOW_STACK = 1 << 6;
/* Not reported: the access is to a descriptor table or TSS, on behalf of the supervisor. */
const IMPLICIT = 1 << 8;

/** Translates `va` for an access, described by the W/R, U/S, I/D and SS bits of an error code, and bit 8 for an implicit one. */
export function referenceWalk(readEntry: ReadEntry, state: PagingState, va: bigint, access: number): WalkRecord {
  const steps: WalkStep[] = [];
  const marks: Mark[] = [];
  const end = (outcome: Outcome): WalkRecord => ({ steps, marks, outcome });
  const levels = bit(state.cr4, 12n) ? 5 : 4;
  if (!bit(state.cr0, 31n)) return end({ kind: 'paging-off', physicalAddress: bits(va, 31n, 0n) });

  const linearAddressWidth = levels === 5 ? 57 : 48;
  if (BigInt.asUintN(64, BigInt.asIntN(linearAddressWidth, va)) !== va) return end({ kind: 'non-canonical' });
  if (violatesLass(state, va, access)) return end({ kind: 'lass' });

  let rights: Rights = { writable: true, user: true, executable: true, shadowStack: false };
  let table = bits(state.cr3, 51n, 12n);
  for (let level = levels; level >= 1; level--) {
    const index = Number(bits(va >> shiftOf(level), 8n, 0n));
    const address = table + BigInt(index * 8);
    const entry = readEntry(address);
    if (entry === undefined) return end({ kind: 'missing-table', level, table });

    const fault = (bitsOfCause: number): WalkRecord =>
      end({ kind: 'page-fault', errorCode: errorCode(state, access) | bitsOfCause, level, table });
    const present = bit(entry, 0n);
    const leaf = present && mapsPage(state, entry, level);
    const reserved = present ? reservedBitsSet(state, entry, level, leaf) : 0n;
    if (present) {
      rights = {
        writable: rights.writable && bit(entry, 1n),
        user: rights.user && bit(entry, 2n),
        executable: rights.executable && !(bit(state.efer, 11n) && bit(entry, 63n)),
        shadowStack: leaf && rights.writable && !bit(entry, 1n) && bit(entry, 6n),
      };
    }
    steps.push({ level, table, index, address, entry, leaf, reserved, rights });

    if (!present) return fault(0);
    if (reserved !== 0n) return fault(P | RSVD);
    if (leaf) {
      const keyDenies = deniedByKey(state, rights.user, protectionKey(entry), access);
      if (keyDenies || !allowed(state, rights, access)) return fault(P | (keyDenies ? PK : 0));
      const written = marks.filter((mark) => mark.address === address).at(-1)?.entry ?? entry;
      const used = written | (1n << 5n) | (access & WRITE ? 1n << 6n : 0n);
      if (used !== written) marks.push({ address, entry: used });
      const shift = shiftOf(level);
      const physicalAddress = bits(entry, 51n, shift) | bits(va, shift - 1n, 0n);
      const pageSize = Number(1n << shift) as PageSize;
      return end({ kind: 'page', physicalAddress, pageSize, ...rights, patIndex: patIndex(entry, level) });
    }
    if (!bit(entry, 5n) && !marks.some((mark) => mark.address === address)) {
      marks.push({ address, entry: entry | (1n << 5n) });
    }
    table = bits(entry, 51n, 12n);
  }
  throw new Error('referenceWalk: an entry of level 1 always ends the walk');
}

/** 4.5.4: which present entries map a page. PS does so at levels 2 and 3, at level 3 only if CPUID reports Page1GB. */
export function mapsPage(state: PagingState, entry: bigint, level: number): boolean {
  if (level === 1) return true;
  if (level === 2) return bit(entry, 7n);
  if (level === 3) return state.page1G && bit(entry, 7n);
  return false;
}

/** 4.5 and tables 4-14 to 4-20, APM figures 5-20 to 5-27: the bits of a present entry that are reserved and set. */
export function reservedBitsSet(state: PagingState, entry: bigint, level: number, leaf: boolean): bigint {
  let reserved = bits(entry, 51n, BigInt(state.maxPhysicalAddress));
  if (!bit(state.efer, 11n)) reserved |= bits(entry, 63n, 63n);
  if (leaf && level === 3) reserved |= bits(entry, 29n, 13n);
  if (leaf && level === 2) reserved |= bits(entry, 20n, 13n);
  if (!leaf && level >= 3) reserved |= bits(entry, 7n, 7n);
  if (level >= 4 && state.vendor === 'amd') reserved |= bits(entry, 8n, 8n);
  return reserved;
}

/** 4.6.1: whether the rights of the paging structures allow an access. */
function allowed(state: PagingState, rights: Rights, access: number): boolean {
  if (access & SHADOW_STACK) return rights.shadowStack && rights.user === Boolean(access & USER);
  const writeProtect = bit(state.cr0, 16n);
  const smep = bit(state.cr4, 20n);
  const smap = bit(state.cr4, 21n);
  if (access & USER) {
    if (!rights.user) return false;
    if (access & FETCH) return rights.executable;
    return access & WRITE ? rights.writable : true;
  }
  if (access & FETCH) return rights.executable && !(rights.user && smep);
  if (rights.user && smap && !overriddenByAc(state, access)) return false;
  return access & WRITE ? rights.writable || !writeProtect : true;
}

/** 4.6.1: RFLAGS.AC lets explicit supervisor accesses reach user addresses in spite of SMAP (and of LASS). */
function overriddenByAc(state: PagingState, access: number): boolean {
  return bit(state.rflags, 18n) && !(access & IMPLICIT);
}

/** 4.6.2: protection keys restrict data accesses: PKRU those to user pages, IA32_PKRS the supervisor's to its own. */
function deniedByKey(state: PagingState, userPage: boolean, key: number, access: number): boolean {
  if (access & FETCH) return false;
  if (!userPage && access & USER) return false;
  if (!bit(state.cr4, userPage ? 22n : 24n)) return false;
  const register = BigInt(userPage ? state.pkru : state.pkrs);
  const accessDisable = bit(register, BigInt(2 * key));
  const writeDisable = bit(register, BigInt(2 * key + 1));
  const writeChecked = Boolean(access & WRITE) && (Boolean(access & USER) || bit(state.cr0, 16n));
  return accessDisable || (writeDisable && writeChecked);
}

/** Bits 62:59 of a leaf. */
export function protectionKey(entry: bigint): number {
  return Number(bits(entry, 62n, 59n) >> 59n);
}

/** 4.9.2: which entry of IA32_PAT a leaf selects: 4 x PAT + 2 x PCD + PWT. */
export function patIndex(entry: bigint, level: number): number {
  return (bit(entry, level === 1 ? 7n : 12n) ? 4 : 0) + (bit(entry, 4n) ? 2 : 0) + (bit(entry, 3n) ? 1 : 0);
}

/** Linear-address space separation: checked before paging, by bit 63 of the address alone. */
function violatesLass(state: PagingState, va: bigint, access: number): boolean {
  if (!bit(state.cr4, 27n)) return false;
  if (access & USER) return bit(va, 63n);
  if (bit(va, 63n)) return false;
  return access & FETCH ? true : bit(state.cr4, 21n) && !overriddenByAc(state, access);
}

/** 4.7: the bits that describe the access; I/D is defined only with EFER.NXE or CR4.SMEP. */
function errorCode(state: PagingState, access: number): number {
  const fetchReported = bit(state.efer, 11n) || bit(state.cr4, 20n);
  return (access & (WRITE | USER | SHADOW_STACK)) | (access & FETCH && fetchReported ? FETCH : 0);
}
