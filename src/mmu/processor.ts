/**
 * One logical processor, as far as paging goes: its registers, its TLBs, and the instructions that change either. What each
 * instruction refuses and drops stands in instructions.ts.
 */
import { checkBigint, checkBoolean, checkInteger, checkOptions } from '../core/errors.ts';
import type { CoreExports } from '../core/exports.ts';
import { CR0_PG } from '../core/generated/layout.ts';
import { type CoreModules, instantiateOn } from '../core/instantiate.ts';
import type { PhysicalMemory } from '../core/physical-memory.ts';
import { releasedError } from '../core/released.ts';
import {
  type Effect,
  type GeneralProtectionOutcome,
  type InstructionOutcome,
  invpcid,
  isLongMode,
  movToCr0,
  movToCr3,
  movToCr4,
  pcidOf,
  wrmsr,
} from './instructions.ts';
import {
  checkRegisters,
  DEFAULT_REGISTERS,
  levelsOf,
  loadRegisters,
  REGISTER_NAMES,
  type Registers,
} from './registers.ts';
import { TlbSet } from './tlb-set.ts';

const MOST = 0xffff_ffff_ffff_ffffn;

/** What an {@link Mmu} is besides translating: registers, TLBs, instructions. */
export abstract class Processor {
  /** The physical memory that holds the tables. */
  readonly memory: PhysicalMemory;
  readonly #core: CoreExports;
  readonly #tlbs: TlbSet;
  /** The CR3 last seen with each PCID. */
  readonly #roots = new Map<number, bigint>();
  #registers: Registers = DEFAULT_REGISTERS;

  /** @throws TypeError when the memory was released */
  protected constructor(memory: PhysicalMemory, core?: CoreModules) {
    if (memory.isReleased) throw releasedError('memory');
    this.memory = memory;
    this.#core = instantiateOn(core, memory.kind, memory.inlinedCore, memory.wasm);
    this.#tlbs = new TlbSet(this.#core);
    memory.attach(this.#core);
  }

  /**
   * The core's own functions, for embedders who keep addresses and outcomes in linear memory themselves. Arguments are
   * not checked. Those that go through a TLB use the one that was selected last: see {@link Tlb.select}.
   *
   * @throws TypeError when the memory was released
   */
  get core(): CoreExports {
    if (this.memory.isReleased) throw releasedError('memory');
    return this.#core;
  }

  /** The TLBs that the instructions reach: for {@link Tlb}. */
  get tlbs(): TlbSet {
    if (this.memory.isReleased) throw releasedError('memory');
    return this.#tlbs;
  }

  /** The registers as they are now. */
  get registers(): Registers {
    return this.#registers;
  }

  /**
   * Changes registers, as a debugger does; those left out keep their value. No TLB drops anything: use the instructions for
   * what a program does.
   *
   * @throws TypeError or RangeError for values that do not describe 4-level or 5-level paging (or, once `movToCr0` has
   *   switched paging off, for those that do not fit otherwise); nothing is changed then
   */
  setRegisters(changes: Partial<Registers>): void {
    checkOptions('registers', changes, REGISTER_NAMES);
    const registers = { ...this.#registers, ...changes };
    checkRegisters(registers, this.isPaging);
    this.#load(registers);
  }

  /** Loads registers that were accepted before, or differ from such in the table that CR3 names: nothing is checked. @internal */
  reload(registers: Registers): void {
    this.#load(registers);
  }

  /** Levels of the walk: 4, or 5 with CR4.LA57. */
  get levels(): 4 | 5 {
    return levelsOf(this.#registers);
  }

  /** Whether paging is on: CR0.PG. */
  get isPaging(): boolean {
    return (this.#registers.cr0 & CR0_PG) !== 0n;
  }

  /** The CR3 that was last loaded with a PCID. @internal */
  rootOf(pcid: number): bigint | undefined {
    return this.#roots.get(pcid);
  }

  /**
   * MOV to CR0. Clearing PG switches paging off, which drops everything from all TLBs and ends long mode: until PG is set again,
   * an address ends as `paging-off`, which has its physical address; nothing is mapped.
   *
   * @param is64BitCode CS.L, on which it depends whether PG may change. Default: whether long mode is active
   * @throws RangeError when PG is set without EFER.LME: 32-bit and PAE paging are not walked
   *
   * @example
   * ```ts
   * import { FlatMemory, Mmu } from 'hugewalk';
   * const mmu = new Mmu(new FlatMemory({ bytes: 65536 }), { cr3: 0n });
   * mmu.movToCr0(0x11n);                               // { kind: 'general-protection', … }: not in 64-bit mode
   * mmu.movToCr0(0x11n, false);                        // { kind: 'done' }
   * mmu.translate(0x1234n);                            // { kind: 'paging-off', physicalAddress: 0x1234n }
   * mmu.movToCr0(0x8001_0011n);                        // on again: PG, WP, ET, PE
   * ```
   */
  movToCr0(value: bigint, is64BitCode: boolean = isLongMode(this.#registers)): InstructionOutcome {
    checkBigint('value', value);
    checkBoolean('is64BitCode', is64BitCode);
    return this.#complete(movToCr0(this.#registers, value, is64BitCode));
  }

  /**
   * MOV to CR3: drops what the new PCID has cached in all TLBs, global pages excepted. With CR4.PCIDE, bit 63 of the value asks
   * to drop nothing; it does not become part of CR3.
   */
  movToCr3(value: bigint): InstructionOutcome {
    checkBigint('value', value);
    return this.#complete(movToCr3(this.#registers, value));
  }

  /**
   * MOV to CR4: everything is dropped from all TLBs, global pages too, when PGE changes or PCIDE is switched off; the current
   * PCID's entries, with the global ones, when SMEP is switched on.
   */
  movToCr4(value: bigint): InstructionOutcome {
    checkBigint('value', value);
    return this.#complete(movToCr4(this.#registers, value));
  }

  /**
   * WRMSR to one of {@link Msr}: EFER, PAT, PKRS. Nothing is dropped. EFER.LMA is the processor's: a write to it is ignored on Intel's, and
   * raises #GP on AMD's unless it is what the register has.
   *
   * @throws RangeError for a register that paging does not depend on
   */
  wrmsr(msr: number, value: bigint): InstructionOutcome {
    checkBigint('value', value);
    return this.#complete(wrmsr(this.#registers, msr, value));
  }

  /**
   * INVLPG: drops the page of an address from all TLBs, global or not, and all paging-structure entries of the current PCID. An
   * address that is not canonical is no error, and drops nothing.
   */
  invlpg(va: bigint): void {
    checkBigint('va', va);
    if (this.#isCanonical(va)) this.tlbs.invalidate({ drops: 'page', va });
  }

  /**
   * INVPCID, in all TLBs. Type 0 drops one address of a PCID, 1 a PCID, 2 everything, 3 everything but global pages; types 0 and 1
   * leave global pages alone.
   *
   * @param pcid bits 63:0 of the descriptor, of which bits 11:0 are the PCID
   * @param va bits 127:64 of the descriptor
   */
  invpcid(type: number, pcid: number | bigint = 0, va: bigint = 0n): InstructionOutcome {
    checkInteger('type', type, 0, Number.MAX_SAFE_INTEGER);
    if (typeof pcid === 'number') checkInteger('pcid', pcid, 0, Number.MAX_SAFE_INTEGER);
    else checkBigint('pcid', pcid, MOST);
    checkBigint('va', va);
    return this.#complete(invpcid(this.#registers, type, BigInt(pcid), va, this.#isCanonical(va)));
  }

  #complete(effect: Effect | GeneralProtectionOutcome): InstructionOutcome {
    if (effect.kind === 'general-protection') return effect;
    const { tlbs } = this;
    const registers = { ...this.#registers, ...effect.changes };
    checkRegisters(registers, (registers.cr0 & CR0_PG) !== 0n);
    this.#load(registers);
    tlbs.invalidate(effect.invalidation);
    return { kind: 'done' };
  }

  #load(registers: Registers): void {
    loadRegisters(this.core, registers);
    this.#registers = registers;
    this.#roots.set(pcidOf(registers), registers.cr3);
  }

  #isCanonical(va: bigint): boolean {
    const width = this.levels === 5 ? 57 : 48;
    return BigInt.asUintN(64, BigInt.asIntN(width, va)) === va;
  }
}
