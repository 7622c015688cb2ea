/**
 * A sequence of which not all lines have been read.
 */
import type { Context } from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import { refused } from '../line/lines.ts';
import type { Setting } from '../line/setting.ts';
import { type Expectation, parseExpectation } from './expectation.ts';
import type { Model } from './model.ts';
import type { ScenarioEnd, ScenarioStep, Schedule, Sequence } from './sequence.ts';

/** What the lines up to now have said. */
export class Begun implements Context {
  readonly number: number;
  readonly setting: Setting;
  /** The processes that live. */
  readonly alive: Set<number> = new Set([0]);
  /** Whether there will be no more lines: its end was told, or the kernel died. */
  ended = false;
  /** The operations of threads that wait, by process and thread. */
  readonly #waiting = new Map<string, ScenarioStep>();
  #end: ScenarioEnd | undefined;
  #expectation: Expectation | undefined;
  #schedule: Schedule | undefined;
  readonly #line: Line;
  readonly #model: Model;
  readonly #steps: ScenarioStep[] = [];
  /** Whether a state, or that it hangs, may be told of the last operation. */
  #open = false;

  constructor(line: Line, model: Model, number: number, setting: Setting) {
    this.#line = line;
    this.#model = model;
    this.number = number;
    this.setting = setting;
  }

  /** The last step, if there is one. */
  get last(): ScenarioStep | undefined {
    return this.#steps.at(-1);
  }

  get steps(): readonly ScenarioStep[] {
    return this.#steps;
  }

  /** The last state that was told, if there was one. */
  get state(): object | undefined {
    return this.#steps.findLast(({ state }) => state)?.state;
  }

  /** Takes an operation; what follows may tell of it. */
  operation(step: ScenarioStep): void {
    const { operation, values, result = 'OK', hang } = step;
    const thread = `${String(values.proc)}.${String(values.thread)}`;
    if (operation.waits && result !== 'BLOCKED') {
      const waited = this.#waiting.get(thread);
      this.#waiting.delete(thread);
      if (result === 'OK') waited?.operation.lives?.(waited.values, this.alive);
    } else if (result === 'BLOCKED' && values.thread !== undefined) this.#waiting.set(thread, step);
    else if (!hang && result === 'OK') operation.lives?.(values, this.alive);
    this.#steps.push(step);
    this.#open = true;
  }

  /** Takes a step of which no more will be told. */
  look(step: ScenarioStep): void {
    this.#steps.push(step);
    this.#open = false;
  }

  /** The operation that a line completes. */
  completed(line: Line, field: string, object: LineObject): ScenarioStep {
    if (!this.#open) throw refused(line, field, 'an operation before it', object[field]);
    this.#open = false;
    return this.last!;
  }

  /** Puts the last step, completed, in its place. */
  complete(step: ScenarioStep): void {
    this.#steps[this.#steps.length - 1] = step;
  }

  /** Takes what is expected to be found, once. */
  expect(line: Line, object: LineObject): void {
    if (this.#expectation) throw refused(line, 'expect', 'one expectation in a sequence', object.expect);
    this.#expectation = parseExpectation(line, object);
  }

  /** Takes how tasks take turns. */
  schedule(schedule: Schedule): void {
    this.#schedule = schedule;
    this.#open = false;
  }

  get hasSchedule(): boolean {
    return this.#schedule !== undefined;
  }

  /** Takes the end. Without one, the kernel has died. */
  finish(end?: ScenarioEnd): void {
    this.#end = end;
    this.ended = true;
  }

  /** The sequence, when all is read. */
  get sequence(): Sequence {
    const { number, setting } = this;
    const [model, steps, end, expectation] = [this.#model, this.#steps, this.#end, this.#expectation];
    const schedule = this.#schedule && { schedule: this.#schedule };
    return { ...this.#line, number, model, setting, steps, ...schedule, end, expectation };
  }
}
