/**
 * Runs scenarios on the model, and tells where it does not do what they say.
 */
import { checkBoolean, checkOptions, type OptionNames, wrongKind } from '../core/errors.ts';
import { FlatMemory } from '../core/flat-memory.ts';
import type { Difference, ReplayedLine, ReplayOptions } from './replayed.ts';
import { type Moment, Run } from './run.ts';
import type { Scenario, Sequence } from './sequence/sequence.ts';

const OPTIONS: OptionNames<ReplayOptions> = { trace: true, observe: true, compare: true };

function checkReplay(options: ReplayOptions): void {
  checkOptions('options', options, OPTIONS);
  for (const [name, value] of Object.entries(options)) if (value !== undefined) checkBoolean(name, value);
}

/**
 * Runs a scenario, each sequence on a machine of its own, and gives the differences as they are found. After one, the
 * sequence goes on.
 *
 * @example
 * ```ts
 * import { describeDifference, parseScenario, replay } from 'hugewalk/replay';
 * const text = `{"seq":1,"pool":1}
 * {"op":"mmap","proc":0,"slot":0,"kind":"private_anon","hugepages":2,"prot":"rw","result":"OK"}
 * {"end":1}`;
 * for (const difference of replay(parseScenario('too-much.jsonl', text))) {
 *   console.log(difference.line, describeDifference(difference));    // 2 [ 'result: kernel OK, model ENOMEM' ]
 * }
 * ```
 */
export function replay(scenario: Scenario, options: ReplayOptions = {}): Generator<Difference, void, undefined> {
  const given: Partial<Scenario> | null | undefined = scenario;
  if (!Array.isArray(given?.sequences)) throw wrongKind('scenario', 'a Scenario, of parseScenario', scenario);
  checkReplay(options);
  return differencesOf(scenario, options);
}

function* differencesOf(scenario: Scenario, options: ReplayOptions): Generator<Difference, void, undefined> {
  const tables = memoryForTables();
  for (const sequence of scenario.sequences) {
    for (const { differences } of replaySequence(sequence, tables, options)) yield* differences;
  }
}

/** Memory for the page tables of a machine: making it costs more than most sequences do, so let them share it. */
export function memoryForTables(): FlatMemory {
  return new FlatMemory({ bytes: TABLES });
}

/**
 * Runs a sequence line by line.
 *
 * @param tables memory that no other sequence uses until this one has come to its end
 */
export function replaySequence(
  sequence: Sequence,
  tables: FlatMemory = memoryForTables(),
  options: ReplayOptions = {},
): Generator<ReplayedLine, void, undefined> {
  const given: Partial<Sequence> | null | undefined = sequence;
  if (!Array.isArray(given?.steps)) throw wrongKind('sequence', 'a Sequence of a Scenario', sequence);
  if (!(tables instanceof FlatMemory)) throw wrongKind('tables', 'a FlatMemory', tables);
  checkReplay(options);
  return linesOf(sequence, tables, options);
}

function* linesOf(
  sequence: Sequence,
  tables: FlatMemory,
  options: ReplayOptions,
): Generator<ReplayedLine, void, undefined> {
  const { steps, end } = sequence;
  const moments: Moment[] = [];
  let run = new Run(sequence, tables, options);
  for (let index = 0; index < steps.length; index++) {
    let line = run.step(index, moments);
    if (line.differences.length > 0 && run.hasDeferredWork) {
      /* A kernel thread has something to do: did it do so just now? Before this operation, or after it? */
      for (const when of ['before', 'after', 'never'] as const) {
        const tried: Moment[] = when === 'never' ? moments : [...moments, { index, when }];
        run = new Run(sequence, tables, options);
        for (let before = 0; before < index; before++) run.step(before, tried);
        line = run.step(index, tried);
        if (line.differences.length > 0) continue;
        moments.splice(0, moments.length, ...tried);
        break;
      }
    }
    yield line;
    if (run.broken) return;
  }
  if (end) yield run.line('end', end, () => run.end(end));
}

/** Enough for as many processes as a scenario may have, with all slots in use. */
const TABLES = 2 ** 26;
