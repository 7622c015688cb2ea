/**
 * Scenarios: sequences of operations on huge pages, as lines of JSON. The recordings of a real kernel are scenarios in
 * which every result and every state is told. docs/replay.md has the format.
 */
import type { Context } from './fields.ts';
import {
  checkHang,
  checkNote,
  type LineObject,
  objectOf,
  parseEnd,
  parseHeader,
  parseOperation,
  parseState,
  refused,
} from './lines.ts';
import { ScenarioError } from './scenario-error.ts';
import type { Line, Scenario, ScenarioStep, Sequence } from './sequence.ts';

/** What a line is, by a field that it has; a state has one or both of the last two. */
const KINDS = ['op', 'seq', 'end', 'hang', 'note', 'pool', 'pages'] as const;

/**
 * Reads a scenario to its end: what this returns can be run.
 *
 * @param file its name, for messages
 * @throws {@link ScenarioError} for the first line that is wrong
 */
export function parseScenario(file: string, text: string): Scenario {
  const lines = text.split('\n').map((line, i) => ({ file, line: i + 1, text: line.trim() }));
  const parser = new Parser();
  for (const line of lines) if (line.text !== '') parser.take(line);
  return { file, sequences: parser.finish(lines.findLast(({ text }) => text !== '') ?? lines[0]!) };
}

/** A sequence that has not ended. */
interface Begun extends Omit<Sequence, 'end'> {
  readonly steps: ScenarioStep[];
  /** The processes that live. */
  readonly alive: Set<number>;
}

/** Takes lines one after the other, and knows which may come next. */
class Parser {
  readonly #sequences: Sequence[] = [];
  #begun: Begun | undefined;
  /** Whether a state, or that it hangs, may be told of the last operation. */
  #open = false;

  take(line: Line): void {
    const object = objectOf(line);
    const kind = KINDS.find((field) => Object.hasOwn(object, field));
    if (kind === 'op') this.#takeOperation(line, object);
    else if (kind === 'pool' || kind === 'pages') this.#takeState(line, object);
    else if (kind === 'seq') this.#begin(line, object);
    else if (kind === 'end') this.#end(line, object);
    else if (kind === 'hang') this.#takeHang(line, object);
    else if (kind === 'note') checkNote(line, object);
    else throw refused(line, 'line', `an object with one of ${KINDS.join(', ')}`, object);
  }

  /** After the last line. */
  finish({ file, line }: Line): readonly Sequence[] {
    const missing = this.#begun ? 'end' : this.#sequences.length === 0 ? 'seq' : undefined;
    if (missing === undefined) return this.#sequences;
    const what = missing === 'end' ? `the end of sequence ${this.#begun!.number}` : 'a sequence';
    throw new ScenarioError(file, line, missing, what, 'the end of the file');
  }

  #begin(line: Line, object: LineObject): void {
    if (this.#begun) throw refused(line, 'seq', `the end of sequence ${this.#begun.number} before it`, object.seq);
    this.#begun = { ...line, ...parseHeader(line, object), steps: [], alive: new Set([0]) };
    this.#open = false;
  }

  #takeOperation(line: Line, object: LineObject): void {
    const begun = this.#sequence(line, 'op', object);
    if (begun.steps.at(-1)?.hang) throw refused(line, 'op', 'the end of the sequence, since it hangs', object.op);
    const step = parseOperation(line, object, begun);
    if (!step.hang && (step.result ?? 'OK') === 'OK') step.operation.lives?.(step.values, begun.alive);
    begun.steps.push(step);
    this.#open = true;
  }

  #takeState(line: Line, object: LineObject): void {
    const field = object.pool === undefined ? 'pages' : 'pool';
    const begun = this.#sequence(line, field, object);
    const step = this.#last(line, field, object, begun);
    if (step.hang) throw refused(line, field, 'no state, since the operation hangs', object[field]);
    begun.steps[begun.steps.length - 1] = { ...step, state: parseState(line, object, begun) };
  }

  #takeHang(line: Line, object: LineObject): void {
    const begun = this.#sequence(line, 'hang', object);
    checkHang(line, object, begun.number);
    const step = this.#last(line, 'hang', object, begun);
    if (step.result !== undefined) {
      throw refused(line, 'hang', `an operation without a result before it, not with "${step.result}"`, object.hang);
    }
    begun.steps[begun.steps.length - 1] = { ...step, hang: true };
  }

  #end(line: Line, object: LineObject): void {
    const { alive: _, ...begun } = this.#sequence(line, 'end', object);
    this.#sequences.push({ ...begun, end: { ...line, ...parseEnd(line, object, begun.number) } });
    this.#begun = undefined;
  }

  /** The sequence that a line belongs to. */
  #sequence(line: Line, field: string, object: LineObject): Begun & Context {
    if (this.#begun) return this.#begun;
    throw refused(line, field, 'the header of a sequence before it', object[field]);
  }

  /** The operation that a line completes. */
  #last(line: Line, field: string, object: LineObject, { steps }: Begun): ScenarioStep {
    if (!this.#open) throw refused(line, field, 'an operation before it', object[field]);
    this.#open = false;
    return steps.at(-1)!;
  }
}
