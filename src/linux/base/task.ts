/**
 * Tasks, and how kernel paths run.
 *
 * A kernel path is a generator. It yields before each lock that it takes, which is where another processor's doings can
 * come in between, and it returns like the kernel's function. One task runs straight through (`run`): it never has to
 * wait for a lock, so nothing is yielded. Several take turns (`interleave`): every lock is a place to change over.
 *
 * What only another task can end is a sleep (`sleepUntil`): a fault that a userfaultfd's reader has to handle. A task
 * that is alone would sleep for ever: `runAlone` gives it up.
 */
import { checkFunction, checkInteger, InvariantError, wrongKind } from '../../core/errors.ts';
import { busy, type Checkpoint, type Kept, keepArray, type PutBack } from './checkpoint.ts';
import type { Blocked, Hang } from './errno.ts';
import type { Lock, LockMode } from './lock.ts';
import type { Processor } from './processor.ts';
import type { SignalInfo } from './siginfo.ts';
import type { Traced } from './trace.ts';
import { type Shared, Touch, watch } from './watch.ts';

/** What a task can wait for: a lock, or to be woken. */
export interface Awaited {
  /** Whether a task could go on now. */
  isFreeFor(task: Task, mode: LockMode): boolean;
  /** What it is, and who is to blame, in words. */
  describe(): string;
  /** Of a sleep: whether what the sleeper needs is there although nobody has woken it. */
  isOver?(): boolean;
  /** Who sleeps there, if a SIGKILL would wake it: nobody is killed out of waiting for a lock. */
  readonly sleeper?: Task;
}

/** A place where a task may be preempted, or has to wait: it goes on when it can have the lock, or is woken. */
export interface Pause {
  readonly on: Awaited;
  readonly mode: LockMode;
}

/** A kernel function on its way. */
export type Path<T> = Generator<Pause, T, void>;

/** What a task needs of the machine that it runs on. */
export interface TaskMachine extends Traced {
  /** Whether some path has come to no end. */
  hasDeadEnds: boolean;
  /** What is open: what a program can still reach, though no address space knows of it. @internal */
  readonly open: Set<Kept>;
  /** A new thread's number. @internal */
  newTid(task: Task): number;
  /** The end of a system call: nothing may be held. Returns `result`. @internal */
  kernelExit<T>(task: Task, result: T): T;
}

/** A thread in the kernel: what the kernel calls `current`. */
export class Task implements Kept {
  readonly machine: TaskMachine;
  /** For messages and traces. */
  readonly name: string;
  /** The locks that it holds, in the order in which it took them. */
  readonly held: Lock[] = [];
  /** The locks that it will never let go of. @internal */
  readonly leaked: Lock[] = [];
  /** Whether another task may come in between at every lock, also at a free one. */
  preemptible = false;
  #killed = false;
  /** PF_EXITING or PF_DUMPCORE: it ends, or writes its core file, and can wait for nobody. */
  exiting = false;
  /** What came with the last signal that an access of its own has got. */
  siginfo: SignalInfo | undefined = undefined;
  /** `task_pid_vnr`: the thread's number. */
  readonly tid: number;
  /** The kernel functions that it is in, by their names in Linux, the outermost first; only those that a trace has seen entered. */
  readonly calls: string[] = [];
  /** The processor that it runs on, where a search watches. @internal */
  processor: Processor | undefined = undefined;
  /** How many entries had been written when it last lost a race: see mm/raced.ts. */
  racedAt = -1;

  constructor(machine: TaskMachine, name: string) {
    this.machine = machine;
    this.name = name;
    this.tid = machine.newTid(this);
  }

  /** `fatal_signal_pending`: a SIGKILL is on its way. */
  get killed(): boolean {
    watch?.touch(Touch.read, this, 0);
    return this.#killed;
  }

  /** @internal */
  set killed(killed: boolean) {
    watch?.touch(Touch.write, this, 0);
    this.#killed = killed;
  }

  /** Whether another task may come in here. @param before what the task is about to touch: see Watch.place @internal */
  isPreemptedAt(before: Shared | number): boolean {
    return this.preemptible && (watch === undefined || watch.place(before));
  }

  /** @throws InvariantError when something is still held: at the end of a system call nothing may be @internal */
  assertNothingHeld(where: string): void {
    if (this.held.length === 0) return;
    throw new InvariantError(`${where}: ${this.name} still holds ${this.held.map(({ name }) => name).join(', ')}`);
  }

  /** It is in no kernel path, and holds nothing. @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(...this.held, ...this.leaked);
    if (this.preemptible) throw busy(`${this.name}, which takes turns with others`);
    const calls = keepArray(this.calls);
    const { killed, exiting, siginfo, racedAt } = this;
    return () => {
      this.letGo();
      this.preemptible = false;
      this.processor = undefined;
      this.#killed = killed;
      this.exiting = exiting;
      this.siginfo = siginfo;
      this.racedAt = racedAt;
      calls();
    };
  }

  /** Lets go of all locks, as if it had never taken them: what it was doing is not gone on with. @internal */
  letGo(): void {
    while (this.held.length > 0) this.held.pop()!.makeFree();
    while (this.leaked.length > 0) this.leaked.pop()!.makeFree();
  }
}

/**
 * The kernel goes no further: a loop that nothing can end, or a BUG(). Thrown where no caller in the kernel could make anything of a
 * value; whoever runs the path makes it the path's result. What the kernel was doing stays half done, but for the locks.
 */
export class DeadEnd extends Error {
  readonly task: Task;
  readonly outcome: Hang;

  /** @param where the kernel's function, and what is wrong there */
  constructor(task: Task, outcome: Hang, where: string) {
    super(where);
    this.task = task;
    this.outcome = outcome;
    task.machine.trace?.push({ kind: 'dead end', task: task.name, outcome, where });
  }
}

/** What comes of an error that ended a path: its outcome, if the path had come to a dead end. @throws all others */
function deadEnd(error: unknown): Hang {
  if (!(error instanceof DeadEnd)) throw error;
  const { held, machine } = error.task;
  machine.hasDeadEnds = true;
  while (held.length > 0) held.at(-1)!.unlock(error.task);
  return error.outcome;
}

/**
 * Sleeps until something holds, or a SIGKILL comes: TASK_KILLABLE.
 *
 * @param what for, in words
 * @param isOver whether there is nothing to wait for any more, be it noticed or not
 * @param shared whose first part decides whether it holds: see Watch
 */
export function* sleepUntil(
  task: Task,
  what: string,
  shared: Shared,
  holds: () => boolean,
  isOver?: () => boolean,
): Path<void> {
  watch?.touch(Touch.read, shared, 0);
  if (task.killed || holds()) return;
  const on: Awaited = {
    isFreeFor: () => task.killed || holds(),
    describe: () => what,
    sleeper: task,
    ...(isOver && { isOver }),
  };
  task.machine.trace?.push({ kind: 'sleep', task: task.name, what });
  while (!on.isFreeFor(task, 'wait')) {
    task.isPreemptedAt(shared);
    yield { on, mode: 'wait' };
    watch?.touch(Touch.read, shared, 0);
  }
  task.machine.trace?.push({ kind: 'wake', task: task.name, what });
}

/** Where another processor's doings can come in between without a lock. */
const ANYTHING: Awaited = { isFreeFor: () => true, describe: () => 'nothing' };

/**
 * A place where a task may be preempted without waiting for anything.
 *
 * @param before what it is about to look at or to change, where others may change it or look at it: see Watch.place
 */
export function* preemptionPoint(task: Task, before: Shared | number): Path<void> {
  if (task.isPreemptedAt(before)) yield { on: ANYTHING, mode: 'wait' };
}

/**
 * Runs a path to its end, alone.
 *
 * @throws InvariantError when it would have to wait: nobody is there to release the lock, or to wake it
 */
export function run<T>(path: Path<T>): T {
  checkPath('path', path);
  const step = path.next();
  if (step.done) return step.value;
  throw new InvariantError(`run: waits for ${step.value.on.describe()}, and no other task is there to end that`);
}

/**
 * Runs a path to its end, alone. Where it would sleep, nobody is there to wake it: it is given up, as if a SIGKILL had
 * come. Nothing of it is left in any queue, and nothing is held; what a system call does before it sleeps, or when it
 * is killed, is done.
 *
 * @returns what the path returns, or 'BLOCKED'; 'HANG' or 'BUG' where the kernel goes no further
 * @throws InvariantError when it would have to wait for a lock
 */
export function runAlone<T>(path: Path<T>): T | Blocked | Hang {
  checkPath('path', path);
  try {
    return runToItsEnd(path);
  } catch (error) {
    return deadEnd(error);
  }
}

function runToItsEnd<T>(path: Path<T>): T | Blocked {
  let killed: Task | undefined;
  for (;;) {
    const step = path.next();
    if (step.done) {
      if (!killed) return step.value;
      killed.killed = false;
      return 'BLOCKED';
    }
    const { on } = step.value;
    if (!on.sleeper || killed) {
      throw new InvariantError(`run: waits for ${on.describe()}, and no other task is there to end that`);
    }
    killed = on.sleeper;
    killed.killed = true;
  }
}

/** So many turns of one task, with all others waiting, are taken for a loop; the longest way is a fork, two a page. */
const MOST_TURNS_ALONE = 4_000_000;

/** A task and what it does. */
export interface Work<T> {
  readonly task: Task;
  readonly path: Path<T>;
}

function checkWorks(works: readonly Work<unknown>[]): void {
  if (!Array.isArray(works)) throw wrongKind('works', 'an array of { task, path }', works);
  for (const [index, work] of works.entries()) {
    const given: Partial<Work<unknown>> | null | undefined = work;
    if (!(given?.task instanceof Task)) throw wrongKind(`works[${index}].task`, 'a Task', given?.task);
    checkPath(`works[${index}].path`, given.path);
  }
}

function checkPath(name: string, path: unknown): void {
  const given = path as Partial<Path<unknown>> | null | undefined;
  if (typeof given?.next !== 'function') throw wrongKind(name, 'a path that a system call has made', path);
}

/** A path's next turn; its last, where it comes to a dead end. */
function next<T>(path: Path<T>): IteratorResult<Pause, T | Hang> {
  try {
    return path.next();
  } catch (error) {
    return { done: true, value: deadEnd(error) };
  }
}

/**
 * Runs several tasks that take turns at their locks. Tasks that wait are passed over; those that sleep, until they are
 * woken.
 *
 * @param works one path a task
 * @param pick chooses among `count` tasks that can go on, 0 to count - 1; called at every turn
 * @returns what each path returned, in the order of `works`
 * @throws InvariantError when all that are left wait, for each other or for somebody who is not there, or for one that
 *   goes round for ever: names what each waits for; TypeError or RangeError for works that are none, or a pick that is not
 *   one of those that can go on
 */
export function interleave<T>(works: readonly Work<T>[], pick: (count: number) => number): (T | Hang)[] {
  checkWorks(works);
  checkFunction('pick', pick, 'that chooses who goes on');
  const results = new Array<T | Hang>(works.length);
  const waiting = works.map(({ task, path }, index) => ({ task, path, index, pause: undefined as Pause | undefined }));
  let turnsAlone = 0;
  for (const { task } of waiting) task.preemptible = true;
  try {
    while (waiting.length > 0) {
      /* Who is left alone meets nobody any more, and may find out that it would go round for ever. */
      if (waiting.length === 1) waiting[0]!.task.preemptible = false;
      const ready = waiting.filter(({ task, pause }) => !pause || pause.on.isFreeFor(task, pause.mode));
      turnsAlone = ready.length === 1 ? turnsAlone + 1 : 0;
      if (ready.length === 0 || turnsAlone > MOST_TURNS_ALONE) {
        const others = waiting.filter((one) => one !== ready[0]);
        const who = others.map(({ task, pause }) => `${task.name} waits for ${pause!.on.describe()}`);
        const what = ready.length === 0 ? 'a deadlock' : `${ready[0]!.task.name} goes round for ever`;
        throw new InvariantError(`interleave: ${what}: ${who.join('; ')}`);
      }
      const picked = pick(ready.length);
      checkInteger('pick()', picked, 0, ready.length - 1);
      const turn = ready[picked]!;
      turn.task.machine.current = turn.task.name;
      const step = next(turn.path);
      if (step.done) {
        results[turn.index] = step.value;
        waiting.splice(waiting.indexOf(turn), 1);
      } else turn.pause = step.value;
    }
  } finally {
    for (const { task } of works) task.preemptible = false;
  }
  return results;
}
