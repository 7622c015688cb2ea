/**
 * Drives the core's scan: gives it a list and its notes, empties the list, goes on where it stopped.
 */
import { checkBigint, checkBoolean, checkOptions, hex, type OptionNames } from '../core/errors.ts';
import type { CoreExports } from '../core/exports.ts';
import { NOTE_BYTES, RECORD_BYTES, SCAN_COALESCE, SCAN_FOLD } from '../core/generated/layout.ts';
import type { PhysicalMemory } from '../core/physical-memory.ts';
import { releasedError } from '../core/released.ts';
import { Mapping } from './mapping.ts';

/** What to list. */
export interface ScanOptions {
  /** First linear address, canonical. Default 0n. */
  readonly from?: bigint;
  /** Last linear address, canonical, inclusive. Default: the highest. */
  readonly to?: bigint;
  /**
   * Whether to merge leaves that are contiguous in linear and physical memory, with the same size, bits and rights.
   * Default false.
   */
  readonly coalesce?: boolean;
  /**
   * Whether to descend into a table only the first time it is met at a level, and list it as a `repeated-table`
   * afterwards. The length of the list is then bounded by the number of tables. Default false.
   */
  readonly fold?: boolean;
}

const LEAF_OPTIONS: OptionNames<Omit<ScanOptions, 'fold'>> = { from: true, to: true, coalesce: true };
const OPTIONS: OptionNames<ScanOptions> = { ...LEAF_OPTIONS, fold: true };

/** Throws for options that a list of leaves alone has not. */
export function checkLeafScan(options: Omit<ScanOptions, 'fold'>): void {
  checkOptions('options', options, LEAF_OPTIONS);
}

/** Throws unless these are options of a scan over linear addresses of `width` bits: at once, and not when the list is begun. */
export function checkScan(options: ScanOptions, width: number): void {
  checkOptions('options', options, OPTIONS);
  const { from = 0n, to = TOP, coalesce = false, fold = false } = options;
  checkBoolean('coalesce', coalesce);
  checkBoolean('fold', fold);
  checkCanonical('from', from, width);
  checkCanonical('to', to, width);
  if (from > to) throw new RangeError(`from: expected at most to = ${hex(to)}, got ${hex(from)}`);
}

/** Records a list has room for: 24 KiB, which stays in the first-level cache. */
const ROOM = 1024;
const WORDS = RECORD_BYTES / 8;
const TOP = 0xffff_ffff_ffff_ffffn;

/** Records of a scan, for the moment that they lie in linear memory. */
export interface RecordBlock {
  /** How many records there are. */
  readonly count: number;
  /** Three words a record: see assembly/scan.ts. Valid until the next block is asked for. */
  readonly words: BigUint64Array;
}

/** Lists everything that is mapped, block by block, without making an object a record. */
export function* scanBlocks(
  core: CoreExports,
  memory: PhysicalMemory,
  width: number,
  options: ScanOptions,
): Generator<RecordBlock, void, undefined> {
  const flags = (options.coalesce ? SCAN_COALESCE : 0) | (options.fold ? SCAN_FOLD : 0);
  const list = memory.arena.allocate(ROOM * RECORD_BYTES);
  const notes = new Notes(memory);
  try {
    for (const [from, to] of canonicalParts(options.from ?? 0n, options.to ?? TOP, width)) {
      let resume = from;
      let held = 0;
      for (;;) {
        if (memory.isReleased) throw releasedError('memory');
        const count = core.scan(from, to, resume, list, held, ROOM, notes.at(), flags);
        const more = core.scanIsFull() !== 0;
        resume = BigInt.asUintN(64, core.scanCursor());
        const words = new BigUint64Array(memory.wasm.buffer, list, ROOM * WORDS);
        /* A run at the end of a full list may go on: it moves to the front of the next one. */
        const finished = more ? count - 1 : count;
        if (finished) yield { count: finished, words: words.subarray(0, finished * WORDS) };
        if (!more) break;
        const again = new BigUint64Array(memory.wasm.buffer, list, ROOM * WORDS);
        again.copyWithin(0, finished * WORDS, count * WORDS);
        held = 1;
      }
    }
  } finally {
    notes.release();
    memory.arena.release(list, ROOM * RECORD_BYTES);
  }
}

/** Lists everything that is mapped, one object a record. */
export function* scanMappings(
  core: CoreExports,
  memory: PhysicalMemory,
  width: number,
  options: ScanOptions,
): Generator<Mapping, void, undefined> {
  for (const { count, words } of scanBlocks(core, memory, width, options)) {
    const block = words.slice();
    for (let i = 0; i < count * WORDS; i += WORDS) yield new Mapping(block[i]!, block[i + 1]!, block[i + 2]!);
  }
}

/** The leaves among what a scan lists. */
export function* leavesOf(found: Iterable<Mapping>): Generator<Mapping, void, undefined> {
  for (const mapping of found) if (mapping.kind === 'leaf') yield mapping;
}

/** The notes of a scan; begun anew, larger, when the memory has grown in the meantime. */
class Notes {
  readonly #memory: PhysicalMemory;
  #at = 0;
  #bytes = 0;

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
  }

  at(): number {
    if (this.#bytes < this.#memory.frameCount * NOTE_BYTES) this.#renew();
    return this.#at;
  }

  release(): void {
    if (this.#bytes) this.#memory.arena.release(this.#at, this.#bytes);
    this.#bytes = 0;
  }

  #renew(): void {
    this.release();
    /* A power of two, so that notes given back are used again; half of it spare, since allocating may itself grow memory. */
    this.#bytes = 2 ** Math.ceil(Math.log2(this.#memory.frameCount * NOTE_BYTES) + 1);
    this.#at = this.#memory.arena.allocate(this.#bytes);
    if (this.#bytes < this.#memory.frameCount * NOTE_BYTES) this.#renew();
    new Uint8Array(this.#memory.wasm.buffer, this.#at, this.#bytes).fill(0);
  }
}

/** The range, cut at the hole between the lower and the upper half of the canonical addresses. */
function canonicalParts(from: bigint, to: bigint, width: number): [bigint, bigint][] {
  const endOfLower = (1n << BigInt(width - 1)) - 1n;
  const startOfUpper = TOP - endOfLower;
  if (to <= endOfLower || from >= startOfUpper) return [[from, to]];
  return [
    [from, endOfLower],
    [startOfUpper, to],
  ];
}

/** @throws TypeError or RangeError unless it is an address of which all bits from `width` - 1 up are equal */
export function checkCanonical(name: string, va: bigint, width: number): void {
  checkBigint(name, va);
  if (BigInt.asUintN(64, BigInt.asIntN(width, va)) !== va) {
    throw new RangeError(`${name}: expected a canonical address of ${width} bits, got ${hex(va)}`);
  }
}
