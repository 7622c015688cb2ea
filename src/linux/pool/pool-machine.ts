/**
 * What the pools, their pages and the files need of the machine that they are in.
 */
import type { Kept } from '../base/checkpoint.ts';
import type { MapcountScheme } from '../base/hgm.ts';
import type { Lock } from '../base/lock.ts';
import type { Traced } from '../base/trace.ts';
import type { BadMemory } from './bad-memory.ts';
import type { Blocks } from './contents.ts';
import type { FaultMutexes } from './fault-mutex.ts';
import type { Frames } from './frames.ts';
import type { Hstate } from './hstate.ts';
import type { HugetlbfsInode } from './inode.ts';
import type { Subpool } from './subpool.ts';

/** A machine, as its pools see it. */
export interface PoolMachine extends Traced {
  /** The pools, the largest pages first. */
  readonly hstates: readonly Hstate[];
  /** Frames of huge pages. @internal */
  readonly frames: Frames;
  /** What is written in huge pages. @internal */
  readonly blocks: Blocks;
  /** `hugetlb_lock`: the counts and free lists of all pools. */
  readonly hugetlbLock: Lock;
  /** `hugetlb_fault_mutex_table`. @internal */
  readonly faultMutexes: FaultMutexes;
  /** How mapping in pieces is counted. */
  readonly mapcounts: MapcountScheme;
  /** @internal */
  readonly badMemory: BadMemory;
  /** What is open: what a program can still reach, though no address space knows of it. @internal */
  readonly open: Set<Kept>;
  /** Mounts' limits that are in force. */
  readonly subpools: Set<Subpool>;
  /** Files that exist. */
  readonly inodes: Set<HugetlbfsInode>;
  /** Whether the kernel has a fault that 6.1.192 has not. @param bit of LINUX_BUG_ @internal */
  hasBug(bit: number): boolean;
  /** Whether a fault of 6.1.192 is mended. @param bit of LINUX_FIX_ @internal */
  hasFix(bit: number): boolean;
}
