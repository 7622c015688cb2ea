/**
 * An address space: VMAs and page tables. include/linux/mm_types.h (struct mm_struct), mm/mmap.c of Linux 6.1: find_vma.
 */
import { InvariantError } from '../../core/errors.ts';
import { Mmu } from '../../mmu/mmu.ts';
import { type Checkpoint, type Kept, keepArray, type PutBack } from '../base/checkpoint.ts';
import { Lock, LockRank } from '../base/lock.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { recordCount } from '../base/trace.ts';
import { Touch, watch } from '../base/watch.ts';
import type { MmMachine } from './mm-machine.ts';
import type { TablePage } from './tables.ts';
import type { Vma } from './vma.ts';

/** `TASK_SIZE`: behind the last address that a program may use, less a guard page; 5 levels need a hint to go beyond. */
export const TASK_SIZE: number = 2 ** 47 - PAGE_SIZE;

const EVERYTHING = { drops: 'everything', keepsGlobal: false } as const;

/** What of it is watched, beside what locks guard. */
const USERS = 0;
const PINNED = 1;
const SEQUENCE = 2;
const VMAS = 3;
const FLUSHES = 4;

/** `struct mm_struct`. */
export class Mm implements Kept {
  readonly machine: MmMachine;
  /** What messages and traces call the process: 'process 0'. */
  readonly process: string;
  readonly mmapLock: Lock;
  /** `page_table_lock`: guards entries of 1 GiB and more. */
  readonly pageTableLock: Lock;
  /** The root table. */
  readonly pgd: TablePage;
  /** Its physical address, as the processor wants it. */
  readonly cr3: bigint;
  /** What an entry of the root table covers, as a binary logarithm. */
  readonly topShift: number;
  #hugetlbUsage = 0;
  /** By how much `hugetlbUsage` is more than what is mapped, in 4 KiB pages, since Linux does not count pages that move when their entry is unmapped, or copied to a child. */
  miscounted = 0;
  #hasPinned = false;
  #users = 1;
  /** Whether it ever used another's page table: Linux then counts `hugetlbUsage` for whoever faulted or unmapped. */
  hasSharedTables = false;
  #writeProtectSeq = 0;
  #tlbFlushPending = 0;
  /** Under mmap_lock. */
  readonly #vmas: Vma[] = [];
  #mmu: Mmu | undefined;

  private constructor(machine: MmMachine, process: string, pgd: TablePage) {
    this.machine = machine;
    this.process = process;
    this.mmapLock = new Lock(`mmap_lock of ${process}`, LockRank.mmapLock);
    this.pageTableLock = new Lock(`page_table_lock of ${process}`, LockRank.pageTable);
    this.pgd = pgd;
    this.cr3 = BigInt(pgd.address);
    this.topShift = pgd.shift;
  }

  /** `mm_alloc`: an empty address space; undefined where memory for tables is used up. @internal */
  static create(machine: MmMachine, process: string): Mm | undefined {
    const pgd = machine.tables.allocate(machine.levels === 5 ? 48 : 39);
    return pgd && new Mm(machine, process, pgd);
  }

  /** A processor's view of the tables, for whoever wants to look; the process itself runs on the machine's. */
  get mmu(): Mmu {
    const { memory, core, cr4, tables } = this.machine;
    this.#mmu ??= new Mmu(memory, { cr3: this.cr3, cr4 }, core);
    tables.markedUnseen = true;
    return this.#mmu;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.mmapLock, this.pageTableLock);
    checkpoint.addAll(this.#vmas);
    const vmas = keepArray(this.#vmas);
    const { miscounted, hasPinned, users, hasSharedTables, writeProtectSeq } = this;
    const tlbFlushPending = this.#tlbFlushPending;
    const hugetlbUsage = this.#hugetlbUsage;
    return () => {
      vmas();
      this.#hugetlbUsage = hugetlbUsage;
      this.miscounted = miscounted;
      this.#hasPinned = hasPinned;
      this.#users = users;
      this.hasSharedTables = hasSharedTables;
      this.#writeProtectSeq = writeProtectSeq;
      this.#tlbFlushPending = tlbFlushPending;
      this.#mmu?.tlbs.invalidate(EVERYTHING);
    };
  }

  /** `mm_users`: the process, and who works on its memory from outside. */
  get users(): number {
    watch?.touch(Touch.read, this, USERS);
    return this.#users;
  }

  /** @internal */
  set users(users: number) {
    watch?.touch(Touch.write, this, USERS);
    this.#users = users;
  }

  /** Whether nobody uses it any more: the process has ended, and others may still know its address space by a userfaultfd. */
  get exited(): boolean {
    return this.users === 0;
  }

  /** `MMF_HAS_PINNED`: some page was pinned once. */
  get hasPinned(): boolean {
    watch?.touch(Touch.read, this, PINNED);
    return this.#hasPinned;
  }

  /** @internal */
  set hasPinned(pinned: boolean) {
    watch?.touch(this.#hasPinned === pinned ? Touch.read : Touch.write, this, PINNED);
    this.#hasPinned = pinned;
  }

  /** `write_protect_seq`: odd while fork write-protects entries. GUP-fast stays away then. */
  get writeProtectSeq(): number {
    watch?.touch(Touch.read, this, SEQUENCE);
    return this.#writeProtectSeq;
  }

  /** @internal */
  set writeProtectSeq(sequence: number) {
    watch?.touch(Touch.write, this, SEQUENCE);
    this.#writeProtectSeq = sequence;
  }

  /** `tlb_flush_pending`: who has changed entries, or is about to, and has not flushed yet: one more, or one less. @internal */
  addTlbFlushPending(change: 1 | -1): void {
    watch?.touch(Touch.add, this, FLUSHES);
    this.#tlbFlushPending += change;
  }

  /** `mm_tlb_flush_nested`: whether there is more than one. @internal */
  get isTlbFlushNested(): boolean {
    watch?.touch(Touch.read, this, FLUSHES);
    return this.#tlbFlushPending > 1;
  }

  /** `mm_tlb_flush_pending`: whether there is any. @internal */
  get isTlbFlushPending(): boolean {
    watch?.touch(Touch.read, this, FLUSHES);
    return this.#tlbFlushPending > 0;
  }

  /** `hugetlb_usage`: mapped huge pages, in 4 KiB pages. */
  get hugetlbUsage(): number {
    return this.#hugetlbUsage;
  }

  /** @internal */
  set hugetlbUsage(pages: number) {
    const { machine, process } = this;
    if (machine.trace) recordCount(machine, 'hugetlb_usage', process, this.#hugetlbUsage, pages);
    this.#hugetlbUsage = pages;
  }

  get name(): string {
    return `mm of ${this.process}`;
  }

  /** The VMAs, in ascending order of their addresses. */
  get vmas(): readonly Vma[] {
    watch?.touch(Touch.read, this, VMAS);
    return this.#vmas;
  }

  /** `find_vma`: the first VMA that ends behind an address; it may begin behind it, too. @internal */
  findVma(address: number): Vma | undefined {
    return this.#vmas[this.#firstEndingAfter(address)];
  }

  /** `vma_lookup`: the VMA that an address lies in. @internal */
  vmaLookup(address: number): Vma | undefined {
    const vma = this.findVma(address);
    return vma && vma.start <= address ? vma : undefined;
  }

  /** The VMAs that overlap [start, end). @internal */
  intersecting(start: number, end: number): Vma[] {
    const vmas: Vma[] = [];
    for (let at = this.#firstEndingAfter(start); at < this.#vmas.length && this.#vmas[at]!.start < end; at++) {
      vmas.push(this.#vmas[at]!);
    }
    return vmas;
  }

  /** Whether any VMA overlaps [start, end): `find_vma_intersection`. @internal */
  intersects(start: number, end: number): boolean {
    const vma = this.findVma(start);
    return vma !== undefined && vma.start < end;
  }

  /** The end of the VMA before an address, and the start of the one behind it: how far tables may be freed. @internal */
  gapAround(start: number, end: number): { floor: number; ceiling: number } {
    const at = this.#firstEndingAfter(start);
    const next = this.#vmas.find((vma, index) => index >= at && vma.start >= end);
    return { floor: this.#vmas[at - 1]?.end ?? 0, ceiling: next?.start ?? Number.POSITIVE_INFINITY };
  }

  /** Puts a VMA into the address space. @internal */
  insert(vma: Vma): void {
    const at = this.#firstEndingAfter(vma.start);
    const next = this.#vmas[at];
    if (next && next.start < vma.end) throw new InvariantError('Mm.insert: VMAs overlap');
    watch?.touch(Touch.write, this, VMAS);
    this.#vmas.splice(at, 0, vma);
  }

  /** Takes a VMA out of the address space. @internal */
  remove(vma: Vma): void {
    const at = this.#firstEndingAfter(vma.start);
    if (this.#vmas[at] !== vma) throw new InvariantError('Mm.remove: no such VMA');
    watch?.touch(Touch.write, this, VMAS);
    this.#vmas.splice(at, 1);
  }

  #firstEndingAfter(address: number): number {
    watch?.touch(Touch.read, this, VMAS);
    let low = 0;
    let high = this.#vmas.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#vmas[middle]!.end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
