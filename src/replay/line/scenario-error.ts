/**
 * Refusals of a text that is no scenario.
 */
import { checkInteger, checkString } from '../../core/errors.ts';

/** What would break a message's one line, or hide part of it. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;
/** Characters of a value that a message shows at most. */
const SHOWN = 60;

/**
 * A scenario that cannot be run: a line of it is no JSON, or says what no sequence can. The message is one line.
 *
 * @example
 * ```text
 * fork.jsonl:7: at: expected an integer from 0 to 2097151, got 2097152
 * ```
 */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  readonly file: string;
  /** The first is 1. */
  readonly line: number;
  /** The message without the place: `at: expected an integer from 0 to 2097151, got 2097152`. */
  readonly problem: string;

  /**
   * @param field what the message is about: a field's name, or `line`
   * @param expected in words
   * @param got what stands there instead, in words: see {@link shown}
   */
  constructor(file: string, line: number, field: string, expected: string, got: string) {
    for (const [name, value] of Object.entries({ file, field, expected, got })) checkString(name, value);
    checkInteger('line', line, 1, Number.MAX_SAFE_INTEGER);
    const problem = oneLine(`${field}: expected ${expected}, got ${got}`);
    super(`${oneLine(file)}:${line}: ${problem}`);
    this.file = file;
    this.line = line;
    this.problem = problem;
  }
}

function oneLine(text: string): string {
  return text.replace(CONTROL, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value of a line in few words. */
export function shown(value: unknown): string {
  return value === undefined ? 'nothing' : shortened(JSON.stringify(value));
}

/** A text, cut where it is long. */
export function shortened(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
