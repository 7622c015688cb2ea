/**
 * The header and the program headers of an ELF64 core. System V gABI, chapters 4 (ELF header, extended numbering) and 5
 * (program header).
 *
 *   header           +4 u8 class   +5 u8 data   +16 u16 type   +18 u16 machine   +20 u32 version   +32 u64 phoff
 *                    +40 u64 shoff   +54 u16 phentsize   +56 u16 phnum   +58 u16 shentsize   +60 u16 shnum
 *                    +62 u16 shstrndx
 *   program header   +0 u32 type   +8 u64 offset   +16 u64 vaddr   +24 u64 paddr   +32 u64 filesz   +40 u64 memsz
 *   section header   +44 u32 info: in section 0 the number of program headers, where phnum is 0xffff
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import type { Warnings } from '../../warnings.ts';

/** Types of program headers. */
export const PT_LOAD = 1;
export const PT_NOTE = 4;

/** Bytes of the ELF header. */
export const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
const EXTENDED_COUNT = 0xffff;
/** The largest count that is believed. */
const MOST_PROGRAM_HEADERS = 2 ** 20;
const CLASS_32 = 1;
const EM_386 = 3;
const LIMIT_32 =
  'a 32-bit guest, or one whose CPU was not in 64-bit mode when the dump was taken: hugewalk walks the tables of 64-bit systems only';

/** A program header that says something of memory. */
export interface ProgramHeader {
  readonly index: number;
  readonly type: number;
  readonly offset: bigint;
  readonly virtual: bigint;
  readonly physical: bigint;
  readonly fileSize: bigint;
  readonly memorySize: bigint;
}

/** What must stand at fixed places of the header. */
const FIXED = [
  { what: 'ELF class 64', at: 4, bytes: 1, value: 2, means: new Map([[CLASS_32, LIMIT_32]]) },
  { what: 'little-endian data encoding', at: 5, bytes: 1, value: 1 },
  { what: 'ELF identification version', at: 6, bytes: 1, value: 1 },
  {
    what: 'type ET_CORE',
    at: 16,
    bytes: 2,
    value: 4,
    means: new Map([
      [1, 'an object file, not a dump'],
      [2, 'a program (a vmlinux?), not a dump'],
      [3, 'a program or library, not a dump'],
    ]),
  },
  { what: 'machine EM_X86_64', at: 18, bytes: 2, value: 62, means: new Map([[EM_386, LIMIT_32]]) },
  { what: 'ELF version', at: 20, bytes: 4, value: 1 },
] as const;

/**
 * The ELF header, checked.
 *
 * @throws {@link DumpError} for one that is not that of an x86-64 core, with what it is
 */
export async function readHeader(source: ByteSource): Promise<DataView> {
  if (source.size < HEADER_BYTES) {
    throw new DumpError(
      source.name,
      `ELF header: expected 0x40 bytes at file offset 0x0, found the end of the file at ${hex(source.size)} (truncated?)`,
    );
  }
  const header = await readView(source, 0, HEADER_BYTES);
  for (const { what, at, bytes, value, ...rest } of FIXED) {
    const found =
      bytes === 1 ? header.getUint8(at) : bytes === 2 ? header.getUint16(at, true) : header.getUint32(at, true);
    if (found === value) continue;
    const meaning = 'means' in rest ? (rest.means as ReadonlyMap<number, string>).get(found) : undefined;
    const is = meaning ? `: ${meaning}` : '';
    throw new DumpError(source.name, `expected ${what} (${hex(value)}), found ${hex(found)}${is}`);
  }
  return header;
}

/** Program headers of type PT_LOAD or PT_NOTE; those that the file does not reach to are warned of. */
export async function readProgramHeaders(
  source: ByteSource,
  header: DataView,
  warnings: Warnings,
): Promise<ProgramHeader[]> {
  const count = await countProgramHeaders(source, header);
  if (count === 0) return [];
  if (count > MOST_PROGRAM_HEADERS) {
    throw new DumpError(
      source.name,
      `expected at most ${hex(MOST_PROGRAM_HEADERS)} program headers, found ${hex(count)}`,
    );
  }
  const size = header.getUint16(54, true);
  if (size !== PROGRAM_HEADER_BYTES) {
    throw new DumpError(source.name, `expected program headers of size (0x38), found ${hex(size)}`);
  }
  const offset = header.getBigUint64(32, true);
  if (offset < HEADER_BYTES) {
    throw new DumpError(source.name, `expected program headers from file offset 0x40 on, found ${hex(offset)}`);
  }
  const whole = offset >= source.size ? 0 : Math.floor((source.size - Number(offset)) / PROGRAM_HEADER_BYTES);
  if (whole < count) {
    warnings.add(
      `program headers: expected ${hex(count * PROGRAM_HEADER_BYTES)} bytes at file offset ${hex(offset)}, found the end of the file at ${hex(source.size)} (truncated?)`,
    );
  }
  if (whole === 0) return [];
  const table = await readView(source, Number(offset), Math.min(whole, count) * PROGRAM_HEADER_BYTES);
  return parse(table);
}

function parse(table: DataView): ProgramHeader[] {
  const headers: ProgramHeader[] = [];
  for (let at = 0, index = 0; at < table.byteLength; at += PROGRAM_HEADER_BYTES, index++) {
    const type = table.getUint32(at, true);
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    headers.push({
      index,
      type,
      offset: table.getBigUint64(at + 8, true),
      virtual: table.getBigUint64(at + 16, true),
      physical: table.getBigUint64(at + 24, true),
      fileSize: table.getBigUint64(at + 32, true),
      memorySize: table.getBigUint64(at + 40, true),
    });
  }
  return headers;
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
  const offset = header.getBigUint64(40, true);
  if (offset + BigInt(size) > BigInt(source.size)) {
    throw new DumpError(
      source.name,
      `section header 0x0: expected 0x40 bytes at file offset ${hex(offset)}, found the end of the file at ${hex(source.size)} (truncated?)`,
    );
  }
  return (await readView(source, Number(offset), size)).getUint32(44, true);
}

/** Bytes of the file, which must be there. */
export async function readView(source: ByteSource, offset: number, length: number): Promise<DataView> {
  const [bytes] = await source.read([{ offset, length }]);
  return new DataView(bytes!.buffer, bytes!.byteOffset, length);
}
