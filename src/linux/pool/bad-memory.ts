/**
 * Memory that has turned bad, of the whole machine. mm/memory-failure.c of Linux 6.1: mf_mutex, num_poisoned_pages.
 */
import type { Checkpoint, Kept, PutBack } from '../base/checkpoint.ts';
import { Lock, LockRank } from '../base/lock.ts';
import { recordCount, type Traced } from '../base/trace.ts';

/** What a machine knows of its bad memory as a whole; which frames are bad, their huge pages know, or {@link Frames}. */
export class BadMemory implements Kept {
  /** `mf_mutex`: one memory failure at a time. */
  readonly mutex: Lock = new Lock('mf_mutex', LockRank.mfMutex);
  readonly #machine: Traced;
  #hardwareCorrupted = 0;

  constructor(machine: Traced) {
    this.#machine = machine;
  }

  /** `num_poisoned_pages`, HardwareCorrupted of /proc/meminfo: what was noticed, in 4 KiB pages. Under {@link mutex}. */
  get hardwareCorrupted(): number {
    return this.#hardwareCorrupted;
  }

  set hardwareCorrupted(pages: number) {
    recordCount(this.#machine, 'num_poisoned_pages', 'the machine', this.#hardwareCorrupted, pages);
    this.#hardwareCorrupted = pages;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.mutex);
    const hardwareCorrupted = this.#hardwareCorrupted;
    return () => {
      this.#hardwareCorrupted = hardwareCorrupted;
    };
  }
}
