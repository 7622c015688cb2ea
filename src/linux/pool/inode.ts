/**
 * A hugetlbfs file. fs/hugetlbfs/inode.c of Linux 6.1.
 */
import type { Checkpoint, Kept, PutBack } from '../base/checkpoint.ts';
import { Lock, LockRank } from '../base/lock.ts';
import { Touch, watch } from '../base/watch.ts';
import type { Hstate } from './hstate.ts';
import { PageCache } from './page-cache.ts';
import { ReserveMap } from './reserve-map.ts';
import type { Subpool } from './subpool.ts';

/** `struct inode` with its address_space and shared reserve map. */
export class HugetlbfsInode implements Kept {
  /** `i_ino`. */
  readonly number: number;
  /** What messages and traces call it: 'file 0'. */
  readonly name: string;
  readonly hstate: Hstate;
  /** The mount's limits, if it has any. */
  readonly subpool: Subpool | undefined;
  /** `i_rwsem`. */
  readonly lock: Lock;
  /** Its pages, and who shows them. */
  readonly pageCache: PageCache;
  /** Reservations of all shared mappings, under a lock of their own: they last until the file is truncated or gone. */
  readonly reserveMap: ReserveMap;
  #size = 0;
  #references = 1;

  constructor(number: number, name: string, hstate: Hstate, subpool?: Subpool) {
    this.number = number;
    this.name = name;
    this.hstate = hstate;
    this.subpool = subpool;
    this.lock = new Lock(`i_rwsem of ${name}`, LockRank.inode);
    this.pageCache = new PageCache(name);
    this.reserveMap = new ReserveMap(`reservations of ${name}`);
  }

  /** `i_size` in bytes: written under i_rwsem, read by faults without a lock. */
  get size(): number {
    watch?.touch(Touch.read, this, 0);
    return this.#size;
  }

  /** @internal */
  set size(bytes: number) {
    watch?.touch(Touch.write, this, 0);
    this.#size = bytes;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.lock);
    checkpoint.add(this.pageCache);
    checkpoint.add(this.reserveMap);
    checkpoint.add(this.subpool);
    const { references } = this;
    const size = this.#size;
    return () => {
      this.#size = size;
      this.#references = references;
    };
  }

  /** `i_count`: open files and VMAs. With the last one the file goes. */
  get references(): number {
    watch?.touch(Touch.read, this, 1);
    return this.#references;
  }

  /** @internal */
  set references(references: number) {
    watch?.touch(Touch.write, this, 1);
    this.#references = references;
  }

  /** The mutex of the faults on one of its pages. @param index of the page, in huge pages @internal */
  faultMutex(index: number): Lock {
    return this.hstate.machine.faultMutexes.of(this.number, index);
  }
}
