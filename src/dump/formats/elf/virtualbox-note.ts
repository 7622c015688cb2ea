/**
 * What VirtualBox's dumpvmcore notes down: VBCORE, and VBCPU for each processor. VirtualBox, include/VBox/vmm/dbgfcorefmt.h
 * (DBGFCORE_FMT_VERSION 0x00010006) and src/VBox/VMM/VMMR3/DBGFCoreWrite.cpp.
 *
 *   VBCORE     +0 u32 magic 0xc01ac0de   +4 u32 format version   +8 u32 size   +12 u32 version   +16 u32 revision   +20 u32 cpus
 *   VBCPU      +0 u64 rax rbx rcx rdx rsi rdi r8 .. r15   +112 rip   +120 rsp   +128 rbp   +136 rflags
 *              +144 selector cs ds es fs gs ss   +288 u64 cr0 cr2 cr3 cr4   +320 u64 dr[8]   +384 gdtr idtr, 16 bytes each
 *              +416 selector ldtr tr   +464 u64 sysenter cs eip esp   +488 u64 EFER ...
 *   selector   +0 u64 base   +8 u32 limit   +12 u32 attributes   +16 u16 selector
 */
import { hex } from '../../../core/errors.ts';
import type { CpuState } from '../../cpu-state.ts';

const MAGIC = 0xc01a_c0de;
/** The version that the layout above is of; the major number is the upper half. */
const VERSION = 0x0001_0006;
const CS = 144 + 16;
const LEAST = 496;

/** What is wrong with a VBCORE note, if anything is. */
export function wrongVirtualBox(core: DataView): string | undefined {
  if (core.byteLength < 8) return `expected at least 0x8 bytes, found ${hex(core.byteLength)}`;
  const magic = core.getUint32(0, true);
  if (magic !== MAGIC) return `expected the magic ${hex(MAGIC)}, found ${hex(magic)}`;
  const version = core.getUint32(4, true);
  return version === VERSION ? undefined : `expected format version ${hex(VERSION)}, found ${hex(version)}`;
}

/** The processor that a VBCPU note describes, or what is wrong with it. */
export function virtualBoxCpu(cpu: DataView): CpuState | string {
  if (cpu.byteLength < LEAST) return `expected at least ${hex(LEAST)} bytes, found ${hex(cpu.byteLength)}`;
  const word = (offset: number): bigint => cpu.getBigUint64(offset, true);
  const cs = cpu.getUint16(CS, true);
  return {
    rip: word(112),
    rsp: word(120),
    rflags: word(136),
    cs,
    cpl: cs & 3,
    cr0: word(288),
    cr2: word(296),
    cr3: word(304),
    cr4: word(312),
    efer: word(488),
  };
}
