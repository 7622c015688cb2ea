/**
 * What QEMU's dump-guest-memory notes down of each processor: a note named QEMU that holds a QEMUCPUState.
 * QEMU, target/i386/arch_dump.c.
 *
 *   QEMUCPUState   +0 u32 version 1   +4 u32 size   +8 u64 rax rbx rcx rdx rsi rdi rsp rbp r8 .. r15
 *                  +136 u64 rip   +144 u64 rflags   +152 segment cs ds es fs gs ss ldt tr gdt idt
 *                  +392 u64 cr0 .. cr4   +432 u64 kernel_gs_base (later versions of QEMU)
 *   segment        +0 u32 selector   +4 u32 limit   +8 u32 flags   +12 u32 0   +16 u64 base
 */
import { hex } from '../../../core/errors.ts';
import type { CpuState } from '../../cpu-state.ts';

const VERSION = 1;
const RSP = 8 + 6 * 8;
const RIP = 136;
const RFLAGS = 144;
const CS = 152;
const CR0 = 392;
const CR2 = 408;
const CR3 = 416;
const CR4 = 424;
/** Bytes up to and including cr4: what every version of QEMU writes. */
const LEAST = 432;

/** The processor that a QEMUCPUState describes, or what is wrong with it. */
export function qemuCpu(state: DataView): CpuState | string {
  if (state.byteLength < LEAST) return `expected at least ${hex(LEAST)} bytes, found ${hex(state.byteLength)}`;
  const version = state.getUint32(0, true);
  if (version !== VERSION) return `expected version ${hex(VERSION)}, found ${hex(version)}`;
  const size = state.getUint32(4, true);
  if (size < LEAST || size > state.byteLength) {
    return `expected a size from ${hex(LEAST)} to the note's ${hex(state.byteLength)}, found ${hex(size)}`;
  }
  const word = (offset: number): bigint => state.getBigUint64(offset, true);
  const cs = state.getUint32(CS, true);
  return {
    rip: word(RIP),
    rsp: word(RSP),
    rflags: word(RFLAGS),
    cs,
    cpl: cs & 3,
    cr0: word(CR0),
    cr2: word(CR2),
    cr3: word(CR3),
    cr4: word(CR4),
    efer: undefined,
  };
}
