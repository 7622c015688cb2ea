/**
 * An assembler of ELF64 cores for tests: says what memory and processors there are, and lays the file out as QEMU's
 * dump-guest-memory does: header, program headers, (section header 0,) notes, memory. Written apart from the reader.
 */

/** A piece of physical memory. */
export interface BuiltSegment {
  readonly physical: bigint;
  readonly content: Uint8Array;
  /** p_memsz, where it is not the content's length. */
  readonly memorySize?: bigint;
  /** p_offset, where the content need not be in the file a second time. */
  readonly offset?: bigint;
}

/** Registers of a processor; those left out are 0. */
export interface BuiltCpu {
  readonly rip?: bigint;
  readonly rsp?: bigint;
  readonly rflags?: bigint;
  readonly cs?: number;
  readonly cr0?: bigint;
  readonly cr2?: bigint;
  readonly cr3?: bigint;
  readonly cr4?: bigint;
}

/** A file to build. */
export interface BuiltCore {
  readonly segments?: readonly BuiltSegment[];
  readonly cpus?: readonly BuiltCpu[];
  /** The notes' bytes, instead of those that `cpus` give; one PT_NOTE each. */
  readonly notes?: readonly Uint8Array[];
  /** Whether to write 0xffff into e_phnum and the count into section header 0. */
  readonly extendedCount?: boolean;
}

/** Where the program headers begin. */
export const PROGRAM_HEADERS = 64;
/** Bytes of a program header. */
export const PROGRAM_HEADER = 56;

/** CR0, CR4 of a processor in 64-bit mode with 4 levels: PG, WP, PE; PAE. */
export const LONG_MODE: { readonly cr0: bigint; readonly cr4: bigint } = { cr0: 0x8001_0001n, cr4: 0x20n };

/** Lays the file out. Content of segments begins at multiples of 4096. */
export function buildCore(core: BuiltCore): Uint8Array<ArrayBuffer> {
  const { segments = [], cpus = [], extendedCount = false } = core;
  const notes = core.notes ?? (cpus.length ? [concat(cpus.map(qemuNote))] : []);
  const count = notes.length + segments.length;
  const sectionHeader = PROGRAM_HEADERS + count * PROGRAM_HEADER;
  let end = sectionHeader + (extendedCount ? 64 : 0);

  const headers: Uint8Array[] = [];
  const parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  for (const bytes of notes) {
    headers.push(programHeader({ type: 4, flags: 0, offset: BigInt(end), bytes: bytes.length, align: 0 }));
    parts.push({ at: end, bytes });
    end += bytes.length;
  }
  for (const { physical, content, memorySize, offset } of segments) {
    const at = Math.ceil(end / 4096) * 4096;
    const placed = { physical, offset: offset ?? BigInt(at), bytes: content.length, ...(memorySize && { memorySize }) };
    headers.push(programHeader({ type: 1, flags: 7, align: 4096, ...placed }));
    if (offset !== undefined) continue;
    parts.push({ at, bytes: content });
    end = at + content.length;
  }

  const file = new Uint8Array(end);
  file.set(elfHeader(extendedCount ? 0xffff : count, extendedCount ? sectionHeader : 0));
  file.set(concat(headers), PROGRAM_HEADERS);
  if (extendedCount) new DataView(file.buffer).setUint32(sectionHeader + 44, count, true);
  for (const { at, bytes } of parts) file.set(bytes, at);
  return file;
}

/** A note as QEMU writes it: the name with its NUL, both parts padded to 4. */
export function note(name: string, description: Uint8Array, type = 0): Uint8Array {
  const named = new TextEncoder().encode(`${name}\0`);
  const pad = (bytes: number): number => (bytes + 3) & ~3;
  const result = new Uint8Array(12 + pad(named.length) + pad(description.length));
  const view = new DataView(result.buffer);
  view.setUint32(0, named.length, true);
  view.setUint32(4, description.length, true);
  view.setUint32(8, type, true);
  result.set(named, 12);
  result.set(description, 12 + pad(named.length));
  return result;
}

/** A processor's note: NT_PRSTATUS is left out, as nobody reads it. */
export function qemuNote(cpu: BuiltCpu): Uint8Array {
  return note('QEMU', qemuState(cpu));
}

/** QEMUCPUState, version 1, with kernel_gs_base. */
export function qemuState(cpu: BuiltCpu): Uint8Array {
  const words = new DataView(new ArrayBuffer(440));
  words.setUint32(0, 1, true);
  words.setUint32(4, 440, true);
  const general = 8;
  words.setBigUint64(general + 6 * 8, cpu.rsp ?? 0n, true);
  words.setBigUint64(general + 16 * 8, cpu.rip ?? 0n, true);
  words.setBigUint64(general + 17 * 8, cpu.rflags ?? 0n, true);
  const segments = general + 18 * 8;
  words.setUint32(segments, cpu.cs ?? 0, true);
  const control = segments + 10 * 24;
  for (const [i, value] of [cpu.cr0, 0n, cpu.cr2, cpu.cr3, cpu.cr4].entries()) {
    words.setBigUint64(control + i * 8, value ?? 0n, true);
  }
  return new Uint8Array(words.buffer);
}

/** All bytes, one after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function elfHeader(count: number, sectionHeader: number): Uint8Array {
  const header = new Uint8Array(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = new DataView(header.buffer);
  view.setUint16(16, 4, true);
  view.setUint16(18, 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(32, BigInt(PROGRAM_HEADERS), true);
  view.setBigUint64(40, BigInt(sectionHeader), true);
  view.setUint16(52, 64, true);
  view.setUint16(54, PROGRAM_HEADER, true);
  view.setUint16(56, count, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, sectionHeader ? 1 : 0, true);
  return header;
}

interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: bigint;
  readonly physical?: bigint;
  readonly bytes: number;
  readonly memorySize?: bigint;
  readonly align: number;
}

function programHeader({ type, flags, offset, physical = 0n, bytes, memorySize, align }: ProgramHeader): Uint8Array {
  const view = new DataView(new ArrayBuffer(PROGRAM_HEADER));
  view.setUint32(0, type, true);
  view.setUint32(4, flags, true);
  view.setBigUint64(8, offset, true);
  view.setBigUint64(24, physical, true);
  view.setBigUint64(32, BigInt(bytes), true);
  view.setBigUint64(40, memorySize ?? BigInt(bytes), true);
  view.setBigUint64(48, BigInt(align), true);
  return new Uint8Array(view.buffer);
}
