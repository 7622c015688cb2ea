/**
 * Calls that a process makes at once, and a thread as paths: the same code, with the same checks, for both.
 */
import type { Blocked, Hang } from '../base/errno.ts';
import type { Path, Task } from '../base/task.ts';
import type { Mm } from '../mm/mm.ts';
import type { Frames } from '../pool/frames.ts';

/** How calls are made: now, alone; or as paths, for {@link interleave}. */
export type Mode = 'now' | 'path';
/** What a call gives that may have to wait for another task. */
export type Ran<M extends Mode, T> = M extends 'path' ? Path<T> : T | Hang | Blocked;
/** What a call gives that goes through without waiting. */
export type RanThrough<M extends Mode, T> = M extends 'path' ? Path<T> : T;

/** Who makes a call. */
export interface Caller {
  readonly task: Task;
  /** The address space that it is about. */
  readonly mm: Mm;
  /** All frames of the machine: pages are given back by whoever has them. */
  readonly frames: Frames;
}

/** Who has such calls. */
export abstract class Calls<M extends Mode> {
  /** Who calls. @throws TypeError when the process has ended */
  protected abstract caller(): Caller;
  /** Runs a call that may have to wait. */
  protected abstract ran<T>(path: Path<T>): Ran<M, T>;
  /** Runs a call that never waits for anybody. */
  protected abstract ranThrough<T>(path: Path<T>): RanThrough<M, T>;
}

/** A system call to its end, where nothing may be held. */
export function* systemCall<T>(task: Task, path: Path<T>): Path<T> {
  return task.machine.kernelExit(task, yield* path);
}
