/**
 * What a caller of a system call must keep to: mistakes are the caller's, and throw, before anything is done. What the kernel itself refuses is
 * an errno, and not of these.
 */
import { checkInteger, checkOptions, type OptionNames, wrongKind } from '../../core/errors.ts';
import { MAP_ANONYMOUS, MAP_HUGETLB } from '../base/uapi.ts';
import { ADVICE_NUMBERS } from '../syscalls/madvise.ts';
import type { Pipe } from '../syscalls/pipe.ts';
import type { Direction } from '../syscalls/remote-memory.ts';
import type { UffdFill } from '../userfaultfd/uffd-fill.ts';
import type { HugetlbFile } from './hugetlb-file.ts';
import type { MmapOptions } from './syscalls.ts';
import type { UserfaultFile } from './userfault-file.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;
const INT_MAX = 2 ** 31 - 1;

/** @throws TypeError or RangeError unless it is an integer from 0 on */
export function checkAddress(address: number): void {
  checkInteger('address', address, 0, LARGEST);
}

/** Bytes, or 4 KiB pages: whole ones. */
export function checkRange(address: number, length: number): void {
  checkAddress(address);
  checkInteger('length', length, 0, LARGEST - address);
}

/** An `int` of bits. */
export function checkBits(name: string, bits: number): void {
  checkInteger(name, bits, 0, INT_MAX);
}

/** A byte of memory. */
export function checkByte(value: number): void {
  checkInteger('value', value, 0, 255);
}

/** @throws RangeError for an advice that the model does not know */
export function checkAdvice(advice: number): void {
  checkBits('advice', advice);
  if (ADVICE_NUMBERS.includes(advice)) return;
  throw new RangeError(`advice: expected one of ${ADVICE_NUMBERS.join(', ')}, got ${advice}`);
}

const MMAP_OPTIONS: OptionNames<MmapOptions> = {
  address: true,
  length: true,
  prot: true,
  flags: true,
  file: true,
  offset: true,
};

/** @throws TypeError or RangeError for arguments of the wrong kind, and for a mapping without huge pages, which the model has not */
export function checkMmap(options: MmapOptions): void {
  checkOptions('options', options, MMAP_OPTIONS);
  const { address = 0, length, prot, flags, file, offset = 0 } = options;
  checkAddress(address);
  checkInteger('length', length, 0, LARGEST);
  checkBits('prot', prot);
  checkInteger('flags', flags, 0, INT_MAX * 2 + 1);
  checkInteger('offset', offset, 0, LARGEST - length);
  if (flags & MAP_ANONYMOUS && !(flags & MAP_HUGETLB)) {
    throw new RangeError(`flags: expected MAP_HUGETLB, got 0x${flags.toString(16)}: the model maps huge pages only`);
  }
  if (!(flags & MAP_ANONYMOUS) && file !== undefined) checkFile(file);
}

/** @throws TypeError unless it is an open file of huge pages */
export function checkFile(file: HugetlbFile): void {
  const given: Partial<HugetlbFile> | null | undefined = file;
  if (typeof given?.checkOpen !== 'function') throw wrongKind('file', 'a HugetlbFile', file);
  file.checkOpen();
}

/** A process, living or not. @throws TypeError for anything else */
export function checkProcess(name: string, process: { readonly alive: boolean }): void {
  const given: { readonly alive?: unknown } | null | undefined = process;
  if (typeof given?.alive !== 'boolean') throw wrongKind(name, 'a Process', process);
}

/** The number of a 4 KiB frame: of the architecture, 52 bits of physical address. */
export function checkFrame(frame: number): void {
  checkInteger('frame', frame, 0, 2 ** 40 - 1);
}

/** An open pipe. */
export function checkPipe(pipe: Pipe): void {
  const given: Partial<Pipe> | null | undefined = pipe;
  if (typeof given?.check !== 'function') throw wrongKind('pipe', 'a Pipe', pipe);
  pipe.check();
}

/** An address, and how many 4 KiB pages from there on. */
export function checkPagemap(address: number, pages: number): void {
  checkAddress(address);
  checkInteger('pages', pages, 0, 2 ** 24);
}

/** Which way bytes go between two processes. */
export function checkDirection(direction: Direction): void {
  if (direction !== 'read' && direction !== 'write') throw wrongKind('direction', "'read' or 'write'", direction);
}

/** A userfaultfd. */
export function checkUserfaultFile(file: UserfaultFile): void {
  const given: Partial<UserfaultFile> | null | undefined = file;
  if (typeof given?.context !== 'object') throw wrongKind('file', 'a UserfaultFile', file);
}

/** A range in bytes, and the mode of an ioctl; 0 where it has none. */
export function checkUserfaultRange(start: number, length: number, mode: number): void {
  checkInteger('start', start, 0, LARGEST);
  checkInteger('length', length, 0, LARGEST - start);
  checkBits('mode', mode);
}

/** What a range is to be filled with. */
export function checkFill(fill: UffdFill): void {
  const given: Partial<UffdFill> | null | undefined = fill;
  const kinds = ['copy', 'continue', 'zeropage'];
  if (!kinds.some((kind) => kind === given?.kind)) throw wrongKind('fill', `{ kind: ${kinds.join(', ')} }`, fill);
  if (fill.kind === 'copy' && fill.bytes !== undefined) checkBuffer('bytes', fill.bytes);
}

/** Bytes to be read or written. */
export function checkBuffer(name: string, buffer: Uint8Array): void {
  if (!(buffer instanceof Uint8Array)) throw wrongKind(name, 'a Uint8Array', buffer);
}

/** An open file, and a size in bytes. */
export function checkFtruncate(file: HugetlbFile, bytes: number): void {
  checkFile(file);
  checkInteger('bytes', bytes, 0, LARGEST);
}

/** An open file, and a range of it in bytes. */
export function checkFallocate(file: HugetlbFile, offset: number, length: number, mode: number): void {
  checkFile(file);
  checkInteger('offset', offset, 0, LARGEST);
  checkInteger('length', length, 0, LARGEST - offset);
  checkBits('mode', mode);
}
