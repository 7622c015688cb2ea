import type { CpuState } from './cpu-state.ts';

/** A piece of physical memory. */
export interface PhysicalRange {
  /** Physical address of its first byte, below 2^52; need not be page-aligned. */
  readonly physical: bigint;
  /** Length. */
  readonly bytes: bigint;
}

/** What the header of a Windows crash dump says of the machine. */
export interface WindowsHeader {
  /** DumpType: 1 a full dump; 5 to 7 dumps with a bitmap of the frames that are there. */
  readonly dumpType: number;
  /** The physical address of a root table, as Windows keeps it for CR3; undefined where it is not told. */
  readonly directoryTableBase: bigint | undefined;
  /** 15 for a free build of Windows, 12 for a checked one. */
  readonly majorVersion: number;
  /** The build of Windows, such as 19041. */
  readonly build: number;
  /** How many processors the machine has. */
  readonly processors: number;
  /** BugCheckCode: why it has stopped. */
  readonly bugCheck: number;
  /** Linear address of KDDEBUGGER_DATA64; undefined where it is not told. */
  readonly kdDebuggerDataBlock: bigint | undefined;
}

/**
 * An image of physical memory, and what is known of the processors. {@link openDump} makes one of a file; write your own
 * for memory that comes from elsewhere.
 *
 * @example A dump of memory that a program holds
 * ```ts
 * import { AddressSpace, type Dump } from 'hugewalk';
 * const memory = new Uint8Array(0x1_0000);
 * const dump: Dump = {
 *   name: 'my emulator',
 *   format: 'memory',
 *   segments: [{ physical: 0n, bytes: BigInt(memory.length) }],
 *   cpus: [],
 *   warnings: [],
 *   readFrames: async (physical) =>
 *     physical.map((at) => (at < memory.length ? memory.subarray(Number(at), Number(at) + 4096) : undefined)),
 *   close: async () => {},
 *   [Symbol.asyncDispose]: async () => {},
 * };
 * const space = await AddressSpace.open(dump, { cr3: 0x1000n });
 * console.log(await space.translate(0x40_0000n));
 * ```
 */
export interface Dump {
  /** What messages call it: a file's name. */
  readonly name: string;
  /** `elf-core`, `kdump`, `raw`, `lime`, `avml`, `vmware`, `windows`; of a dump of your own, what you like. */
  readonly format: string;
  /** What physical memory there may be, sorted by address, without overlap. */
  readonly segments: readonly PhysicalRange[];
  /** Its processors in order; empty where it says nothing of them. */
  readonly cpus: readonly CpuState[];
  /** The text of VMCOREINFO, which Linux writes about itself, where the file has it in a place of its own. */
  readonly vmcoreinfo?: string;
  /** What Windows' own header says, where the dump is of Windows: a root table, but no other register. */
  readonly windows?: WindowsHeader;
  /**
   * What is missing or broken, a line each, without the file's name. More may come as the dump is read.
   */
  readonly warnings: readonly string[];
  /**
   * The 4 KiB frames at physical addresses (multiples of 4096, below 2^52), in the order asked, in one pass over the file.
   *
   * @returns 4096 bytes each, undefined where the dump has no whole frame; do not write to them, they may share memory
   * @throws TypeError or RangeError for an address that is none; {@link DumpError} when the file cannot be read
   */
  readFrames(physical: readonly bigint[]): Promise<(Uint8Array | undefined)[]>;
  /** Of a machine that runs: looks at it anew. What is read, and `cpus`, are of a later moment then. */
  refresh?(): Promise<void>;
  /** Closes the file. More than once does nothing. */
  close(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
