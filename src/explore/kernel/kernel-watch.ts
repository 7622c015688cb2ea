/**
 * The watch over the kernel model: numbers what tasks share for the search's recorder, and finds out at once who uses a page table that was freed.
 *
 * Page tables that tasks allocate come from pieces of memory of their own, one a task, and a table that was freed is not used again before the
 * execution ends:
 *
 *   tables of the initial state | task 0's | task 1's | ...
 */
import { InvariantError } from '../../core/errors.ts';
import { Lock, type LockMode } from '../../linux/base/lock.ts';
import type { Processor } from '../../linux/base/processor.ts';
import type { Pause, Task } from '../../linux/base/task.ts';
import { type Part, type Shared, type Touch, unwatched, type Watch } from '../../linux/base/watch.ts';
import type { Machine } from '../../linux/machine/machine.ts';
import type { HugetlbPte } from '../../linux/mm/hugetlb-pte.ts';
import type { Mm } from '../../linux/mm/mm.ts';
import { entryPath } from '../../linux/page-tables/page-table.ts';
import { Access, packed } from '../search/access.ts';
import type { Recorder } from '../search/recorder.ts';
import { GupLooks } from './gup-looks.ts';
import type { FindsFolio } from './lock-class.ts';
import type { LockOrder } from './lock-order.ts';
import { LockSites } from './lock-sites.ts';
import { Pins } from './pinned.ts';

const ENTRY = 8;
const TABLE = 4096;
const ENTRIES = TABLE / ENTRY;
/** The place between two operations of a task, as an object of the recorder. */
export const BOUNDARY = 1;
/** What stands for it. */
export const BETWEEN_OPERATIONS: Shared = { name: 'between two operations' };
/** Parts of something shared: Part's values. */
const PARTS = 8;

/** A place where a step may end, the same in every process that runs the scene: the name of what is shared, or an entry's physical address. */
export type Place = string | number;

/** Somebody has read or written a page table that was freed. */
export class FreedTableUse extends Error {}

/** An entry is written by somebody who may not. */
export class UnguardedWrite extends Error {}

/** Somebody who holds a lock has forgotten it. */
export class LeakedLock extends Error {}

/** Whether a walk of an address comes to an entry. Nobody watches it. */
function reaches(mm: Mm, address: number, ptep: number): boolean {
  return unwatched(() => entryPath(mm, address).includes(ptep));
}

/** By processor: which of its walks with interrupts off was under way; -1 for none. */
type Grace = readonly number[];

/** Numbers for what is shared: the same in each execution. */
export class KernelWatch implements Watch {
  readonly processors: readonly Processor[];
  /** Calls of GUP that are under way. */
  readonly looks: GupLooks = new GupLooks();
  /** Pages that are pinned. */
  readonly pins: Pins = new Pins();
  /** Where locks were taken in this execution. */
  readonly sites: LockSites = new LockSites();
  readonly #order: LockOrder;
  readonly #takenIn = (task: Task, lock: Lock): readonly string[] => this.sites.of(task, lock).calls;
  #pages: FindsFolio = { find: () => undefined };
  /** Whose step it is, and in which of its operations: a line of the scenario. */
  running: { readonly task: Task; readonly operation?: number } | undefined = undefined;
  readonly #recorder: Recorder;
  /** Of objects that several executions have had, which are those of the initial state; and of objects that the present one has made. */
  readonly #lasting = new Map<Shared, number>();
  #own = new Map<Shared, number>();
  /** By number: who had it last. */
  readonly #lastOf: (Shared | undefined)[] = [];
  readonly #byName = new Map<string, number>();
  /** Where objects begin that were numbered together, in ascending order; and what they are: a table with its entries, or the parts of something that has a name. */
  readonly #starts: number[] = [];
  readonly #calls: string[] = [];
  /**
   * By table, as address / 4096: its number, behind which those of its entries come, 0 for none yet; whether it was freed, and who walked with interrupts off
   * when it was.
   */
  readonly #tables: Int32Array;
  readonly #isFreed: Uint8Array;
  readonly #freed: number[] = [];
  readonly #graces: (Grace | undefined)[] = [];
  readonly #firstOwn: number;
  readonly #ownTables: number;
  readonly #used: number[];

  /**
   * @param bytes of memory for page tables
   * @param firstOwn physical address from which on tables are handed out to tasks
   * @param order is told of the locks that tasks want
   */
  constructor(recorder: Recorder, processors: readonly Processor[], bytes: number, firstOwn: number, order: LockOrder) {
    this.#order = order;
    this.#recorder = recorder;
    this.processors = processors;
    if (recorder.newObject() !== BOUNDARY) throw new InvariantError('KernelWatch: expected a recorder without objects');
    this.#byName.set(BETWEEN_OPERATIONS.name, BOUNDARY);
    this.#call(BOUNDARY, `name ${BETWEEN_OPERATIONS.name}`);
    this.#tables = new Int32Array(bytes / TABLE);
    this.#isFreed = new Uint8Array(bytes / TABLE);
    this.#firstOwn = firstOwn;
    this.#ownTables = Math.floor((bytes - firstOwn) / TABLE / recorder.tasks);
    this.#used = new Array(recorder.tasks).fill(0);
  }

  /** A new execution: no table of a task's own is in use. */
  reset(machine: Machine): void {
    this.#pages = machine.frames;
    this.looks.clear();
    for (const processor of this.processors) processor.reset();
    this.sites.clear();
    this.#order.begin();
    this.pins.begin(machine);
    if (this.#own.size > 0) this.#own = new Map();
    for (const table of this.#freed) this.#isFreed[table] = 0;
    this.#freed.length = 0;
    this.#used.fill(0);
  }

  /** The task that runs. */
  get current(): Task | undefined {
    return this.running?.task;
  }

  leaf(mm: Mm, address: number, { ptep, lock }: HugetlbPte): void {
    const { current } = this;
    if (!current) return;
    const isLocked = lock.isHeldBy(current);
    if (isLocked && reaches(mm, address, ptep)) return;
    const how = isLocked ? "in a table that is not the process's any more" : `without ${lock.name}`;
    throw new UnguardedWrite(`the entry of ${mm.process} for 0x${address.toString(16)} is written ${how}`);
  }

  gupBegins(mm: Mm, start: number, nrPages: number): void {
    if (this.current) this.looks.begin(this.current, mm, start, nrPages);
  }

  gupEnds(pages: ArrayLike<number> | undefined, base: number, done: number): void {
    if (this.current) this.looks.end(this.current, pages, base, done);
  }

  pinned(mm: Mm, start: number, pages: ArrayLike<number>, base: number, done: number): void {
    if (this.current) this.pins.add(mm, start, pages, base, done);
  }

  unmaps(mm: Mm, address: number, size: number): void {
    this.pins.unmapped(mm, address, size);
  }

  /** How many places the running task has come to in its step. */
  get places(): number {
    return this.#recorder.places;
  }

  /** The place that the running task came to last. */
  get lastPlace(): number {
    return this.#recorder.lastPlace;
  }

  place(before: Shared | number): boolean {
    return this.#recorder.place(typeof before === 'number' ? this.#entry(before) : this.#number(before));
  }

  touch(how: Touch, what: Shared, part: Part): void {
    this.#recorder.access(this.#number(what) + part, how);
  }

  entry(how: Touch, at: number): void {
    const recorder = this.#recorder;
    if (recorder.task < 0) return;
    const table = this.#usedTable(at);
    recorder.access(table, Access.read);
    recorder.access(table + 1 + (at % TABLE) / ENTRY, how);
  }

  quietEntries(at: number, entries: number): number {
    return this.#recorder.quiet(this.#entry(at), entries);
  }

  passEntries(at: number, entries: number): void {
    this.#recorder.passAll(this.#entry(at), entries);
  }

  passedEntries(): void {
    this.#recorder.passedAll();
  }

  eachEntry(how: Touch, at: number): void {
    this.#recorder.access(this.#usedTable(at), Access.read);
    this.#recorder.accessEach(how);
  }

  /** The number of the table in which an entry lies that is looked at, or written. @throws FreedTableUse */
  #usedTable(at: number): number {
    const table = Math.floor(at / TABLE);
    if (this.#isFreed[table] && !this.#hasGrace(table)) {
      const index = (at % TABLE) / ENTRY;
      throw new FreedTableUse(`entry ${index} of the page table at 0x${(table * TABLE).toString(16)}, which was freed`);
    }
    return this.#table(table);
  }

  table(at: number, isNew: boolean): void {
    if (this.#recorder.task < 0) return;
    const table = at / TABLE;
    this.#recorder.access(this.#table(table), Access.write);
    if (isNew) return;
    this.#isFreed[table] = 1;
    this.#freed.push(table);
    this.#graces[table] = this.processors.map(({ gupFast }) => (gupFast.isUnderWay ? gupFast.over : -1));
  }

  /** Whether the running task walks with interrupts off since before a table was freed: tables go by RCU, which waits for that. */
  #hasGrace(table: number): boolean {
    const processor = this.current?.processor;
    const index = processor ? this.processors.indexOf(processor) : -1;
    return index >= 0 && this.#graces[table]![index] === processor!.gupFast.over;
  }

  frame(at: number): void {
    if (this.#recorder.task >= 0) this.#recorder.access(this.#table(at / TABLE), Access.read);
  }

  tableAddress(): number | undefined {
    const { task } = this.#recorder;
    if (task < 0) return undefined;
    const nth = this.#used[task]!++;
    if (nth >= this.#ownTables)
      throw new InvariantError(`KernelWatch.tableAddress: task ${task} has used up its tables`);
    return this.#firstOwn + (task * this.#ownTables + nth) * TABLE;
  }

  wants(lock: Lock, mode: LockMode): void {
    const { running } = this;
    if (!running || running.task.held.length === 0) return;
    const { task, operation = 0 } = running;
    this.#order.wants(task, operation, lock, mode, this.#pages, this.#takenIn);
  }

  acquired(lock: Lock, write: boolean, guardsAll: boolean): void {
    const { running } = this;
    if (running) this.sites.taken(running.task, running.operation ?? 0, lock);
    const number = this.#number(lock);
    this.#recorder.acquire(number, write);
    if (guardsAll) this.#recorder.access(number, write ? Access.write : Access.read);
  }

  released(lock: Lock, write: boolean): void {
    if (this.running) this.#order.released(this.running.task, lock);
    this.#recorder.release(this.#number(lock), write);
  }

  leaked(lock: Shared): void {
    throw new LeakedLock(`${lock.name} will never be released`);
  }

  refused(lock: Shared, write: boolean): void {
    this.#recorder.fail(this.#number(lock), write);
  }

  /** What a pause waits for, as an access; -1 where it is no lock. */
  awaited({ on, mode }: Pause): number {
    if (!(on instanceof Lock)) return -1;
    /* Who only waits until a lock is free has not taken it, but would have had to wait for the same tasks. */
    const how = mode === 'wait' ? Access.sectionWrite : mode === 'write' ? Access.acquireWrite : Access.acquireRead;
    return packed(this.#number(on), how);
  }

  /** Whether several tasks touch what has this name, in ways that do not commute. */
  isShared(name: string): boolean {
    const number = this.#byName.get(name);
    if (number === undefined) return false;
    for (let part = 0; part < PARTS; part++) if (this.#recorder.isContended(number + part)) return true;
    return false;
  }

  /** What an object is called in every process that runs the scene: `3 name mmap_lock of process 0`. */
  callOf(object: number): string {
    let [low, high] = [0, this.#starts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= object) low = middle;
      else high = middle;
    }
    return `${object - this.#starts[low]!} ${this.#calls[low]}`;
  }

  /** The object that is called so. */
  objectCalled(call: string): number {
    const [, nth, kind, what] = /^(\d+) (\w+) (.*)$/s.exec(call)!;
    return Number(nth) + (kind === 'table' ? this.#table(Number(what)) : this.#numberNamed(what!));
  }

  #call(start: number, what: string): void {
    this.#starts.push(start);
    this.#calls.push(what);
  }

  /** The places that are busy, as far as is known. */
  busyPlaces(): Place[] {
    const busy = (number: number): boolean => this.#recorder.isBusy(number);
    const named = [...this.#byName].flatMap(([name, number]) => (busy(number) ? [name] : []));
    const entries: number[] = [];
    for (const [table, number] of this.#tables.entries()) {
      for (let entry = 0; number !== 0 && entry < ENTRIES; entry++)
        if (busy(number + 1 + entry)) entries.push(table * TABLE + entry * ENTRY);
    }
    return [...named.sort(), ...entries];
  }

  /** Places are known to be busy, from elsewhere. */
  expectBusy(places: readonly Place[]): void {
    for (const place of places) {
      this.#recorder.expectBusy(typeof place === 'number' ? this.#entry(place) : this.#numberNamed(place));
    }
  }

  #number(what: Shared): number {
    let number = this.#lasting.get(what) ?? this.#own.get(what);
    if (number !== undefined) return number;
    number = this.#numberNamed(what.name);
    (this.#lastOf[number] === what ? this.#lasting : this.#own).set(what, number);
    this.#lastOf[number] = what;
    return number;
  }

  #numberNamed(name: string): number {
    let number = this.#byName.get(name);
    if (number === undefined) {
      number = this.#recorder.newObjects(PARTS);
      this.#byName.set(name, number);
      this.#call(number, `name ${name}`);
    }
    return number;
  }

  #entry(at: number): number {
    return this.#table(Math.floor(at / TABLE)) + 1 + (at % TABLE) / ENTRY;
  }

  #table(table: number): number {
    if (this.#tables[table] === 0) {
      this.#tables[table] = this.#recorder.newObjects(1 + ENTRIES);
      this.#call(this.#tables[table]!, `table ${table}`);
    }
    return this.#tables[table]!;
  }
}
