/**
 * Kernel functions that a trace shows: by their names in Linux, as ftrace's function_graph does, with arguments and results.
 *
 *   hugetlb_wp(address=0x100000000000, flags=WRITE) {
 *     alloc_huge_page(address=0x100000000000) = pfn 0x100600
 *   } hugetlb_wp = 0
 *
 * Where no trace is kept, a call costs one question more, and no generator.
 */
import type { Path, Task } from './task.ts';
import { resultWords } from './trace-words.ts';

/** What a trace shows of a call. */
export interface Shown<A extends readonly unknown[], T> {
  /** The arguments that matter, in words: `address=0x1000, flags=WRITE`. Default: none. */
  readonly args?: (...args: A) => string;
  /** The result, in the kernel's words. Default: {@link resultWords}. */
  readonly result?: (result: T) => string;
}

/** At most so many arguments has a kernel function behind its task. */
type Most = [unknown?, unknown?, unknown?, unknown?, unknown?, unknown?];

/**
 * A kernel function that is shown in traces.
 *
 * @param name in Linux; or how to find it from the arguments, where one function of the model stands for several
 * @param body what it does; at most six arguments behind the task, which are handed on one by one, since a list of them would be made anew at
 *   every call
 */
export function kernelFunction<A extends Most, T>(
  name: string | ((...args: A) => string),
  body: (task: Task, ...args: A) => Path<T>,
  { args, result = resultWords }: Shown<A, T> = {},
): (task: Task, ...args: A) => Path<T> {
  type Six = (task: Task, ...args: Most) => Path<T>;
  const run = body as Six;
  const words = args as ((...args: Most) => string) | undefined;
  const named = name as string | ((...args: Most) => string);
  const six: Six = (task, a, b, c, d, e, f) => {
    const path = run(task, a, b, c, d, e, f);
    if (!task.machine.trace) return path;
    const called = typeof named === 'string' ? named : named(a, b, c, d, e, f);
    return shown(task, called, words?.(a, b, c, d, e, f) ?? '', path, result);
  };
  return six as (task: Task, ...args: A) => Path<T>;
}

/**
 * A path with its enter and leave, for whoever has one already: a method's. Called where a trace is kept.
 *
 * @param args in words
 */
export function* shown<T>(
  task: Task,
  name: string,
  args: string,
  path: Path<T>,
  words: (result: T) => string = resultWords,
): Path<T> {
  const { machine, calls } = task;
  machine.current = task.name;
  machine.trace?.push({ kind: 'enter', task: task.name, name, args });
  calls.push(name);
  /* A path that ends in a DeadEnd leaves its functions, too. */
  let result = 'never';
  try {
    const value = yield* path;
    result = words(value);
    return value;
  } finally {
    calls.pop();
    machine.current = task.name;
    machine.trace?.push({ kind: 'leave', task: task.name, name, result });
  }
}

/** The same for a function that waits for nothing. @param args in words */
export function shownCall<T>(
  task: Task,
  name: string,
  args: string,
  body: () => T,
  words: (result: T) => string = resultWords,
): T {
  const { machine, calls } = task;
  machine.current = task.name;
  machine.trace?.push({ kind: 'enter', task: task.name, name, args });
  calls.push(name);
  const result = body();
  calls.pop();
  machine.trace?.push({ kind: 'leave', task: task.name, name, result: words(result) });
  return result;
}

/** A call that the model does at once, and that nothing more is to be said of: of `copy_user_huge_page`, for one. @param args in words */
export function recordCall(
  { machine, name: task }: Task,
  name: string,
  args: () => string,
  result: number | string = '',
): void {
  machine.trace?.push({ kind: 'enter', task, name, args: args() }, { kind: 'leave', task, name, result: `${result}` });
}

/**
 * The kernel function that runs fails. Returns `answer`.
 *
 * @param why in words, with the values that matter
 */
export function refuse<T extends string>({ machine, name: task, calls }: Task, answer: T, why: string): T {
  machine.trace?.push({ kind: 'refused', task, name: calls.at(-1) ?? 'system call', answer, why });
  return answer;
}
