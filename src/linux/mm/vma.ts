/**
 * A mapping: a range of addresses with one set of rights over a part of a file. include/linux/mm_types.h (struct
 * vm_area_struct), mm/hugetlb.c of Linux 6.1: hugetlb_vma_lock_alloc, hugetlb_dup_vma_private, hugetlb_vm_op_open.
 */
import { hex } from '../../core/errors.ts';
import type { Checkpoint, Kept, PutBack } from '../base/checkpoint.ts';
import { Lock, LockRank } from '../base/lock.ts';
import type { PageProtection } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_MAYSHARE, VM_SHARED, VM_UFFD_FLAGS, VM_UFFD_WP } from '../base/vm-flags.ts';
import { pageProtection } from '../base/vm-protection.ts';
import { Touch, watch } from '../base/watch.ts';
import type { Hstate } from '../pool/hstate.ts';
import type { HugetlbfsInode } from '../pool/inode.ts';
import type { ReserveMap } from '../pool/reserve-map.ts';
import type { Mm } from './mm.ts';
import type { Userfaultfd } from './userfaultfd.ts';

/** `hugetlb_vma_lock`: keeps a shareable VMA's page tables where they are. */
export class VmaLock implements Kept {
  readonly lock: Lock;
  /** Undefined once the VMA is gone: a truncation may still be waiting for the lock. */
  vma: Vma | undefined;

  constructor(vma: Vma) {
    this.vma = vma;
    this.lock = new Lock(`vma_lock of ${vma.mm.process} at`, LockRank.vmaLock, vma.start);
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.lock);
    const { vma } = this;
    return () => {
      this.vma = vma;
    };
  }
}

/** What a new VMA is made of. */
export interface VmaParts {
  readonly mm: Mm;
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly pgoff: number;
  readonly inode: HugetlbfsInode;
}

/** A hugetlb VMA. What it is and shows is under its process's mmap_lock; its range and place in the file under the file's i_mmap_rwsem, too. */
export class Vma implements Kept {
  readonly mm: Mm;
  /** Where it began when it was made. */
  readonly #firstStart: number;
  /** First byte. */
  start: number;
  /** Behind the last byte. */
  end: number;
  #flags: number;
  /** Where in the file `start` lies, in 4 KiB pages. */
  pgoff: number;
  readonly inode: HugetlbfsInode;

  /** Whether it ever had a page of its own (`anon_vma`): fork copies the entries of such VMAs only. */
  anonVma = false;
  /** `vm_userfaultfd_ctx`: whom its faults go to. */
  userfaultfd: Userfaultfd | undefined = undefined;
  #vmaLock: VmaLock | undefined = undefined;
  /** Private VMAs: the map of consumed reservations. */
  privateMap: ReserveMap | undefined = undefined;
  /** `HPAGE_RESV_OWNER`: a private mapping of the process that called mmap. */
  ownsReserves = false;
  #reserveUnmapped = false;

  constructor({ mm, start, end, flags, pgoff, inode }: VmaParts) {
    this.mm = mm;
    this.#firstStart = start;
    this.start = start;
    this.end = end;
    this.#flags = flags;
    this.pgoff = pgoff;
    this.inode = inode;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.add(this.inode);
    checkpoint.add(this.userfaultfd);
    const vmaLock = this.#vmaLock;
    checkpoint.add(vmaLock);
    checkpoint.add(this.privateMap);
    const { start, end, flags, pgoff, anonVma, userfaultfd, privateMap, ownsReserves, reserveUnmapped } = this;
    return () => {
      this.start = start;
      this.end = end;
      this.#flags = flags;
      this.pgoff = pgoff;
      this.anonVma = anonVma;
      this.userfaultfd = userfaultfd;
      this.#vmaLock = vmaLock;
      this.privateMap = privateMap;
      this.ownsReserves = ownsReserves;
      this.#reserveUnmapped = reserveUnmapped;
    };
  }

  get name(): string {
    return `the mapping of ${this.mm.process} at ${hex(this.#firstStart)}`;
  }

  /** VM_ bits. Changed under mmap_lock; who comes to the mapping by its file reads them without. */
  get flags(): number {
    watch?.touch(Touch.read, this, 0);
    return this.#flags;
  }

  /** @internal */
  set flags(flags: number) {
    watch?.touch(Touch.write, this, 0);
    this.#flags = flags;
  }

  /**
   * `HPAGE_RESV_UNMAPPED`: a page was taken away so that the owner could copy it; faults are SIGBUS from now on. Set by the owner's process, under
   * the file's i_mmap_rwsem, and read by faults without it.
   */
  get reserveUnmapped(): boolean {
    watch?.touch(Touch.read, this, 1);
    return this.#reserveUnmapped;
  }

  /** @internal */
  set reserveUnmapped(unmapped: boolean) {
    watch?.touch(Touch.write, this, 1);
    this.#reserveUnmapped = unmapped;
  }

  /**
   * `vm_private_data` of a shareable VMA: its lock. Set before the VMA is in its file's list, and taken away with the lock held; who comes by the file reads
   * it without.
   */
  get vmaLock(): VmaLock | undefined {
    watch?.touch(Touch.read, this, 2);
    return this.#vmaLock;
  }

  /** @internal */
  set vmaLock(lock: VmaLock | undefined) {
    watch?.touch(Touch.write, this, 2);
    this.#vmaLock = lock;
  }

  get hstate(): Hstate {
    return this.inode.hstate;
  }

  /** `vm_page_prot`. Where userfaultfd wants to know of writes, a shared mapping's pages are not made writable by it. */
  get protection(): PageProtection {
    return pageProtection(this.flags & VM_UFFD_WP ? this.flags & ~VM_SHARED : this.flags);
  }

  get mayShare(): boolean {
    return (this.flags & VM_MAYSHARE) !== 0;
  }

  /** `vma_resv_map`: the file's map of a shared mapping, the own one of a private mapping, if it has one. */
  get reserveMap(): ReserveMap | undefined {
    return this.mayShare ? this.inode.reserveMap : this.privateMap;
  }

  /** `vma_hugecache_offset`: the index in the file, in huge pages, of the page at an address. @internal */
  hugeIndex(address: number): number {
    const { size, pagesPerHugePage } = this.hstate;
    return Math.floor((address - this.start) / size) + this.pgoff / pagesPerHugePage;
  }

  /** The lock that faults hold for reading: a shareable VMA's own, or that of a private owner's map. */
  get hugetlbLock(): Lock | undefined {
    if (this.mayShare) return this.vmaLock?.lock;
    return this.ownsReserves ? this.privateMap?.vmaLock : undefined;
  }

  /** `hugetlb_vma_trylock_write`: true also where there is no lock. @internal */
  tryLockWrite(task: Task): boolean {
    return this.hugetlbLock?.tryWrite(task) ?? true;
  }

  /** `hugetlb_vma_unlock_write`: releases the lock that it has by then. @internal */
  unlockWrite(task: Task): void {
    this.hugetlbLock?.unlock(task);
  }

  /** `hugetlb_vma_lock_alloc`. @internal */
  allocateLock(): void {
    if (this.mayShare && !this.vmaLock) this.vmaLock = new VmaLock(this);
  }

  /** `hugetlb_vma_lock_free`, for a caller who does not hold it. @internal */
  *freeLock(task: Task): Path<void> {
    if (!this.vmaLock) return;
    yield* this.vmaLock.lock.write(task);
    this.unlockAndFreeLock(task);
  }

  /** `__hugetlb_vma_unlock_write_free`: the VMA shares no tables any more. @internal */
  unlockAndFreeLock(task: Task): void {
    const lock = this.hugetlbLock;
    if (this.vmaLock) {
      this.vmaLock.vma = undefined;
      this.vmaLock = undefined;
    }
    lock?.unlock(task);
  }

  /** `vm_area_dup`: a copy for a split, a fork or a move; `open` or `forgetPrivate` follows. @internal */
  duplicate(parts: Partial<VmaParts>): Vma {
    const { mm, start, end, flags, pgoff, inode } = this;
    const copy = new Vma({ mm, start, end, flags, pgoff, inode, ...parts });
    copy.vmaLock = this.vmaLock;
    copy.privateMap = this.privateMap;
    copy.ownsReserves = this.ownsReserves;
    copy.reserveUnmapped = this.reserveUnmapped;
    copy.anonVma = this.anonVma;
    copy.userfaultfd = this.userfaultfd;
    return copy;
  }

  /** `hugetlb_dup_vma_private`: a copy does not have the other's lock; a private one has no reservations. @internal */
  forgetPrivate(): void {
    this.#forgetOthersLock();
    if (this.mayShare) return;
    this.privateMap = undefined;
    this.ownsReserves = false;
    this.reserveUnmapped = false;
  }

  /** Takes it away from userfaultfd. @internal */
  forgetUserfaultfd(): void {
    this.userfaultfd = undefined;
    this.flags &= ~VM_UFFD_FLAGS;
  }

  /** `hugetlb_vm_op_open`: a copy shares its sibling's map, and gets a lock of its own. @internal */
  open(): void {
    this.inode.references++;
    if (this.ownsReserves && this.privateMap) this.privateMap.references++;
    this.#forgetOthersLock();
    this.allocateLock();
  }

  #forgetOthersLock(): void {
    if (this.vmaLock && this.vmaLock.vma !== this) this.vmaLock = undefined;
  }
}
