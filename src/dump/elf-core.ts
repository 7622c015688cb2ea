/**
 * ELF64 cores of physical memory, as QEMU's dump-guest-memory and Linux's /proc/vmcore have them. System V gABI,
 * chapters 4 (ELF header, extended numbering) and 5 (program header); QEMU, dump/dump.c; Linux, fs/proc/vmcore.c.
 *
 *   header           +16 u16 type   +18 u16 machine   +20 u32 version   +32 u64 phoff   +40 u64 shoff
 *                    +54 u16 phentsize   +56 u16 phnum   +58 u16 shentsize
 *   program header   +0 u32 type   +8 u64 offset   +24 u64 paddr   +32 u64 filesz   +40 u64 memsz
 *   section header   +44 u32 info: in section 0 the number of program headers, where phnum is 0xffff
 *
 * A PT_LOAD segment is physical memory from p_paddr on. What its p_memsz says beyond p_filesz was not dumped: it is
 * missing, not zero. Such a segment without content may have any offset (QEMU writes 2^64 - 1).
 */
import { hex } from '../core/errors.ts';
import type { ByteSource } from './byte-source.ts';
import { DumpError } from './dump-error.ts';
import { type CpuState, cpusInNotes } from './qemu-note.ts';
import { type ByteRange, endOf } from './ranges.ts';
import { checkRepetitions } from './repetitions.ts';
import { type Segment, sortSegments } from './segment.ts';

/** What the headers of a core say. */
export interface ElfCore {
  /** Sorted by physical address, without overlap. */
  readonly segments: readonly Segment[];
  readonly cpus: readonly CpuState[];
}

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
const PT_LOAD = 1;
const PT_NOTE = 4;
const EXTENDED_COUNT = 0xffff;
/** Largest counts that are believed: a million segments, and notes of some hundred thousand processors. */
const MOST_PROGRAM_HEADERS = 2 ** 20;
const MOST_NOTE_BYTES = 2 ** 26;
const PHYSICAL_LIMIT = 1n << 52n;

/** What must stand at fixed places of the header. */
const FIXED = [
  { what: 'ELF class 64', at: 4, bytes: 1, value: 2 },
  { what: 'little-endian data encoding', at: 5, bytes: 1, value: 1 },
  { what: 'ELF identification version', at: 6, bytes: 1, value: 1 },
  { what: 'type ET_CORE', at: 16, bytes: 2, value: 4 },
  { what: 'machine EM_X86_64', at: 18, bytes: 2, value: 62 },
  { what: 'ELF version', at: 20, bytes: 4, value: 1 },
  { what: 'program headers of size', at: 54, bytes: 2, value: PROGRAM_HEADER_BYTES },
] as const;

/**
 * Reads the headers and notes of an ELF core.
 *
 * @throws {@link DumpError} for anything that is not as the specification has it
 */
export async function readElfCore(source: ByteSource): Promise<ElfCore> {
  const loads: Segment[] = [];
  const notes: ByteRange[] = [];
  const table = await readProgramHeaders(source);
  for (let at = 0, index = 0; at < table.byteLength; at += PROGRAM_HEADER_BYTES, index++) {
    const type = table.getUint32(at, true);
    const bytes = table.getBigUint64(at + 32, true);
    if (bytes === 0n || (type !== PT_LOAD && type !== PT_NOTE)) continue;
    const where = `program header ${hex(index)}`;
    const content = rangeInFile(source, where, table.getBigUint64(at + 8, true), bytes);
    if (type === PT_NOTE) {
      notes.push(content);
    } else {
      const physical = table.getBigUint64(at + 24, true);
      checkMemory(source, where, physical, bytes, table.getBigUint64(at + 40, true));
      loads.push({ physical, bytes, offset: content.offset });
    }
  }
  if (loads.length === 0) throw new DumpError(source.name, 'expected a PT_LOAD segment with content, found none');
  const { segments, repetitions } = sortSegments(source.name, loads);
  await checkRepetitions(source, repetitions);
  return { segments, cpus: await readCpus(source, notes) };
}

async function readProgramHeaders(source: ByteSource): Promise<DataView> {
  const header = await readView(source, rangeInFile(source, 'ELF header', 0n, BigInt(HEADER_BYTES)));
  for (const { what, at, bytes, value } of FIXED) {
    const found = unsigned(header, at, bytes);
    if (found !== value) throw new DumpError(source.name, `expected ${what} (${hex(value)}), found ${hex(found)}`);
  }
  const count = await countProgramHeaders(source, header);
  if (count === 0 || count > MOST_PROGRAM_HEADERS) {
    throw new DumpError(
      source.name,
      `expected 0x1 to ${hex(MOST_PROGRAM_HEADERS)} program headers, found ${hex(count)}`,
    );
  }
  const offset = header.getBigUint64(32, true);
  if (offset < HEADER_BYTES) {
    throw new DumpError(source.name, `expected program headers from file offset 0x40 on, found ${hex(offset)}`);
  }
  return readView(source, rangeInFile(source, 'program headers', offset, BigInt(count * PROGRAM_HEADER_BYTES)));
}

/** gABI, chapter 4: 0xffff program headers or more are counted in section header 0. */
async function countProgramHeaders(source: ByteSource, header: DataView): Promise<number> {
  const count = header.getUint16(56, true);
  if (count !== EXTENDED_COUNT) return count;
  const size = header.getUint16(58, true);
  if (size !== SECTION_HEADER_BYTES) {
    throw new DumpError(
      source.name,
      `expected section headers of size 0x40 (0xffff program headers), found ${hex(size)}`,
    );
  }
  const range = rangeInFile(source, 'section header 0x0', header.getBigUint64(40, true), BigInt(size));
  return (await readView(source, range)).getUint32(44, true);
}

async function readCpus(source: ByteSource, unsorted: readonly ByteRange[]): Promise<CpuState[]> {
  const total = unsorted.reduce((sum, { length }) => sum + length, 0);
  if (total > MOST_NOTE_BYTES) {
    throw new DumpError(source.name, `expected at most ${hex(MOST_NOTE_BYTES)} bytes of notes, found ${hex(total)}`);
  }
  const ranges = [...unsorted].sort((a, b) => a.offset - b.offset);
  const contents = await source.read(ranges);
  const notes = new Map(ranges.map((range, i) => [range, contents[i]!]));
  return unsorted.flatMap((range) => cpusInNotes(source.name, notes.get(range)!, range.offset));
}

/** @throws DumpError unless a segment's sizes and addresses are those of physical memory */
function checkMemory(source: ByteSource, where: string, physical: bigint, fileSize: bigint, memorySize: bigint): void {
  if (fileSize > memorySize) {
    throw new DumpError(
      source.name,
      `${where}: expected p_filesz of at most p_memsz ${hex(memorySize)}, found ${hex(fileSize)}`,
    );
  }
  if (physical + memorySize > PHYSICAL_LIMIT) {
    throw new DumpError(
      source.name,
      `${where}: expected physical memory below ${hex(PHYSICAL_LIMIT)}, found ${hex(physical)} + ${hex(memorySize)}`,
    );
  }
}

/** @throws DumpError unless the range lies within the file */
function rangeInFile(source: ByteSource, where: string, offset: bigint, length: bigint): ByteRange {
  if (offset + length > BigInt(source.size)) {
    throw new DumpError(
      source.name,
      `${where}: expected ${hex(length)} bytes at file offset ${hex(offset)}, found the end of the file at ${hex(source.size)} (truncated?)`,
    );
  }
  return { offset: Number(offset), length: Number(length) };
}

async function readView(source: ByteSource, range: ByteRange): Promise<DataView> {
  const [bytes] = await source.read([range]);
  return new DataView(bytes!.buffer, bytes!.byteOffset, endOf(range) - range.offset);
}

function unsigned(view: DataView, at: number, bytes: 1 | 2 | 4): number {
  return bytes === 1 ? view.getUint8(at) : bytes === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
}
