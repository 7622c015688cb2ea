/**
 * What QEMU's dump-guest-memory notes down of each processor: a note named QEMU that holds a QEMUCPUState.
 * System V gABI, chapter 5, "Note Section"; QEMU, target/i386/arch_dump.c.
 *
 *   note           u32 namesz | u32 descsz | u32 type | name, padded to 4 | description, padded to 4
 *   QEMUCPUState   +0 u32 version 1   +4 u32 size   +8 u64 rax rbx rcx rdx rsi rdi rsp rbp r8 .. r15
 *                  +136 u64 rip   +144 u64 rflags   +152 segment cs ds es fs gs ss ldt tr gdt idt
 *                  +392 u64 cr0 .. cr4   +432 u64 kernel_gs_base (later versions of QEMU)
 *   segment        +0 u32 selector   +4 u32 limit   +8 u32 flags   +12 u32 0   +16 u64 base
 */
import { hex } from '../core/errors.ts';
import { DumpError } from './dump-error.ts';

/** What a dump knows of one processor at the moment it was taken. */
export interface CpuState {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly rflags: bigint;
  /** The selector in CS. */
  readonly cs: number;
  /** Current privilege level, 0 to 3: bits 1:0 of CS. */
  readonly cpl: number;
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  /** Undefined where the format does not keep it: QEMU's ELF core does not. */
  readonly efer: bigint | undefined;
}

const NOTE_HEADER = 12;
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

/**
 * The processors in the notes of a segment, in order.
 *
 * @param name the file's name, for messages
 * @param at where in the file the notes begin, for messages
 * @throws {@link DumpError} for notes that are malformed
 */
export function cpusInNotes(name: string, notes: Uint8Array, at: number): CpuState[] {
  const cpus: CpuState[] = [];
  const view = new DataView(notes.buffer, notes.byteOffset, notes.length);
  for (let offset = 0; offset < notes.length; ) {
    const rest = notes.length - offset;
    if (rest < NOTE_HEADER) {
      if (notes.subarray(offset).every((byte) => byte === 0)) break;
      throw new DumpError(name, `note at ${hex(at + offset)}: expected at least 0xc bytes, found ${hex(rest)}`);
    }
    const nameSize = view.getUint32(offset, true);
    const size = view.getUint32(offset + 4, true);
    const description = NOTE_HEADER + padded(nameSize);
    if (description + size > rest) {
      throw new DumpError(
        name,
        `note at ${hex(at + offset)}: expected at most ${hex(rest)} bytes to the end of its segment, found ${hex(description + size)} (name ${hex(nameSize)}, description ${hex(size)})`,
      );
    }
    if (isNamedQemu(notes.subarray(offset + NOTE_HEADER, offset + NOTE_HEADER + nameSize))) {
      cpus.push(readCpu(name, new DataView(view.buffer, view.byteOffset + offset + description, size), cpus.length));
    }
    offset += description + padded(size);
  }
  return cpus;
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4;
}

function isNamedQemu(name: Uint8Array): boolean {
  return name.length <= 5 && String.fromCharCode(...name).replace(/\0$/, '') === 'QEMU';
}

function readCpu(name: string, state: DataView, index: number): CpuState {
  const wrong = (expected: string, found: number): DumpError =>
    new DumpError(name, `QEMU note of CPU ${hex(index)}: expected ${expected}, found ${hex(found)}`);
  if (state.byteLength < LEAST) throw wrong(`at least ${hex(LEAST)} bytes`, state.byteLength);
  const version = state.getUint32(0, true);
  if (version !== VERSION) throw wrong(`version ${hex(VERSION)}`, version);
  const size = state.getUint32(4, true);
  if (size < LEAST || size > state.byteLength) {
    throw wrong(`a size from ${hex(LEAST)} to the note's ${hex(state.byteLength)}`, size);
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
