/**
 * Locks with owners. Order: mm/rmap.c of Linux 6.1, its head comment, with hugetlbfs's own part.
 *
 *   mf_mutex                      one memory failure at a time; who handles one takes only such locks as are free, but for the page's
 *   mmap_lock                     a process's VMAs
 *     i_rwsem                     a file's size and reserve map (hugetlbfs takes it inside mmap_lock, in mmap)
 *       hugetlb_fault_mutex       one of a table, by file and huge-page index: a fault, a truncation
 *         vma_lock                a shareable VMA's page tables: held for reading in a fault, for writing in an unshare
 *           i_mmap_rwsem          a file's list of VMAs
 *             page lock           a folio in the page cache
 *               page-table lock   entries; fork takes the child's, then the parent's
 *                 resv_map, subpool
 *                   hugetlb_lock  the pools
 */
import { hex, InvariantError } from '../../core/errors.ts';
import { type Awaited, DeadEnd, type Path, type Task } from './task.ts';
import { type Shared, watch } from './watch.ts';

/** How a lock is held: by one task alone, by any number of readers, or not at all: only waited for. */
export type LockMode = 'write' | 'read' | 'wait';

/** The classes of locks; the number is the place in the order above. */
export const LockRank = {
  uringLock: 0,
  mfMutex: 1,
  mmapLock: 2,
  inode: 3,
  faultMutex: 4,
  vmaLock: 5,
  iMmap: 6,
  page: 7,
  pageTable: 8,
  reservations: 9,
  hugetlbLock: 10,
} as const;

/** The place of a class of locks in the order. */
export type LockRank = (typeof LockRank)[keyof typeof LockRank];

/** Processes and files are counted; tables, frames and mappings have addresses, none of them in the first 4 KiB. */
const FIRST_ADDRESS = 0x1000;

/** Most locks have no reader, most of the time. Never written to. */
const NOBODY: Task[] = [];

/** The path of who got a lock at once, which has nothing left to do: one for all, since most locks are free most of the time. */
const TAKEN: Path<void> = (function* (): Path<void> {})();
TAKEN.next();

/** A mutex, spin lock or reader-writer semaphore: the differences do not matter to a model. */
export class Lock implements Awaited {
  readonly rank: LockRank;
  readonly #kind: string;
  readonly #of: number | undefined;
  #writer: Task | undefined;
  #readers: Task[] = NOBODY;
  /** Whether a holder will never let go of it. */
  #leaked = false;

  /**
   * @param kind its name
   * @param of what it belongs to, if there are many of the kind: an address, a number
   */
  constructor(kind: string, rank: LockRank, of?: number) {
    this.#kind = kind;
    this.#of = of;
    this.rank = rank;
  }

  /** Its name: put together when somebody asks, as every huge page has a lock. */
  get name(): string {
    if (this.#of === undefined) return this.#kind;
    return `${this.#kind} ${this.#of < FIRST_ADDRESS ? this.#of : hex(this.#of)}`;
  }

  /** Its class, as lockdep has it: the name of all locks that are made in one place. @internal */
  get kind(): string {
    return this.#kind.replace(/ of .*| at$/, '');
  }

  /** What it belongs to: an address, a number. @internal */
  get of(): number | undefined {
    return this.#of;
  }

  /** Whether a task could have it now. */
  isFreeFor(_task: Task, mode: LockMode): boolean {
    return this.#writer === undefined && (mode === 'read' || this.#readers.length === 0);
  }

  /** Who holds it, in words. */
  describe(): string {
    const holders = this.#writer ? [this.#writer] : this.#readers;
    return holders.length === 0 ? this.name : `${this.name}, held by ${holders.map(({ name }) => name).join(', ')}`;
  }

  get isHeld(): boolean {
    return this.#writer !== undefined || this.#readers.length > 0;
  }

  /** Whether this task holds it, for reading or writing. @internal */
  isHeldBy(task: Task): boolean {
    return this.#writer === task || this.#readers.includes(task);
  }

  /** @internal */
  isWriteHeldBy(task: Task): boolean {
    return this.#writer === task;
  }

  /**
   * Takes it alone. A free one is taken at the call, where nobody can come in between: `yield*` it at once.
   * @internal
   */
  write(task: Task): Path<void> {
    this.#checkOrder(task);
    return this.#takeOrWait(task, 'write');
  }

  /** The same of a lock that guards many things, for one of them. @param before what that is: see Watch.place @internal */
  writeFor(task: Task, before: Shared | number): Path<void> {
    this.#checkOrder(task);
    return this.#takeOrWait(task, 'write', 'write', before);
  }

  /** Takes it together with other readers. @internal */
  read(task: Task): Path<void> {
    this.#checkOrder(task);
    return this.#takeOrWait(task, 'read');
  }

  /** @param mode in which it has to be free @param as how it is taken then */
  #takeOrWait(task: Task, mode: 'read' | 'write', as = mode, before: Shared | number = this): Path<void> {
    watch?.wants(this, mode);
    const preempted = task.isPreemptedAt(before);
    if (preempted || this.#leaked || !this.isFreeFor(task, mode)) return this.#wait(task, mode, as);
    this.#take(task, as, mode);
    return TAKEN;
  }

  /** Takes it for reading when nobody else has it any more: for who comes last. @internal */
  readAlone(task: Task): Path<void> {
    this.#checkOrder(task);
    return this.#takeOrWait(task, 'write', 'read');
  }

  *#wait(task: Task, mode: 'read' | 'write', as: 'read' | 'write'): Path<void> {
    if (this.#leaked) this.#assertFree(task, mode);
    yield { on: this, mode };
    this.#take(task, as, mode);
  }

  /** Takes it alone where the order above is broken on purpose; the caller says why that cannot deadlock, or that it can. @internal */
  writeOutOfOrder(task: Task): Path<void> {
    return this.#takeOrWait(task, 'write');
  }

  /** Like {@link writeOutOfOrder}, for readers. @internal */
  readOutOfOrder(task: Task): Path<void> {
    return this.#takeOrWait(task, 'read');
  }

  /** Takes it if that needs no waiting; the order does not matter then. @internal */
  tryWrite(task: Task): boolean {
    if (!this.isFreeFor(task, 'write')) {
      watch?.refused(this, true);
      return false;
    }
    this.#take(task, 'write');
    return true;
  }

  /** Waits until nobody holds it, and does not take it. @internal */
  *wait(task: Task): Path<void> {
    watch?.wants(this, 'wait');
    if (task.isPreemptedAt(this) || !this.isFreeFor(task, 'wait')) yield { on: this, mode: 'wait' };
    watch?.refused(this, true);
  }

  /** @throws InvariantError unless the task holds it @internal */
  unlock(task: Task): void {
    watch?.released(this, this.#writer === task);
    if (this.#writer === task) this.#writer = undefined;
    else {
      const reader = this.#readers.indexOf(task);
      if (reader < 0) throw new InvariantError(`Lock.unlock: ${task.name} does not hold ${this.describe()}`);
      if (this.#readers.length === 1) this.#readers = NOBODY;
      else this.#readers.splice(reader, 1);
    }
    const { held } = task;
    if (held[held.length - 1] === this) held.pop();
    else held.splice(held.lastIndexOf(this), 1);
    task.machine.trace?.push({ kind: 'unlock', task: task.name, lock: this.name });
  }

  /** A holder forgets it: nobody can have it any more but beside a reader, and who wants it waits for ever. @internal */
  leak(task: Task): void {
    const { held } = task;
    held.splice(held.lastIndexOf(this), 1);
    task.leaked.push(this);
    this.#leaked = true;
    watch?.leaked(this);
  }

  /** It is free, whoever has it: a task that has taken it since a checkpoint is to be as it was then. @internal */
  makeFree(): void {
    this.#writer = undefined;
    this.#readers = NOBODY;
    this.#leaked = false;
  }

  /** @throws DeadEnd where it would have to be waited for */
  #assertFree(task: Task, mode: LockMode): void {
    if (!this.isFreeFor(task, mode)) throw new DeadEnd(task, 'HANG', `${this.describe()}, which never lets go of it`);
  }

  /** A holder for writing becomes a reader. @internal */
  downgrade(task: Task): void {
    this.unlock(task);
    this.#take(task, 'read');
  }

  #take(task: Task, mode: 'read' | 'write', free = mode): void {
    if (mode === 'write') this.#writer = task;
    else if (this.#readers.length === 0) this.#readers = [task];
    else this.#readers.push(task);
    task.held.push(this);
    watch?.acquired(this, free === 'write', this.rank < LockRank.page || this.rank > LockRank.pageTable);
    task.machine.trace?.push({ kind: 'lock', task: task.name, lock: this.name, mode });
  }

  /** Locks of one class nest only where two page tables are worked on: fork, mremap. */
  #checkOrder(task: Task): void {
    const { held } = task;
    for (let index = held.length - 1; index >= 0; index--) {
      const outer = held[index]!;
      if (outer.rank < this.rank || (outer.rank === this.rank && mayNest(this.rank) && outer !== this)) continue;
      throw new InvariantError(
        `Lock: ${task.name} takes ${this.name} while it holds ${outer.name}: the order is the other`,
      );
    }
  }
}

/** Fork holds two mmap_locks and two page-table locks, the other's first; see dup_mmap and copy_hugetlb_page_range. */
function mayNest(rank: LockRank): boolean {
  return rank === LockRank.pageTable || rank === LockRank.mmapLock;
}
