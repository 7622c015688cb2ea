/**
 * A sequence of which not all lines have been read.
 */
import type { Context } from './fields.ts';
import type { Format, Header } from './format.ts';
import { type LineObject, refused } from './lines.ts';
import type { Line, ScenarioEnd, ScenarioStep, Sequence } from './sequence.ts';
import type { Setting } from './setting.ts';

/** What the lines up to now have said. */
export class Begun implements Context {
  readonly format: Format;
  readonly number: number;
  readonly setting: Setting;
  /** The processes that live. */
  readonly alive: Set<number> = new Set([0]);
  /** Whether there will be no more lines: its end was told, or the kernel died. */
  ended = false;
  #end: ScenarioEnd | undefined;
  readonly #line: Line;
  readonly #steps: ScenarioStep[] = [];
  /** Whether a state, or that it hangs, may be told of the last operation. */
  #open = false;

  constructor(line: Line, format: Format, { number, setting }: Header) {
    this.#line = line;
    this.format = format;
    this.number = number;
    this.setting = setting;
  }

  /** The last step, if there is one. */
  get last(): ScenarioStep | undefined {
    return this.#steps.at(-1);
  }

  /** The last state that was told, if there was one. */
  get state(): object | undefined {
    return this.#steps.findLast(({ state }) => state)?.state;
  }

  /** Takes an operation; what follows may tell of it. */
  operation(step: ScenarioStep): void {
    if (!step.hang && (step.result ?? 'OK') === 'OK') step.operation.lives?.(step.values, this.alive);
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

  /** Takes the end. Without one, the kernel has died. */
  finish(end?: ScenarioEnd): void {
    this.#end = end;
    this.ended = true;
  }

  /** The sequence, when all is read. */
  get sequence(): Sequence {
    const { number, format, setting } = this;
    return { ...this.#line, number, format, setting, steps: this.#steps, end: this.#end };
  }
}
