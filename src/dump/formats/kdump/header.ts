/**
 * The header and sub-header of a kdump-compressed file. makedumpfile, diskdump_mod.h and IMPLEMENTATION; QEMU,
 * include/sysemu/dump.h.
 *
 *   block 0     header       +0 "KDUMP   "   +8 u32 version   +272 machine (65 bytes)   +424 u32 status
 *                            +428 u32 block size   +432 u32 blocks of the sub-header   +436 u32 blocks of both bitmaps
 *                            +440 u32 page frames
 *   block 1     sub-header   +8 u32 dump level   version 2: +12 u32 split   +16 u64 first frame   +24 u64 frame behind the last
 *                            version 3: +32 u64 offset, +40 u64 size of VMCOREINFO   version 4: +48, +56 of the notes
 *                            version 6: +80, +88 first frame and the one behind the last, +96 page frames, as 64 bits
 *   1 + sub-header blocks    bitmap 1, which frames are memory; bitmap 2, which are in the file
 *   behind the bitmaps       a descriptor a frame of bitmap 2; pages
 *
 * DISKDUMP, its predecessor, has another sub-header, of which nothing is used, and perhaps one bitmap for both.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { DumpError } from '../../dump-error.ts';
import type { ByteRange } from '../../ranges.ts';
import { checkInFile, readBytes } from '../in-file.ts';
import { beginsWith } from '../magic.ts';
import { KDUMP_MAGIC } from './magic.ts';
import type { Warn } from './warn.ts';

/** What the headers say. */
export interface KdumpHeader {
  /** Page frames, those without memory included: none at or beyond has a bit in the bitmaps. */
  readonly frames: number;
  /** Where bitmap 1 lies: which frames are memory. */
  readonly memory: ByteRange;
  /** Where bitmap 2 lies: which frames are in the file. */
  readonly dumped: ByteRange;
  /** Where the descriptors begin. */
  readonly descriptors: number;
  /** Which pages makedumpfile left out: 1 of zeros, 2 and 4 of the page cache, 8 of users, 16 free. */
  readonly level: number;
  /** Of one of several files, the frames whose pages it holds; all have the whole bitmaps. */
  readonly part: { readonly from: number; readonly to: number } | undefined;
  readonly vmcoreinfo: ByteRange | undefined;
  readonly notes: ByteRange | undefined;
  /** What all parts of one dump have in common, byte for byte: who wrote it where and when, and its sizes. */
  readonly common: Uint8Array;
}

const BLOCK = 4096;
const HEADER = 464;
const SUB_HEADER = 104;
const NEWEST = 6;
const INCOMPLETE = 8;
/** 64 TiB of memory, of which a bitmap takes 2 GiB. */
const MOST_FRAMES = 2 ** 34;
/** `uname -m` of kernels whose dumps have this format, but other page tables. */
const OTHER_MACHINES = /^(i[3-6]86|aarch64|arm|ppc|s390|ia64|mips|riscv|sparc|loongarch)/;

/**
 * Reads both headers.
 *
 * @throws {@link DumpError} where they are not what the format has, or of a machine that is no x86-64
 */
export async function readHeader(source: ByteSource, warnings: Warn): Promise<KdumpHeader> {
  checkInFile(source, 'header', { offset: 0, length: HEADER });
  const bytes = await readBytes(source, { offset: 0, length: HEADER });
  const header = viewOf(bytes);
  const isKdump = beginsWith(bytes, KDUMP_MAGIC);
  const version = isKdump ? header.getUint32(8, true) : 0;
  if (version > NEWEST) {
    warnings.add(`expected header version 0x1 to ${hex(NEWEST)}, found ${hex(version)}: read like the newest known`);
  }
  checkMachine(source, bytes);
  if (header.getUint32(424, true) & INCOMPLETE) {
    warnings.add('expected a whole dump, found the mark of one that was broken off: pages are missing');
  }
  const block = header.getUint32(428, true);
  if (block !== BLOCK) throw new DumpError(source.name, `expected blocks of ${hex(BLOCK)} bytes, found ${hex(block)}`);

  const sub = await readSubHeader(source, version);
  const frames = Number(sub.frames || BigInt(header.getUint32(440, true)));
  return {
    frames,
    ...placesOf(source, header, frames),
    level: isKdump ? sub.level : 0,
    part: sub.split ? partOf(source, sub, frames) : undefined,
    vmcoreinfo: optional(source, 'VMCOREINFO', sub.vmcoreinfo, warnings),
    notes: optional(source, 'notes', sub.notes, warnings),
    common: commonOf(bytes),
  };
}

function checkMachine(source: ByteSource, bytes: Uint8Array): void {
  const machine = new TextDecoder('latin1').decode(bytes.subarray(272, 272 + 65)).replace(/\0.*$/s, '');
  if (!OTHER_MACHINES.test(machine)) return;
  throw new DumpError(source.name, `expected a dump of an x86-64 machine, found one of ${machine}`);
}

/** Where the bitmaps and descriptors are. */
function placesOf(
  source: ByteSource,
  header: DataView,
  frames: number,
): Pick<KdumpHeader, 'memory' | 'dumped' | 'descriptors'> {
  if (frames === 0 || frames > MOST_FRAMES) {
    throw new DumpError(source.name, `expected 0x1 to ${hex(MOST_FRAMES)} page frames, found ${hex(frames)}`);
  }
  const blocks = header.getUint32(436, true);
  const least = Math.ceil(frames / 8 / BLOCK);
  if (blocks < least) {
    throw new DumpError(
      source.name,
      `expected at least ${hex(least)} bitmap blocks for ${hex(frames)} page frames, found ${hex(blocks)}`,
    );
  }
  const offset = (1 + header.getUint32(432, true)) * BLOCK;
  const length = Math.ceil(frames / 8);
  const second = blocks >= 2 * least ? offset + Math.floor(blocks / 2) * BLOCK : offset;
  checkInFile(source, 'bitmaps', { offset: second, length });
  return { memory: { offset, length }, dumped: { offset: second, length }, descriptors: offset + blocks * BLOCK };
}

/** What the sub-header says, as it stands there; 0 what its version does not have. */
interface SubHeader {
  readonly level: number;
  readonly split: boolean;
  readonly from: bigint;
  readonly to: bigint;
  readonly frames: bigint;
  readonly vmcoreinfo: readonly [bigint, bigint];
  readonly notes: readonly [bigint, bigint];
}

async function readSubHeader(source: ByteSource, version: number): Promise<SubHeader> {
  const range = { offset: BLOCK, length: SUB_HEADER };
  if (version > 0) checkInFile(source, 'sub-header', range);
  const view = viewOf(version > 0 ? await readBytes(source, range) : new Uint8Array(SUB_HEADER));
  const word = (since: number, at: number): bigint => (version >= since ? view.getBigUint64(at, true) : 0n);
  const wide = version >= 6 ? 64 : 0;
  return {
    level: view.getUint32(8, true),
    split: version >= 2 && view.getUint32(12, true) !== 0,
    from: word(2, 16 + wide),
    to: word(2, 24 + wide),
    frames: word(6, 96),
    vmcoreinfo: [word(3, 32), word(3, 40)],
    notes: [word(4, 48), word(4, 56)],
  };
}

function partOf(source: ByteSource, { from, to }: SubHeader, frames: number): { from: number; to: number } {
  if (from < to && to <= frames) return { from: Number(from), to: Number(to) };
  throw new DumpError(
    source.name,
    `expected the page frames of this part to be some of the ${hex(frames)} that there are, found ${hex(from)} to ${hex(to)}`,
  );
}

/** A range that a dump can be read without. */
function optional(
  source: ByteSource,
  what: string,
  [offset, length]: readonly [bigint, bigint],
  warnings: Warn,
): ByteRange | undefined {
  if (offset === 0n || length === 0n) return undefined;
  if (offset + length <= source.size) return { offset: Number(offset), length: Number(length) };
  warnings.add(
    `${what}: expected ${hex(length)} bytes at file offset ${hex(offset)}, found the end of the file at ${hex(source.size)}: done without`,
  );
  return undefined;
}

/** Signature, version, utsname, time stamp; sizes. Not the status, which says how the pages of one file are compressed. */
function commonOf(header: Uint8Array): Uint8Array {
  const common = header.slice(0, 444);
  common.fill(0, 424, 428);
  return common;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
