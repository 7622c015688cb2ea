/**
 * `hugewalk replay`: what a kernel did with huge pages, against what the model of it does.
 */
import { fileSource } from '../dump/file-source.ts';
import { inflated } from '../dump/gzip.ts';
import { describeTraceEvent, type TraceEvent } from '../linux/base/trace.ts';
import { describeDifference } from '../replay/describe.ts';
import type { Answer } from '../replay/operation.ts';
import { memoryForTables, type ReplayedLine, replaySequence } from '../replay/replay.ts';
import { parseScenario } from '../replay/scenario.ts';
import { ScenarioError } from '../replay/scenario-error.ts';
import type { Scenario } from '../replay/sequence.ts';
import { EXIT, Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { ReaderGone } from './output.ts';
import type { Progress } from './progress.ts';
import { count, counted, printable, sizeOfPages } from './text.ts';

/** The options of `replay`. */
export interface ReplayOptions {
  /** The model's record of every operation, not only of those that differ. */
  readonly trace?: boolean;
}

/** Differences of a sequence that are printed; most follow from the first. */
const SHOWN = 3;
/** Bytes of text that a file may have. */
const LONGEST = 2 ** 28;

/** Runs the command; resolves with the exit status. All files are read, and found right, before anything runs. */
export async function replay(
  paths: readonly string[],
  options: ReplayOptions,
  surroundings: Surroundings,
): Promise<number> {
  const scenarios: Scenario[] = [];
  for (const path of paths) scenarios.push(await readScenario(path, surroundings.progress));
  const replayed = new Replay(options, surroundings);
  try {
    for (const scenario of scenarios) await replayed.run(scenario);
    await replayed.finish();
  } catch (error) {
    /* Status 0 says that everything was run and nothing differs. */
    if (error instanceof ReaderGone) return EXIT.incomplete;
    throw error;
  }
  return replayed.differences > 0 ? EXIT.differences : EXIT.done;
}

/** Reads a file, plain or gzipped, and all that it says. */
async function readScenario(path: string, progress: Progress): Promise<Scenario> {
  const onProgress = (done: number, total: number): void =>
    progress.report(() => `reading ${printable(path)}: ${sizeOfPages(done / 4096)} of ${sizeOfPages(total / 4096)}`);
  const file = await fileSource(path);
  try {
    const source = await inflated(file, { keep: LONGEST, onProgress });
    if (source.size > LONGEST) {
      throw new Failure(`${path}: expected at most ${sizeOfPages(LONGEST / 4096)} of text, found more`);
    }
    const [bytes] = await source.read([{ offset: 0, length: source.size }]);
    return parseScenario(path, new TextDecoder().decode(bytes));
  } catch (error) {
    throw error instanceof ScenarioError ? new Failure(error.message) : error;
  } finally {
    await file.close();
  }
}

/** Runs scenarios, prints what differs, and counts. */
class Replay {
  differences = 0;
  #sequences = 0;
  #operations = 0;
  readonly #tables = memoryForTables();
  readonly #trace: boolean;
  readonly #surroundings: Surroundings;

  constructor({ trace = false }: ReplayOptions, surroundings: Surroundings) {
    this.#trace = trace;
    this.#surroundings = surroundings;
  }

  async run({ file, sequences }: Scenario): Promise<void> {
    for (const sequence of sequences) {
      this.#sequences++;
      const most = this.#trace ? Number.POSITIVE_INFINITY : SHOWN;
      let shown = 0;
      let found = 0;
      if (this.#trace) await this.#add(this.#title(sequence, sequence.text));
      for (const line of replaySequence(sequence, this.#tables)) {
        const { kind, differences, uncompared } = line;
        if (kind === 'operation') this.#operations++;
        found += differences.length;
        const says = uncompared !== undefined || (differences.length > 0 && shown < most);
        if (!this.#trace && !says) continue;
        await this.#add(this.#wordsOf(line));
        shown += differences.length;
      }
      this.differences += found;
      if (found > shown) {
        const more = counted(found - shown, 'more difference');
        await this.#add(`${printable(file)}: ${more} in sequence ${sequence.number}\n`);
      }
      this.#surroundings.progress.report(
        () =>
          `replaying ${printable(file)}: ${counted(this.#operations, 'operation')}, ${count(this.differences)} differ`,
      );
    }
  }

  /** The last line: a contract with whoever reads it. */
  async finish(): Promise<void> {
    await this.#add(`${this.#sequences} sequences, ${this.#operations} operations, ${this.differences} differences\n`);
    await this.#flush();
  }

  /** A line of the scenario, the differences there, and the model's record. */
  #wordsOf({ operation, differences, answer, trace, uncompared, ...where }: ReplayedLine): string {
    const { paint } = this.#surroundings;
    if (uncompared !== undefined) {
      const why = `  not compared; all before it was replayed (docs/replay.md, "How a kernel dies"): ${uncompared}`;
      return `${this.#title(where, operation)}${printable(why)}\n`;
    }
    const differing = differences.flatMap(describeDifference).map((words) => `  ${paint.red(printable(words))}\n`);
    return [this.#title(where, operation), ...differing, ...record(answer, trace)].join('');
  }

  #title({ file, line }: { readonly file: string; readonly line: number }, text: string): string {
    return `${this.#surroundings.paint.bold(printable(`${file}:${line}:`))} ${printable(text)}\n`;
  }

  async #add(text: string): Promise<void> {
    if (this.#surroundings.output.add(text)) await this.#flush();
  }

  async #flush(): Promise<void> {
    this.#surroundings.progress.clear();
    await this.#surroundings.output.flush();
  }
}

/** How the model answered, and what it did until then. */
function record(answer: Answer | undefined, trace: readonly TraceEvent[]): string[] {
  const read = Object.entries(answer?.found ?? {})
    .filter(([, value]) => value !== -1)
    .map(([field, value]) => `, ${field} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join('');
  const nothing = trace.length === 0 ? ', nothing changed' : '';
  const events = trace.map((event) => `    ${describeTraceEvent(event)}\n`);
  return [`  model: ${answer?.result ?? 'the end'}${read}${nothing}\n`, ...events];
}
