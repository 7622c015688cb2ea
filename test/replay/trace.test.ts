/**
 * Traces of what recorded programs did: functions that were entered are left, and whatever the kernel refuses has its reason.
 */
import { describe, expect, test } from 'vitest';
import type { TraceEvent } from '../../src/linux/index.ts';
import { memoryForTables, replaySequence } from '../../src/replay/replay.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { HGM_RECORDINGS, RECORDINGS, textOf } from './support.ts';

/** A result that no kernel function gives: there is no such userfaultfd, which the replay finds. */
const NOT_THE_MODELS = 'EBADF';

/** Whether a trace says why an operation ended with this result. */
function explains(trace: readonly TraceEvent[], result: string): boolean {
  return trace.some(
    (event) =>
      (event.kind === 'refused' && event.answer === result) ||
      (event.kind === 'dead end' && event.outcome === result) ||
      (event.kind === 'sleep' && result === 'BLOCKED'),
  );
}

describe.each([RECORDINGS.C, ...Object.values(HGM_RECORDINGS).filter(({ path }) => path.includes('directed'))])(
  'traces of the recording $path',
  (recording) => {
    const tables = memoryForTables();
    const lines = parseScenario(recording.path, textOf(recording)).sequences.flatMap((sequence) =>
      [...replaySequence(sequence, tables)].map(({ answer, line, operation, trace }) => {
        const depth = trace.reduce((sum, { kind }) => sum + Number(kind === 'enter') - Number(kind === 'leave'), 0);
        const result = answer?.result ?? 'OK';
        return { line, operation, result, depth, explained: result === 'OK' || explains(trace, result) };
      }),
    );

    test('leave what they enter', () => {
      expect(lines.filter(({ depth }) => depth !== 0)).toEqual([]);
    });

    test('say why something was refused, wherever it was', () => {
      expect(lines.filter(({ result }) => result !== 'OK').length).toBeGreaterThan(10);
      expect(lines.filter(({ explained, result }) => !explained && result !== NOT_THE_MODELS)).toEqual([]);
    });
  },
);
