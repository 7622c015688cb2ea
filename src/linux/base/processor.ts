/**
 * A processor, as the others have to do with it: they interrupt it to drop translations from its TLB, and wait until it has done so.
 * arch/x86/mm/tlb.c of Linux 6.1: flush_tlb_func, cpu_tlbstate.
 *
 *   gupFast       its task's walk with interrupts off: an interrupt comes when they are on again
 *   instruction   the processor's own walk: an interrupt comes behind the instruction
 *   TLB           translations of the accesses that its program has made, until a flush has reached it
 *
 * Only a search of interleavings has such processors (src/explore); elsewhere every flush has been done before anybody can look.
 */
import type { LockMode } from './lock.ts';
import { PAGE_ACCESSED, PAGE_DIRTY } from './pte.ts';
import type { Awaited, Path, Task } from './task.ts';
import { type Shared, Touch, unwatched, watch } from './watch.ts';

/** Where entries lie. */
interface Entries {
  read(at: number): { readonly lo: number; readonly hi: number };
}

/** An entry that was read: its physical address, and what it was. */
interface SeenEntry {
  readonly at: number;
  readonly lo: number;
  readonly hi: number;
}

/**
 * A walk without locks, for which a flush has to wait.
 *
 * It has to wait only if the walk is behind: if an entry that it has read is another by now. As long as all of them are what they were, it comes to the
 * same whether the walk has begun or not.
 */
export class Walk implements Awaited, Shared {
  readonly name: string;
  /** Whether it is under way; and how many are over. */
  isUnderWay = false;
  over = 0;
  #entries: Entries | undefined;
  readonly #seen: SeenEntry[] = [];

  constructor(name: string) {
    this.name = name;
  }

  reset(): void {
    this.isUnderWay = false;
    this.over = 0;
    this.#seen.length = 0;
  }

  begin(entries: Entries): void {
    this.#entries = entries;
    this.isUnderWay = true;
  }

  /** Notes an entry that it has read. */
  saw(at: number, { lo, hi }: { readonly lo: number; readonly hi: number }): void {
    this.#seen.push({ at, lo, hi });
  }

  end(): void {
    if (this.#isBehind) watch?.touch(Touch.write, this, 0);
    this.#seen.length = 0;
    this.isUnderWay = false;
    this.over++;
  }

  /** What processors mark (A, D) is no change. */
  get #isBehind(): boolean {
    return unwatched(() =>
      this.#seen.some(({ at, lo, hi }) => {
        const now = this.#entries!.read(at);
        return ((now.lo ^ lo) & ~(PAGE_ACCESSED | PAGE_DIRTY)) !== 0 || now.hi !== hi;
      }),
    );
  }

  isFreeFor(_task: Task, _mode: LockMode): boolean {
    return !this.#isBehind;
  }

  describe(): string {
    return `the end of ${this.name}`;
  }

  /** Waits until it is over, if it is behind. */
  *wait(): Path<void> {
    watch?.touch(Touch.read, this, 0);
    if (!this.#isBehind) return;
    yield { on: this, mode: 'wait' };
    watch?.touch(Touch.read, this, 0);
  }
}

/** A cached translation of one leaf. SDM 4.10.2.2. */
export interface TlbEntry {
  /** Of which address space. */
  readonly mm: Shared;
  /** First linear address, and bytes. */
  readonly start: number;
  readonly size: number;
  /** Number of the first 4 KiB frame. */
  readonly pfn: number;
  /** Whether a write may use it: its rights permit that, and D is set. Otherwise the processor walks again. */
  readonly writes: boolean;
  /** How often the page had been handed out: another number, and it is another page by now. */
  readonly uses: number;
}

/** A processor that runs one task of a search. */
export class Processor implements Shared {
  readonly name: string;
  readonly gupFast: Walk;
  readonly instruction: Walk;
  readonly #processes: ReadonlySet<string> | undefined;
  #tlb: TlbEntry[] = [];

  /** @param processes in whose address spaces its task walks page tables by itself: mm_cpumask, over the whole of an execution; default: any */
  constructor(index: number, processes?: Iterable<string>) {
    this.name = `TLB of processor ${index}`;
    this.gupFast = new Walk(`GUP-fast on processor ${index}`);
    this.instruction = new Walk(`the instruction on processor ${index}`);
    this.#processes = processes && new Set(processes);
  }

  /** A new execution. */
  reset(): void {
    this.#tlb = [];
    this.gupFast.reset();
    this.instruction.reset();
  }

  /** Whether it runs in an address space: only then a flush of that one has to reach it. */
  runs(mm: { readonly process: string }): boolean {
    return this.#processes?.has(mm.process) ?? true;
  }

  /** A translation that an access may use. */
  lookup(mm: Shared, address: number, write: boolean): TlbEntry | undefined {
    if (this.#tlb.length === 0) return undefined;
    watch?.touch(Touch.read, this, 0);
    const covers = (entry: TlbEntry): boolean =>
      entry.mm === mm && entry.start <= address && address < entry.start + entry.size;
    return this.#tlb.find((entry) => covers(entry) && (entry.writes || !write));
  }

  /** Caches what a walk has found. It replaces what was known of the place. */
  fill(entry: TlbEntry): void {
    const { mm, start, size } = entry;
    const disjoint = (other: TlbEntry): boolean => other.start + other.size <= start || start + size <= other.start;
    this.#tlb = this.#tlb.filter((other) => other.mm !== mm || disjoint(other));
    this.#tlb.push(entry);
  }

  /** `flush_tlb_func`: drops what it knows of an address space. */
  drop(mm: Shared): void {
    if (!this.#tlb.some((entry) => entry.mm === mm)) return;
    watch?.touch(Touch.write, this, 0);
    this.#tlb = this.#tlb.filter((entry) => entry.mm !== mm);
  }
}
