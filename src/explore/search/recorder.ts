/**
 * Records what the steps of an execution touch. A program reports every access to it; the search asks for those of a step when it is over.
 */
import { InvariantError } from '../../core/errors.ts';
import { Access, type Accesses, CONFLICTS, kindOf, MOST_OBJECTS, objectOf, packed } from './access.ts';

/** A step ends after so many places at the latest: its task might go round for ever, and meet nobody. */
export const MOST_PLACES_OF_STEP = 4096;

/** Kinds of a section, an acquisition, a release, for readers and for writers. */
const SECTION = [Access.sectionRead, Access.sectionWrite] as const;
const ACQUIRE = [Access.acquireRead, Access.acquireWrite] as const;
const RELEASE = [Access.releaseRead, Access.releaseWrite] as const;

/** The place where a task begins: others can come in there in any case. */
const START = 0;

/** Locks that a task has taken in its present step. */
interface Taken {
  readonly lock: number;
  readonly write: 0 | 1;
}

/**
 * What a step touches, and where it is worth while to change over to another task.
 *
 * A program has a *place* before everything that others may see: it names a lock, an entry, a field. What is touched from there to the next place
 * belongs to it. An object is *contended* if several tasks have touched it in ways that do not commute, in whatever execution; a place is *busy* if
 * something contended belongs to it. At the others nobody needs to come in: what is done from there on commutes with all that others do.
 */
export class Recorder {
  readonly tasks: number;
  /** The task whose step is under way; -1 for none: what is touched then is part of no step. */
  task = -1;
  #place = 0;
  /** Places that the step has come to; when it is over, one more if it ended elsewhere: where its task sleeps, or is done. */
  places = 0;
  /** Whether it ended at a place. */
  #stopped = false;
  /** The place at which it ends, as a count; 0: at the next busy one. */
  #last = 0;
  #accesses: number[] = [];
  /** By object: the kinds of the present step, and which step that is. */
  readonly #kinds: number[] = [];
  readonly #stepOf: number[] = [];
  /** By object: the place at which the present step has touched it last. */
  readonly #placeOf: number[] = [];
  #step = 0;
  #taken: Taken[] = [];
  /** By object: kinds with which each task has touched it, a bit each, in all executions. */
  readonly #touched: Int32Array[] = [];
  readonly #contended: boolean[] = [];
  /** By object: the places that it belongs to, as long as it is not contended. */
  readonly #placesOf: number[][] = [];
  /** By place, which is an object. */
  readonly #busy: boolean[] = [];
  readonly #stopsAt: (place: number) => boolean;
  #nextObject = 0;
  /** How many places are busy: a search begins anew when there are more, as steps then end where they did not. */
  busyPlaces = 0;

  /**
   * @param tasks of the program
   * @param stopsAt at which places steps end; default: at those that are busy
   */
  constructor(tasks: number, stopsAt?: (place: number) => boolean) {
    this.tasks = tasks;
    this.#stopsAt = stopsAt ?? ((place) => this.#busy[place]!);
    this.newObject();
  }

  /** A number for a shared object. The same object has the same number in every execution. */
  newObject(): number {
    const object = this.#nextObject++;
    if (object >= MOST_OBJECTS) throw new InvariantError(`Recorder.newObject: more than ${MOST_OBJECTS} objects`);
    this.#kinds.push(0);
    this.#stepOf.push(-1);
    this.#placeOf.push(-1);
    this.#touched.push(new Int32Array(this.tasks));
    this.#contended.push(false);
    this.#placesOf.push([]);
    this.#busy.push(false);
    return object;
  }

  /** The place that the running task came to last. */
  get lastPlace(): number {
    return this.#place;
  }

  /** Whether several tasks touch an object in ways that do not commute, as far as is known. */
  isContended(object: number): boolean {
    return this.#contended[object]!;
  }

  isBusy(place: number): boolean {
    return this.#busy[place]!;
  }

  /** A place is known to be busy, from another search of the same program. */
  expectBusy(place: number): void {
    this.#makeBusy(place);
  }

  /** Forgets who has touched what, but not which places are busy: what it learns from here on does not depend on what was run before. */
  forget(): void {
    for (const [object, touched] of this.#touched.entries()) {
      touched.fill(0);
      this.#contended[object] = false;
      this.#placesOf[object] = [];
    }
  }

  /** The running task comes to a place. Returns whether its step ends here. */
  place(object: number): boolean {
    this.#place = object;
    this.places++;
    const last = this.#last || MOST_PLACES_OF_STEP;
    this.#stopped = this.places === last || (this.#last === 0 && this.#stopsAt(object));
    return this.#stopped;
  }

  /**
   * A step begins, at the place where the task came to last: 0 for its very first step.
   *
   * @param last after so many places it ends, busy or not; 0: at the next busy one
   */
  begin(task: number, place: number, last = 0): void {
    this.task = task;
    this.#place = place;
    this.places = 0;
    this.#stopped = false;
    this.#last = last;
    this.#step++;
    this.#accesses = [];
    this.#taken = [];
  }

  /** The step is over. Returns what it touched. */
  end(): Accesses {
    for (const { lock, write } of this.#taken) this.access(lock, ACQUIRE[write]);
    this.task = -1;
    if (!this.#stopped) this.places++;
    return this.#accesses;
  }

  access(object: number, kind: Access): void {
    if (this.task < 0) return;
    const bit = 1 << kind;
    if (this.#stepOf[object] !== this.#step) {
      this.#stepOf[object] = this.#step;
      this.#kinds[object] = 0;
    } else if (this.#kinds[object]! & bit && this.#placeOf[object] === this.#place) {
      /* Most of what a step touches, it touches again and again. */
      return;
    }
    this.#placeOf[object] = this.#place;
    if (this.#contended[object]) this.#makeBusy(this.#place);
    else this.#touch(object, kind);
    if (this.#kinds[object]! & bit) return;
    this.#kinds[object]! |= bit;
    this.#accesses.push(packed(object, kind));
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
    if (this.task >= 0) this.#taken.push({ lock, write: write ? 1 : 0 });
  }

  /** A lock was tried, without success. */
  fail(lock: number, write: boolean): void {
    this.access(lock, SECTION[write ? 1 : 0]);
  }

  /** A lock was released. */
  release(lock: number, write: boolean): void {
    const side = write ? 1 : 0;
    const taken = this.#taken;
    let at = taken.length - 1;
    while (at >= 0 && !(taken[at]!.lock === lock && taken[at]!.write === side)) at--;
    if (at < 0) this.access(lock, RELEASE[side]);
    else {
      if (at === taken.length - 1) taken.pop();
      else taken.splice(at, 1);
      this.access(lock, SECTION[side]);
    }
  }

  #touch(object: number, kind: Access): void {
    const places = this.#placesOf[object]!;
    if (!places.includes(this.#place)) places.push(this.#place);
    const touched = this.#touched[object]!;
    touched[this.task]! |= 1 << kind;
    const against = CONFLICTS[kind]!;
    for (let other = 0; other < this.tasks; other++) {
      if (other === this.task || !(touched[other]! & against)) continue;
      this.#contended[object] = true;
      for (const place of places) this.#makeBusy(place);
      this.#placesOf[object] = [];
      return;
    }
  }

  #makeBusy(place: number): void {
    if (place === START || this.#busy[place]) return;
    this.#busy[place] = true;
    this.busyPlaces++;
  }
}
