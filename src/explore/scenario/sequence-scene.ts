/**
 * A scenario's sequence as a scene: what comes before its tasks makes the initial state, the tasks do what they do at the same time, and what comes
 * behind them is done when all have ended.
 *
 *   {"seq":1,"pool":2}                        a machine
 *   {"op":"mmap", ...}                        the initial state
 *   {"op":"fork","task":0, ...}               task 0
 *   {"op":"migrate","task":1, ...}            task 1, at the same time
 *   {"op":"read", ...,"value":42}             when both have ended: what must be read then
 *   {"end":1}
 */
import { FlatMemory } from '../../core/flat-memory.ts';
import { type Path, preemptionPoint, sleepUntil } from '../../linux/base/task.ts';
import { type Shared, Touch, watch } from '../../linux/base/watch.ts';
import type { Process } from '../../linux/machine/process.ts';
import type { Syscalls } from '../../linux/machine/syscalls.ts';
import { answerWords } from '../../replay/observe/words.ts';
import { same } from '../../replay/sequence/disagreement.ts';
import type { ScenarioStep, Sequence } from '../../replay/sequence/sequence.ts';
import { type Answer, impossible } from '../../replay/stage/answer.ts';
import type { Stage } from '../../replay/stage/stage.ts';
import type { Finding } from '../kernel/finding.ts';
import type { Observed, Scene, Stand } from '../kernel/kernel-program.ts';
import { BETWEEN_OPERATIONS } from '../kernel/kernel-watch.ts';
import type { Run } from '../search/schedule.ts';

/** Memory for page tables: the initial state's, and what tasks add. */
const TABLES = 2 ** 20;

/** The answer of an operation that has not ended. */
const BLOCKED = 'BLOCKED';

/** What an operation answered; undefined while it has not. */
export type Answers = ReadonlyMap<ScenarioStep, Answer>;

/** The threads of a process that a task ends. */
class ThreadGroup implements Shared {
  readonly name: string;
  /** Threads that are in the kernel. */
  busy = 0;

  constructor(number: number) {
    this.name = `the threads of process ${number}`;
  }

  enter(threads: 1 | -1): void {
    watch?.touch(Touch.add, this, 0);
    this.busy += threads;
  }
}

/** A sequence with tasks. */
export class SequenceScene implements Scene {
  readonly tasks: number;
  readonly sequence: Sequence;
  readonly before: readonly ScenarioStep[];
  readonly after: readonly ScenarioStep[];
  /** The scenario's numbers of the tasks. */
  readonly numbers: readonly number[];
  /** By task. */
  readonly operations: readonly (readonly ScenarioStep[])[];
  /** The operations whose answers are looked at: those of tasks, and those behind. */
  readonly #observed: readonly (Omit<Observed, 'answer'> & { readonly step: ScenarioStep })[];
  readonly #failed: { readonly line: number; readonly result: string }[] = [];
  #stage: Stage | undefined;
  #putBack: (() => void) | undefined;
  readonly #memory = new FlatMemory({ bytes: TABLES });
  /** By process: those that a task ends. */
  readonly #groups = new Map<number, ThreadGroup>();
  #answers = new Map<ScenarioStep, Answer>();

  /** @throws RangeError for a sequence without tasks, or with operations between those of tasks that are nobody's */
  constructor(sequence: Sequence) {
    const { steps } = sequence;
    this.sequence = sequence;
    const first = steps.findIndex(({ task }) => task !== undefined);
    const behind = steps.findLastIndex(({ task }) => task !== undefined) + 1;
    if (first < 0) throw new RangeError(`sequence ${sequence.number}: expected operations with "task", got none`);
    this.before = steps.slice(0, first);
    this.after = steps.slice(behind);
    const concurrent = steps.slice(first, behind);
    const numbers = [...new Set(concurrent.map(({ task }) => task))].sort();
    this.numbers = numbers.filter((number) => number !== undefined);
    this.tasks = numbers.length;
    for (const { operation, values } of concurrent) {
      const ended = operation.ends?.(values);
      if (ended !== undefined) this.#groups.set(ended, new ThreadGroup(ended));
    }
    this.operations = numbers.map((number) => concurrent.filter(({ task }) => task === number));
    this.#observed = [...this.operations, this.after].flatMap((steps, index) =>
      steps.map((step) => ({
        step,
        name: `line ${step.line}`,
        task: index < this.tasks ? index : -1,
        isTouch: step.operation.touches === true,
      })),
    );
  }

  /** The schedule that the sequence tells. */
  get schedule(): readonly Run[] | undefined {
    return this.sequence.schedule?.map(([number, places]) => ({ task: this.numbers.indexOf(number), places }));
  }

  /** What was answered in the last execution. */
  get answers(): Answers {
    return this.#answers;
  }

  observe(): Observed[] {
    return this.#observed.map(({ step, name, task, isTouch }) => {
      const answer = this.#answers.get(step);
      return { name, task, isTouch, answer: answer ? answerWords(answer) : BLOCKED };
    });
  }

  stand(): Stand {
    const stage = this.#atTheBeginning();
    stage.machine.trace = undefined;
    this.#answers = new Map();
    for (const group of this.#groups.values()) group.busy = 0;
    const tasks = this.operations.map((steps) => {
      const callers = new Callers(stage, steps[0]!);
      return {
        get task() {
          return callers.last.task;
        },
        processes: processesOf(stage, steps),
        get operation() {
          return callers.line;
        },
        path: this.#path(stage, steps, callers),
      };
    });
    return { machine: stage.machine, tasks, judge: () => this.#judge(stage) };
  }

  /** The operations before the tasks that did not end with OK, nor as the scenario tells: perhaps the initial state is not what was meant. */
  get failed(): readonly { readonly line: number; readonly result: string }[] {
    return this.#failed;
  }

  /** The stage in its initial state: made once, and put back from then on. */
  #atTheBeginning(): Stage {
    if (this.#stage && this.#putBack) {
      this.#putBack();
      return this.#stage;
    }
    const { model, setting } = this.sequence;
    const stage = model.stage(setting, this.#memory);
    this.#failed.length = 0;
    for (const step of this.before) {
      this.#alone(stage, step);
      const result = this.#answers.get(step)?.result;
      if (result !== 'OK' && result !== step.result) this.#failed.push({ line: step.line, result: `${result}` });
    }
    this.#stage = stage;
    this.#putBack = checkpointOf(stage);
    return stage;
  }

  *#path(stage: Stage, steps: readonly ScenarioStep[], callers: Callers): Path<void> {
    for (const [index, step] of steps.entries()) {
      if (index > 0) yield* preemptionPoint(callers.last.task, BETWEEN_OPERATIONS);
      const caller = callers.of(step);
      callers.line = step.line;
      const answer = caller
        ? yield* this.#operation(stage, step, caller)
        : impossible(`no process ${String(step.values.proc)}`);
      this.#answers.set(step, answer);
    }
  }

  /** An operation of a process that another task may end meanwhile. */
  *#operation(stage: Stage, { operation, values }: ScenarioStep, thread: Syscalls): Path<Answer> {
    const { proc } = values;
    const group = this.#groups.get(proc as number);
    if (!group) return yield* operation.path!(stage, values, thread);
    if (operation.ends) {
      /* The last of its threads takes the address space along: all others get a SIGKILL, and go before. */
      stage.process(proc as number).killOthers(thread.task);
      yield* sleepUntil(thread.task, `the other threads of process ${String(proc)}`, group, () => group.busy === 0);
      return yield* operation.path!(stage, values, thread);
    }
    yield* preemptionPoint(thread.task, thread.task);
    if (thread.task.killed) return { result: 'SIGKILL' };
    group.enter(1);
    const answer = yield* operation.path!(stage, values, thread);
    group.enter(-1);
    return answer;
  }

  /** Outside of tasks. */
  #alone(stage: Stage, step: ScenarioStep): void {
    const { operation, values } = step;
    const proc = operation.needs ? operation.needs(values) : values.proc;
    const absent = typeof proc === 'number' && !stage.has(proc);
    this.#answers.set(step, absent ? impossible(`no process ${proc}`) : operation.run(stage, values));
    stage.threads.goOn();
  }

  #judge(stage: Stage): Finding | undefined {
    stage.machine.check();
    for (const step of this.after) this.#alone(stage, step);
    if (this.after.length > 0) stage.machine.check();
    for (const { step, task } of this.#observed) {
      const what = this.#unexpected(step);
      if (what !== undefined) return { kind: 'answer', what, task };
    }
    return undefined;
  }

  /** What is not as the scenario has it. */
  #unexpected(step: ScenarioStep): string | undefined {
    const answer = this.#answers.get(step);
    const { result, found = {} } = step;
    if (result !== undefined && answer?.result !== result) {
      return `line ${step.line}: expected ${result}, got ${answer?.result ?? 'BLOCKED'}`;
    }
    for (const [field, expected] of Object.entries(answer?.result === 'OK' || result !== undefined ? found : {})) {
      const got = answer?.found?.[field];
      if (got !== undefined && !same(got, expected)) {
        return `line ${step.line}: ${field}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`;
      }
    }
    return undefined;
  }
}

/** What puts a stage back; undefined where a thread waits in its initial state, which cannot be kept. */
function checkpointOf(stage: Stage): (() => void) | undefined {
  try {
    return stage.checkpoint();
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** The names of the processes that a task touches memory of, or walks with GUP-fast: nobody else can have a translation of theirs. */
function processesOf(stage: Stage, steps: readonly ScenarioStep[]): string[] {
  const walkers = steps.filter(({ operation }) => operation.touches || operation.walks);
  return walkers.map(({ values: { proc } }) => {
    const number = typeof proc === 'number' ? proc : 0;
    return stage.has(number) ? stage.process(number).mm.process : `process ${number}`;
  });
}

/** A task's threads, one in each process in which it does something. */
class Callers {
  /** The one that acts, or was the last to. */
  last: Syscalls;
  /** The line of the operation that is done, or was the last to be. */
  line: number;
  readonly #stage: Stage;
  readonly #threads = new Map<Process, Syscalls>();

  constructor(stage: Stage, first: ScenarioStep) {
    this.#stage = stage;
    this.last = stage.process(0).thread();
    this.line = first.line;
    this.of(first);
  }

  /** Who does an operation; undefined where its process is not there. An operation without a process is done by whoever did the one before. */
  of({ values: { proc } }: ScenarioStep): Syscalls | undefined {
    if (typeof proc !== 'number') return this.last;
    if (!this.#stage.has(proc)) return undefined;
    const process = this.#stage.process(proc);
    let thread = this.#threads.get(process);
    if (!thread) {
      thread = process.thread();
      this.#threads.set(process, thread);
    }
    thread.task.preemptible = this.last.task.preemptible;
    thread.task.processor = this.last.task.processor;
    this.last = thread;
    return thread;
  }
}
