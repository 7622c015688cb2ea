/**
 * `hugewalk replay`: what a kernel did with huge pages, against what the model of it does.
 */
import type { TraceEvent } from '../linux/base/trace.ts';
import { describeTrace, isChange } from '../linux/base/trace-words.ts';
import { describeDifference } from '../replay/describe.ts';
import { ScenarioError } from '../replay/line/scenario-error.ts';
import { answerWords } from '../replay/observe/words.ts';
import { memoryForTables, replaySequence } from '../replay/replay.ts';
import type { Difference, ReplayedLine } from '../replay/replayed.ts';
import type { Scenario, Sequence } from '../replay/sequence/sequence.ts';
import type { Answer } from '../replay/stage/answer.ts';
import { type Played, type Written, withAnswers } from '../replay/written.ts';
import { EXIT, Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { ReaderGone } from './output.ts';
import { readScenario } from './read-scenario.ts';
import { runRows, sequenceWords } from './replay-run.ts';
import { checkWritable, replaceFile, type WritableScenario } from './replay-write.ts';
import { count, counted, printable } from './text.ts';

/** The options of `replay`. */
export interface ReplayOptions {
  /** The model's record of every operation, not only of those that differ. */
  readonly trace?: boolean;
  /** A line an operation: its result, and what it changed. */
  readonly run?: boolean;
  /** Results and states go into the files. */
  readonly write?: boolean;
  /** Also in the place of those that differ. */
  readonly force?: boolean;
}

/** Differences of a sequence that are printed; most follow from the first. */
const SHOWN = 3;

/** Runs the command; resolves with the exit status. All files are read, and found right, before anything runs. */
export async function replay(
  paths: readonly string[],
  options: ReplayOptions,
  surroundings: Surroundings,
): Promise<number> {
  if (options.force && !options.write) throw new Failure('--force: expected --write as well, which it is for');
  const files: { readonly scenario: Scenario; readonly text: string }[] = [];
  for (const path of paths) files.push(await readScenario(path, surroundings.progress));
  const writable: WritableScenario[] = [];
  if (options.write) {
    for (const { scenario, text } of files) writable.push(await checkWritable(scenario.file, scenario, text));
  }
  const replayed = new Replay(options, surroundings);
  try {
    const written: Written[] = [];
    for (const { scenario, text } of files) {
      const played = await replayed.run(scenario);
      if (options.write) written.push(answered(scenario, text, played, options.force));
    }
    if (replayed.differences === 0) {
      for (const [index, file] of writable.entries()) await replayed.written(file, written[index]!);
    } else if (options.write) await replayed.notWritten();
    await replayed.finish();
  } catch (error) {
    /* Status 0 says that everything was run and nothing differs. */
    if (error instanceof ReaderGone) return EXIT.incomplete;
    /* What was run until then may show why. */
    await replayed.flush();
    throw error;
  }
  return replayed.differences > 0 ? EXIT.differences : EXIT.done;
}

/** The text with the model's answers, of which one that can be run has all. */
function answered(scenario: Scenario, text: string, played: readonly Played[], force?: boolean): Written {
  try {
    return withAnswers(scenario, text, played, force);
  } catch (error) {
    throw error instanceof ScenarioError ? new Failure(error.message) : error;
  }
}

/** Runs scenarios, prints what differs, and counts. */
class Replay {
  differences = 0;
  #sequences = 0;
  #operations = 0;
  readonly #tables = memoryForTables();
  readonly #options: ReplayOptions;
  readonly #surroundings: Surroundings;

  constructor(options: ReplayOptions, surroundings: Surroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
  }

  /** @returns the lines of all sequences, if they are to be written */
  async run({ file, sequences }: Scenario): Promise<Played[]> {
    const { run = false, write = false, force = false, trace = false } = this.#options;
    const played: Played[] = [];
    for (const sequence of sequences) {
      this.#sequences++;
      const options = { observe: run || write, compare: !force };
      if (run) {
        const lines = [...this.#counted(replaySequence(sequence, this.#tables, options))];
        await this.#addRows(sequence, lines);
        if (write) played.push({ sequence, lines });
      } else {
        const lines: ReplayedLine[] = [];
        const shown = new Shown(trace);
        if (trace) await this.#add(this.#title(sequence, sequence.text));
        for (const line of this.#counted(replaySequence(sequence, this.#tables, options))) {
          if (shown.shows(line)) await this.#add(this.#wordsOf(line));
          if (write) lines.push(line);
        }
        if (shown.others > 0) {
          const more = counted(shown.others, 'more difference');
          await this.#add(`${printable(file)}: ${more} in sequence ${sequence.number}\n`);
        }
        if (write) played.push({ sequence, lines });
      }
      this.#surroundings.progress.report(
        () =>
          `replaying ${printable(file)}: ${counted(this.#operations, 'operation')}, ${count(this.differences)} differ`,
      );
    }
    return played;
  }

  /** Writes a file, if there is anything new, and says so. */
  async written(file: WritableScenario, { text, results, states }: Written): Promise<void> {
    if (text !== file.text) await replaceFile(file, text);
    const what =
      text === file.text ? 'nothing to write' : `${counted(results, 'result')} and ${counted(states, 'state')} written`;
    await this.#add(`${printable(file.path)}: ${what}\n`);
  }

  /** Says that nothing is. */
  async notWritten(): Promise<void> {
    await this.#add('nothing written, since something differs: take out what is wrong, or give --force\n');
  }

  *#counted(lines: Iterable<ReplayedLine>): Generator<ReplayedLine, void, undefined> {
    for (const line of lines) {
      if (line.kind === 'operation') this.#operations++;
      this.differences += line.differences.length;
      yield line;
    }
  }

  /** A row for each line of a sequence; behind it what differs, and the record if that is asked for. */
  async #addRows(sequence: Sequence, lines: readonly ReplayedLine[]): Promise<void> {
    const { paint } = this.#surroundings;
    await this.#add(`${paint.bold(printable(`${sequence.file}:${sequence.line}:`))} ${sequenceWords(sequence)}\n`);
    for (const [index, row] of runRows(sequence, lines).entries()) {
      const { differences, trace, uncompared } = lines[index]!;
      const events = this.#options.trace ? recordOf(trace) : [];
      const why = uncompared === undefined ? [] : [notCompared(uncompared)];
      await this.#add([`${row}\n`, ...why, ...this.#differing(differences), ...events].join(''));
    }
  }

  /** The last line: a contract with whoever reads it. */
  async finish(): Promise<void> {
    await this.#add(`${this.#sequences} sequences, ${this.#operations} operations, ${this.differences} differences\n`);
    await this.flush();
  }

  /** A line of the scenario, the differences there, and the model's record. */
  #wordsOf({ operation, differences, answer, trace, uncompared, ...where }: ReplayedLine): string {
    if (uncompared !== undefined) return `${this.#title(where, operation)}${notCompared(uncompared)}`;
    return [this.#title(where, operation), ...this.#differing(differences), ...record(answer, trace)].join('');
  }

  #differing(differences: readonly Difference[]): string[] {
    const { paint } = this.#surroundings;
    return differences.flatMap(describeDifference).map((words) => `  ${paint.red(printable(words))}\n`);
  }

  #title({ file, line }: { readonly file: string; readonly line: number }, text: string): string {
    return `${this.#surroundings.paint.bold(printable(`${file}:${line}:`))} ${printable(text)}\n`;
  }

  async #add(text: string): Promise<void> {
    if (this.#surroundings.output.add(text)) await this.flush();
  }

  /** Writes what is there. */
  async flush(): Promise<void> {
    this.#surroundings.progress.clear();
    await this.#surroundings.output.flush();
  }
}

/** Which lines are shown: all, or the first few of a sequence that differ. */
class Shown {
  /** Differences of lines that were not shown. */
  others = 0;
  #shown = 0;
  readonly #all: boolean;

  constructor(all: boolean) {
    this.#all = all;
  }

  shows({ differences: { length }, uncompared }: ReplayedLine): boolean {
    const shows = this.#all || uncompared !== undefined || (length > 0 && this.#shown < SHOWN);
    if (shows) this.#shown += length;
    else this.others += length;
    return shows;
  }
}

/** Why the death of a kernel is not compared. */
function notCompared(why: string): string {
  return `  not compared; all before it was replayed (docs/replay.md, "How a kernel dies"): ${printable(why)}\n`;
}

/** How the model answered, and what it did until then. */
function record(answer: Answer | undefined, trace: readonly TraceEvent[]): string[] {
  const nothing = trace.some(isChange) ? '' : ', nothing changed';
  return [`  model: ${answer ? answerWords(answer) : 'the end'}${nothing}\n`, ...recordOf(trace)];
}

function recordOf(trace: readonly TraceEvent[]): string[] {
  return describeTrace(trace).map((words) => `    ${printable(words)}\n`);
}
