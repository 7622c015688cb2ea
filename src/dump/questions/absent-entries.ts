/**
 * The entries of an address space that are not present and mean something to an operating system, in ascending order of linear
 * address. Like the core's scan, it knows which tables have none below them, so that no knot of tables makes it hang: between two
 * that it gives it looks at each table once a level at most.
 */
import { checkBoolean, checkOptions, type OptionNames, shown, wrongKind } from '../../core/errors.ts';
import { ADDRESS_MASK } from '../../core/generated/layout.ts';
import { Mmu } from '../../mmu/mmu.ts';
import { checkScan } from '../../mmu/scan.ts';
import { describeOsEntry, type EntryOs, type OsEntry } from './os-entries.ts';

/** Entries in a row that are not present and of one kind. */
export interface AbsentEntries {
  /** The first linear address. */
  readonly va: bigint;
  /** Bytes of linear memory that they cover. */
  readonly bytes: bigint;
  /** The SDM's level of their table: 1 where each covers 4 KiB. */
  readonly level: number;
  /** The first of them. */
  readonly entry: bigint;
  /** What the first of them means. */
  readonly os: OsEntry;
}

/** Which entries. */
export interface AbsentOptions {
  /** First linear address, canonical. Default 0n. */
  readonly from?: bigint;
  /** Last linear address, canonical, inclusive. Default: the highest. */
  readonly to?: bigint;
  /** Whether neighbours of one kind are one, if the pages that they still name follow each other, too. Default false. */
  readonly coalesce?: boolean;
  /** Whether to look into a table only the first time it is met at a level. Default false. */
  readonly fold?: boolean;
}

const OPTIONS: OptionNames<AbsentOptions> = { from: true, to: true, coalesce: true, fold: true };
const PRESENT = 1n;
const LARGE = 1n << 7n;
const TOP = (1n << 64n) - 1n;
const ENTRIES = 512n;

/**
 * The entries that are not present and not empty, in the tables that are in memory: see {@link AddressSpace.load}.
 *
 * @param os whose entries: Linux 6.x or Windows 10 and later
 * @throws TypeError or RangeError for what is no Mmu, another system, or options that are wrong in themselves
 *
 * @example
 * ```ts
 * import { absentEntries, Entry, FlatMemory, Mmu } from 'hugewalk';
 * const memory = new FlatMemory({ bytes: 1 << 20 });
 * memory.writeEntry(0x1000n, 0x2000n | Entry.present);
 * memory.writeEntry(0x2000n, 0x3000n | Entry.present);
 * memory.writeEntry(0x3000n, 0x4000n | Entry.present);
 * memory.writeEntry(0x4008n, 0x5862n);                       // a page in transition
 * const mmu = new Mmu(memory, { cr3: 0x1000n });
 * for (const { va, os } of absentEntries(mmu, 'windows')) console.log(va, os.kind);   // 4096n transition
 * ```
 */
export function absentEntries(
  mmu: Mmu,
  os: EntryOs,
  options: AbsentOptions = {},
): Generator<AbsentEntries, void, undefined> {
  if (!(mmu instanceof Mmu)) throw wrongKind('mmu', 'an Mmu', mmu);
  if (os !== 'linux' && os !== 'windows') throw new RangeError(`os: expected 'linux' or 'windows', got ${shown(os)}`);
  checkOptions('options', options, OPTIONS);
  const { coalesce = false, ...scan } = options;
  checkBoolean('coalesce', coalesce);
  checkScan(scan, mmu.levels === 5 ? 57 : 48);
  const found = new Walk(mmu, os, options).all();
  return coalesce ? joined(found) : found;
}

class Walk {
  readonly #mmu: Mmu;
  readonly #os: EntryOs;
  readonly #from: bigint;
  readonly #to: bigint;
  readonly #fold: boolean;
  /** Tables, by level, that have nothing below them; with fold, all that were met. */
  readonly #done = Array.from({ length: 6 }, () => new Set<bigint>());

  constructor(mmu: Mmu, os: EntryOs, { from = 0n, to = TOP, fold = false }: AbsentOptions) {
    this.#mmu = mmu;
    this.#os = os;
    this.#from = from;
    this.#to = to;
    this.#fold = fold;
  }

  *all(): Generator<AbsentEntries, void, undefined> {
    const { registers, levels } = this.#mmu;
    yield* this.table(registers.cr3 & ADDRESS_MASK, levels, 0n);
  }

  /** Those of a table that maps the addresses from `start` on, and of the tables below it. Returns whether there were any. */
  *table(table: bigint, level: number, start: bigint): Generator<AbsentEntries, boolean, undefined> {
    const { memory, levels } = this.#mmu;
    const at = memory.locate(table);
    if (at === undefined || this.#done[level]!.has(table)) return false;
    /* A copy: whoever is given an entry may load more tables, which moves the memory. */
    const words = new Uint32Array(memory.wasm.buffer, at, 1024).slice();
    const bytes = 1n << BigInt(12 + 9 * (level - 1));
    const isWhole = this.#isWithin(start, bytes * ENTRIES);
    if (this.#fold && isWhole) this.#done[level]!.add(table);
    let any = false;
    for (let i = 0; i < 512; i++) {
      const [low, high] = [words[2 * i]!, words[2 * i + 1]!];
      if ((low | high) === 0 || (level === 1 && low & 1)) continue;
      const va = canonical(start + BigInt(i) * bytes, levels);
      if (va > this.#to || va + bytes - 1n < this.#from) continue;
      const entry = (BigInt(high) << 32n) | BigInt(low);
      if (entry & PRESENT) {
        if (!(entry & LARGE) && (yield* this.table(entry & ADDRESS_MASK, level - 1, va))) any = true;
        continue;
      }
      any = true;
      yield { va, bytes, level, entry, os: describeOsEntry(entry, this.#os, { level, levels })! };
    }
    if (!any && isWhole) this.#done[level]!.add(table);
    return any;
  }

  #isWithin(start: bigint, bytes: bigint): boolean {
    return this.#from <= start && start + bytes - 1n <= this.#to;
  }
}

function canonical(address: bigint, levels: 4 | 5): bigint {
  return BigInt.asUintN(64, BigInt.asIntN(levels === 5 ? 57 : 48, address));
}

function* joined(all: Iterable<AbsentEntries>): Generator<AbsentEntries, void, undefined> {
  let last: AbsentEntries | undefined;
  for (const next of all) {
    if (last && goesOn(last, next)) {
      last = { ...last, bytes: last.bytes + next.bytes };
      continue;
    }
    if (last) yield last;
    last = next;
  }
  if (last) yield last;
}

function goesOn(last: AbsentEntries, next: AbsentEntries): boolean {
  const pa = last.os.pa === undefined ? undefined : last.os.pa + last.bytes;
  return (
    last.va + last.bytes === next.va && last.level === next.level && last.os.kind === next.os.kind && pa === next.os.pa
  );
}
