/**
 * The reference walk: 4-level and 5-level paging in plain TypeScript, to be read beside the SDM, not to be fast.
 * Intel SDM vol. 3A: 4.5 (translation), 4.6.1 (access rights), 4.7 (page faults); vol. 1, 3.3.7.1 (canonical addresses).
 *
 * It depends on nothing but its arguments and is the oracle of the core's tests and the engine of explain().
 */
import { bit, bits, shiftOf } from './entry.ts';
import type { Outcome, PageSize } from './outcome.ts';

/** What the walk must know of the processor; see Registers of the Mmu for the defaults. */
export interface PagingState {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly rflags: bigint;
  readonly maxPhysicalAddress: number;
  readonly page1G: boolean;
}

/** Reads the entry at a physical address; undefined where there is no memory. */
export type ReadEntry = (physical: bigint) => bigint | undefined;

/** Rights over the levels so far. */
export interface Rights {
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
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
  readonly outcome: Outcome;
}

/* Bits of an access and of an error code (SDM figure 4-12). */
const P = 1;
const WRITE = 1 << 1;
const USER = 1 << 2;
const RSVD = 1 << 3;
const FETCH = 1 << 4;

/** Translates `va` for an access, described by the W/R, U/S and I/D bits of an error code. */
export function referenceWalk(readEntry: ReadEntry, state: PagingState, va: bigint, access: number): WalkRecord {
  const steps: WalkStep[] = [];
  const levels = bit(state.cr4, 12n) ? 5 : 4;

  const linearAddressWidth = levels === 5 ? 57 : 48;
  if (BigInt.asUintN(64, BigInt.asIntN(linearAddressWidth, va)) !== va) {
    return { steps, outcome: { kind: 'non-canonical' } };
  }

  let rights: Rights = { writable: true, user: true, executable: true };
  let table = bits(state.cr3, 51n, 12n);
  for (let level = levels; level >= 1; level--) {
    const index = Number(bits(va >> shiftOf(level), 8n, 0n));
    const address = table + BigInt(index * 8);
    const entry = readEntry(address);
    if (entry === undefined) return { steps, outcome: { kind: 'missing-table', level, table } };

    const fault = (bitsOfCause: number): WalkRecord => ({
      steps,
      outcome: { kind: 'page-fault', errorCode: errorCode(state, access) | bitsOfCause, level, table },
    });
    const present = bit(entry, 0n);
    const leaf = present && mapsPage(state, entry, level);
    const reserved = present ? reservedBitsSet(state, entry, level, leaf) : 0n;
    if (present) {
      rights = {
        writable: rights.writable && bit(entry, 1n),
        user: rights.user && bit(entry, 2n),
        executable: rights.executable && !(bit(state.efer, 11n) && bit(entry, 63n)),
      };
    }
    steps.push({ level, table, index, address, entry, leaf, reserved, rights });

    if (!present) return fault(0);
    if (reserved !== 0n) return fault(P | RSVD);
    if (leaf) {
      if (!allowed(state, rights, access)) return fault(P);
      const shift = shiftOf(level);
      const physicalAddress = bits(entry, 51n, shift) | bits(va, shift - 1n, 0n);
      return {
        steps,
        outcome: { kind: 'page', physicalAddress, pageSize: Number(1n << shift) as PageSize, ...rights },
      };
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

/** 4.5 and tables 4-14 to 4-20: the bits of a present entry that are reserved and set. */
export function reservedBitsSet(state: PagingState, entry: bigint, level: number, leaf: boolean): bigint {
  let reserved = bits(entry, 51n, BigInt(state.maxPhysicalAddress));
  if (!bit(state.efer, 11n)) reserved |= bits(entry, 63n, 63n);
  if (leaf && level === 3) reserved |= bits(entry, 29n, 13n);
  if (leaf && level === 2) reserved |= bits(entry, 20n, 13n);
  if (!leaf && level >= 3) reserved |= bits(entry, 7n, 7n);
  return reserved;
}

/** 4.6.1: whether an access is allowed to an address with these rights. */
function allowed(state: PagingState, rights: Rights, access: number): boolean {
  const writeProtect = bit(state.cr0, 16n);
  const smep = bit(state.cr4, 20n);
  const smap = bit(state.cr4, 21n);
  const alignmentCheck = bit(state.rflags, 18n);
  if (access & USER) {
    if (!rights.user) return false;
    if (access & FETCH) return rights.executable;
    return access & WRITE ? rights.writable : true;
  }
  if (access & FETCH) return rights.executable && !(rights.user && smep);
  if (rights.user && smap && !alignmentCheck) return false;
  return access & WRITE ? rights.writable || !writeProtect : true;
}

/** 4.7: the bits that describe the access; I/D is defined only with EFER.NXE or CR4.SMEP. */
function errorCode(state: PagingState, access: number): number {
  const fetchReported = bit(state.efer, 11n) || bit(state.cr4, 20n);
  return (access & (WRITE | USER)) | (access & FETCH && fetchReported ? FETCH : 0);
}
