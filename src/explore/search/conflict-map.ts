/**
 * Who has touched what, in all executions of a search, and from it: which places are busy.
 *
 * An access at a place meets another task's if that has touched the same object in a way with which it does not commute. A place is *busy* if any
 * access that belongs to it meets one; at the others nobody needs to come in, as what is done from there on commutes with all that others do.
 *
 *   task 0   place p: reads x, y      place q: reads x      p: x meets task 1's write: busy
 *   task 1   place r: writes x        place s: reads y      q, r: busy; s is not, nor would p be for y alone
 */
import { type Access, CONFLICTS, KINDS } from './access.ts';
import { PairSet } from './pair-set.ts';

/** Objects that there is room for at first. */
const OBJECTS = 4096;

/** The place where a task begins: others can come in there in any case. */
export const START = 0;

/**
 * A note says at which consecutive places a task has touched an object in one way, where that has met nobody yet. The notes of an object are a list:
 *
 *   | next note, 0 for none | task | kind | first place | how many |
 */
const NEXT = 0;
const TASK = 1;
const KIND = 2;
const FIRST = 3;
const COUNT = 4;
const NOTE = 5;

/** By object, task, kind and place. */
export class ConflictMap {
  readonly #tasks: number;
  /** By object and task: kinds with which it was touched, a bit each. */
  #touched: Uint16Array = new Uint16Array();
  /** By object and task: the same, where it was touched at a place of its own: the object's. */
  #own: Uint16Array = new Uint16Array();
  /** By place, which is an object: 1 where it is busy. */
  #busy: Uint8Array = new Uint8Array();
  /** By object: its first note. */
  #firstNote: Int32Array = new Int32Array();
  #notes: Int32Array = new Int32Array(NOTE * 1024);
  /** Behind the last note; there is none at 0. */
  #end: number = NOTE;
  /** Which notes there are: object, task and kind; and place. */
  readonly #noted = new PairSet();
  /** How many places are busy. */
  busyPlaces = 0;

  constructor(tasks: number) {
    this.#tasks = tasks;
  }

  /** Makes room for so many objects. */
  reserve(objects: number): void {
    const before = this.#busy.length;
    if (objects <= before) return;
    const after = Math.max(objects, 2 * before, OBJECTS);
    this.#busy = grown(this.#busy, new Uint8Array(after));
    this.#touched = grown(this.#touched, new Uint16Array(after * this.#tasks));
    this.#own = grown(this.#own, new Uint16Array(after * this.#tasks));
    this.#firstNote = grown(this.#firstNote, new Int32Array(after));
  }

  isBusy(place: number): boolean {
    return this.#busy[place] === 1;
  }

  /** Whether several tasks touch an object in ways that do not commute. */
  isContended(object: number): boolean {
    for (let task = 0; task < this.#tasks; task++) {
      for (let kind = 0; kind < KINDS; kind++) {
        if (this.#hasTouched(object, task, kind as Access) && this.#meetsOther(object, task, kind as Access))
          return true;
      }
    }
    return false;
  }

  makeBusy(place: number): void {
    if (place === START || this.#busy[place] === 1) return;
    this.#busy[place] = 1;
    this.busyPlaces++;
  }

  #makeAllBusy(first: number, count: number): void {
    for (let place = first; place < first + count; place++) this.makeBusy(place);
  }

  /** Forgets who has touched what, but not which places are busy. */
  forget(): void {
    this.#touched.fill(0);
    this.#own.fill(0);
    this.#firstNote.fill(0);
    this.#end = NOTE;
    this.#noted.clear();
  }

  /** A task touches an object, from a place on. */
  touch(object: number, task: number, kind: Access, first: number, count: number): void {
    if (!this.#hasTouched(object, task, kind)) this.#touchNew(object, task, kind);
    if (this.#busy[first] === 1 || first === START) return;
    if (this.#meetsOther(object, task, kind)) {
      this.#makeAllBusy(first, count);
      return;
    }
    if (this.#noted.add((object * this.#tasks + task) * KINDS + kind, first))
      this.#note(object, task, kind, first, count);
  }

  #note(object: number, task: number, kind: Access, first: number, count: number): void {
    const at = this.#end;
    this.#end += NOTE;
    if (this.#end > this.#notes.length) this.#notes = grown(this.#notes, new Int32Array(2 * this.#notes.length));
    this.#notes[at + NEXT] = this.#firstNote[object]!;
    this.#notes[at + TASK] = task;
    this.#notes[at + KIND] = kind;
    this.#notes[at + FIRST] = first;
    this.#notes[at + COUNT] = count;
    this.#firstNote[object] = at;
  }

  /** A task touches consecutive objects, each at a place of its own, none of which is busy. */
  touchEach(first: number, count: number, task: number, kind: Access): void {
    const own = this.#own;
    const bit = 1 << kind;
    for (let object = first; object < first + count; object++) {
      if (own[object * this.#tasks + task]! & bit) continue;
      own[object * this.#tasks + task]! |= bit;
      if (!this.#hasTouched(object, task, kind)) this.#touchNew(object, task, kind);
      if (this.#meetsOther(object, task, kind)) this.makeBusy(object);
    }
  }

  /** What has met nobody until a task touches an object so, meets it. */
  #touchNew(object: number, task: number, kind: Access): void {
    this.#touched[object * this.#tasks + task]! |= 1 << kind;
    const against = CONFLICTS[kind]!;
    const notes = this.#notes;
    for (let at = this.#firstNote[object]!; at !== 0; at = notes[at + NEXT]!) {
      if (notes[at + TASK] !== task && (against >> notes[at + KIND]!) & 1)
        this.#makeAllBusy(notes[at + FIRST]!, notes[at + COUNT]!);
    }
    for (let other = 0; other < this.#tasks; other++) {
      if (other !== task && this.#own[object * this.#tasks + other]! & against) this.makeBusy(object);
    }
  }

  #hasTouched(object: number, task: number, kind: Access): boolean {
    return ((this.#touched[object * this.#tasks + task]! >> kind) & 1) === 1;
  }

  #meetsOther(object: number, task: number, kind: Access): boolean {
    const against = CONFLICTS[kind]!;
    for (let other = 0; other < this.#tasks; other++) {
      if (other !== task && this.#touched[object * this.#tasks + other]! & against) return true;
    }
    return false;
  }
}

function grown<T extends Uint8Array | Uint16Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
