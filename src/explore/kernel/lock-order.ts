/**
 * Which locks are taken while others are held, over all executions, as lockdep has it (kernel/locking/lockdep.c): a graph whose nodes are classes of locks.
 *
 *   page lock of a file's page ──▶ hugetlb_fault_mutex         a task that had the one waited for the other, or would have
 *
 * Who only tries a lock waits for nobody, and makes no edge to it; but what it has got it holds. Locks of one class, as fork takes the page-table locks of child and
 * parent, are told apart one by one: wrong is only that two of them are taken in both orders.
 *
 * Most of what tasks take was taken so before. So what a task holds is a way down a tree, and a mark there says that the next lock is known:
 *
 *   line 7 ─ mmap_lock, read ─ hugetlb_fault_mutex ─ (vma_lock, read: known)
 */
import type { Lock, LockMode } from '../../linux/base/lock.ts';
import type { Task } from '../../linux/base/task.ts';
import type { Run } from '../search/schedule.ts';
import { type FindsFolio, LockClasses, NO_CLASS } from './lock-class.ts';

/** A lock that is held: its class, and how. */
export interface HeldLock {
  readonly kind: string;
  readonly writes: boolean;
}

/** A lock was wanted while another was held. */
export interface Nesting {
  /** The classes. */
  readonly held: string;
  readonly wanted: string;
  /** Whether each is held, or wanted, alone. */
  readonly heldWrites: boolean;
  readonly wantedWrites: boolean;
  /** All that the task held. */
  readonly holds: readonly HeldLock[];
  /** Whose, and in which operation: a line of the scenario. */
  readonly task: string;
  readonly operation: number;
  /** The kernel functions in which the one was taken, and in which the other was wanted, the outermost first; none without a trace. */
  readonly takenIn: readonly string[];
  readonly wantedIn: readonly string[];
  /** Where both are of one class: the same two locks were also taken in this order. */
  readonly reverse?: Nesting;
  /** An execution with it. */
  readonly schedule?: readonly Run[];
}

/** Marks of a lock that is wanted at a node: all is known; or one of its class is held, and then locks count, not classes. */
const KNOWN = 1;
const NESTED = 2;

/** Where a task took a lock: the kernel functions that it was in. */
export type TakenIn = (task: Task, lock: Lock) => readonly string[];

/** Two locks of one class that a task has had at once. */
interface Pair {
  /** Of locks, by name: a lock of the next execution is another object, and has the same. */
  readonly holds: readonly { readonly lock: string; readonly writes: boolean }[];
  readonly nesting: Nesting;
}

/** What a nesting is: two of the same are one. */
export function keyOf({ held, wanted, heldWrites, wantedWrites, holds, operation, reverse }: Nesting): string {
  return JSON.stringify([held, wanted, heldWrites, wantedWrites, holds, operation, reverse && keyOf(reverse)]);
}

/** What several searches have seen, each once. */
export function together(all: readonly (readonly Nesting[])[]): readonly Nesting[] {
  const byKey = new Map<string, Nesting>();
  for (const nesting of all.flat()) {
    const key = keyOf(nesting);
    if (!byKey.has(key)) byKey.set(key, nesting);
  }
  return [...byKey.values()];
}

/** The graph, which one search or several fill. */
export class LockOrder {
  readonly #classes = new LockClasses();
  readonly #nestings = new Map<string, Nesting>();
  /** The keys of those that have no schedule yet. */
  #fresh: string[] = [];
  /** By operation: a node of the tree. */
  readonly #roots = new Map<number, number>();
  /** By node: the next one by what is taken next, an even number; by an odd one, what is known where it is wanted. */
  readonly #tree: number[][] = [];
  /** By node and mark: the nestings there of locks of one class. */
  readonly #nested: (Nesting[][] | undefined)[] = [];
  /** The task that was looked at last, and in which operation; for each lock that it holds the node there, as far as is known. */
  #task: Task | undefined;
  #operation = 0;
  readonly #way: number[] = [];
  /** By name: the locks that this execution has met among pairs. A process that ends leaves its number, and its locks' names, to a later one. */
  readonly #named = new Map<string, Lock[]>();
  /** By outer lock and inner lock, of one class: who has held both. */
  readonly #pairs = new Map<string, Map<string, Pair[]>>();

  /** All that is known. */
  get nestings(): readonly Nesting[] {
    return [...this.#nestings.values()];
  }

  /** Forgets everything: what it learns from here on does not depend on what was run before. */
  forget(): void {
    this.#nestings.clear();
    this.#fresh = [];
    this.#roots.clear();
    this.#tree.length = 0;
    this.#nested.length = 0;
    this.#pairs.clear();
    this.begin();
  }

  /** What the last execution has added happens in it. @param schedule makes its schedule; called only if anything was */
  settle(schedule: () => readonly Run[]): void {
    if (this.#fresh.length === 0) return;
    const runs = schedule();
    for (const key of this.#fresh) this.#nestings.set(key, { ...this.#nestings.get(key)!, schedule: runs });
    this.#fresh = [];
  }

  /** An execution begins: nobody holds anything. */
  begin(): void {
    this.#task = undefined;
    this.#way.length = 0;
    this.#named.clear();
  }

  /**
   * A task is about to wait for a lock, or would have to if somebody had it.
   *
   * @param operation which it is in
   */
  wants(task: Task, operation: number, lock: Lock, mode: LockMode, pages: FindsFolio, takenIn: TakenIn): void {
    const wanted = this.#classes.of(lock, pages);
    if (wanted === NO_CLASS) return;
    const node = this.#nodeOf(task, operation, pages);
    const mark = 4 * wanted + (mode === 'read' ? 1 : 3);
    const marks = this.#tree[node]!;
    if (marks[mark] === KNOWN) return;
    /* Two locks of one class are looked at each time. */
    const nested = this.#nested[node]?.[mark];
    if (nested) {
      this.#addPairs(task, lock, wanted, pages, nested);
      return;
    }
    const found = this.#add(task, operation, lock, mode !== 'read', pages, takenIn);
    marks[mark] = KNOWN;
    if (found.length === 0) return;
    marks[mark] = NESTED;
    this.#nested[node] ??= [];
    this.#nested[node][mark] = found;
    this.#addPairs(task, lock, wanted, pages, found);
  }

  /** A task is about to release a lock. */
  released(task: Task, lock: Lock): void {
    if (task !== this.#task) return;
    const index = task.held.lastIndexOf(lock);
    /* Not held: the lock itself says so at once. */
    if (index < 0) return;
    if (this.#way.length > index) this.#way.length = index;
  }

  /** Where a task is that holds what it holds. A page that nobody else knew when its lock was taken may be known by now. */
  #nodeOf(task: Task, operation: number, pages: FindsFolio): number {
    const way = this.#way;
    if (task !== this.#task || operation !== this.#operation) {
      this.#task = task;
      this.#operation = operation;
      way.length = 0;
    }
    const { held } = task;
    let node = way.length === 0 ? this.#rootOf(operation) : way[way.length - 1]!;
    let isSure = true;
    for (let index = way.length; index < held.length; index++) {
      const lock = held[index]!;
      const number = this.#classes.of(lock, pages);
      if (number === NO_CLASS) isSure = false;
      else node = this.#below(node, 4 * number + (lock.isWriteHeldBy(task) ? 2 : 0));
      if (isSure) way.push(node);
    }
    return node;
  }

  #rootOf(operation: number): number {
    return this.#roots.get(operation) ?? this.#newNode((node) => this.#roots.set(operation, node));
  }

  #below(node: number, code: number): number {
    return this.#tree[node]![code] ?? this.#newNode((below) => (this.#tree[node]![code] = below));
  }

  #newNode(link: (node: number) => void): number {
    const node = this.#tree.push([]) - 1;
    link(node);
    return node;
  }

  /** Notes what was never seen. Returns the nestings of locks of one class. */
  #add(
    task: Task,
    operation: number,
    lock: Lock,
    wantedWrites: boolean,
    pages: FindsFolio,
    takenIn: TakenIn,
  ): Nesting[] {
    const nested: Nesting[] = [];
    const kindOf = (one: Lock): string | undefined => {
      const number = this.#classes.of(one, pages);
      return number === NO_CLASS ? undefined : this.#classes.name(number);
    };
    const wanted = kindOf(lock)!;
    const holds = task.held.flatMap((held) => {
      const kind = kindOf(held);
      return kind === undefined ? [] : [{ kind, writes: held.isWriteHeldBy(task), lock: held }];
    });
    for (const { kind: held, writes: heldWrites, lock: outer } of holds) {
      const nesting: Nesting = {
        held,
        wanted,
        heldWrites,
        wantedWrites,
        holds: holds.map(({ kind, writes }) => ({ kind, writes })),
        task: task.name,
        operation,
        takenIn: takenIn(task, outer),
        wantedIn: [...task.calls],
      };
      if (held === wanted) nested.push(nesting);
      if (outer !== lock) this.#note(nesting);
    }
    return nested;
  }

  /** Two locks of one class, or more, that a task has at once. @param nestings of those that it holds, in order */
  #addPairs(task: Task, lock: Lock, wanted: number, pages: FindsFolio, nestings: readonly Nesting[]): void {
    const holds = task.held.map((held) => ({ lock: this.#nameOf(held), writes: held.isWriteHeldBy(task) }));
    const inner = this.#nameOf(lock);
    let next = 0;
    for (const [index, outer] of task.held.entries()) {
      if (this.#classes.of(outer, pages) !== wanted) continue;
      const nesting = nestings[next++];
      if (nesting && outer !== lock) this.#addPair(holds[index]!.lock, inner, { holds, nesting });
    }
  }

  /** What a lock is called in every execution; the second of a name is another lock. */
  #nameOf(lock: Lock): string {
    const { name } = lock;
    const locks = this.#named.get(name);
    if (!locks) this.#named.set(name, [lock]);
    else if (!locks.includes(lock)) locks.push(lock);
    const before = locks?.indexOf(lock) ?? 0;
    return before === 0 ? name : `${name}, ${before + 1}`;
  }

  #note(nesting: Nesting): void {
    const key = keyOf(nesting);
    if (this.#nestings.has(key)) return;
    this.#nestings.set(key, nesting);
    this.#fresh.push(key);
  }

  /** Notes two locks of one class, and whether they were taken in the other order, too, by tasks that nothing keeps apart. */
  #addPair(outer: string, inner: string, pair: Pair): void {
    const inners = this.#pairs.get(outer) ?? new Map<string, Pair[]>();
    this.#pairs.set(outer, inners);
    const known = inners.get(inner) ?? [];
    inners.set(inner, known);
    if (!known.some(({ nesting }) => nesting === pair.nesting)) known.push(pair);
    const reverse = this.#pairs
      .get(inner)
      ?.get(outer)
      ?.find((other) => !areKeptApart(pair, other));
    if (reverse) this.#note({ ...pair.nesting, reverse: reverse.nesting });
  }
}

/** Whether both hold a lock that only one can have. */
function areKeptApart(one: Pair, other: Pair): boolean {
  return one.holds.some(({ lock, writes }) =>
    other.holds.some((held) => held.lock === lock && (writes || held.writes)),
  );
}
