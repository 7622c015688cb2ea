import { checkFunction, checkInteger, checkOptions, hex, type OptionNames } from '../core/errors.ts';
import { ADDRESS_MASK } from '../core/generated/layout.ts';
import { SPARSE_CORE } from '../core/inlined.ts';
import type { CoreModules } from '../core/instantiate.ts';
import { SparseMemory } from '../core/sparse-memory.ts';
import { Access, type AccessArgument } from '../mmu/access.ts';
import { Mmu } from '../mmu/mmu.ts';
import { REGISTER_NAMES } from '../mmu/registers.ts';
import type { Explanation } from '../reference/explain.ts';
import type { Outcome } from '../reference/outcome.ts';
import { checkDump } from './check-dump.ts';
import type { Dump } from './dump.ts';
import { DumpError } from './dump-error.ts';
import { missingTables } from './missing-tables.ts';
import { type MemoryContents, readMemory } from './questions/read-memory.ts';
import { type PhysicalUse, physicalUses } from './questions/reverse.ts';
import { chooseRoot, type RootOptions, type RootOrigin } from './root-choice.ts';
import { TableLoader } from './table-loader.ts';

/** Which address space of a dump to open, and how. */
export interface AddressSpaceOptions extends RootOptions {
  /** Page tables it may hold in memory, 4 KiB each. Default, and most: a million, almost 4 GiB. */
  readonly maxTables?: number;
  /** Compiled cores. Default: those inlined in the package, compiled without blocking. */
  readonly core?: CoreModules;
}

/** Which tables to load. */
export interface LoadOptions {
  /** First linear address, canonical. Default 0n. */
  readonly from?: bigint;
  /** Last linear address, canonical, inclusive. Default: the highest. */
  readonly to?: bigint;
  /** Called as tables arrive, with the number that are in memory. */
  readonly onProgress?: (tables: number) => void;
}

/** What a load came to. */
export interface LoadResult {
  /** Page tables in memory, those of earlier loads included. */
  readonly tables: number;
  /** Page tables that entries of the range point to and the dump does not have. */
  readonly missing: number;
}

const MOST_TABLES = 1_000_000;
const OPTIONS: OptionNames<AddressSpaceOptions> = {
  ...REGISTER_NAMES,
  cpu: true,
  levels: true,
  cBit: true,
  onProgress: true,
  maxTables: true,
  core: true,
};
const LOAD_OPTIONS: OptionNames<LoadOptions> = { from: true, to: true, onProgress: true };

/**
 * The address space of one processor in a dump: a physical memory that holds its page tables, fetched when needed, and an
 * MMU over it.
 *
 * @example
 * ```ts
 * import { AddressSpace } from 'hugewalk';
 * import { openDumpFile } from 'hugewalk/node';
 * const dump = await openDumpFile('test/fixtures/linux-6.1-4level.elf.gz');
 * const space = await AddressSpace.open(dump);
 * await space.translate(0x40_1a49n);                   // reads the four tables it needs
 * const { tables, missing } = await space.load();      // reads them all
 * for (const { va, bytes } of space.mmu.mappings()) console.log(va, bytes);
 * ```
 */
export class AddressSpace {
  readonly dump: Dump;
  readonly #options: AddressSpaceOptions;
  #look: Look;

  private constructor(dump: Dump, options: AddressSpaceOptions, look: Look) {
    this.dump = dump;
    this.#options = options;
    this.#look = look;
  }

  /** Who named the root and the mode, and what was assumed. */
  get origin(): RootOrigin {
    return this.#look.origin;
  }

  /** The MMU, over the tables that are in memory: see {@link load}. */
  get mmu(): Mmu {
    return this.#look.mmu;
  }

  /** The tables that are in memory. */
  get memory(): SparseMemory {
    return this.#look.memory;
  }

  get #tables(): TableLoader {
    return this.#look.tables;
  }

  /**
   * Opens the address space of any root table. The root is, in this order: the one given here; CR3 of a processor of the dump, by
   * default the first that pages; the kernel's, as VMCOREINFO names it, of the file or found in its memory; the best of a
   * search ({@link findRoots}). {@link origin} says which. Registers given here go before the dump's. Where there is no
   * processor, VMCOREINFO tells whether there are five levels, else the tables themselves. EFER, where the dump does not keep
   * it, is SCE, LME, LMA, NXE. Neither do dumps keep IA32_PAT.
   *
   * @throws TypeError or RangeError for options that are wrong in themselves, or a processor that the dump does not
   *   have; {@link DumpError} where nothing names a root, the dump lacks the root table, or the processor asked for does not
   *   use 4-level or 5-level paging
   */
  static async open(dump: Dump, options: AddressSpaceOptions = {}): Promise<AddressSpace> {
    checkDump(dump);
    checkOptions('options', options, OPTIONS);
    const { maxTables = MOST_TABLES } = options;
    checkInteger('maxTables', maxTables, 1, MOST_TABLES);
    if (options.onProgress !== undefined)
      checkFunction('onProgress', options.onProgress, 'of bytes done and bytes there are');
    return new AddressSpace(dump, options, await look(dump, options));
  }

  /**
   * Forgets what was read: `mmu` and `memory` are new ones, without tables, those from before stay as they were. Of a machine that runs, the
   * registers are those of this moment.
   *
   * @throws what {@link open} throws; it is as it was then
   *
   * @example
   * ```ts
   * import { AddressSpace, diffMappings } from 'hugewalk';
   * import { openDumpFile } from 'hugewalk/node';
   * const space = await AddressSpace.open(await openDumpFile('test/fixtures/linux-6.1-4level.elf.gz'));
   * await space.load();
   * const before = space.mmu;
   * await space.refresh();                               // of a machine that runs: what is there by this time
   * await space.load();
   * console.log([...diffMappings(before, space.mmu)]);   // [], as the dump is a file
   * ```
   */
  async refresh(): Promise<void> {
    await this.dump.refresh?.();
    this.#look = await look(this.dump, this.#options);
  }

  /**
   * Reads all tables of a range, level by level: one pass over the file a level. Tables that the dump does not have
   * stay missing; that is an outcome, not an error.
   *
   * @throws TypeError or RangeError for a range that is not canonical; {@link DumpError} when the file cannot be read,
   *   or the range needs more tables than `maxTables`
   */
  async load(options: LoadOptions = {}): Promise<LoadResult> {
    checkOptions('options', options, LOAD_OPTIONS);
    if (options.onProgress !== undefined) checkFunction('onProgress', options.onProgress, 'of the tables in memory');
    for (;;) {
      const missing = missingTables(this.mmu, options.from, options.to);
      const unknown = [...missing].filter((frame) => !this.#tables.lacks(frame));
      if (unknown.length === 0) return { tables: this.memory.frames, missing: missing.size };
      await this.#tables.fetch(unknown, options.onProgress);
    }
  }

  /**
   * Translates one linear address for one kind of access, and reads the tables that this takes. The outcome is
   * `missing-table` only where the dump does not have one.
   *
   * @throws TypeError or RangeError for an argument that is no address or no access; {@link DumpError} when the file
   *   cannot be read
   */
  async translate(va: bigint, ...access: AccessArgument): Promise<Outcome> {
    for (;;) {
      const outcome = this.mmu.translate(va, ...access);
      if (outcome.kind !== 'missing-table' || this.#tables.lacks(Number(outcome.table))) return outcome;
      await this.#tables.fetch([Number(outcome.table)]);
    }
  }

  /**
   * The bytes at linear addresses, whoever may read them, and where there are none. Reads the tables that this takes.
   *
   * @param length bytes, at most 256 MiB
   * @throws TypeError or RangeError for a range that is none; {@link DumpError} when the file cannot be read
   *
   * @example
   * ```ts
   * import { AddressSpace } from 'hugewalk';
   * import { openDumpFile } from 'hugewalk/node';
   * const space = await AddressSpace.open(await openDumpFile('test/fixtures/linux-6.1-4level.elf.gz'));
   * const { bytes, holes } = await space.read(0x40_1000n, 16);
   * console.log(bytes.length, holes);                    // the fixture has tables, and no pages of the program
   * ```
   */
  read(va: bigint, length: number): Promise<MemoryContents> {
    return readMemory(this.dump, this.mmu.levels === 5 ? 57 : 48, (at) => this.#reach(at), va, length);
  }

  /** Where an address leads for a reader whom no right stops: not SMAP before a program's page, and not U/S before the kernel's. */
  async #reach(va: bigint): Promise<Outcome> {
    const outcome = await this.translate(va, Access.read);
    if (outcome.kind !== 'page-fault') return outcome;
    return this.translate(va, Access.read | Access.user);
  }

  /**
   * Who maps a physical address: reads all tables, and looks at all leaves.
   *
   * @throws TypeError or RangeError for an address that is none; {@link DumpError} when the file cannot be read
   */
  async reverse(physical: bigint): Promise<PhysicalUse[]> {
    const uses = physicalUses(this.mmu, physical);
    await this.load();
    return [...uses];
  }

  /** Like {@link translate}, but keeps a record of every level: see {@link Mmu.explain}. */
  async explain(va: bigint, ...access: AccessArgument): Promise<Explanation> {
    await this.translate(va, ...access);
    return this.mmu.explain(va, ...access);
  }
}

/** What was read of a dump, and with which registers. */
interface Look {
  readonly origin: RootOrigin;
  readonly mmu: Mmu;
  readonly memory: SparseMemory;
  readonly tables: TableLoader;
}

/** Begins with the root table. @param options which were checked */
async function look(dump: Dump, options: AddressSpaceOptions): Promise<Look> {
  const { core, maxTables = MOST_TABLES } = options;
  const { registers, origin } = await chooseRoot(dump, options);
  if (!core) await SPARSE_CORE.compile();
  const memory = new SparseMemory(core);
  const mmu = new Mmu(memory, registers, core);
  const tables = new TableLoader(dump, memory, maxTables, origin.cBit);
  const root = registers.cr3 & ADDRESS_MASK;
  await tables.fetch([Number(root)]);
  if (!memory.has(root)) {
    throw new DumpError(dump.name, `expected the root table at CR3 = ${hex(root)}, found no whole frame there`);
  }
  return { origin, mmu, memory, tables };
}
