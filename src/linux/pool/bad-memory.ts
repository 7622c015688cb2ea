/**
 * Memory that has turned bad, of the whole machine. mm/memory-failure.c of Linux 6.1: mf_mutex, num_poisoned_pages.
 */
import { Lock, LockRank } from '../base/lock.ts';

/** What a machine knows of its bad memory as a whole; which frames are bad, their huge pages know, or {@link Frames}. */
export class BadMemory {
  /** `mf_mutex`: one memory failure at a time. */
  readonly mutex: Lock = new Lock('mf_mutex', LockRank.mfMutex);
  /** HardwareCorrupted of /proc/meminfo: what was noticed, in 4 KiB pages. Under {@link mutex}. */
  hardwareCorrupted = 0;
}
