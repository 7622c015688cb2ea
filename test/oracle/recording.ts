/**
 * Reads the recordings: cases and what QEMU answered. README.md describes the file. Runs in Node and in browsers.
 */
import {
  ACCESS,
  CASE_ACCESS,
  CASE_BYTES,
  CASE_ENTRIES,
  CASE_PKRS,
  CASE_PKRU,
  CASE_REGISTERS,
  CASE_TABLES,
  CASE_VA,
  type Configuration,
  digestOf,
  FRAMES,
  generateCases,
  REGISTER,
} from './cases.mjs';

export interface OracleHeader extends Configuration {
  /** So many cases at the start are those of sentinels(). */
  readonly sentinels: number;
  /** Of the cases, as generateCases() makes them. */
  readonly digest: string;
  /** QEMU's version and the processor it emulated. */
  readonly recordedWith: string;
}

/** The registers of a case, whole: bits that decide nothing have their usual values. */
export interface OracleRegisters {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly rflags: bigint;
  readonly pkru: number;
  readonly pkrs: number;
}

/** An entry that the walk reads, if it comes so far. */
export interface OracleEntry {
  /** 5 (PML5E) down to 1 (PTE). */
  readonly level: number;
  /** Physical address of the entry. Two levels may share one. */
  readonly address: bigint;
  readonly entry: bigint;
}

export interface OracleCase {
  readonly index: number;
  readonly va: bigint;
  /** The W/R, U/S and I/D bits of an error code. */
  readonly access: number;
  /** A supervisor access that the processor makes for a program at CPL 3: SMAP heeds no RFLAGS.AC. */
  readonly implicit: boolean;
  /** Made through the stack segment. */
  readonly stack: boolean;
  readonly registers: OracleRegisters;
  readonly maxPhysicalAddress: number;
  readonly page1G: boolean;
  /** From the root down to level 1. Entries below a leaf or below one that is not present hold noise. */
  readonly entries: readonly OracleEntry[];
}

/** How QEMU differs from the SDM. */
export type Deviation =
  /** The error code of a reserved bit lacked P. Put right. */
  | 'RSVD without P'
  /** A stack access to an address that is not canonical raised #GP. Put right: #SS. */
  | '#GP for #SS'
  /**
   * QEMU mapped a page of 1 GiB, though CPUID says that there are none. Vector and error code are the SDM's, not QEMU's;
   * `entriesAfter` and `physicalAddress` are missing.
   */
  | '1 GiB page';

export interface OracleAnswer {
  /** 14, 13, 12, or undefined where the access succeeded. CR2 was checked when the recording was made. */
  readonly vector: number | undefined;
  readonly error: number;
  /** Where the access went; undefined where it faulted or this could not be observed. */
  readonly physicalAddress: bigint | undefined;
  /** The case's entries after the access, in the same order. */
  readonly entriesAfter: readonly bigint[] | undefined;
  /** What QEMU did otherwise; the fields above are put right. */
  readonly deviation: Deviation | undefined;
  /** As recorded. */
  readonly raw: {
    /** 0x20 where the access succeeded. */
    readonly vector: number;
    readonly error: number;
    /** Level of the entry that gives the address where the access went; 0 where that was not observed. */
    readonly landed: number;
    /** Bits that changed, in the order of the case's entries: 0x20 A, 0x40 D. */
    readonly changed: readonly number[];
  };
}

const MAGIC = 'HWORACLE';
const DONE_VECTOR = 0x20;
const ERROR_P = 1 << 0;
const ERROR_RSVD = 1 << 3;
const ERROR_FETCH = 1 << 4;
const PRESENT_AND_PS = 0x81n;

/** Decompresses a recording. */
export async function inflateRecording(gzipped: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([gzipped]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The cases of one configuration and their answers. */
export class OracleRecording {
  readonly header: OracleHeader;
  readonly #cases: DataView;
  readonly #vectors: Uint8Array;
  readonly #errors: Uint8Array;
  readonly #landed: Uint8Array;
  /** By level, [0] for the PTE. */
  readonly #changed: readonly Uint8Array[];

  /**
   * @param bytes the file, decompressed
   * @throws Error when it is no recording, or one of other cases than generateCases() makes today
   */
  constructor(bytes: Uint8Array) {
    const text = (start: number, end: number) => new TextDecoder().decode(bytes.subarray(start, end));
    if (text(0, 8) !== MAGIC) throw new Error('not a recording of the oracle');
    const jsonBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
    const start = 12 + jsonBytes;
    this.header = JSON.parse(text(12, start)) as OracleHeader;

    const { name, count, levels, digest } = this.header;
    const expected = start + count * (3 + levels);
    if (bytes.length !== expected) throw new Error(`${name}: ${bytes.length} bytes instead of ${expected}`);
    const column = (n: number) => bytes.subarray(start + n * count, start + (n + 1) * count);
    this.#vectors = column(0);
    this.#errors = column(1);
    this.#landed = column(2);
    this.#changed = Array.from({ length: levels }, (_, i) => column(3 + i));

    const cases = generateCases(this.header);
    if (digestOf(cases) !== digest) {
      throw new Error(`${name}: test/oracle/cases.mjs has changed since; run scripts/record-oracle.mjs`);
    }
    this.#cases = new DataView(cases.buffer);
  }

  get length(): number {
    return this.header.count;
  }

  /** Case number `index`. */
  case(index: number): OracleCase {
    const { levels, physicalBits, page1G } = this.header;
    const at = this.#at(index);
    const va = this.#cases.getBigUint64(at + CASE_VA, true);
    const access = this.#cases.getUint8(at + CASE_ACCESS);
    const table = (level: number) => BigInt(FRAMES[this.#cases.getUint8(at + CASE_TABLES + level - 1)]!);
    return {
      index,
      va,
      access: access & (ACCESS.WRITE | ACCESS.USER | ACCESS.FETCH),
      implicit: (access & ACCESS.IMPLICIT) !== 0,
      stack: (access & ACCESS.STACK) !== 0,
      registers: this.#registers(at, table(levels)),
      maxPhysicalAddress: physicalBits,
      page1G,
      entries: Array.from({ length: levels }, (_, i) => {
        const level = levels - i;
        const slot = (va >> BigInt(3 + 9 * level)) & 511n;
        return { level, address: table(level) + slot * 8n, entry: this.#entry(at, level) };
      }),
    };
  }

  /** The answer to case number `index`. */
  answer(index: number): OracleAnswer {
    const { levels } = this.header;
    const at = this.#at(index);
    const vector = this.#vectors[index]!;
    const error = this.#errors[index]!;
    const landed = this.#landed[index]!;
    const changed = Array.from({ length: levels }, (_, i) => this.#changed[levels - 1 - i]![index]!);
    const raw = { vector, error, landed, changed };

    const deviation = this.#deviation(index);
    if (deviation === '1 GiB page') {
      const fault = { vector: 14, error: this.#kindOfAccess(at) | ERROR_P | ERROR_RSVD };
      return { ...fault, physicalAddress: undefined, entriesAfter: undefined, deviation, raw };
    }
    return {
      vector: deviation === '#GP for #SS' ? 12 : vector === DONE_VECTOR ? undefined : vector,
      error: deviation === 'RSVD without P' ? error | ERROR_P : error,
      physicalAddress: landed === 0 ? undefined : this.#pageAddress(at, landed),
      entriesAfter: changed.map((bits, i) => this.#entry(at, levels - i) ^ BigInt(bits)),
      deviation,
      raw,
    };
  }

  #at(index: number): number {
    if (!(index >= 0 && index < this.length)) throw new RangeError(`no case ${index}`);
    return index * CASE_BYTES;
  }

  #entry(at: number, level: number): bigint {
    return this.#cases.getBigUint64(at + CASE_ENTRIES + (level - 1) * 8, true);
  }

  #pageAddress(at: number, level: number): bigint {
    const offset = (1n << BigInt(3 + 9 * level)) - 1n;
    const page = this.#entry(at, level) & 0x000f_ffff_ffff_ffffn & ~offset;
    return page | (this.#cases.getBigUint64(at + CASE_VA, true) & offset);
  }

  #registers(at: number, cr3: bigint): OracleRegisters {
    const bits = this.#cases.getUint8(at + CASE_REGISTERS);
    const bit = (mask: number, n: bigint) => (bits & mask ? 1n << n : 0n);
    const { WP, SMEP, SMAP, PKE, PKS, NXE, AC } = REGISTER;
    const la57 = this.header.levels === 5 ? 1n << 12n : 0n;
    return {
      cr0: (1n << 31n) | 1n | bit(WP, 16n),
      cr3,
      cr4: (1n << 5n) | la57 | bit(SMEP, 20n) | bit(SMAP, 21n) | bit(PKE, 22n) | bit(PKS, 24n),
      efer: (1n << 8n) | (1n << 10n) | bit(NXE, 11n),
      rflags: 2n | bit(AC, 18n),
      pkru: this.#cases.getUint32(at + CASE_PKRU, true),
      pkrs: this.#cases.getUint32(at + CASE_PKRS, true),
    };
  }

  #deviation(index: number): Deviation | undefined {
    const at = this.#at(index);
    const vector = this.#vectors[index]!;
    const error = this.#errors[index]!;
    if (vector === 13) return this.#cases.getUint8(at + CASE_ACCESS) & ACCESS.STACK ? '#GP for #SS' : undefined;
    // A walk that came to such a PDPTE ended there. If it ended above, or for a reserved bit, the error code says so.
    const ended = vector === DONE_VECTOR || (error & (ERROR_P | ERROR_RSVD)) === ERROR_P;
    if (!this.header.page1G && ended && (this.#entry(at, 3) & PRESENT_AND_PS) === PRESENT_AND_PS) return '1 GiB page';
    return (error & (ERROR_P | ERROR_RSVD)) === ERROR_RSVD ? 'RSVD without P' : undefined;
  }

  /** W/R, U/S and I/D of a fault's error code. */
  #kindOfAccess(at: number): number {
    const access = this.#cases.getUint8(at + CASE_ACCESS);
    const reported = this.#cases.getUint8(at + CASE_REGISTERS) & (REGISTER.NXE | REGISTER.SMEP);
    return access & (ACCESS.WRITE | ACCESS.USER | (reported ? ERROR_FETCH : 0));
  }
}
