/**
 * Scenarios: sequences of operations on huge pages, as lines of JSON. The recordings of real kernels are scenarios in
 * which every result and every state is told. docs/replay.md has the formats.
 */
import { checkString } from '../core/errors.ts';
import type { HgmOptions } from '../linux/base/hgm.ts';
import { HGM } from './hgm/format.ts';
import { UNIT } from './hgm/header.ts';
import { parseKernel } from './hgm/kernel.ts';
import { HUGETLB } from './hugetlb/format.ts';
import type { Line, LineObject } from './line/line.ts';
import { objectOf, refused } from './line/lines.ts';
import { ScenarioError } from './line/scenario-error.ts';
import { takeCrash } from './operations/crash.ts';
import { Begun } from './sequence/begun.ts';
import type { Format } from './sequence/format.ts';
import type { Scenario, Sequence } from './sequence/sequence.ts';
import { checkHang, checkNote, parseEnd, parseOperation, parseSchedule } from './sequence/steps.ts';

/** What a line is, by a field that it has; there are more that one format has, and not the other. */
const KINDS = ['op', 'seq', 'end', 'hang', 'crash', 'schedule', 'note', 'expect'];
/** Outside sequences. */
const ALL_KINDS = [...new Set([...KINDS, 'kernel', ...HUGETLB.kinds, ...HGM.kinds])];

/** The format of a sequence, by its header: HGM's counts in 4 KiB, also a huge page, if it says so in the old way. */
function formatOf({ unit, hugepage }: LineObject): Format {
  return unit === UNIT || typeof hugepage === 'number' ? HGM : HUGETLB;
}

/**
 * Reads a scenario to its end: what this returns can be run.
 *
 * @param file its name, for messages
 * @throws {@link ScenarioError} for the first line that is wrong
 */
export function parseScenario(file: string, text: string): Scenario {
  checkString('file', file);
  checkString('text', text);
  const lines = text.split('\n').map((line, i) => ({ file, line: i + 1, text: line.trim() }));
  const parser = new Parser();
  for (const line of lines) if (line.text !== '') parser.take(line);
  return { file, sequences: parser.finish(lines.findLast(({ text }) => text !== '') ?? lines[0]!) };
}

/** Takes lines one after the other, and knows which may come next. */
class Parser {
  readonly #sequences: Sequence[] = [];
  /** The sequence that has not ended. */
  #begun: Begun | undefined;
  /** Its format. */
  #format: Format = HUGETLB;
  /** What the last line about it said. */
  #kernel: HgmOptions | undefined;

  take(line: Line): void {
    const object = objectOf(line);
    const kinds = this.#begun ? [...KINDS, ...this.#format.kinds] : ALL_KINDS;
    const kind = kinds.find((field) => Object.hasOwn(object, field));
    if (kind === undefined) throw refused(line, 'line', `an object with one of ${kinds.join(', ')}`, object);
    if (kind === 'note') checkNote(line, object);
    else if (kind === 'seq') this.#begin(line, object);
    else if (kind === 'kernel') this.#kernel = parseKernel(line, object);
    else if (!this.#begun) throw refused(line, kind, 'the header of a sequence before it', object[kind]);
    else this.#takeInside(kind, line, object, this.#begun);
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
    this.#format = formatOf(object);
    const { number, setting } = this.#format.header(line, object, this.#kernel);
    this.#begun = new Begun(line, this.#format, number, setting);
  }

  #takeInside(kind: string, line: Line, object: LineObject, begun: Begun): void {
    if (kind === 'op') takeOperation(line, object, this.#format, begun);
    else if (kind === 'expect') begun.expect(line, object);
    else if (kind === 'hang') takeHang(line, object, begun);
    else if (kind === 'crash') takeCrash(line, object, this.#format.operations, begun);
    else if (kind === 'schedule') takeSchedule(line, object, begun);
    else if (kind === 'end') begun.finish({ ...line, ...parseEnd(line, object, begun.number) });
    else this.#format.take(kind, line, object, begun);
    if (!begun.ended) return;
    this.#sequences.push(begun.sequence);
    this.#begun = undefined;
  }
}

function takeOperation(line: Line, object: LineObject, { operations }: Format, begun: Begun): void {
  if (begun.hasSchedule) throw refused(line, 'op', 'the end of the sequence behind its schedule', object.op);
  if (begun.last?.hang) throw refused(line, 'op', 'the end of the sequence, since it hangs', object.op);
  begun.operation(parseOperation(line, object, operations, begun));
}

function takeHang(line: Line, object: LineObject, begun: Begun): void {
  checkHang(line, object, begun.number);
  if (begun.last?.hang) return;
  const step = begun.completed(line, 'hang', object);
  if (step.result !== undefined) {
    throw refused(line, 'hang', `an operation without a result before it, not with "${step.result}"`, object.hang);
  }
  begun.complete({ ...step, hang: true });
}

/** One for a sequence, behind its operations. */
function takeSchedule(line: Line, object: LineObject, begun: Begun): void {
  if (begun.hasSchedule) throw refused(line, 'schedule', 'one of a sequence', object.schedule);
  begun.schedule(parseSchedule(line, object, begun.steps));
}
