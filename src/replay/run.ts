/**
 * A sequence on its way: the model's side of it, line by line.
 */
import { InvariantError } from '../core/errors.ts';
import type { FlatMemory } from '../core/flat-memory.ts';
import type { TraceEvent } from '../linux/base/trace.ts';
import { agrees, compareAnswer } from './compare.ts';
import type { Line } from './line/line.ts';
import { changesBetween } from './observe/changes.ts';
import { Observer, type Snapshot } from './observe/snapshot.ts';
import type { ReplayedLine, ReplayOptions } from './replayed.ts';
import { type Disagreement, same } from './sequence/disagreement.ts';
import type { ScenarioEnd, ScenarioStep, Sequence } from './sequence/sequence.ts';
import { type Answer, BLOCKED, impossible } from './stage/answer.ts';
import type { Stage } from './stage/stage.ts';

/** When the model's kernel threads do what was left to them. */
export interface Moment {
  /** Of an operation. */
  readonly index: number;
  readonly when: 'before' | 'after';
}

/** A sequence on its way. */
export class Run {
  /** Whether the model broke a rule of its own: what follows would tell nothing. */
  broken = false;
  readonly #sequence: Sequence;
  readonly #stage: Stage;
  readonly #traces: boolean;
  readonly #compares: boolean;
  readonly #observer: Observer | undefined;
  #snapshot: Snapshot | undefined;
  #found: Disagreement[] = [];

  constructor(
    sequence: Sequence,
    tables: FlatMemory,
    { trace = true, observe = false, compare = true }: ReplayOptions,
  ) {
    this.#sequence = sequence;
    this.#stage = sequence.model.stage(sequence.setting, tables);
    this.#traces = trace;
    this.#compares = compare;
    this.#observer = observe ? new Observer(this.#stage) : undefined;
    this.#snapshot = this.#observer?.take();
  }

  /** Whether what the model left to a kernel thread is still to be done. */
  get hasDeferredWork(): boolean {
    return this.#stage.machine.hasDeferredWork;
  }

  /** Runs an operation, and what kernel threads do around it. */
  step(index: number, moments: readonly Moment[]): ReplayedLine {
    const step = this.#sequence.steps[index]!;
    const around = moments.filter((moment) => moment.index === index).map(({ when }) => when);
    const { uncompared } = step;
    const line = this.line(step.kind, step, () => this.operation(step, around));
    return uncompared === undefined ? line : { ...line, uncompared };
  }

  /** Does what a line says, and collects what comes of it. */
  line(kind: ReplayedLine['kind'], line: Line, work: () => Answer | undefined): ReplayedLine {
    const trace: TraceEvent[] = [];
    this.#stage.machine.trace = this.#traces ? trace : undefined;
    this.#found = [];
    const answer = this.#guarded(work);
    const where = { file: line.file, sequence: this.#sequence.number, line: line.line, operation: line.text, trace };
    const differences = this.#found.map((found) => ({ ...found, ...where }));
    return {
      ...where,
      kind,
      answer,
      differences,
      ...(this.#observer && !this.broken && this.#observe(this.#observer)),
    };
  }

  /** The state, and what has changed since the last time. */
  #observe(observer: Observer): Pick<ReplayedLine, 'state' | 'changes'> {
    const { hugePageSize, pageBytes } = this.#sequence.setting;
    const before = this.#snapshot!;
    const after = observer.take();
    this.#snapshot = after;
    return {
      state: this.#sequence.model.observe(this.#stage),
      changes: changesBetween(before, after, hugePageSize / pageBytes),
    };
  }

  /** Runs an operation and compares what can be compared. */
  operation(step: ScenarioStep, around: readonly Moment['when'][] = []): Answer {
    const { operation, values } = step;
    const stage = this.#stage;
    const proc = operation.needs ? operation.needs(values) : values.proc;
    if (around.includes('before')) stage.machine.runDeferredWork();
    const absent = typeof proc === 'number' && !stage.has(proc);
    const answer = absent ? impossible(`no process ${proc}`) : this.#run(step);
    stage.threads.goOn();
    if (around.includes('after')) stage.machine.runDeferredWork();
    if (this.#compares) this.#compare(step, answer);
    return answer;
  }

  /** Holds an answer, and what can be observed, against what is told. */
  #compare(step: ScenarioStep, answer: Answer): void {
    const { operation, values, state } = step;
    this.#found.push(...compareAnswer(step, answer));
    /* What the kernel has refused goes no further here, either. */
    if (!agrees(step, answer) && answer.result === 'OK') operation.undo?.(this.#stage, values);
    if (state) this.#found.push(...this.#sequence.model.compare(this.#stage, state));
  }

  /** By the main thread, or another one: BLOCKED, if that sleeps. */
  #run({ operation, values }: ScenarioStep): Answer {
    const stage = this.#stage;
    const { proc, thread } = values;
    if (operation.waits || typeof thread !== 'number' || typeof proc !== 'number') return operation.run(stage, values);
    const process = stage.process(proc);
    if (stage.threads.isBusy(process, thread)) return impossible(`thread ${thread} has not been waited for`);
    return (
      stage.threads.begin(process, thread, (calls) => operation.path!(stage, values, calls)) ?? { result: BLOCKED }
    );
  }

  /** Ends all processes, closes all files, and looks what is left. */
  end({ pool: kernel }: ScenarioEnd): undefined {
    const model = this.#stage.clear();
    if (model !== 'OK') {
      this.#found.push({ what: 'hang', kernel: 'OK', model });
      return;
    }
    const { pool } = this.#stage;
    if (this.#compares && kernel && !same(kernel, pool)) this.#found.push({ what: 'end', kernel, model: pool });
    this.#stage.machine.check();
  }

  #guarded(work: () => Answer | undefined): Answer | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      this.broken = true;
      this.#found.push({ what: 'invariant', kernel: 'no such thing', model: error.message });
      return undefined;
    }
  }
}
