/**
 * Operations of several tasks on the kernel model, as a program that a search can run: each task is a thread that makes system calls one after the
 * other, and stops at the busy places on its way.
 */
import { InvariantError } from '../../core/errors.ts';
import { Lock, LockRank } from '../../linux/base/lock.ts';
import { Processor } from '../../linux/base/processor.ts';
import { DeadEnd, type Path, type Pause, type Task } from '../../linux/base/task.ts';
import { setWatch } from '../../linux/base/watch.ts';
import type { Machine } from '../../linux/machine/machine.ts';
import type { Names } from '../search/named.ts';
import type { Program } from '../search/program.ts';
import type { Recorder } from '../search/recorder.ts';
import { type Finding, findingOf, type LockUse, type Waiting, whyNobodyGoesOn } from './finding.ts';
import { KernelWatch, type Place } from './kernel-watch.ts';
import { LockOrder } from './lock-order.ts';

/** What a task does. */
export interface KernelTask {
  /** The thread that it is at present: it may go on in another process. */
  readonly task: Task;
  /** The processes whose memory it touches, or walks with GUP-fast, by their names, 'process 0'; default: any. */
  readonly processes?: readonly string[];
  /** The operation that it is in, or was last: a line of the scenario. */
  readonly operation?: number;
  /** Its system calls, as one path. */
  readonly path: Path<void>;
}

/** A machine in its initial state, and what tasks do there. */
export interface Stand {
  readonly machine: Machine;
  readonly tasks: readonly KernelTask[];
  /** What is wrong with the final state, if anything; called when all tasks have ended. */
  judge(): Finding | undefined;
}

/** How an operation ended. */
export interface Observed {
  /** Which operation: no other has the same. */
  readonly name: string;
  /** Whose; -1 for one that is done when all tasks have ended. */
  readonly task: number;
  readonly answer: string;
  /** Whether it is a program's access to memory, and no system call. */
  readonly isTouch: boolean;
}

/** Makes the same stand each time. */
export interface Scene {
  /** Tasks. */
  readonly tasks: number;
  stand(): Stand;
  /** How the operations of the last execution ended. */
  observe(): readonly Observed[];
}

/** Places that a task comes to in one operation, after which it is taken for a loop; steps may be long or short. */
const MOST_PLACES = 50_000;

/** A task on its way. */
interface Thread {
  readonly of: KernelTask;
  pause: Pause | undefined;
  place: number;
  /** The operation that it is in, and how many places it has come to there. */
  operation: number | undefined;
  places: number;
  isDone: boolean;
}

/** Sleeps while it holds a spin lock: whoever spins for it keeps a processor busy until somebody wakes the sleeper. */
function sleepsUnderSpinLock({ of: { task }, pause }: Thread, index: number): Finding | undefined {
  if (!pause?.on.sleeper) return undefined;
  const spin = task.held.find(({ rank }) => rank >= LockRank.pageTable);
  if (!spin) return undefined;
  const what = `${task.name} sleeps for ${pause.on.describe()}, and holds ${spin.name}, which is a spin lock`;
  return { kind: 'sleep under a spin lock', what, task: index };
}

/** A scene as a program. */
export class KernelProgram implements Program<Finding>, Names {
  readonly tasks: number;
  readonly #scene: Scene;
  #watch: KernelWatch | undefined;
  #stand: Stand | undefined;
  #threads: Thread[] = [];
  readonly #expected: readonly Place[];
  /** The order in which locks were taken, in all executions. */
  readonly order: LockOrder;

  /**
   * @param busy places that are known to be busy, from another search of the scene
   * @param order that other programs of the scene fill, too
   */
  constructor(scene: Scene, busy: readonly Place[] = [], order: LockOrder = new LockOrder()) {
    this.order = order;
    this.#scene = scene;
    this.tasks = scene.tasks;
    this.#expected = busy;
  }

  /** The places that are busy, as far as is known: in an order of their own. */
  get busyPlaces(): readonly Place[] {
    return this.#watch?.busyPlaces() ?? this.#expected;
  }

  /** The stand of the last execution. */
  get stand(): Stand {
    if (!this.#stand) throw new InvariantError('KernelProgram.stand: nothing was run');
    return this.#stand;
  }

  /** Whether several tasks touch what has this name, in ways that do not commute. */
  isShared(name: string): boolean {
    return this.#watch?.isShared(name) ?? false;
  }

  /** More places are known to be busy. */
  expectBusy(places: readonly Place[]): void {
    this.#watch?.expectBusy(places);
  }

  /** What an object of the recorder is called in every process that runs the scene. Known once the program was reset. */
  nameOf(object: number): string {
    return this.#running.callOf(object);
  }

  objectNamed(name: string): number {
    return this.#running.objectCalled(name);
  }

  get #running(): KernelWatch {
    if (!this.#watch) throw new InvariantError('KernelProgram: nothing was run');
    return this.#watch;
  }

  reset(recorder: Recorder): void {
    const stand = this.#scene.stand();
    this.#stand = stand;
    const { memory, tables } = stand.machine;
    this.#watch ??= this.#newWatch(recorder, stand, memory.bytes, tables.end);
    this.#watch.reset(stand.machine);
    this.#threads = stand.tasks.map((of) => ({
      of,
      pause: undefined,
      place: 0,
      operation: undefined,
      places: 0,
      isDone: false,
    }));
  }

  #newWatch(recorder: Recorder, { tasks }: Stand, bytes: number, firstOwn: number): KernelWatch {
    const processors = tasks.map(({ processes }, index) => new Processor(index, processes));
    const watch = new KernelWatch(recorder, processors, bytes, firstOwn, this.order);
    watch.expectBusy(this.#expected);
    return watch;
  }

  ready(): number {
    let ready = 0;
    for (let index = 0; index < this.tasks; index++) {
      const { of, pause, isDone } = this.#threads[index]!;
      if (!isDone && (!pause || pause.on.isFreeFor(of.task, pause.mode))) ready |= 1 << index;
    }
    return ready;
  }

  awaits(task: number): number {
    const { pause } = this.#threads[task]!;
    return pause ? this.#watch!.awaited(pause) : -1;
  }

  placeOf(task: number): number {
    return this.#threads[task]!.place;
  }

  step(index: number): Finding | undefined {
    const thread = this.#threads[index]!;
    const { machine } = this.#stand!;
    const { of } = thread;
    machine.current = of.task.name;
    of.task.preemptible = true;
    of.task.processor = this.#watch!.processors[index];
    this.#watch!.running = of;
    setWatch(this.#watch);
    try {
      const step = of.path.next();
      thread.isDone = step.done === true;
      thread.pause = step.done ? undefined : step.value;
      if (this.#isEndless(thread)) {
        return { kind: 'livelock', what: `no end after ${MOST_PLACES} places`, task: index };
      }
      this.#watch!.looks.sample();
      this.#watch!.pins.check();
      return sleepsUnderSpinLock(thread, index);
    } catch (error) {
      if (error instanceof DeadEnd) machine.hasDeadEnds = true;
      thread.isDone = true;
      return findingOf(error, index);
    } finally {
      thread.place = this.#watch!.lastPlace;
      setWatch(undefined);
    }
  }

  /** Whether a task has come to so many places in one operation that it must be going round. */
  #isEndless(thread: Thread): boolean {
    const { operation } = thread.of;
    if (operation !== thread.operation) {
      thread.operation = operation;
      thread.places = 0;
    }
    thread.places += this.#watch!.places;
    return thread.places > MOST_PLACES;
  }

  /** The locks that a waiting task holds, and the one that it waits for. */
  #locksOf({ task, operation = 0 }: KernelTask, { on }: Pause): LockUse[] {
    const held = task.held.map((lock): LockUse => {
      const site = this.#watch!.sites.of(task, lock);
      return { task: task.name, operation: site.operation, how: 'holds', lock: lock.name, calls: site.calls };
    });
    if (!(on instanceof Lock)) return held;
    return [...held, { task: task.name, operation, how: 'waits for', lock: on.name, calls: [...task.calls] }];
  }

  end(): Finding | undefined {
    this.#watch!.running = undefined;
    const waiting: Waiting[] = [];
    for (const [index, { of, pause, isDone }] of this.#threads.entries()) {
      if (isDone) continue;
      const { task } = of;
      const locks = task.machine.trace ? this.#locksOf(of, pause!) : [];
      waiting.push({ task: index, name: task.name, held: task.held, pause: pause!, locks });
    }
    if (waiting.some(({ pause }) => pause.on instanceof Lock)) return whyNobodyGoesOn(waiting);
    const lost = waiting.find(({ pause }) => pause.on.isOver?.());
    if (lost) {
      const what = `${lost.name} sleeps for ${lost.pause.on.describe()}, which is there: nobody woke it`;
      return { kind: 'lost wake-up', what, task: lost.task };
    }
    for (const { of } of this.#threads) {
      of.task.preemptible = false;
      of.task.processor = undefined;
    }
    try {
      return this.#stand!.judge();
    } catch (error) {
      return findingOf(error, -1);
    }
  }
}
