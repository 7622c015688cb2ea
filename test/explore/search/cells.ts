/**
 * Small programs over cells and locks, for the tests of the search: a task is a generator that comes to a place before each access.
 */
import { Access, packed } from '../../../src/explore/search/access.ts';
import type { Program } from '../../../src/explore/search/program.ts';
import type { Recorder } from '../../../src/explore/search/recorder.ts';

interface Pause {
  readonly object: number;
  /** The lock that is wanted, and how. */
  readonly lock?: { readonly name: string; readonly write: boolean };
  readonly until?: () => boolean;
}
export type Steps = Generator<Pause, void, void>;
export type Task = (cells: Cells, task: number) => Steps;

interface Holders {
  writer: number;
  readers: Set<number>;
}

/** Cells that tasks share, by name, all 0 at first; and locks. */
export class Cells implements Program<string> {
  readonly tasks: number;
  readonly #bodies: readonly Task[];
  readonly #judge: (cells: Cells) => string | undefined;
  readonly #objects = new Map<string, number>();
  #recorder!: Recorder;
  #values = new Map<string, number>();
  #locks = new Map<string, Holders>();
  #paths: Steps[] = [];
  #pauses: (Pause | 'start' | 'done')[] = [];
  #running = -1;
  /** What each task has seen, for its outcome. */
  seen: number[][] = [];

  /** @param judge what is wrong with a final state; a task that cannot go on is 'deadlock' */
  constructor(bodies: readonly Task[], judge: (cells: Cells) => string | undefined = () => undefined) {
    this.#bodies = bodies;
    this.tasks = bodies.length;
    this.#judge = judge;
  }

  reset(recorder: Recorder): void {
    if (this.#recorder !== recorder) this.#objects.clear();
    this.#recorder = recorder;
    this.#values = new Map();
    this.#locks = new Map();
    this.#paths = this.#bodies.map((body, task) => body(this, task));
    this.#pauses = this.#bodies.map(() => 'start');
    this.seen = this.#bodies.map(() => []);
  }

  ready(): number {
    let ready = 0;
    for (const [task, pause] of this.#pauses.entries()) {
      if (pause === 'start' || (pause !== 'done' && this.#isFree(pause))) ready |= 1 << task;
    }
    return ready;
  }

  awaits(task: number): number {
    const pause = this.#pauses[task]!;
    if (typeof pause === 'string' || !pause.lock) return -1;
    return packed(pause.object, pause.lock.write ? Access.acquireWrite : Access.acquireRead);
  }

  placeOf(task: number): number {
    const pause = this.#pauses[task]!;
    return typeof pause === 'string' ? 0 : pause.object;
  }

  step(task: number): string | undefined {
    this.#running = task;
    const { done, value } = this.#paths[task]!.next();
    this.#pauses[task] = done ? 'done' : value;
    return undefined;
  }

  end(): string | undefined {
    return this.#pauses.some((pause) => pause !== 'done') ? 'deadlock' : this.#judge(this);
  }

  /** All that can be told of the final state. */
  get state(): string {
    const values = [...this.#values].sort().join(' ');
    return `${values} | ${this.seen.map((seen) => seen.join(',')).join(' ; ')} | ${this.#pauses.map((p) => p === 'done').join()}`;
  }

  value(name: string): number {
    return this.#values.get(name) ?? 0;
  }

  *read(name: string): Generator<Pause, number, void> {
    const object = yield* this.#place(name);
    this.#recorder.read(object);
    const value = this.value(name);
    this.seen[this.#running]!.push(value);
    return value;
  }

  *write(name: string, value: number): Steps {
    const object = yield* this.#place(name);
    this.#recorder.write(object);
    this.#values.set(name, value);
  }

  /** Like {@link write}, and tells nobody. */
  *writeUnseen(name: string, value: number): Steps {
    yield* this.#place(name);
    this.#values.set(name, value);
  }

  *add(name: string, value: number): Steps {
    const object = yield* this.#place(name);
    this.#recorder.access(object, Access.add);
    this.#values.set(name, this.value(name) + value);
  }

  /** An access without a place before it: protected by a lock, if the program is right. */
  touch(name: string, value: number): void {
    this.#recorder.write(this.#object(name));
    this.#values.set(name, this.value(name) * 3 + value);
  }

  *lock(name: string, write = true): Steps {
    const object = this.#object(`lock ${name}`);
    const pause: Pause = { object, lock: { name, write } };
    if (this.#recorder.place(object) || !this.#isFree(pause)) yield pause;
    const holders = this.#holders(name);
    if (write) holders.writer = this.#running;
    else holders.readers.add(this.#running);
    this.#recorder.acquire(object, write);
  }

  /** Tries to take a lock alone. */
  *tryLock(name: string): Generator<Pause, boolean, void> {
    const object = this.#object(`lock ${name}`);
    if (this.#recorder.place(object)) yield { object };
    const holders = this.#holders(name);
    if (holders.writer >= 0 || holders.readers.size > 0) {
      this.#recorder.fail(object, true);
      return false;
    }
    holders.writer = this.#running;
    this.#recorder.acquire(object, true);
    return true;
  }

  unlock(name: string, write = true): void {
    const holders = this.#holders(name);
    if (write) holders.writer = -1;
    else holders.readers.delete(this.#running);
    this.#recorder.release(this.#object(`lock ${name}`), write);
  }

  /** Waits until a cell has a value other than 0. */
  *await(name: string): Steps {
    const object = yield* this.#place(name);
    this.#recorder.read(object);
    while (this.value(name) === 0) {
      this.#recorder.place(object);
      yield { object, until: () => this.value(name) !== 0 };
      this.#recorder.read(object);
    }
  }

  *#place(name: string): Generator<Pause, number, void> {
    const object = this.#object(name);
    if (this.#recorder.place(object)) yield { object };
    return object;
  }

  #isFree({ lock, until }: Pause): boolean {
    if (until) return until();
    if (!lock) return true;
    const { writer, readers } = this.#holders(lock.name);
    return writer < 0 && (!lock.write || readers.size === 0);
  }

  #holders(name: string): Holders {
    let holders = this.#locks.get(name);
    if (!holders) {
      holders = { writer: -1, readers: new Set() };
      this.#locks.set(name, holders);
    }
    return holders;
  }

  #object(name: string): number {
    let object = this.#objects.get(name);
    if (object === undefined) {
      object = this.#recorder.newObject();
      this.#objects.set(name, object);
    }
    return object;
  }
}
