/**
 * `hugewalk explore`: which interleaving of a scenario's tasks breaks something?
 */
import { type Exploration, explore, type Found, type Pass } from '../explore/explore.ts';
import { SequenceScene } from '../explore/scenario/sequence-scene.ts';
import { type Verdict, verdictOf } from '../explore/scenario/verdict.ts';
import { drawLanes, lanes } from '../explore/show/lanes.ts';
import { witness } from '../explore/witness.ts';
import type { LineObject } from '../replay/line/line.ts';
import { operationWords } from '../replay/observe/words.ts';
import type { Scenario, ScenarioStep, Sequence } from '../replay/sequence/sequence.ts';
import { EXIT, Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { readScenario } from './read-scenario.ts';
import { sequenceWords } from './replay-run.ts';
import { count, counted, printable } from './text.ts';

/** The options of `explore`. */
export interface ExploreCliOptions {
  /** Most preemptions of an interleaving. */
  readonly preemptions?: number;
  /** Seconds for each sequence. */
  readonly seconds?: number;
  /** A line of JSON a sequence. */
  readonly json?: boolean;
}

/** Runs the command; resolves with the exit status. All files are read, and found right, before anything runs. */
export async function exploreFiles(
  paths: readonly string[],
  options: ExploreCliOptions,
  surroundings: Surroundings,
): Promise<number> {
  const scenes: { readonly scenario: Scenario; readonly scene: SequenceScene }[] = [];
  for (const path of paths) {
    const { scenario } = await readScenario(path, surroundings.progress);
    for (const sequence of scenario.sequences) scenes.push({ scenario, scene: sceneOf(sequence) });
  }
  const verdicts: Verdict[] = [];
  for (const { scene } of scenes) {
    const { exploration, interrupted } = await search(scene, options, surroundings);
    const verdict = verdictOf(exploration.found?.finding, scene.sequence.expectation);
    verdicts.push(verdict);
    await print(scene, exploration, verdict, options, surroundings);
    if (interrupted) return EXIT.incomplete;
  }
  if (!options.json) surroundings.output.add(`${counted(scenes.length, 'sequence')}, ${summary(verdicts)}\n`);
  await surroundings.output.flush();
  return verdicts.every((verdict) => verdict.startsWith('as expected')) ? EXIT.done : EXIT.differences;
}

function sceneOf(sequence: Sequence): SequenceScene {
  try {
    return new SequenceScene(sequence);
  } catch (error) {
    if (error instanceof RangeError) throw new Failure(`${sequence.file}:${sequence.line}: ${error.message}`);
    throw error;
  }
}

/** Searches until something is found, nothing is left, time is up, or Ctrl-C. */
async function search(
  scene: SequenceScene,
  { preemptions, seconds = Number.POSITIVE_INFINITY }: ExploreCliOptions,
  { progress }: Surroundings,
): Promise<{ readonly exploration: Exploration; readonly interrupted: boolean }> {
  const begun = performance.now();
  let interrupted = false;
  const onInterrupt = (): void => {
    interrupted = true;
  };
  process.once('SIGINT', onInterrupt);
  try {
    const search = explore(scene, preemptions === undefined ? {} : { preemptions });
    for (;;) {
      const { value, done } = search.next();
      const elapsed = (performance.now() - begun) / 1000;
      if (done || interrupted || elapsed >= seconds) return { exploration: value, interrupted };
      progress.report(() => {
        const rate = count(Math.round(value.executions / elapsed));
        return `exploring sequence ${scene.sequence.number}: ${passWords(value.passes.at(-1)!)}, ${rate} executions a second`;
      });
      await new Promise(setImmediate);
    }
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
}

/** `1 finding, 2 expected findings`; of what is expected only where there is any. */
function summary(verdicts: readonly Verdict[]): string {
  const of = (which: Verdict): number => verdicts.filter((verdict) => verdict === which).length;
  const [expected, missing] = [of('as expected: found'), of('missing')];
  return [
    counted(of('unexpected'), 'finding'),
    ...(expected > 0 ? [counted(expected, 'expected finding')] : []),
    ...(missing > 0 ? [`${counted(missing, 'expected finding')} missing`] : []),
  ].join(', ');
}

async function print(
  scene: SequenceScene,
  exploration: Exploration,
  verdict: Verdict,
  { json }: ExploreCliOptions,
  surroundings: Surroundings,
): Promise<void> {
  const { output, paint, progress } = surroundings;
  const { sequence } = scene;
  const { passes, found, exhausted } = exploration;
  progress.clear();
  if (json) {
    const { file, line } = sequence;
    output.add(`${JSON.stringify({ file, line, sequence: sequence.number, verdict, ...exploration })}\n`);
  } else {
    const title = `${sequence.file}:${sequence.line}:`;
    output.add(`${paint.bold(printable(title))} ${sequenceWords(sequence)}, ${counted(scene.tasks, 'task')}\n`);
    for (const pass of passes) output.add(`  ${passWords(pass)}\n`);
    if (!found) output.add(`  ${exhausted ? 'nothing is wrong in any of them' : 'nothing was found'}\n`);
    else for (const row of findingRows(scene, found, surroundings)) output.add(`${row}\n`);
    for (const row of expectationRows(scene, verdict)) output.add(`${row}\n`);
  }
  await output.flush();
}

function expectationRows({ sequence: { expectation } }: SequenceScene, verdict: Verdict): string[] {
  if (!expectation) return [];
  const { line, kind, why } = expectation;
  const words = `line ${line} expects: ${kind}: ${why}`;
  return [`  ${printable(verdict === 'as expected: found' ? words : `NOT AS EXPECTED: ${words}`)}`];
}

function findingRows(scene: SequenceScene, found: Found, { paint, width }: Surroundings): string[] {
  const { finding, schedule } = found;
  const { runs, isShared } = witness(scene, schedule);
  const heads = scene.operations.map((steps) => steps.map(stepWords).join('; '));
  return [
    `  ${paint.red(`${finding.kind}: ${printable(finding.what)}`)}`,
    ...drawLanes(heads, lanes(runs, isShared), width).map(printable),
  ];
}

function stepWords({ text, operation }: ScenarioStep): string {
  const { task, ...object } = JSON.parse(text) as LineObject;
  return operationWords(object, operation.found);
}

function passWords({ preemptions, counts, done }: Pass): string {
  const which = preemptions === undefined ? 'any interleaving' : `up to ${counted(preemptions, 'preemption')}`;
  return `${which}: ${counted(counts.executions, 'execution')}${done ? ', all' : ''}`;
}
