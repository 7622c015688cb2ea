import { checkBigint, checkInteger } from '../core/errors.ts';
import { ACCESS_MARK } from '../core/generated/layout.ts';
import type { CoreModules } from '../core/instantiate.ts';
import { checkPhysicalMemory, type PhysicalMemory } from '../core/physical-memory.ts';
import { type Explanation, explain } from '../reference/explain.ts';
import { effectiveMemoryType, type MemoryType, patType } from '../reference/memory-type.ts';
import type { Outcome, PageOutcome } from '../reference/outcome.ts';
import { type AccessArgument, accessOf } from './access.ts';
import { Batch } from './batch.ts';
import { inPieces, type ManyArguments } from './batch-arrays.ts';
import type { Mapping } from './mapping.ts';
import { checkPageOutcome, decodeOutcome } from './outcome.ts';
import { Processor } from './processor.ts';
import { checkFirstRegisters, type Registers } from './registers.ts';
import {
  checkLeafScan,
  checkScan,
  leavesOf,
  type RecordBlock,
  type ScanOptions,
  scanBlocks,
  scanMappings,
} from './scan.ts';
import { Walker } from './walker.ts';

/**
 * The memory-management unit of one x86-64 processor: its registers over a physical memory.
 * Several may share one memory.
 *
 * @example
 * ```ts
 * import { Access, Entry, FlatMemory, Mmu } from 'hugewalk';
 * const { present, writable, user, pageSize } = Entry;
 * const memory = new FlatMemory({ bytes: 1 << 20 });
 * memory.writeEntry(0x1000n, 0x2000n | present | writable | user);        // PML4[0] -> PDPT at 0x2000
 * memory.writeEntry(0x2000n, 0x4000_0000n | present | user | pageSize);   // PDPT[0] -> 1 GiB page, user, read-only
 * const mmu = new Mmu(memory, { cr3: 0x1000n });
 * mmu.translate(0x1234n);                            // { kind: 'page', physicalAddress: 0x4000_1234n, … }
 * mmu.translate(0x1234n, Access.write);              // { kind: 'page-fault', errorCode: 3, level: 3, table: 0x2000n }
 * ```
 */
export class Mmu extends Processor {
  readonly #walker: Walker;

  /**
   * @param memory where the tables lie
   * @param registers at least `cr3`; the others have the defaults of {@link Registers}
   * @param core compiled cores; default: the one inlined in the package for such a memory, compiled on first use
   * @throws TypeError or RangeError for registers that do not describe 4-level or 5-level paging, that there are not, or
   *   without `cr3`, and for a memory that was released
   */
  constructor(memory: PhysicalMemory, registers: Partial<Registers> & Pick<Registers, 'cr3'>, core?: CoreModules) {
    checkPhysicalMemory(memory);
    checkFirstRegisters(registers);
    super(memory, core);
    this.#walker = new Walker(this.core, memory);
    this.setRegisters(registers);
  }

  /** Like the constructor, but compiles without blocking. */
  static async create(
    memory: PhysicalMemory,
    registers: Partial<Registers> & Pick<Registers, 'cr3'>,
    core?: CoreModules,
  ): Promise<Mmu> {
    checkPhysicalMemory(memory);
    if (core === undefined) await memory.inlinedCore.compile();
    return new Mmu(memory, registers, core);
  }

  /**
   * Translates one linear address (0n to 2^64 - 1) for one kind of access. Changes nothing: A and D bits stay.
   *
   * @throws TypeError or RangeError for an argument that is no address or no access
   */
  translate(va: bigint, ...access: AccessArgument): Outcome {
    checkBigint('va', va);
    return decodeOutcome(BigInt.asUintN(64, this.core.translate(va, accessOf(access))));
  }

  /**
   * Like {@link translate}, but the access is really made: A is set in every entry used, D in the leaf of a write, as
   * the processor does, with a locked operation where the memory is shared. A faulting walk sets A in the entries above
   * the one at which it stops.
   */
  access(va: bigint, ...access: AccessArgument): Outcome {
    checkBigint('va', va);
    return decodeOutcome(BigInt.asUintN(64, this.core.translate(va, accessOf(access) | ACCESS_MARK)));
  }

  /** Like {@link translate}, but answers with the outcome word. */
  translateWord(va: bigint, ...access: AccessArgument): bigint {
    checkBigint('va', va);
    return BigInt.asUintN(64, this.core.translate(va, accessOf(access)));
  }

  /**
   * Like {@link translate}, without bigints and without an object: the linear address comes in two halves, the physical
   * one goes as a number (52 bits, exact). Three times as fast. While paging is off, the physical address is `low`.
   *
   * @param high bits 63:32 of the linear address, as an integer, signed or not
   * @param low bits 31:0, likewise
   * @returns the physical address, or -1 when the access does not reach a page: {@link translate} says why
   * @throws TypeError or RangeError for a half that is no integer of 32 bits
   *
   * @example
   * ```ts
   * import { Entry, FlatMemory, Mmu } from 'hugewalk';
   * const memory = new FlatMemory({ bytes: 1 << 20 });
   * memory.writeEntry(0x1000n, 0x2000n | Entry.present | Entry.writable);
   * memory.writeEntry(0x2000n, 0x4000_0000n | Entry.present | Entry.writable | Entry.pageSize);
   * const mmu = new Mmu(memory, { cr3: 0x1000n });
   * mmu.physicalAddress(0, 0x1234);                    // 0x40001234
   * mmu.physicalAddress(0x7fff, 0x1234);               // -1
   * ```
   */
  physicalAddress(high: number, low: number, ...access: AccessArgument): number {
    checkHalf('high', high);
    checkHalf('low', low);
    return this.core.physicalAddress(high, low, accessOf(access));
  }

  /**
   * Translates many linear addresses for one kind of access.
   *
   * @param addresses linear addresses
   * @param rest the access, default a supervisor's read; and `outcomes`: where the outcome words go, at least as long as `addresses` (may be the same array); default: a new array
   * @returns `outcomes`
   * @throws RangeError when `outcomes` is too short
   */
  translateMany(addresses: BigUint64Array, ...rest: ManyArguments): BigUint64Array {
    return this.#many(addresses, accessOf(rest), rest[1]);
  }

  /** Like {@link translateMany}, but the accesses are really made, in order: A and D are set. */
  accessMany(addresses: BigUint64Array, ...rest: ManyArguments): BigUint64Array {
    return this.#many(addresses, accessOf(rest) | ACCESS_MARK, rest[1]);
  }

  #many(addresses: BigUint64Array, access: number, outcomes: BigUint64Array | undefined): BigUint64Array {
    this.#walker.cache.prepare();
    this.#walker.cache.begin();
    return inPieces(this.memory, addresses, outcomes, (from, count, to) =>
      this.#walker.translate(from, count, access, to),
    );
  }

  /**
   * The memory type of an access that reached a page: its entry of IA32_PAT, combined with the MTRRs' default type.
   *
   * @throws TypeError or RangeError for any other outcome
   */
  memoryType(outcome: PageOutcome): MemoryType {
    checkPageOutcome(outcome);
    const { pat, mtrrDefault } = this.registers;
    return effectiveMemoryType(patType(pat, outcome.patIndex)!, mtrrDefault);
  }

  /** Arrays in linear memory for `capacity` translations a call, without a copy. */
  batch(capacity: number): Batch {
    return new Batch(this.#walker, capacity);
  }

  /**
   * Walks one address the slow way and keeps a record: every level's entry, its address and bits, the rights so far,
   * and the outcome in words.
   */
  explain(va: bigint, ...access: AccessArgument): Explanation {
    checkBigint('va', va);
    return explain((physical) => this.memory.readEntry(physical), this.registers, va, accessOf(access));
  }

  /**
   * Every leaf of a range, or with `coalesce` every run of leaves, in ascending order of the address as an unsigned
   * number. Lazy: a tree whose tables contain each other may have more leaves than anyone can list. Tables changed
   * while it runs are seen, or not, as by hardware. While paging is off, nothing is mapped.
   *
   * @throws TypeError or RangeError for a range that is not canonical, or options that there are not
   *
   * @example
   * ```ts
   * import { Entry, FlatMemory, Mmu } from 'hugewalk';
   * const memory = new FlatMemory({ bytes: 1 << 20 });
   * memory.writeEntry(0x1000n, 0x2000n | Entry.present | Entry.writable);
   * memory.writeEntry(0x2000n, 0x4000_0000n | Entry.present | Entry.writable | Entry.pageSize);
   * for (const { va, pa, bytes } of new Mmu(memory, { cr3: 0x1000n }).mappings()) {
   *   console.log(va, pa, bytes);                       // 0n 1073741824n 1073741824n
   * }
   * ```
   */
  mappings(options: Omit<ScanOptions, 'fold'> = {}): Generator<Mapping, void, undefined> {
    checkLeafScan(options);
    return leavesOf(this.scan(options));
  }

  /** Like {@link mappings}, but also lists the entries that lead nowhere: see {@link Mapping}'s kinds. */
  scan(options: ScanOptions = {}): Generator<Mapping, void, undefined> {
    checkScan(options, this.#width);
    return scanMappings(this.core, this.memory, this.#width, options);
  }

  /** Like {@link scan}, in blocks of raw records, three words each, for those who want no object a leaf. */
  scanBlocks(options: ScanOptions = {}): Generator<RecordBlock, void, undefined> {
    checkScan(options, this.#width);
    return scanBlocks(this.core, this.memory, this.#width, options);
  }

  /** Bits of a linear address. */
  get #width(): number {
    return this.levels === 5 ? 57 : 48;
  }
}

/** @throws TypeError or RangeError unless `half` is an integer of 32 bits, signed or not */
function checkHalf(name: string, half: number): void {
  if (typeof half === 'number' && ((half | 0) === half || half >>> 0 === half)) return;
  checkInteger(name, half, -(2 ** 31), 2 ** 32 - 1);
}
