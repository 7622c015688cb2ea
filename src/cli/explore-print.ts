/**
 * What `explore` prints of a sequence.
 */
import type { Exploration, Found, Pass } from '../explore/explore.ts';
import type { Finding, LockUse } from '../explore/kernel/finding.ts';
import { SequenceScene } from '../explore/scenario/sequence-scene.ts';
import type { Verdict } from '../explore/scenario/verdict.ts';
import type { Run } from '../explore/search/schedule.ts';
import { drawLanes, type LaneRun, lanes } from '../explore/show/lanes.ts';
import { drawSvg } from '../explore/show/svg.ts';
import { witness } from '../explore/witness.ts';
import { describeTrace } from '../linux/base/trace-words.ts';
import type { LineObject } from '../replay/line/line.ts';
import { operationWords } from '../replay/observe/words.ts';
import type { ScenarioStep, Sequence } from '../replay/sequence/sequence.ts';
import { Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { sequenceWords } from './replay-run.ts';
import { count, counted, printable } from './text.ts';

/** The scene of a sequence. */
export function sceneOf(sequence: Sequence): SequenceScene {
  try {
    return new SequenceScene(sequence);
  } catch (error) {
    if (error instanceof RangeError) throw new Failure(`${sequence.file}:${sequence.line}: ${error.message}`);
    throw error;
  }
}

/** What became of a scene. */
export async function printExploration(
  scene: SequenceScene,
  exploration: Exploration,
  verdict: Verdict,
  { json, trace }: { readonly json?: boolean; readonly trace?: boolean },
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
    for (const { line, result } of scene.failed) {
      output.add(`  ${paint.yellow(`line ${line}, before the tasks: ${printable(result)}`)}\n`);
    }
    for (const pass of passes) output.add(`  ${passWords(pass)}\n`);
    if (!found) output.add(`  ${exhausted ? 'nothing is wrong in any of them' : 'nothing was found'}\n`);
    else for (const row of findingRows(scene, found, surroundings, trace)) output.add(`${row}\n`);
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

function findingRows(
  scene: SequenceScene,
  { finding, schedule }: Pick<Found, 'finding' | 'schedule'>,
  { paint, width }: Surroundings,
  trace = false,
): string[] {
  const { runs, isShared } = witness(scene, schedule);
  const rows = trace ? runs.flatMap(traceRows) : drawLanes(headsOf(scene), lanes(runs, isShared), width).map(printable);
  return [`  ${paint.red(printable(findingWords(finding)))}`, ...(finding.locks ?? []).map(lockRow), ...rows];
}

/** Who has a lock, or wants it, and where: `process 0, thread 2, line 7: holds page lock of pfn 0x100200, taken in hugetlb_fault > find_lock_page`. */
function lockRow({ task, operation, how, lock, calls }: LockUse): string {
  const line = operation > 0 ? `, line ${operation}` : '';
  const where = calls.length > 0 ? `${how === 'holds' ? ', taken' : ''} in ${calls.join(' > ')}` : '';
  return printable(`    ${task}${line}: ${how} ${lock}${where}`);
}

/** All that the model recorded in a run. */
function traceRows({ task, events }: LaneRun, index: number): string[] {
  const name = events[0]?.task ?? `task ${task}`;
  return [
    `${String(index + 1).padStart(3)} ${name}`,
    ...describeTrace(events).map((line) => printable(`      ${line}`)),
  ];
}

/** A finding as a time line. */
export function svgOf(scene: SequenceScene, { finding, schedule }: Pick<Found, 'finding' | 'schedule'>): string {
  const { runs, isShared } = witness(scene, schedule);
  return drawSvg(findingWords(finding), headsOf(scene), lanes(runs, isShared));
}

/** A finding in words. */
function findingWords({ kind, what }: Finding): string {
  return `${kind}: ${what}`;
}

function headsOf(scene: SequenceScene): string[] {
  return scene.operations.map((steps) => steps.map(stepWords).join('; '));
}

/** What a schedule of a file led to. */
export async function printFollowed(
  scene: SequenceScene,
  followed: Followed,
  { json, trace }: { readonly json?: boolean; readonly trace?: boolean },
  surroundings: Surroundings,
): Promise<void> {
  const { output, paint } = surroundings;
  const { file, line, number } = scene.sequence;
  const { finding, schedule, problem } = followed;
  if (json)
    output.add(`${JSON.stringify({ file, line, sequence: number, followed: { finding, schedule, problem } })}\n`);
  else {
    output.add(
      `${paint.bold(printable(`${file}:${line}:`))} ${sequenceWords(scene.sequence)}, ${counted(scene.tasks, 'task')}\n`,
    );
    output.add(`  its schedule: ${counted(schedule.length, 'run')}\n`);
    if (finding)
      for (const row of findingRows(scene, { finding, schedule }, surroundings, trace)) output.add(`${row}\n`);
    else output.add(`  ${problem ?? 'nothing is wrong in it (any more)'}\n`);
  }
  await output.flush();
}

/** What became of a schedule. */
export interface Followed {
  readonly schedule: readonly Run[];
  readonly finding: Finding | undefined;
  /** Why it cannot be followed. */
  readonly problem?: string;
}

function stepWords({ text, operation }: ScenarioStep): string {
  const { task, ...object } = JSON.parse(text) as LineObject;
  return operationWords(object, operation.found);
}

/** A pass in words. */
export function passWords({ preemptions, seed, counts, done, pieces }: Pass): string {
  const which = preemptions === undefined ? 'any interleaving' : `up to ${counted(preemptions, 'preemption')}`;
  if (seed !== undefined) return `by chance, seed ${seed}: ${counted(counts.executions, 'execution')}`;
  return `${which}: ${counted(counts.executions, 'execution')}${done ? ', all' : piecesWords(pieces)}`;
}

function piecesWords(pieces: Pass['pieces']): string {
  return pieces ? `, ${count(pieces.done)} of ${counted(pieces.of, 'piece')}` : '';
}

/** The last line; of what is expected only where there is any: `2 sequences, 1 finding, 1 expected finding`. */
export function summary(verdicts: readonly Verdict[]): string {
  const of = (which: Verdict): number => verdicts.filter((verdict) => verdict === which).length;
  const [expected, missing] = [of('as expected: found'), of('missing')];
  const words = [
    counted(verdicts.length, 'sequence'),
    counted(of('unexpected'), 'finding'),
    ...(expected > 0 ? [counted(expected, 'expected finding')] : []),
    ...(missing > 0 ? [`${counted(missing, 'expected finding')} missing`] : []),
  ];
  return `${words.join(', ')}\n`;
}
