/**
 * How a machine is made: its options, and what is wrong with them.
 */
import {
  checkBoolean,
  checkInteger,
  checkOptions,
  hex,
  type OptionNames,
  shown,
  wrongKind,
} from '../../core/errors.ts';
import { FlatMemory } from '../../core/flat-memory.ts';
import type { CoreModules } from '../../core/instantiate.ts';
import type { HgmOptions } from '../base/hgm.ts';
import { resolveHgm } from '../base/hgm-options.ts';
import { LINUX_BUG_ALL, LINUX_FIX_ALL } from '../base/linux-bugs.ts';
import { PAGE_SIZE } from '../base/page.ts';

const MIB = 2 ** 20;
const FIRST_TABLES = MIB / 4;
const MOST_TABLES = 2 ** 32 - 8 * MIB;
export const DEFAULT_HUGE_PAGE: number = 2 * MIB;
/** Huge pages of a pool. */
export const MOST_PAGES: number = 2 ** 32;

/** One pool at the start. */
export interface PoolOptions {
  /** Bytes of a huge page: 2 MiB or 1 GiB. */
  readonly hugePageSize: number;
  /** nr_hugepages. Default 0. */
  readonly pages?: number;
  /** nr_overcommit_hugepages: surplus pages that may be made when the pool is empty. Default 0. */
  readonly overcommit?: number;
}

/** How to make a {@link Machine}. */
export interface MachineOptions {
  /** Both pools exist; these are not empty. */
  readonly pools?: readonly PoolOptions[];
  /** Bytes of memory that huge pages can be made of. Default 64 TiB. */
  readonly memoryBytes?: number;
  /**
   * Most bytes of memory for page tables, or the embedder's own memory, which they fill from its start. Default 64 MiB, enough
   * for 16 TiB of 2 MiB pages; the operating system gives it as it is used.
   */
  readonly tables?: number | FlatMemory;
  /** Levels of the page tables; programs use 47 bits either way. Default 4. */
  readonly levels?: 4 | 5;
  /** Fault mutexes: faults of different pages may share one. Linux has 8 a processor. Default 64. */
  readonly faultMutexes?: number;
  /**
   * Whether what Linux leaves to a kernel thread waits for {@link Machine.runDeferredWork}, as it may at any time later: the buffers that an
   * ended process had registered. Default false: it is done at once.
   */
  readonly defersWork?: boolean;
  /** High-granularity mapping. Default: v2, without the faults of the series as posted. */
  readonly hgm?: HgmOptions;
  /** LINUX_BUG_ bits: faults of Linux that only interleavings show, and that 6.1.192 has not. Default 0: none. */
  readonly bugs?: number;
  /** LINUX_FIX_ bits: faults that 6.1.192 has, mended. Default 0: none. */
  readonly fixes?: number;
  /**
   * How TLBs of other processors are flushed: 'interrupt' for each of them, as on a real machine, or a 'hypercall', as some hypervisors have it, which waits for nobody who
   * walks with interrupts off. Only a search of interleavings sees the difference. Default 'interrupt'.
   */
  readonly flushes?: 'interrupt' | 'hypercall';
  /** Whether all counts are checked against all page tables at the end of every system call. Slow; default false. */
  readonly checks?: boolean;
  /** Compiled cores. Default: those inlined in the package. */
  readonly core?: CoreModules;
}

const OPTIONS: OptionNames<MachineOptions> = {
  pools: true,
  memoryBytes: true,
  tables: true,
  levels: true,
  faultMutexes: true,
  defersWork: true,
  hgm: true,
  bugs: true,
  fixes: true,
  flushes: true,
  checks: true,
  core: true,
};
const POOL_OPTIONS: OptionNames<PoolOptions> = { hugePageSize: true, pages: true, overcommit: true };

/** Memory for so many bytes of page tables. It begins with little, as most machines need little. */
function tableMemory(maxBytes: number): FlatMemory {
  checkInteger('tables', maxBytes, PAGE_SIZE, MOST_TABLES);
  return new FlatMemory({ bytes: Math.min(maxBytes, FIRST_TABLES), maxBytes });
}

/** The options of a machine, where they leave something open with what it has then. */
export type ResolvedOptions = Required<Omit<MachineOptions, 'tables' | 'hgm' | 'core'>> & {
  readonly tables: FlatMemory;
  readonly hgm: Required<HgmOptions>;
};

/** @throws TypeError or RangeError for options that make no machine */
export function resolved(options: MachineOptions): ResolvedOptions {
  checkOptions('options', options, OPTIONS);
  const { memoryBytes = 2 ** 46, levels = 4, faultMutexes = 64, checks = false, defersWork = false } = options;
  const { tables = 64 * MIB, pools = [], bugs = 0, fixes = 0, flushes = 'interrupt' } = options;
  checkInteger('bugs', bugs, 0, LINUX_BUG_ALL);
  checkInteger('fixes', fixes, 0, LINUX_FIX_ALL);
  checkInteger('memoryBytes', memoryBytes, 0, 2 ** 51);
  checkInteger('faultMutexes', faultMutexes, 1, 65536);
  const hgm = resolveHgm(options.hgm);
  if (levels !== 4 && levels !== 5) throw new RangeError(`levels: expected 4 or 5, got ${shown(levels)}`);
  if (flushes !== 'interrupt' && flushes !== 'hypercall') {
    throw new RangeError(`flushes: expected 'interrupt' or 'hypercall', got ${shown(flushes)}`);
  }
  checkBoolean('checks', checks);
  checkBoolean('defersWork', defersWork);
  if (typeof tables !== 'number' && !(tables instanceof FlatMemory)) {
    throw wrongKind('tables', 'a number of bytes or a FlatMemory', tables);
  }
  if (!Array.isArray(pools)) throw wrongKind('pools', 'an array of pools', pools);
  for (const pool of pools) checkPool(pool, memoryBytes);
  const memory = typeof tables === 'number' ? tableMemory(tables) : tables;
  return { memoryBytes, levels, faultMutexes, checks, defersWork, tables: memory, pools, bugs, fixes, flushes, hgm };
}

/** @throws TypeError or RangeError for a pool that there is not, or that memory cannot hold even alone */
function checkPool(pool: PoolOptions, memoryBytes: number): void {
  checkOptions('pool', pool, POOL_OPTIONS);
  const { hugePageSize, pages = 0, overcommit = 0 } = pool;
  checkInteger('hugePageSize', hugePageSize, DEFAULT_HUGE_PAGE, 2 ** 30);
  checkInteger('pages', pages, 0, MOST_PAGES);
  checkInteger('overcommit', overcommit, 0, MOST_PAGES);
  const most = Math.floor(memoryBytes / hugePageSize);
  if (pages > most) throw tooManyPages(most, hugePageSize, memoryBytes, pages);
}

/** The error for more pages than there is memory for. @param fit pages that memory can hold */
export function tooManyPages(fit: number, hugePageSize: number, memoryBytes: number, pages: number): RangeError {
  const room = `of ${hex(hugePageSize)} bytes, which fit in memoryBytes ${hex(memoryBytes)}`;
  return new RangeError(`pages: expected at most ${hex(fit)} ${room}, got ${hex(pages)}`);
}
