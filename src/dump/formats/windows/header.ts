/**
 * The header of Windows' crash dumps of 64-bit systems, DUMP_HEADER64, and how their memory is laid out. No documentation of
 * Microsoft's describes it; sources: kdmp-parser (kdmp-parser-structs.h), which names Rekall's crashdump.py for it, and
 * volatility3#1990 and kdmp-parser#26, which found that type 6 is laid out as type 5.
 *
 *   0x0000  "PAGEDU64"                        0x0080  u64 KdDebuggerDataBlock, a linear address
 *   0x0008  u32 MajorVersion: 15, free build  0x0088  u32 NumberOfRuns, u64 NumberOfPages at 0x90
 *   0x000c  u32 MinorVersion: the build       0x0098  runs: u64 first page, u64 pages, each; at most 42
 *   0x0010  u64 DirectoryTableBase            0x0348  CONTEXT of the processor that crashed
 *   0x0030  u32 MachineImageType              0x0f98  u32 DumpType
 *   0x0034  u32 NumberProcessors              0x2000  memory, or the header of a bitmap
 *   0x0038  u32 BugCheckCode
 *
 * What Windows did not fill in is "PAGEPAGE...".
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import type { WindowsHeader } from '../../dump.ts';
import { DumpError } from '../../dump-error.ts';
import { checkInFile, readBytes } from '../in-file.ts';
import { beginsWith, WINDOWS_MAGIC } from '../magic.ts';

/** Bytes of the header: memory, or the bitmap's header, is behind it. */
export const HEADER_BYTES = 0x2000;
const FIRST_RUN = 0x98;
/** PhysicalMemoryBlockBuffer has 700 bytes. */
const MOST_RUNS = 42;
const AMD64 = 0x8664;
const UNFILLED = 0x4547_4150_4547_4150n;
const UNFILLED_HALF = 0x4547_4150;

/** IMAGE_FILE_MACHINE_*, of those that Windows runs on. */
const MACHINES: Readonly<Record<number, string>> = {
  332: 'a 32-bit x86 processor',
  450: 'a 32-bit ARM processor',
  512: 'an Itanium',
  43620: 'an ARM64 processor',
};

/** How memory is laid out. */
export type Layout = 'runs' | 'bitmap';

const LAYOUTS: Readonly<Record<number, Layout>> = { 1: 'runs', 5: 'bitmap', 6: 'bitmap', 7: 'bitmap' };

const REMEDY =
  'set CrashDumpEnabled to 1 (a complete memory dump) for the next one, or take a raw image, for instance with WinPmem';
/** Types that are not read, and what they are. */
const OTHERS: Readonly<Record<number, string>> = {
  2: 'a kernel dump as Windows 7 and older write it',
  3: 'the header of a dump alone',
  4: "a small memory dump (minidump), which holds none of the machine's tables",
  8: "a dump of WinDbg's .dump /k",
  9: "a dump of WinDbg's .dump /ka",
  10: "a dump of WinDbg's .dump /f",
};

/** A part of memory: so many pages from one on. */
export interface Run {
  readonly first: bigint;
  readonly pages: bigint;
}

/** What the header says. */
export interface Header {
  readonly layout: Layout;
  readonly facts: WindowsHeader;
  /** Of a dump with runs; as many as the header says there are. */
  readonly runs: readonly Run[];
  /** NumberOfPages. */
  readonly pages: bigint;
}

/** @throws {@link DumpError} where memory cannot be found by it, or is of another kind of machine */
export async function readHeader(source: ByteSource): Promise<Header> {
  checkInFile(source, 'header', { offset: 0, length: HEADER_BYTES });
  const bytes = await readBytes(source, { offset: 0, length: HEADER_BYTES });
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (!beginsWith(bytes, WINDOWS_MAGIC)) {
    throw new DumpError(source.name, `expected the magic "${WINDOWS_MAGIC}", found another: this is no Windows dump`);
  }
  const machine = view.getUint32(0x30, true);
  if (machine !== AMD64) {
    const known = MACHINES[machine] ? `, ${MACHINES[machine]}` : '';
    throw new DumpError(source.name, `expected a dump of an x86-64 machine (0x8664), found ${hex(machine)}${known}`);
  }
  const type = view.getUint32(0xf98, true);
  const layout = LAYOUTS[type];
  if (!layout) {
    const known = OTHERS[type] ? `, ${OTHERS[type]}` : '';
    throw new DumpError(
      source.name,
      `expected a full dump (type 0x1) or a bitmap dump (0x5, 0x6, 0x7), found type ${hex(type)}${known}: ${REMEDY}`,
    );
  }
  return {
    layout,
    facts: factsOf(view),
    runs: layout === 'runs' ? runsOf(source, view) : [],
    pages: view.getBigUint64(0x90, true),
  };
}

function factsOf(view: DataView): WindowsHeader {
  const address = (at: number): bigint | undefined => {
    const value = view.getBigUint64(at, true);
    return value === 0n || value === UNFILLED ? undefined : value;
  };
  return {
    dumpType: view.getUint32(0xf98, true),
    directoryTableBase: address(0x10),
    majorVersion: view.getUint32(8, true),
    build: view.getUint32(12, true),
    processors: view.getUint32(0x34, true),
    bugCheck: view.getUint32(0x38, true),
    kdDebuggerDataBlock: address(0x80),
  };
}

function runsOf(source: ByteSource, view: DataView): Run[] {
  const count = view.getUint32(0x88, true);
  if (count === 0 || count > MOST_RUNS) {
    const found = count === UNFILLED_HALF ? 'that Windows did not fill it in' : hex(count);
    throw new DumpError(
      source.name,
      `header: expected 0x1 to ${hex(MOST_RUNS)} runs of memory (NumberOfRuns), found ${found}`,
    );
  }
  return Array.from({ length: count }, (_, i) => ({
    first: view.getBigUint64(FIRST_RUN + 16 * i, true),
    pages: view.getBigUint64(FIRST_RUN + 16 * i + 8, true),
  }));
}
