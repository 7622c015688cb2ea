/**
 * Records what the steps of an execution touch. A program reports every access to it; the search asks for those of a step when it is over.
 */
import { InvariantError } from '../../core/errors.ts';
import { Access, type Accesses, kindOf, MOST_OBJECTS, objectOf, packed } from './access.ts';
import { ConflictMap } from './conflict-map.ts';

/** A step ends after so many places at the latest: its task might go round for ever, and meet nobody. */
export const MOST_PLACES_OF_STEP = 4096;

/** Kinds of a section, an acquisition, a release, for readers and for writers. */
const SECTION = [Access.sectionRead, Access.sectionWrite] as const;
const ACQUIRE = [Access.acquireRead, Access.acquireWrite] as const;
const RELEASE = [Access.releaseRead, Access.releaseWrite] as const;

/** Objects that there is room for at first. */
const OBJECTS = 4096;

/**
 * What a step touches, and where it is worth while to change over to another task.
 *
 * A program has a *place* before everything that others may see: it names a lock, an entry, a field. What is touched from there to the next place
 * belongs to it, and decides whether it is busy: see conflict-map.ts. A step goes from one busy place to the next.
 *
 * Consecutive places that are not busy may be passed at once ({@link passAll}): what is touched at each of them alone need not be listed then, as it
 * commutes with all that others do. If it turns out that it does not, more places are busy, and a search begins anew.
 */
export class Recorder {
  readonly tasks: number;
  /** The task whose step is under way; -1 for none: what is touched then is part of no step. */
  task = -1;
  /** The place that the running task came to last, or the first of those that it passes at once. */
  #place = 0;
  #passed = 1;
  /** Places that the step has come to; when it is over, one more if it ended elsewhere: where its task sleeps, or is done. */
  places = 0;
  /** Whether it ended at a place. */
  #stopped = false;
  /** The place at which it ends, as a count; 0: at the next busy one. */
  #last = 0;
  /** What the step has touched, and how much that is: one list for all steps. */
  readonly #accesses: number[] = [];
  #touched = 0;
  /** By object: the kinds with which the present step has touched it. */
  #kinds: Uint16Array = new Uint16Array();
  /** By object: at which visit of a place it was touched last, and with which kinds there. Visits are counted over all executions. */
  #visitOf: Float64Array = new Float64Array();
  #kindsThere: Uint16Array = new Uint16Array();
  #visit = 0;
  /** Locks that the present step has taken and not released, as accesses. */
  readonly #taken: number[] = [];
  readonly #conflicts: ConflictMap;
  readonly #stopsAt: ((place: number) => boolean) | undefined;
  #nextObject = 0;

  /**
   * @param tasks of the program
   * @param stopsAt at which places steps end; default: at those that are busy. If it is given, nothing is recorded
   */
  constructor(tasks: number, stopsAt?: (place: number) => boolean) {
    this.tasks = tasks;
    this.#conflicts = new ConflictMap(tasks);
    this.#stopsAt = stopsAt;
    this.newObjects(1);
  }

  /** How many places are busy: a search begins anew when there are more, as steps then end where they did not. */
  get busyPlaces(): number {
    return this.#conflicts.busyPlaces;
  }

  /** A number for a shared object. The same object has the same number in every execution. */
  newObject(): number {
    return this.newObjects(1);
  }

  /** Consecutive numbers. Returns the first. */
  newObjects(count: number): number {
    const first = this.#nextObject;
    this.#nextObject += count;
    if (this.#nextObject > MOST_OBJECTS)
      throw new InvariantError(`Recorder.newObjects: more than ${MOST_OBJECTS} objects`);
    this.#reserve(this.#nextObject);
    return first;
  }

  #reserve(objects: number): void {
    const before = this.#kinds.length;
    if (objects <= before || this.#stopsAt) return;
    const after = Math.max(objects, 2 * before, OBJECTS);
    this.#conflicts.reserve(after);
    const [kinds, visits, there] = [this.#kinds, this.#visitOf, this.#kindsThere];
    this.#kinds = new Uint16Array(after);
    this.#kinds.set(kinds);
    this.#visitOf = new Float64Array(after);
    this.#visitOf.set(visits);
    this.#kindsThere = new Uint16Array(after);
    this.#kindsThere.set(there);
  }

  /** The place that the running task came to last. */
  get lastPlace(): number {
    return this.#place;
  }

  /** Whether several tasks touch an object in ways that do not commute, as far as is known. */
  isContended(object: number): boolean {
    return this.#conflicts.isContended(object);
  }

  isBusy(place: number): boolean {
    return this.#conflicts.isBusy(place);
  }

  /** A place is known to be busy, from another search of the same program. */
  expectBusy(place: number): void {
    this.#conflicts.makeBusy(place);
  }

  /** Forgets who has touched what, but not which places are busy: what it learns from here on does not depend on what was run before. */
  forget(): void {
    this.#conflicts.forget();
  }

  /** The running task comes to a place. Returns whether its step ends here. */
  place(object: number): boolean {
    this.#place = object;
    this.#visit++;
    this.places++;
    const last = this.#last || MOST_PLACES_OF_STEP;
    this.#stopped = this.places === last || (this.#last === 0 && this.#isStop(object));
    return this.#stopped;
  }

  #isStop(place: number): boolean {
    return this.#stopsAt ? this.#stopsAt(place) : this.#conflicts.isBusy(place);
  }

  /** How many of so many consecutive places nobody needs to come in at, from the first on: those that {@link passAll} may pass now. */
  quiet(first: number, count: number): number {
    const most = Math.min(count, (this.#last || MOST_PLACES_OF_STEP) - this.places - 1);
    let quiet = 0;
    while (quiet < most && !this.#isStop(first + quiet)) quiet++;
    return quiet;
  }

  /** The running task passes consecutive places at once: until {@link passedAll}, what it touches is touched at every one of them. */
  passAll(first: number, count: number): void {
    this.#place = first;
    this.#passed = count;
    this.#visit++;
    this.places += count;
  }

  /** At each of the places that are being passed, the object is touched that has the same number. */
  accessEach(kind: Access): void {
    if (this.task >= 0 && !this.#stopsAt) this.#conflicts.touchEach(this.#place, this.#passed, this.task, kind);
  }

  /** What is touched from here on belongs to the last of the places that were passed. */
  passedAll(): void {
    this.#place += this.#passed - 1;
    this.#passed = 1;
    this.#visit++;
  }

  /**
   * A step begins, at the place where the task came to last: 0 for its very first step.
   *
   * @param last after so many places it ends, busy or not; 0: at the next busy one
   */
  begin(task: number, place: number, last = 0): void {
    this.task = task;
    this.#place = place;
    this.#passed = 1;
    this.#visit++;
    this.places = 0;
    this.#stopped = false;
    this.#last = last;
    this.#touched = 0;
    this.#taken.length = 0;
  }

  /** What the step has touched that is over. */
  get accesses(): Accesses {
    return this.#accesses.slice(0, this.#touched);
  }

  /** The step is over. */
  end(): void {
    for (const access of this.#taken) this.access(objectOf(access), kindOf(access));
    this.task = -1;
    if (!this.#stopped) this.places++;
    for (let at = 0; at < this.#touched; at++) this.#kinds[objectOf(this.#accesses[at]!)] = 0;
  }

  access(object: number, kind: Access): void {
    if (this.task < 0 || this.#stopsAt) return;
    const bit = 1 << kind;
    /* Most of what a step touches, it touches again and again. */
    if (this.#visitOf[object] !== this.#visit) {
      this.#visitOf[object] = this.#visit;
      this.#kindsThere[object] = bit;
    } else if (this.#kindsThere[object]! & bit) return;
    else this.#kindsThere[object]! |= bit;
    this.#conflicts.touch(object, this.task, kind, this.#place, this.#passed);
    if (this.#kinds[object]! & bit) return;
    this.#kinds[object]! |= bit;
    this.#accesses[this.#touched++] = packed(object, kind);
  }

  /** A task waits for a lock for ever: it would touch it. @param awaited as an access */
  blocked(task: number, awaited: number): void {
    this.begin(task, objectOf(awaited));
    this.access(objectOf(awaited), kindOf(awaited));
    this.end();
  }

  read(object: number): void {
    this.access(object, Access.read);
  }

  write(object: number): void {
    this.access(object, Access.write);
  }

  /** A lock was taken. */
  acquire(lock: number, write: boolean): void {
    if (this.task >= 0) this.#taken.push(packed(lock, ACQUIRE[write ? 1 : 0]));
  }

  /** A lock was tried, without success. */
  fail(lock: number, write: boolean): void {
    this.access(lock, SECTION[write ? 1 : 0]);
  }

  /** A lock was released. */
  release(lock: number, write: boolean): void {
    const side = write ? 1 : 0;
    const taken = this.#taken;
    const at = taken.lastIndexOf(packed(lock, ACQUIRE[side]));
    if (at < 0) this.access(lock, RELEASE[side]);
    else {
      if (at === taken.length - 1) taken.pop();
      else taken.splice(at, 1);
      this.access(lock, SECTION[side]);
    }
  }
}
