/**
 * Where the program headers of a core put which physical memory. QEMU, dump/dump.c; Linux, fs/proc/vmcore.c, fs/proc/kcore.c.
 *
 * A PT_LOAD segment is physical memory from p_paddr on. What its p_memsz says beyond p_filesz was not dumped: it is
 * missing, not zero. Such a segment without content may have any offset (QEMU writes 2^64 - 1).
 *
 * /proc/kcore lists what the kernel has mapped: p_paddr is -1 for vmalloc, modules and the like, which are no memory of
 * their own. A kernel that tells p_paddr of none (all 0 or -1) still tells where its direct map is: it is the lowest part of
 * the kernel's half (arch/x86/mm/kaslr.c: direct map, then vmalloc, then vmemmap), begins at a multiple of 1 GiB, and the
 * lowest memory of a machine is below 1 GiB. Vmalloc is the first segment of 16 TiB or more.
 */
import { hex } from '../../../core/errors.ts';
import type { ByteSource } from '../../byte-source.ts';
import { PHYSICAL_LIMIT, type Segment } from '../../segment.ts';
import { Tally, type Warnings } from '../../warnings.ts';
import type { ProgramHeader } from './program-headers.ts';

const NO_ADDRESS = 0xffff_ffff_ffff_ffffn;
const KERNEL_HALF = 1n << 63n;
/** __START_KERNEL_map, and where modules begin. */
const KERNEL_IMAGE = 0xffff_ffff_8000_0000n;
const MODULES = 0xffff_ffff_c000_0000n;
const DIRECT_MAP_UNIT = 1n << 30n;
/** VMALLOC_SIZE_TB of 4 levels is 32, less where KASLR has shrunk it for memory that was not there. */
const VMALLOC_LEAST = 1n << 44n;
/** Where a kernel's half has its vsyscall page, which process cores have, too. */
const VSYSCALL = 0xffff_ffff_ff60_0000n;

/** What PT_LOAD headers say. */
export interface Loads {
  readonly segments: Segment[];
  /** Whether the memory goes on changing while it is read, so that what lies there twice may differ. */
  readonly isLive: boolean;
}

/** Whether all segments are parts of a process: addresses of its half, and no physical ones. */
export function isOfProcess(loads: readonly ProgramHeader[]): boolean {
  return (
    loads.length > 0 &&
    loads.every(({ physical, virtual }) => physical === 0n && (virtual < KERNEL_HALF || virtual === VSYSCALL)) &&
    loads.some(({ virtual }) => virtual !== 0n)
  );
}

/** The segments that have content in the file, each where it says or its virtual address tells. */
export function memoryOf(
  source: ByteSource,
  loads: readonly ProgramHeader[],
  vmcoreinfo: string | undefined,
  warnings: Warnings,
): Loads {
  const isLive = loads.some(({ physical }) => physical === NO_ADDRESS) || tellsNone(loads);
  const addressOf = tellsNone(loads)
    ? virtualAddresses(loads, vmcoreinfo, warnings)
    : ({ physical }: ProgramHeader) => physical;
  const faults = { address: new Tally(), limit: new Tally(), size: new Tally(), truncated: new Tally() };
  const segments: Segment[] = [];
  for (const load of loads) {
    const segment = segmentOf(source, load, addressOf(load), faults);
    if (segment) segments.push(segment);
  }
  for (const tally of Object.values(faults)) tally.tell(warnings);
  return { segments, isLive };
}

function segmentOf(
  source: ByteSource,
  load: ProgramHeader,
  physical: bigint,
  faults: Readonly<Record<'address' | 'limit' | 'size' | 'truncated', Tally>>,
): Segment | undefined {
  const { fileSize, memorySize, offset, virtual } = load;
  const where = `program header ${hex(load.index)}`;
  if (fileSize === 0n) return undefined;
  if (physical === NO_ADDRESS) {
    faults.address.add(`${where}: expected a physical address, found none for virtual ${hex(virtual)}: it is skipped`);
    return undefined;
  }
  if (physical + memorySize > PHYSICAL_LIMIT || physical + fileSize > PHYSICAL_LIMIT) {
    faults.limit.add(
      `${where}: expected physical memory below ${hex(PHYSICAL_LIMIT)}, found ${hex(physical)} + ${hex(memorySize)}: it is skipped`,
    );
    return undefined;
  }
  let bytes = fileSize;
  if (fileSize > memorySize) {
    faults.size.add(
      `${where}: expected p_filesz of at most p_memsz ${hex(memorySize)}, found ${hex(fileSize)}: the smaller is used`,
    );
    bytes = memorySize;
  }
  const held = BigInt(source.size) > offset ? BigInt(source.size) - offset : 0n;
  if (fileSize > held) {
    faults.truncated.add(
      `${where}: expected ${hex(fileSize)} bytes at file offset ${hex(offset)}, found the end of the file at ${hex(source.size)} (truncated?)`,
    );
    if (bytes > held) bytes = held;
  }
  return bytes > 0n ? { physical, bytes, offset: Number(offset) } : undefined;
}

/** Whether a core of the kernel's virtual memory has physical addresses nowhere. */
function tellsNone(loads: readonly ProgramHeader[]): boolean {
  const kernel = loads.filter(({ virtual }) => virtual >= KERNEL_HALF);
  if (kernel.length === 0 || kernel.length < loads.length) return false;
  const addresses = new Set(loads.map(({ physical }) => physical));
  if ([...addresses].some((address) => address !== 0n && address !== NO_ADDRESS)) return false;
  /* One segment that begins at physical 0 says so. */
  return addresses.has(NO_ADDRESS) || loads.length > 1;
}

/** Physical addresses of what is mapped directly, and of the kernel's image. */
function virtualAddresses(
  loads: readonly ProgramHeader[],
  vmcoreinfo: string | undefined,
  warnings: Warnings,
): (load: ProgramHeader) => bigint {
  const sorted = [...loads].sort((a, b) => (a.virtual < b.virtual ? -1 : 1));
  const after = sorted.find(({ virtual, memorySize }) => memorySize >= VMALLOC_LEAST || virtual >= KERNEL_IMAGE);
  const end = after?.virtual ?? KERNEL_IMAGE;
  const lowest = sorted[0]!.virtual;
  const base = lowest - (lowest % DIRECT_MAP_UNIT);
  const physBase = /^NUMBER\(phys_base\)=(-?\d{1,19})$/m.exec(vmcoreinfo ?? '')?.[1];
  if (lowest < end) {
    warnings.add(
      `no segment tells a physical address: the direct map is taken to begin at virtual ${hex(base)}, the lowest`,
    );
  }
  return ({ virtual }) => {
    if (virtual < end) return virtual - base;
    const isImage = virtual >= KERNEL_IMAGE && virtual < MODULES;
    const physical = isImage && physBase !== undefined ? virtual - KERNEL_IMAGE + BigInt(physBase) : NO_ADDRESS;
    return physical >= 0n ? physical : NO_ADDRESS;
  };
}
