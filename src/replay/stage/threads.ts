/**
 * Threads beside the main one of each process. One runs until it ends its operation, or sleeps: until a userfaultfd is read, say. After each
 * operation of the scenario, those that were woken go on, the one that began to sleep first before the others.
 */
import { type Path, type Pause, runAlone } from '../../linux/base/task.ts';
import type { Process } from '../../linux/machine/process.ts';
import type { Syscalls } from '../../linux/machine/syscalls.ts';
import { NOTHING } from './caller.ts';

/** What a thread does, and where it is. */
interface Work<T> {
  readonly path: Path<T>;
  pause: Pause | undefined;
}

/** A thread, what it is doing, and what came of it. */
interface Thread<T> {
  readonly process: Process;
  readonly calls: Syscalls;
  work: Work<T> | undefined;
  ended: T | undefined;
}

/** The threads of a stage. An operation ends with a T, or with the word of a dead end. */
export class Threads<T> {
  readonly #threads = new Map<string, Thread<T>>();
  readonly #deadEnd: (result: 'HANG' | 'BUG' | 'BLOCKED') => T;

  /** @param deadEnd what an operation answers that never ends */
  constructor(deadEnd: (result: 'HANG' | 'BUG' | 'BLOCKED') => T) {
    this.#deadEnd = deadEnd;
  }

  /** Whether a thread sleeps, or has ended its operation and nobody has asked yet. */
  isBusy(process: Process, number: number): boolean {
    const thread = this.#threads.get(keyOf(process, number));
    return thread !== undefined && (thread.work !== undefined || thread.ended !== undefined);
  }

  /** Begins an operation. @returns what came of it; undefined where it sleeps */
  begin(process: Process, number: number, path: (calls: Syscalls) => Path<T>): T | undefined {
    const key = keyOf(process, number);
    let thread = this.#threads.get(key);
    if (thread?.process !== process) {
      thread = { process, calls: process.thread(), work: undefined, ended: undefined };
    }
    /* Set again: it is the last that begins to sleep. */
    this.#threads.delete(key);
    this.#threads.set(key, thread);
    thread.work = { path: path(thread.calls), pause: undefined };
    this.#advance(thread);
    return this.ended(process, number);
  }

  /** What came of an operation, once; undefined while it sleeps. */
  ended(process: Process, number: number): T | undefined {
    const thread = this.#threads.get(keyOf(process, number));
    const ended = thread?.ended;
    if (thread) thread.ended = undefined;
    return ended;
  }

  /** Lets all go on that are awake, until all sleep or have ended. */
  goOn(): void {
    for (let again = true; again; ) {
      again = false;
      for (const thread of this.#threads.values()) {
        if (thread.work && isAwake(thread.work, thread.calls)) {
          this.#advance(thread);
          again = true;
        }
      }
    }
  }

  /** SIGKILL for the threads of a process, which is about to end: they give up what they do. */
  kill(process: Process): void {
    for (const thread of this.#threads.values()) {
      if (thread.process === process && thread.work) thread.calls.task.killed = true;
    }
    this.goOn();
    for (const [key, thread] of this.#threads) if (thread.process === process) this.#threads.delete(key);
  }

  #advance(thread: Thread<T>): void {
    const work = thread.work!;
    const step = runAlone(untilAsleep(work, thread.calls));
    if (step === undefined) return;
    thread.work = undefined;
    thread.ended = typeof step === 'string' ? this.#deadEnd(step) : step.value;
  }
}

/** Goes on until the path ends, or sleeps: undefined. Never waits itself. */
function* untilAsleep<T>(work: Work<T>, calls: Syscalls): Path<{ readonly value: T } | undefined> {
  yield* NOTHING;
  while (isAwake(work, calls)) {
    const step = work.path.next();
    if (step.done) return { value: step.value };
    work.pause = step.value;
  }
  return undefined;
}

function isAwake({ pause }: Work<unknown>, { task }: Syscalls): boolean {
  return pause === undefined || pause.on.isFreeFor(task, pause.mode);
}

function keyOf(process: Process, thread: number): string {
  return `${process.number}.${thread}`;
}
