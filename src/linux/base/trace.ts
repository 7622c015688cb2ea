/**
 * The model's own record of what it does: kernel functions entered and left, why something failed, locks, entries, counts.
 *
 * An event says what has happened in values; `trace-words.ts` puts it into words.
 */
import type { Hang } from './errno.ts';

/** Whose doing an event is. */
interface ByTask {
  /** The thread, as {@link Task.name}; 'nobody' where the embedder changes something from outside. */
  readonly task: string;
}

/** Something that happened in the kernel. */
export type TraceEvent =
  /** A kernel function is entered, by its name in Linux, with the arguments that matter in words. */
  | (ByTask & { readonly kind: 'enter'; readonly name: string; readonly args: string })
  /** It is left; `result` is what it returns, in the kernel's words: `-EINVAL`, `VM_FAULT_SIGBUS`, `pfn 0x100400`; '' for nothing. */
  | (ByTask & { readonly kind: 'leave'; readonly name: string; readonly result: string })
  /** Why the kernel function `name` fails with `answer`, the name of an errno or of a fault's end. */
  | (ByTask & { readonly kind: 'refused'; readonly name: string; readonly answer: string; readonly why: string })
  /** A lock was taken. */
  | (ByTask & { readonly kind: 'lock'; readonly lock: string; readonly mode: 'read' | 'write' })
  | (ByTask & { readonly kind: 'unlock'; readonly lock: string })
  /** A task sleeps until another one does something, or goes on. */
  | (ByTask & { readonly kind: 'sleep' | 'wake'; readonly what: string })
  /** The kernel goes no further: it tries again for ever, or has stopped at a BUG(). */
  | (ByTask & { readonly kind: 'dead end'; readonly outcome: Hang; readonly where: string })
  /** The processor reported a page fault, with its error code. */
  | (ByTask & { readonly kind: 'fault'; readonly address: number; readonly errorCode: number })
  /** A page-table entry was written, by the kernel; `level` is the SDM's: 1 is a page table, 2 a page directory... */
  | (ByTask & {
      readonly kind: 'entry';
      readonly process: string;
      readonly address: number;
      readonly level: number;
      /** Of the page tables: frame numbers in swap-like entries depend on it. */
      readonly levels: 4 | 5;
      readonly before: bigint;
      readonly after: bigint;
    })
  /** A page table came or went, or a process began or ceased to use another's. */
  | (ByTask & {
      readonly kind: 'table';
      readonly process: string;
      readonly what: 'allocated' | 'freed' | 'shared' | 'unshared';
      readonly address: number;
      readonly table: number;
      readonly level: number;
    })
  /** A huge page left the pool, or came back. */
  | (ByTask & {
      readonly kind: 'page';
      readonly what: 'allocated' | 'freed';
      readonly pfn: number;
      readonly bytes: number;
    })
  /**
   * A count has changed, `count` by its name in Linux: `refcount` of a huge page, `resv_huge_pages` of a pool, `used_hpages` of a mount, ...
   *
   * `of` says whose: 'pfn 0x100400', 'the 2 MiB pool'.
   */
  | (ByTask & {
      readonly kind: 'count';
      readonly count: string;
      readonly of: string;
      readonly before: number;
      readonly after: number;
    })
  /** `_mapcount` of 4 KiB pages of a huge page, `pages` of them from the `first` on, counted from 0: each has `by` more. */
  | (ByTask & {
      readonly kind: 'mapcounts';
      readonly pfn: number;
      readonly first: number;
      readonly pages: number;
      readonly by: number;
    })
  /** Huge pages [from, to) of a file, `to` may be Infinity, came into a reserve map, or left it; `changed` of them were not, or were, in it before. */
  | (ByTask & {
      readonly kind: 'region';
      readonly what: 'added' | 'deleted';
      readonly map: string;
      readonly from: number;
      readonly to: number;
      readonly changed: number;
    })
  /** A userfaultfd's message, in words: it waits to be read; was read; who sent it is woken. */
  | (ByTask & {
      readonly kind: 'message';
      readonly what: 'queued' | 'read' | 'woken';
      readonly message: string;
      /** Whose userfaultfd. */
      readonly process: string;
    });

/** Where events are recorded: a machine. */
export interface Traced {
  /** Everything that the kernel does, if somebody wants to know. */
  readonly trace: TraceEvent[] | undefined;
  /** The name of the task that runs, as far as a trace is kept. */
  current: string;
}

/** Notes that a count has changed, if it has. Called where a trace is kept. */
export function recordCount(
  { trace, current: task }: Traced,
  count: string,
  of: string,
  before: number,
  after: number,
): void {
  if (before !== after) trace?.push({ kind: 'count', task, count, of, before, after });
}
