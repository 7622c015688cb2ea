/**
 * The instructions that write control registers and drop cached translations: what they refuse, what the register holds
 * afterwards, and what they drop. Intel SDM vol. 2, MOV to control registers, INVPCID, INVLPG, WRMSR; vol. 3A, sections 2.5
 * (control registers), 4.1.1 and 4.1.2 (modes, and how they are switched), 4.10.1 (PCIDs), 4.10.4.1 (what invalidates), 10.8.5
 * (initializing IA-32e mode). AMD APM vol. 2, 3.1.7 (EFER).
 *
 *                                               drops
 *   MOV to CR0   PG from 1 to 0                 everything, global pages too
 *                anything else                  nothing
 *   MOV to CR3   bit 63 = 0, or PCIDE = 0       the context of the new CR3, without global pages
 *                bit 63 = 1 with PCIDE = 1      nothing
 *   MOV to CR4   PGE changes, PCIDE 1 to 0      everything, global pages too
 *                PAE changes, SMEP 0 to 1       the current context, global pages too
 *                anything else                  nothing
 *   WRMSR        EFER, PAT, PKRS                nothing
 *
 * What drops nothing counts all the same from the next access on: rights are cached, but judged under the registers as they are.
 */
import { checkInteger, hex } from '../core/errors.ts';
import { CR0_PG, CR0_WP, CR4_CET, CR4_LA57, CR4_PCIDE, CR4_PGE, CR4_SMEP } from '../core/generated/layout.ts';
import { patType } from '../reference/memory-type.ts';
import { pe as CR0_PE } from './bits/cr0.ts';
import { pae as CR4_PAE } from './bits/cr4.ts';
import { lma as EFER_LMA, lme as EFER_LME } from './bits/efer.ts';
import type { Registers } from './registers.ts';
import type { Invalidation } from './tlb-set.ts';

/** The instruction did what it is for. */
export interface DoneOutcome {
  readonly kind: 'done';
}

/** The instruction raises #GP(0), and changes nothing. */
export interface GeneralProtectionOutcome {
  readonly kind: 'general-protection';
  readonly errorCode: 0;
  /** Which rule it breaks, in words. */
  readonly reason: string;
}

/** What became of an instruction. */
export type InstructionOutcome = DoneOutcome | GeneralProtectionOutcome;

/** What an instruction that is not refused does: registers that change, and what it drops. */
export interface Effect {
  readonly kind: 'effect';
  readonly changes: Partial<Registers>;
  readonly invalidation: Invalidation;
}

/** Model-specific registers that paging depends on, for {@link Processor.wrmsr}. */
export const Msr: {
  /** IA32_EFER: LME, LMA, NXE. */
  readonly efer: 0xc000_0080;
  /** IA32_PAT: eight memory types. */
  readonly pat: 0x277;
  /** IA32_PKRS: protection keys of supervisor pages. */
  readonly pkrs: 0x6e1;
} = { efer: 0xc000_0080, pat: 0x277, pkrs: 0x6e1 };

/* Bits that matter here alone. */
const CR0_ET = 1n << 4n;
const CR0_NW = 1n << 29n;
const CR0_CD = 1n << 30n;
/** PE, MP, EM, TS, ET, NE; WP, AM; NW, CD, PG. The others read as 0, whatever is written to them. */
const CR0_BITS = 0x3fn | CR0_WP | (1n << 18n) | CR0_NW | CR0_CD | CR0_PG;
/**
 * VME to UMIP, LA57, VMXE, SMXE; FSGSBASE, PCIDE, OSXSAVE, KL, SMEP, SMAP, PKE, CET, PKS, UINTR; LASS; FRED. LAM_SUP (28) is not
 * among them: this processor has no linear-address masking.
 */
const CR4_BITS = 0x7fffn | (0x3ffn << 16n) | (1n << 27n) | (1n << 32n);
/** SCE, LME, LMA, NXE; on AMD also SVME, LMSLE, FFXSR, TCE, MCOMMIT, INTWB, AIBRSE. */
const EFER_BITS = { intel: 0xd01n, amd: 0x26_fd01n };
/** Read as zero, whatever is written. AMD APM vol. 2, 3.1.7. Intel's are reserved. */
const EFER_READ_AS_ZERO = { intel: 0n, amd: 0xfen };
/** Bit 63 of a value moved to CR3 while CR4.PCIDE = 1: drop nothing. */
const NO_FLUSH = 1n << 63n;
const PCID_MASK = 0xfffn;

const NOTHING: Invalidation = { drops: 'nothing' };
const EVERYTHING: Invalidation = { drops: 'everything', keepsGlobal: false };

/** The PCID that tags what is cached: bits 11:0 of CR3 with CR4.PCIDE, else 0. */
export function pcidOf({ cr3, cr4 }: Registers): number {
  return cr4 & CR4_PCIDE ? Number(cr3 & PCID_MASK) : 0;
}

/** Whether paging is on in long mode: PG and LME are set; the processor has set LMA then. */
export function isLongMode({ cr0, efer }: Registers): boolean {
  return (cr0 & CR0_PG) !== 0n && (efer & EFER_LME) !== 0n;
}

/** MOV to CR0. `is64BitCode` is CS.L. */
export function movToCr0(registers: Registers, value: bigint, is64BitCode: boolean): Effect | GeneralProtectionOutcome {
  const { cr0, cr4, efer } = registers;
  const changed = cr0 ^ value;
  if (value >> 32n) return refusal(`bits 63:32 of CR0 are reserved, got ${hex(value)}`);
  if (value & CR0_PG && !(value & CR0_PE)) return refusal('CR0.PG needs CR0.PE');
  if (value & CR0_NW && !(value & CR0_CD)) return refusal('CR0.NW needs CR0.CD');
  if (!(value & CR0_WP) && cr4 & CR4_CET) return refusal('CR0.WP cannot be cleared while CR4.CET = 1');
  if (changed & CR0_PG) {
    const refused = value & CR0_PG ? pagingOnRefusal(registers, is64BitCode) : pagingOffRefusal(registers, is64BitCode);
    if (refused) return refusal(refused);
  }
  const longMode = value & CR0_PG && efer & EFER_LME;
  const changes = { cr0: (value & CR0_BITS) | CR0_ET, efer: longMode ? efer | EFER_LMA : efer & ~EFER_LMA };
  return effect(changes, changed & cr0 & CR0_PG ? EVERYTHING : NOTHING);
}

function pagingOffRefusal(registers: Registers, is64BitCode: boolean): string | undefined {
  if (registers.cr4 & CR4_PCIDE) return 'CR0.PG cannot be cleared while CR4.PCIDE = 1';
  if (isLongMode(registers) && is64BitCode) return 'CR0.PG cannot be cleared in 64-bit mode (CS.L = 1)';
  return undefined;
}

function pagingOnRefusal({ cr4, efer }: Registers, is64BitCode: boolean): string | undefined {
  if (!(efer & EFER_LME)) return undefined;
  if (!(cr4 & CR4_PAE)) return 'CR0.PG cannot be set while EFER.LME = 1 and CR4.PAE = 0';
  if (is64BitCode) return 'CR0.PG cannot be set while EFER.LME = 1 and CS.L = 1';
  return undefined;
}

/** MOV to CR3. */
export function movToCr3(registers: Registers, value: bigint): Effect | GeneralProtectionOutcome {
  const usesPcid = (registers.cr4 & CR4_PCIDE) !== 0n;
  const cr3 = usesPcid ? value & ~NO_FLUSH : value;
  const { maxPhysicalAddress } = registers;
  if (cr3 >> BigInt(maxPhysicalAddress)) {
    const reserved = `bits ${usesPcid ? 62 : 63}:${maxPhysicalAddress} of CR3 are reserved`;
    return refusal(
      `${reserved} (MAXPHYADDR = ${maxPhysicalAddress}, CR4.PCIDE = ${usesPcid ? 1 : 0}), got ${hex(value)}`,
    );
  }
  const pcid = usesPcid ? Number(cr3 & PCID_MASK) : 0;
  return effect({ cr3 }, cr3 === value ? { drops: 'context', pcid, keepsGlobal: true } : NOTHING);
}

/** MOV to CR4. */
export function movToCr4(registers: Registers, value: bigint): Effect | GeneralProtectionOutcome {
  const { cr0, cr3, cr4 } = registers;
  const changed = cr4 ^ value;
  const set = changed & value;
  const reserved = value & ~CR4_BITS;
  if (reserved) return refusal(`reserved bits of CR4 are set: ${hex(reserved)}`);
  if (isLongMode(registers)) {
    if (!(value & CR4_PAE)) return refusal('CR4.PAE cannot be cleared in long mode');
    if (changed & CR4_LA57) return refusal('CR4.LA57 cannot be changed in long mode');
  } else if (set & CR4_PCIDE) return refusal('CR4.PCIDE cannot be set outside long mode');
  if (set & CR4_PCIDE && cr3 & PCID_MASK) {
    return refusal(`CR4.PCIDE cannot be set while bits 11:0 of CR3 are not 0, got ${hex(cr3 & PCID_MASK)}`);
  }
  if (value & CR4_CET && !(cr0 & CR0_WP)) return refusal('CR4.CET cannot be set while CR0.WP = 0');
  const changes = { cr4: value };
  if (changed & CR4_PGE || changed & cr4 & CR4_PCIDE) return effect(changes, EVERYTHING);
  if (changed & CR4_PAE || set & CR4_SMEP) {
    return effect(changes, { drops: 'context', pcid: pcidOf(registers), keepsGlobal: false });
  }
  return effect(changes, NOTHING);
}

/**
 * WRMSR to IA32_EFER, IA32_PAT or IA32_PKRS.
 *
 * @throws RangeError for any other register, which paging does not depend on
 */
export function wrmsr(registers: Registers, msr: number, value: bigint): Effect | GeneralProtectionOutcome {
  switch (msr) {
    case Msr.efer:
      return writeEfer(registers, value);
    case Msr.pat:
      return writePat(value);
    case Msr.pkrs:
      if (value >> 32n) return refusal(`bits 63:32 of IA32_PKRS are reserved, got ${hex(value)}`);
      return effect({ pkrs: Number(value) }, NOTHING);
    default:
      checkInteger('msr', msr, 0, 0xffff_ffff);
      throw new RangeError(
        `msr: expected ${hex(Msr.efer)} (EFER), ${hex(Msr.pat)} (PAT) or ${hex(Msr.pkrs)} (PKRS), got ${hex(msr)}: paging depends on no other`,
      );
  }
}

/**
 * LMA is the processor's. Intel SDM vol. 3A, table 2-1: read-only, what is written to it is ignored. AMD APM vol. 2,
 * 3.1.7: software has to write back what it has read, "an attempt to write a value that differs from the state determined by hardware
 * results in a #GP fault". Emulators mostly ignore the bit for both (KVM's set_efer, QEMU, Bochs); bhyve's svm_write_efer does not.
 */
function writeEfer({ cr0, efer, vendor }: Registers, written: bigint): Effect | GeneralProtectionOutcome {
  const value = written & ~EFER_READ_AS_ZERO[vendor];
  const reserved = value & ~EFER_BITS[vendor];
  if (reserved) return refusal(`reserved bits of EFER are set: ${hex(reserved)}`);
  if ((efer ^ value) & EFER_LME && cr0 & CR0_PG) return refusal('EFER.LME cannot be changed while CR0.PG = 1');
  const lma = efer & EFER_LMA;
  if (vendor === 'amd' && (value & EFER_LMA) !== lma) {
    return refusal(
      `EFER.LMA cannot be written on AMD's processors: it is ${lma ? 1 : 0}, and has to be written as it was read`,
    );
  }
  return effect({ efer: (value & ~EFER_LMA) | lma }, NOTHING);
}

function writePat(value: bigint): Effect | GeneralProtectionOutcome {
  for (let index = 0; index < 8; index++) {
    const encoded = (value >> BigInt(8 * index)) & 0xffn;
    if (encoded > 7n || !patType(value, index))
      return refusal(`byte ${index} of IA32_PAT is no memory type: ${hex(encoded)}`);
  }
  return effect({ pat: value }, NOTHING);
}

/**
 * INVPCID. `descriptor` is bits 63:0 of the descriptor in memory, the PCID, `va` bits 127:64.
 *
 * @param isCanonical whether `va` is canonical
 */
export function invpcid(
  { cr4 }: Registers,
  type: number,
  descriptor: bigint,
  va: bigint,
  isCanonical: boolean,
): Effect | GeneralProtectionOutcome {
  if (type > 3) return refusal(`there is no INVPCID of type ${hex(type)}`);
  if (descriptor & ~PCID_MASK)
    return refusal(`bits 63:12 of the INVPCID descriptor are reserved, got ${hex(descriptor)}`);
  if (type < 2 && descriptor && !(cr4 & CR4_PCIDE)) {
    return refusal(`INVPCID of types 0 and 1 takes no PCID but 0 while CR4.PCIDE = 0, got ${hex(descriptor)}`);
  }
  if (type === 0 && !isCanonical) return refusal(`INVPCID of type 0 needs a canonical address, got ${hex(va)}`);
  const pcid = Number(descriptor);
  if (type === 0) return effect({}, { drops: 'page of a context', va, pcid });
  if (type === 1) return effect({}, { drops: 'context', pcid, keepsGlobal: true });
  return effect({}, { drops: 'everything', keepsGlobal: type === 3 });
}

function effect(changes: Partial<Registers>, invalidation: Invalidation): Effect {
  return { kind: 'effect', changes, invalidation };
}

function refusal(reason: string): GeneralProtectionOutcome {
  return { kind: 'general-protection', errorCode: 0, reason };
}
