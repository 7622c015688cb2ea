/**
 * A scenario with the model's answers in it: so one is written by running it.
 */
import { checkBoolean, checkString, InvariantError, wrongKind } from '../core/errors.ts';
import type { LineObject } from './line/line.ts';
import { refused } from './line/lines.ts';
import { ScenarioError } from './line/scenario-error.ts';
import type { ReplayedLine } from './replayed.ts';
import { parseScenario } from './scenario.ts';
import { same } from './sequence/disagreement.ts';
import type { Scenario, ScenarioStep, Sequence } from './sequence/sequence.ts';
import type { Answer } from './stage/answer.ts';
import { checkPlayed, checkText } from './written-check.ts';

/** A sequence, and its lines as {@link replaySequence} gave them, with `observe`. */
export interface Played {
  readonly sequence: Sequence;
  readonly lines: readonly ReplayedLine[];
}

/** A text, and how much of it is new. */
export interface Written {
  readonly text: string;
  /** Operations whose result, or what they found, was put in. */
  readonly results: number;
  /** Lines with states, and pools at an end. */
  readonly states: number;
}

/**
 * Puts the model's answers into a scenario. An operation without a result gets one, and what it found; behind it goes a line with the state, if
 * that has changed and no such line is there; the end of a sequence with such an operation gets the pool. All other lines stay as they are,
 * to the last blank.
 *
 * @param text of the scenario's file: what the scenario was parsed from
 * @param played the sequences of the scenario
 * @param replace whether results and states that are told, and differ, become the model's, too
 * @throws ScenarioError where an operation could not be run, or has not ended; where a look differs, of which nothing can be written
 * @throws RangeError for a text that the scenario was not parsed from, and for lines of another sequence
 * @throws TypeError for lines without states, as they are without `observe`
 *
 * @example
 * ```ts
 * import { parseScenario, replaySequence, withAnswers } from 'hugewalk/replay';
 * const text = `{"seq":1,"pool":1}
 * {"op":"mmap","proc":0,"slot":0,"kind":"private_anon","hugepages":1,"prot":"rw"}
 * {"end":1}`;
 * const scenario = parseScenario('new.jsonl', text);
 * const played = scenario.sequences.map((sequence) => ({
 *   sequence,
 *   lines: [...replaySequence(sequence, undefined, { observe: true })],
 * }));
 * withAnswers(scenario, text, played).text.split('\n')[2];    // '{"pool":[1,1,1,0],"pages":[]}'
 * ```
 */
export function withAnswers(scenario: Scenario, text: string, played: readonly Played[], replace = false): Written {
  const given: Partial<Scenario> | null | undefined = scenario;
  if (!Array.isArray(given?.sequences)) throw wrongKind('scenario', 'a Scenario, of parseScenario', scenario);
  checkString('text', text);
  if (!Array.isArray(played)) throw wrongKind('played', 'an array of sequences with their lines', played);
  checkBoolean('replace', replace);
  checkText(scenario, text);
  for (const [index, one] of played.entries()) checkPlayed(`played[${index}]`, scenario, one);
  const writer = new Writer(text, replace);
  for (const { sequence, lines } of played) writer.sequence(sequence, lines);
  const written = writer.finish();
  checkRereadable(scenario.file, written.text);
  return written;
}

/** What was written can be read. */
function checkRereadable(file: string, text: string): void {
  try {
    parseScenario(file, text);
  } catch (error) {
    if (error instanceof ScenarioError) throw new InvariantError(`withAnswers: ${error.message}`);
    throw error;
  }
}

/** How operations end that a scenario can tell of. */
const TOLD = /^(OK|BLOCKED|SIG[A-Z]+|E[A-Z0-9]+)$/;

/** Changes lines of a text. */
class Writer {
  readonly #lines: string[];
  readonly #behind = new Map<number, string>();
  readonly #replace: boolean;
  #results = 0;
  #states = 0;

  constructor(text: string, replace: boolean) {
    this.#lines = text.split('\n');
    this.#replace = replace;
  }

  sequence({ steps, end }: Sequence, lines: readonly ReplayedLine[]): void {
    let last: object | undefined;
    let fresh = false;
    for (const [index, step] of steps.entries()) {
      const line = lines[index];
      if (!line?.answer) throw refused(step, 'op', 'an operation that the model can run', 'one where it broke down');
      const isFresh = step.kind === 'operation' && step.result === undefined && !step.hang && !step.died;
      fresh ||= isFresh;
      if (step.kind === 'operation' && !step.died) this.#result(step, line.answer, isFresh);
      else if (this.#replace) checkLook(step, line.answer);
      this.#state(step, line.state!, isFresh, last);
      last = line.state;
    }
    const state = lines[steps.length]?.state as { readonly pool?: readonly number[] } | undefined;
    if (!end || !state?.pool) return;
    const differs = end.pool === undefined ? fresh : this.#replace && !same(end.pool, state.pool);
    if (!differs) return;
    this.#set(end.line, { pool: state.pool });
    this.#states++;
  }

  finish(): Written {
    const lines = this.#lines.flatMap((line, index) => {
      const behind = this.#behind.get(index + 1);
      return behind === undefined ? [line] : [line, behind];
    });
    return { text: lines.join('\n'), results: this.#results, states: this.#states };
  }

  #result(step: ScenarioStep, answer: Answer, isFresh: boolean): void {
    if (step.hang && answer.result === 'HANG') return;
    if (answer.impossible || !TOLD.test(answer.result)) {
      const what = answer.impossible
        ? 'an operation that can be run'
        : 'an operation that ends: put {"hang":…} and the end behind it';
      throw refused(step, 'op', what, answer.result);
    }
    if (step.hang) throw refused(step, 'hang', 'an operation that never ends', answer.result);
    const told: LineObject = { result: step.result, ...step.found };
    const given: LineObject = { result: answer.result, ...(answer.result === 'BLOCKED' ? {} : answer.found) };
    const differing = Object.entries(given).filter(([name, value]) => {
      if (told[name] === undefined) return isFresh;
      return this.#replace && !same(told[name], value);
    });
    if (differing.length === 0) return;
    this.#set(step.line, Object.fromEntries(differing));
    this.#results++;
  }

  #state(step: ScenarioStep, state: object, isFresh: boolean, last: object | undefined): void {
    if (step.stateLine === undefined) {
      if (!isFresh || JSON.stringify(state) === JSON.stringify(last)) return;
      this.#behind.set(step.line, styled(state, this.#lines[step.line - 1]!) + ending(this.#lines[step.line - 1]!));
      this.#states++;
      return;
    }
    if (!this.#replace) return;
    const told = step.state as LineObject;
    const is = state as LineObject;
    const differing = Object.keys(told).filter((name) => !same(told[name], is[name]));
    if (differing.length === 0) return;
    this.#set(step.stateLine, Object.fromEntries(differing.map((name) => [name, is[name]])));
    this.#states++;
  }

  /** Sets fields of a line: new ones at its end, where nothing else of it changes; others in their place. */
  #set(number: number, fields: LineObject): void {
    const text = this.#lines[number - 1]!;
    const { same: _, ...object } = JSON.parse(text) as Record<string, unknown>;
    const isNew = Object.keys(fields).every((name) => !Object.hasOwn(object, name)) && !text.includes('"same"');
    this.#lines[number - 1] = isNew ? appended(text, fields) : replaced(text, { ...object, ...fields });
  }
}

/** Fields at the end of a line's object, which has some. */
function appended(text: string, fields: LineObject): string {
  const [, head, tail] = /^(.*?)(\s*\}\s*)$/.exec(text)!;
  const added = styled(fields, text);
  return `${head}${added.replace(/^\{/, isSpaced(text) ? ', ' : ',').replace(/\}$/, '')}${tail}`;
}

function replaced(text: string, object: LineObject): string {
  return /^\s*/.exec(text)![0] + styled(object, text) + ending(text);
}

/** Whether the line has blanks behind its colons. */
function isSpaced(line: string): boolean {
  return /^\s*\{\s*"[^"]*"\s*:\s/.test(line);
}

/** JSON with blanks where the line has them that it comes to, or stands behind. */
function styled(value: object, like: string): string {
  const compact = JSON.stringify(value);
  if (!isSpaced(like)) return compact;
  return compact.replace(/"(?:[^"\\]|\\.)*"|[:,]/g, (part) => (part.length === 1 ? `${part} ` : part));
}

/** The carriage return of a file from Windows. */
function ending(text: string): string {
  return text.endsWith('\r') ? '\r' : '';
}

/** Nothing is written of looks. */
function checkLook(step: ScenarioStep, { found = {} }: Answer): void {
  for (const [field, told] of Object.entries(step.found ?? {})) {
    if (!same(told, found[field])) throw refused(step, field, 'what the model has, since looks are not written', told);
  }
}
