/**
 * Putting a machine back to where it was. Nothing of the kernel's: a search runs the same small machine again and again, and to make a
 * new one each time is too slow.
 *
 *   checkpoint   ──>  each object's keep(), once   ──>  a list of functions, each of which puts one object's fields back
 *   restore()    ──>  calls them, one after the other; what was made since is in no list, and garbage
 *
 * Each class with a state is `Kept`, and answers for its own fields: a test reads the sources, and asks for every one of them. What
 * is large, memory, knows its pieces that were written since (`WrittenPieces`), and copies no others.
 */
import type { Lock } from './lock.ts';

/** Puts the fields of one object back. */
export type PutBack = () => void;

/** An object that a checkpoint can keep. */
export interface Kept {
  /**
   * Notes the object's own fields, and {@link Checkpoint.add}s the objects that it knows. Called once a checkpoint.
   *
   * @returns what puts the fields back; called any number of times
   * @internal
   */
  keep(checkpoint: Checkpoint): PutBack;
}

/** Grows with every checkpoint, and with every return to one, of whatever machine: when something was written. */
let epoch = 0;

/** What a machine was at a moment: see {@link Machine.checkpoint}. */
export class Checkpoint {
  readonly #seen = new Set<Kept>();
  readonly #putBacks: PutBack[] = [];
  #since: number;

  /** @throws TypeError where somebody is under way in the kernel */
  constructor(machine: Kept) {
    this.add(machine);
    this.#since = ++epoch;
  }

  /** In which epoch it was taken, or last returned to: what was written in it or later is to be put back. */
  get since(): number {
    return this.#since;
  }

  /** Has an object kept, if it is not yet. */
  add(object: Kept | undefined): void {
    if (object === undefined || this.#seen.has(object)) return;
    this.#seen.add(object);
    this.#putBacks.push(object.keep(this));
  }

  /** Has all of them kept. */
  addAll(objects: Iterable<Kept>): void {
    for (const object of objects) this.add(object);
  }

  /** Locks are free at a checkpoint, and need not be kept: tasks know what they have taken since. @throws TypeError where one is held */
  free(...locks: readonly Lock[]): void {
    for (const lock of locks) {
      if (lock.isHeld) throw busy(`${lock.describe()}`);
    }
  }

  /**
   * Puts everything back to where it was. It may be called again and again; paths that are under way are not to be continued then, as they
   * know of what is no more.
   */
  restore(): void {
    for (const putBack of this.#putBacks) putBack();
    this.#since = ++epoch;
  }
}

/** @param what is under way */
export function busy(what: string): TypeError {
  return new TypeError(`checkpoint: expected nobody in the kernel, got ${what}; let all paths come to their end first`);
}

/** Which pieces of a memory were written, and when. */
export class WrittenPieces {
  /** The epoch of the last write, by piece. */
  readonly #epochs: number[] = [];

  /** Notes a write. */
  mark(piece: number): void {
    this.#epochs[piece] = epoch;
  }

  /**
   * Those of `pieces` that were written since a checkpoint are put back, by a call for each.
   *
   * @param putBack gets the index in `pieces`
   */
  putBack({ since }: Checkpoint, pieces: readonly number[], putBack: (index: number) => void): void {
    for (let index = 0; index < pieces.length; index++) {
      const written = this.#epochs[pieces[index]!];
      if (written === undefined || written < since) continue;
      putBack(index);
      /* For another checkpoint, that was a write. */
      this.mark(pieces[index]!);
    }
  }
}

/** Keeps the elements of an array; not what they are. */
export function keepArray<T>(array: T[]): PutBack {
  const kept = array.slice();
  return () => {
    while (array.length > kept.length) array.pop();
    for (let at = 0; at < kept.length; at++) if (array[at] !== kept[at]) array[at] = kept[at]!;
  };
}

/*
 * What was put into a set or map since is taken out of it again, one by one, and mostly nothing was: to clear it would give it a new table each time, and an
 * engine's garbage collector keeps all of these for a while, as each leads to the next.
 */

/** Keeps the elements of a set, and their order. */
export function keepSet<T>(set: Set<T>): PutBack {
  const kept = [...set];
  /* No iterator, which would be garbage: most sets are the same most of the time. */
  let same = 0;
  let seen = 0;
  const compare = (element: T): void => {
    if (same === seen && element === kept[same]) same++;
    seen++;
  };
  return () => {
    same = 0;
    seen = 0;
    if (set.size > 0) set.forEach(compare);
    if (seen > same) for (const element of [...set].slice(same)) set.delete(element);
    for (let at = same; at < kept.length; at++) set.add(kept[at]!);
  };
}

/** Empties a set; one that is empty costs nothing. */
export function empty<T>(set: Set<T>): void {
  if (set.size > 0) set.clear();
}

/** Keeps the keys and values of a map, and their order. */
export function keepMap<K, V>(map: Map<K, V>): PutBack {
  const keys = [...map.keys()];
  const values = [...map.values()];
  let same = 0;
  let seen = 0;
  const compare = (value: V, key: K): void => {
    if (same === seen && key === keys[same] && value === values[same]) same++;
    seen++;
  };
  return () => {
    same = 0;
    seen = 0;
    if (map.size > 0) map.forEach(compare);
    if (seen > same) for (const key of [...map.keys()].slice(same)) map.delete(key);
    for (let at = same; at < keys.length; at++) map.set(keys[at]!, values[at]!);
  };
}
