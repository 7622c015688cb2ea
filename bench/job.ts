/**
 * A job for the native walker: registers, memory, addresses. The layout is in bench/native/walk.c.
 */
import type { Registers } from '../src/index.ts';
import { DEFAULT_REGISTERS } from '../src/mmu/registers.ts';

/**
 * What becomes of A and D: nothing, `probe`; they are set, `mark`; they are set, after all of them were cleared before
 * each pass, which is not measured, `mark-anew`.
 */
export type Marking = (typeof MARKINGS)[number];
const MARKINGS = ['probe', 'mark', 'mark-anew'] as const;

export interface Job {
  /** Registers; what is left out has the Mmu's defaults. */
  readonly registers: Partial<Registers> & Pick<Registers, 'cr3'>;
  /** The kind of access: one of the Mmu's. */
  readonly access: number;
  /** Default: a probe. */
  readonly marking?: Marking;
  /** Physical memory from address 0 on. */
  readonly memory: Uint8Array;
  readonly addresses: BigUint64Array;
  /** How often all addresses are walked in a repetition. */
  readonly passes: number;
}

const MAGIC = new TextEncoder().encode('hwbench2');

/** The job's pieces, in order. */
export function encodeJob({ registers, access, marking = 'probe', memory, addresses, passes }: Job): Uint8Array[] {
  const all = { ...DEFAULT_REGISTERS, ...registers };
  const header = BigUint64Array.of(
    new BigUint64Array(MAGIC.buffer)[0]!,
    all.cr0,
    all.cr3,
    all.cr4,
    all.efer,
    all.rflags,
    BigInt(all.pkru),
    BigInt(all.pkrs),
    BigInt(all.maxPhysicalAddress),
    all.page1G ? 1n : 0n,
    all.vendor === 'amd' ? 1n : 0n,
    BigInt(access),
    BigInt(MARKINGS.indexOf(marking)),
    BigInt(memory.length),
    BigInt(addresses.length),
    BigInt(passes),
  );
  return [
    new Uint8Array(header.buffer),
    memory,
    new Uint8Array(addresses.buffer, addresses.byteOffset, addresses.byteLength),
  ];
}

/**
 * The native walker's checksum of outcome words, and of the memory after them where A and D are set: FNV-1a over 32-bit
 * halves.
 */
export function checksumOf(...parts: readonly (BigUint64Array | Uint8Array)[]): number {
  let sum = 0x811c_9dc5;
  for (const { buffer, byteOffset, byteLength } of parts) {
    for (const half of new Uint32Array(buffer, byteOffset, byteLength / 4)) sum = Math.imul(sum ^ half, 0x0100_0193);
  }
  return sum >>> 0;
}
