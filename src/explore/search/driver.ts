/**
 * Runs one execution of a program, step by step, under somebody's choices.
 */
import { InvariantError } from '../../core/errors.ts';
import { Execution, type TakenStep } from './execution.ts';
import { MOST_TASKS, type Program } from './program.ts';
import { Recorder } from './recorder.ts';

/** A program under way. */
export class Driver<Finding> {
  readonly program: Program<Finding>;
  readonly recorder: Recorder;
  readonly execution: Execution;
  /** The steps of the execution. */
  readonly steps: TakenStep[] = [];
  /** Whether `execution` knows the steps' order, too, which is dear. */
  analyses = false;
  /** The tasks that can take a step, a bit each. */
  ready = 0;
  /** What is wrong, as soon as something is. */
  finding: Finding | undefined = undefined;

  /** @param recorder one that ends steps elsewhere than at busy places */
  constructor(program: Program<Finding>, recorder?: Recorder) {
    const { tasks } = program;
    if (!(tasks >= 1 && tasks <= MOST_TASKS)) throw new RangeError(`tasks: expected 1 to ${MOST_TASKS}, got ${tasks}`);
    this.program = program;
    this.recorder = recorder ?? new Recorder(tasks);
    this.execution = new Execution(tasks);
  }

  /** Back to the initial state. */
  reset(): void {
    this.program.reset(this.recorder);
    this.finding = undefined;
    this.ready = this.program.ready();
    this.steps.length = 0;
    this.execution.clear(this.ready);
  }

  isReady(task: number): boolean {
    return ((this.ready >> task) & 1) === 1;
  }

  /** Lets a task take its next step. @param last after so many places it ends; default: at the next busy one */
  step(task: number, last = 0): TakenStep {
    const { program, recorder, execution } = this;
    if (!this.isReady(task)) throw new InvariantError(`Driver.step: task ${task} cannot go on`);
    const awaited = program.awaits(task);
    recorder.begin(task, program.placeOf(task), last);
    this.finding = program.step(task);
    recorder.end();
    this.ready = program.ready();
    const { places } = recorder;
    const step = this.analyses ? execution.add(task, recorder.accesses, places, awaited, this.ready) : { task, places };
    this.steps.push(step);
    return step;
  }

  /** No task can go on, or something is wrong already. */
  end(): void {
    const { program, recorder } = this;
    this.finding ??= program.end();
    for (let task = 0; task < program.tasks; task++) {
      const awaited = program.awaits(task);
      if (awaited >= 0 && !this.isReady(task)) recorder.blocked(task, awaited);
    }
  }
}

/** The lowest task of a set; -1 for none. */
export function lowest(tasks: number): number {
  return tasks === 0 ? -1 : 31 - Math.clz32(tasks & -tasks);
}
