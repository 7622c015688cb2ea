/**
 * What address spaces need of the machine that they are in: its processors, and the memory of its page tables.
 */
import type { CoreExports } from '../../core/exports.ts';
import type { FlatMemory } from '../../core/flat-memory.ts';
import type { CoreModules } from '../../core/instantiate.ts';
import type { Mmu } from '../../mmu/mmu.ts';
import type { HgmVersion } from '../base/hgm.ts';
import type { PoolMachine } from '../pool/pool-machine.ts';
import type { GupScan } from './gup-scan.ts';
import type { LeafScan } from './leaf-scan.ts';
import type { Mm } from './mm.ts';
import type { Tables } from './tables.ts';

/** A machine, as its address spaces see it. */
export interface MmMachine extends PoolMachine {
  /** Where the page tables lie. */
  readonly memory: FlatMemory;
  /** The tables. @internal */
  readonly tables: Tables;
  readonly levels: 4 | 5;
  /** Control register 4 of its processors. */
  readonly cr4: bigint;
  readonly core: CoreModules | undefined;
  /** The processor that programs run on. */
  readonly cpu: Mmu;
  /** The core's part of going through page tables. @internal */
  readonly leafScan: LeafScan;
  /** The core's part of GUP. @internal */
  readonly gupScan: GupScan;
  /** High-granularity mapping: which version of the series. */
  readonly hgm: HgmVersion;
  /** How TLBs of other processors are flushed: an interrupt for each, or a call of the hypervisor, which sends none. @internal */
  readonly flushes: 'interrupt' | 'hypercall';
  /** Whether the kernel has a fault of the series as posted. @param bit of HGM_POSTED_ @internal */
  hgmPosted(bit: number): boolean;
  /** Loads CR3, if another process ran last. @internal */
  runs(mm: Mm): CoreExports;
}
