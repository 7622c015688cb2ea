/**
 * An open hugetlbfs file, and a mount with limits. fs/hugetlbfs/inode.c, mm/memfd.c of Linux 6.1.
 */
import { checkInteger, checkOptions, type OptionNames } from '../../core/errors.ts';
import type { Checkpoint, Kept, PutBack } from '../base/checkpoint.ts';
import type { Blocked, Errno, Hang, Result } from '../base/errno.ts';
import { refuse } from '../base/kernel-function.ts';
import { run, runAlone, type Task } from '../base/task.ts';
import { putInode, sysFtruncate } from '../hugetlb/truncate.ts';
import type { Hstate } from '../pool/hstate.ts';
import type { HugetlbfsInode } from '../pool/inode.ts';
import { Subpool } from '../pool/subpool.ts';
import { sysFallocate } from '../syscalls/fallocate.ts';
import { checkFallocate, checkFtruncate } from './arguments.ts';
import type { Machine } from './machine.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;

/**
 * An open file of huge pages, as memfd_create(MFD_HUGETLB) or an open on a hugetlbfs mount gives.
 *
 * @example
 * ```ts
 * import { Machine } from 'hugewalk/linux';
 * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 4 }] });
 * const file = machine.memfdCreate();
 * file.ftruncate(4 << 20);                            // 'OK'
 * file.fallocate(0, 2 << 20);                         // 'OK'
 * machine.hstate(2 << 20).freeHugePages;              // 3
 * ```
 */
export class HugetlbFile implements Kept {
  /** What the file is made of: page cache, reserve map, size. */
  readonly inode: HugetlbfsInode;
  readonly #task: Task;
  #open = true;

  constructor(inode: HugetlbfsInode, task: Task) {
    this.inode = inode;
    this.#task = task;
    task.machine.open.add(this);
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.add(this.inode);
    const open = this.#open;
    return () => {
      this.#open = open;
    };
  }

  /** Bytes. */
  get size(): number {
    return this.inode.size;
  }

  /**
   * Makes the file longer or shorter, by whole huge pages: 'EINVAL' otherwise. Pages behind the end go, and so do their
   * reservations and mappings.
   *
   * @param bytes the new size
   */
  ftruncate(bytes: number): Result | Hang | Blocked {
    checkFtruncate(this, bytes);
    return this.#task.machine.kernelExit(this.#task, runAlone(sysFtruncate(this.#task, this.inode, bytes)));
  }

  /**
   * Puts zero pages into [offset, offset + length), or takes them out.
   *
   * @param mode FALLOC_FL_ bits; default: fills holes, and makes the file as long
   * @returns 'ENOSPC' where the pool or the mount has no page left; what was filled until then stays
   */
  fallocate(offset: number, length: number, mode = 0): Result | Hang | Blocked {
    checkFallocate(this, offset, length, mode);
    return this.#task.machine.kernelExit(
      this.#task,
      runAlone(sysFallocate(this.#task, this.inode, mode, offset, length)),
    );
  }

  /** Closes it. The pages go when no mapping shows them any more, unless the file has a name on a mount. */
  close(): void {
    this.checkOpen();
    this.#open = false;
    this.#task.machine.open.delete(this);
    run(putInode(this.#task, this.inode));
    this.#task.machine.kernelExit(this.#task, undefined);
  }

  /** Closes it, unless it is closed: for `using`. */
  [Symbol.dispose](): void {
    if (this.#open) this.close();
  }

  /** @throws TypeError when it was closed @internal */
  checkOpen(): void {
    if (!this.#open) throw new TypeError('file: expected an open file, got a closed one');
  }
}

/** Limits of a mount, in bytes. */
export interface MountOptions {
  /** Bytes of its huge pages. Default 2 MiB. */
  readonly hugePageSize?: number;
  /** `size=`: the most that its files may use and reserve. Default: no limit. */
  readonly size?: number;
  /** `min_size=`: reserved in the pool as long as it is mounted. Default: nothing. */
  readonly minSize?: number;
}

const OPTIONS: OptionNames<MountOptions> = { hugePageSize: true, size: true, minSize: true };

/**
 * A hugetlbfs mount.
 *
 * @example
 * ```ts
 * import { Machine } from 'hugewalk/linux';
 * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 4 }] });
 * const mount = machine.mountHugetlbfs({ size: 4 << 20 });
 * if (typeof mount !== 'string') mount.create().fallocate(0, 6 << 20);        // 'ENOSPC'
 * ```
 */
export class Hugetlbfs implements Kept {
  readonly hstate: Hstate;
  readonly subpool: Subpool | undefined;
  readonly #machine: Machine;
  readonly #task: Task;
  #mounted = true;

  private constructor(machine: Machine, hstate: Hstate, subpool: Subpool | undefined, task: Task) {
    this.#machine = machine;
    this.hstate = hstate;
    this.subpool = subpool;
    this.#task = task;
    task.machine.open.add(this);
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.add(this.subpool);
    const mounted = this.#mounted;
    return () => {
      this.#mounted = mounted;
    };
  }

  /** `hugetlbfs_fill_super`: 'ENOMEM' where the pool cannot reserve the minimum. @internal */
  static mount(machine: Machine, task: Task, options: MountOptions): Hugetlbfs | Errno {
    checkOptions('options', options, OPTIONS);
    const { hugePageSize, size, minSize } = options;
    const hstate = machine.hstate(hugePageSize);
    const limited = size !== undefined || minSize !== undefined;
    if (!limited) return new Hugetlbfs(machine, hstate, undefined, task);
    if (size !== undefined) checkInteger('size', size, 0, LARGEST);
    if (minSize !== undefined) checkInteger('minSize', minSize, 0, size ?? LARGEST);
    const pages = (bytes: number | undefined): number => (bytes === undefined ? -1 : Math.floor(bytes / hstate.size));
    const subpool = new Subpool(hstate, pages(size), pages(minSize));
    if (subpool.minPages > 0 && run(hstate.acctMemory(task, subpool.minPages)) !== 'OK') {
      return refuse(task, 'ENOMEM', "the mount's minimum cannot be reserved");
    }
    machine.subpools.add(subpool);
    return new Hugetlbfs(machine, hstate, subpool, task);
  }

  /** A new, empty file. It has no name: it goes when it is closed and nothing maps it. */
  create(): HugetlbFile {
    if (!this.#mounted) throw new TypeError('mount: expected a mounted file system, got one that was unmounted');
    return new HugetlbFile(this.#machine.newFile(this.hstate, this.subpool), this.#task);
  }

  /** Unmounts it. Its limits last until its last page and reservation are gone. */
  umount(): void {
    const { subpool } = this;
    this.#mounted = false;
    this.#task.machine.open.delete(this);
    if (!subpool?.mounted) return;
    subpool.mounted = false;
    if (subpool.isFree) run(subpool.release(this.#task));
    this.#task.machine.kernelExit(this.#task, undefined);
  }
}
