/**
 * Whether what answers are written into, and what is written, belong to a scenario: otherwise they would get into other lines.
 */
import { shown as shownValue, wrongKind } from '../core/errors.ts';
import { ScenarioError, shortened } from './line/scenario-error.ts';
import type { ReplayedLine } from './replayed.ts';
import { parseScenario } from './scenario.ts';
import type { Scenario, ScenarioStep, Sequence } from './sequence/sequence.ts';

/** A line, and what the scenario has of it. */
interface Known {
  readonly line: number;
  readonly text: string;
}

/** @throws RangeError for another text than the scenario's: an operation, a state, a header or an end is another one, or somewhere else */
export function checkText(scenario: Scenario, text: string): void {
  const given = knownLines(parsedAgain(scenario, text));
  const known = knownLines(scenario);
  for (let i = 0; i < Math.max(known.length, given.length); i++) {
    const [is, was] = [given[i], known[i]];
    if (is?.line === was?.line && is?.text === was?.text) continue;
    throw otherText(scenario, was ? `${wordsOf(was)} next` : wordsOf(was), wordsOf(is));
  }
}

function parsedAgain(scenario: Scenario, text: string): Scenario {
  try {
    return parseScenario(scenario.file, text);
  } catch (error) {
    if (error instanceof ScenarioError) throw otherText(scenario, 'nothing refused', error.message);
    throw error;
  }
}

function otherText({ file }: Scenario, expected: string, got: string): RangeError {
  const whose = `the text that ${shownValue(file)} was parsed from, with ${expected}`;
  return new RangeError(`text: expected ${whose}, got ${got}: give what parseScenario was given, or parse this one`);
}

function wordsOf(known: Known | undefined): string {
  return known ? `line ${known.line}: ${shortened(known.text)}` : 'no more lines';
}

/** All that answers are put into, or stand beside, in its order. */
function knownLines({ sequences }: Scenario): Known[] {
  return sequences.flatMap((sequence) => {
    const { line, text, steps, end } = sequence;
    return [{ line, text }, ...steps.flatMap(knownOfStep), ...(end ? [{ line: end.line, text: end.text }] : [])];
  });
}

function knownOfStep({ line, text, state, stateLine }: ScenarioStep): Known[] {
  const step = { line, text };
  return stateLine === undefined ? [step] : [step, { line: stateLine, text: JSON.stringify(state) }];
}

/**
 * @param name what the argument is called
 * @throws RangeError for a sequence that is not the scenario's, and lines that are not the sequence's
 * @throws TypeError for lines without states
 */
export function checkPlayed(
  name: string,
  scenario: Scenario,
  played: { readonly sequence: Sequence; readonly lines: readonly ReplayedLine[] },
): void {
  const given: Partial<typeof played> | null | undefined = played;
  if (!Array.isArray(given?.lines)) throw wrongKind(name, '{ sequence, lines }', played);
  const { sequence, lines } = played;
  if (!scenario.sequences.includes(sequence)) {
    throw new RangeError(`${name}.sequence: expected one of scenario.sequences, got ${sequenceWords(sequence)}`);
  }
  for (const [index, step] of sequence.steps.entries()) {
    const line: Partial<ReplayedLine> | undefined = lines[index];
    if (!line) break;
    if (line.line !== step.line || line.operation !== step.text) {
      const got = `line ${line.line}: ${shortened(String(line.operation))}`;
      throw new RangeError(
        `${name}.lines[${index}]: expected ${wordsOf(step)}, got ${got}: give the lines that replaySequence gave of this sequence`,
      );
    }
    if (line.answer && !line.state) {
      throw new TypeError(`${name}.lines[${index}].state: expected a state, got none: replay with { observe: true }`);
    }
  }
}

function sequenceWords(sequence: Sequence): string {
  const given: Partial<Sequence> | null | undefined = sequence;
  return typeof given?.number === 'number'
    ? `sequence ${given.number} of ${shownValue(given.file)}`
    : shownValue(sequence);
}
