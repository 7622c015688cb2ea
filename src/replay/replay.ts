/**
 * Runs scenarios on the model, and tells where it does not do what they say.
 */
import { checkBoolean, checkOptions, InvariantError, type OptionNames, wrongKind } from '../core/errors.ts';
import { FlatMemory } from '../core/flat-memory.ts';
import type { TraceEvent } from '../linux/base/trace.ts';
import type { Line } from './line/line.ts';
import { changesBetween } from './observe/changes.ts';
import { Observer, type Snapshot } from './observe/snapshot.ts';
import { DIED, type Disagreement, same } from './sequence/disagreement.ts';
import type { Died, Scenario, ScenarioEnd, ScenarioStep, Sequence } from './sequence/sequence.ts';
import { type Answer, impossible } from './stage/answer.ts';
import type { Stage } from './stage/stage.ts';

/** What was run, and what the model did meanwhile. */
export interface Place {
  readonly file: string;
  /** The number of the sequence. */
  readonly sequence: number;
  /** Of the operation, or of the sequence's end. */
  readonly line: number;
  /** That line: the operation as JSON. */
  readonly operation: string;
  /** What the model did; empty in a replay without traces. */
  readonly trace: readonly TraceEvent[];
}

/** How to replay. */
export interface ReplayOptions {
  /**
   * Whether the model keeps a record of what it does, which is the default. Without one, it works on the pieces of a huge page run by
   * run, which is faster, and must come to the same.
   */
  readonly trace?: boolean;
  /** Whether each line has the state behind it, and what has changed; default: no. It costs more than most operations do. */
  readonly observe?: boolean;
  /**
   * Whether the model is held against what the scenario tells, which is the default. If not, there are no differences but those of a
   * model that breaks down.
   */
  readonly compare?: boolean;
}

const OPTIONS: OptionNames<ReplayOptions> = { trace: true, observe: true, compare: true };

function checkReplay(options: ReplayOptions): void {
  checkOptions('options', options, OPTIONS);
  for (const [name, value] of Object.entries(options)) if (value !== undefined) checkBoolean(name, value);
}

/** A difference and where it is. */
export type Difference = Place & Disagreement;

/** A line that was run: an operation, a look at something, or at last the end of its sequence. */
export interface ReplayedLine extends Place {
  readonly kind: ScenarioStep['kind'] | 'end';
  /** How the model answered; undefined at the end, or where it broke down. */
  readonly answer: Answer | undefined;
  /** Why nothing was compared: the kernel died of something that the line does not tell in words that are known. */
  readonly uncompared?: string;
  readonly differences: readonly Difference[];
  /** What can be observed behind it, as lines with states have it; undefined unless it was asked for. */
  readonly state?: object;
  /** What it has changed, in words; likewise. */
  readonly changes?: readonly string[];
}

/**
 * Runs a scenario, each sequence on a machine of its own, and gives the differences as they are found. After one, the
 * sequence goes on.
 *
 * @example
 * ```ts
 * import { describeDifference, parseScenario, replay } from 'hugewalk/replay';
 * const text = `{"seq":1,"pool":1}
 * {"op":"mmap","proc":0,"slot":0,"kind":"private_anon","hugepages":2,"prot":"rw","result":"OK"}
 * {"end":1}`;
 * for (const difference of replay(parseScenario('too-much.jsonl', text))) {
 *   console.log(difference.line, describeDifference(difference));    // 2 [ 'result: kernel OK, model ENOMEM' ]
 * }
 * ```
 */
export function replay(scenario: Scenario, options: ReplayOptions = {}): Generator<Difference, void, undefined> {
  const given: Partial<Scenario> | null | undefined = scenario;
  if (!Array.isArray(given?.sequences)) throw wrongKind('scenario', 'a Scenario, of parseScenario', scenario);
  checkReplay(options);
  return differencesOf(scenario, options);
}

function* differencesOf(scenario: Scenario, options: ReplayOptions): Generator<Difference, void, undefined> {
  const tables = memoryForTables();
  for (const sequence of scenario.sequences) {
    for (const { differences } of replaySequence(sequence, tables, options)) yield* differences;
  }
}

/** Memory for the page tables of a machine: making it costs more than most sequences do, so let them share it. */
export function memoryForTables(): FlatMemory {
  return new FlatMemory({ bytes: TABLES });
}

/**
 * Runs a sequence line by line.
 *
 * @param tables memory that no other sequence uses until this one has come to its end
 */
export function replaySequence(
  sequence: Sequence,
  tables: FlatMemory = memoryForTables(),
  options: ReplayOptions = {},
): Generator<ReplayedLine, void, undefined> {
  const given: Partial<Sequence> | null | undefined = sequence;
  if (!Array.isArray(given?.steps)) throw wrongKind('sequence', 'a Sequence of a Scenario', sequence);
  if (!(tables instanceof FlatMemory)) throw wrongKind('tables', 'a FlatMemory', tables);
  checkReplay(options);
  return linesOf(sequence, tables, options);
}

function* linesOf(
  sequence: Sequence,
  tables: FlatMemory,
  options: ReplayOptions,
): Generator<ReplayedLine, void, undefined> {
  const { steps, end } = sequence;
  const moments: Moment[] = [];
  let run = new Run(sequence, tables, options);
  for (let index = 0; index < steps.length; index++) {
    let line = run.step(index, moments);
    if (line.differences.length > 0 && run.hasDeferredWork) {
      /* A kernel thread has something to do: did it do so just now? Before this operation, or after it? */
      for (const when of ['before', 'after', 'never'] as const) {
        const tried: Moment[] = when === 'never' ? moments : [...moments, { index, when }];
        run = new Run(sequence, tables, options);
        for (let before = 0; before < index; before++) run.step(before, tried);
        line = run.step(index, tried);
        if (line.differences.length > 0) continue;
        moments.splice(0, moments.length, ...tried);
        break;
      }
    }
    yield line;
    if (run.broken) return;
  }
  if (end) yield run.line('end', end, () => run.end(end));
}

/** When the model's kernel threads do what was left to them. */
interface Moment {
  /** Of an operation. */
  readonly index: number;
  readonly when: 'before' | 'after';
}

/** Enough for as many processes as a scenario may have, with all slots in use. */
const TABLES = 2 ** 26;

/** Results that are not the kernel's, but what an observer sees: see {@link Answer}. */
const HANG = 'HANG';
const BUG = 'BUG';

/** A result of a thread that sleeps until another one wakes it. */
const BLOCKED = 'BLOCKED';

/** A sequence on its way. */
class Run {
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
    const { operation, values, result, found = {}, state } = step;
    const stage = this.#stage;
    this.#compareResults(step, answer);
    const agreed = result === undefined || answer.result === result;
    for (const [field, kernel] of Object.entries(
      agreed && !answer.impossible && answer.result !== BLOCKED ? found : {},
    )) {
      const model = answer.found?.[field] ?? 'nothing';
      if (!same(model, kernel)) this.#found.push({ what: 'found', field, kernel, model });
    }
    if (!agreed && answer.result === 'OK') operation.undo?.(stage, values);
    if (state) this.#found.push(...this.#sequence.model.compare(stage, state));
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

  /** An operation that cannot be begun, and one that hangs, count even where no result is told. */
  #compareResults({ result, hang, died }: ScenarioStep, { result: model, impossible }: Answer): void {
    if (died) this.#compareDeaths(died, model);
    else if (hang || model === HANG) {
      if (!hang || model !== HANG) this.#found.push({ what: 'hang', kernel: hang ? HANG : result, model });
    } else if (impossible || (result !== undefined && model !== result)) {
      this.#found.push({ what: 'result', kernel: result, model });
    }
  }

  #compareDeaths(died: Died, model: string): void {
    if (model === died || (died === 'either' && (model === HANG || model === BUG))) return;
    if (died === HANG || model === HANG) this.#found.push({ what: 'hang', kernel: died, model });
    else this.#found.push({ what: 'result', kernel: died === 'either' ? DIED : died, model });
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
