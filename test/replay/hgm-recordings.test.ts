import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../src/replay/scenario.ts';
import { HGM_RECORDINGS, replayed, textOf } from './support.ts';

/* With a trace, the model goes through page tables entry by entry; without one, run by run. Both must come to what the kernel did. */

const { 'RFC v2, 2 MiB': rfcV2, 'v2, 2 MiB': v2, ...others } = HGM_RECORDINGS;

describe.each(Object.values(HGM_RECORDINGS))('the recording $path', (recording) => {
  test('is what the model does without a trace, all of it', () => {
    const { sequences, operations } = recording;
    const parsed = parseScenario(recording.path, textOf(recording)).sequences;
    expect(replayed(parsed, { trace: false })).toEqual({ sequences, operations, differences: [] });
  });
});

describe.each(Object.values(others))('the recording $path', (recording) => {
  test('is what the model does with a trace, all of it', () => {
    const { sequences, operations } = recording;
    const parsed = parseScenario(recording.path, textOf(recording)).sequences;
    expect(replayed(parsed)).toEqual({ sequences, operations, differences: [] });
  });
});

/* All of the two large ones would take long. */
describe.each([rfcV2, v2])('the recording $path', (recording) => {
  test('is what the model does with a trace, in every third sequence', () => {
    const parsed = parseScenario(recording.path, textOf(recording)).sequences.filter((_, i) => i % 3 === 0);
    const operations = parsed.reduce((sum, { steps }) => sum + steps.length, 0);
    expect(replayed(parsed)).toEqual({ sequences: 100, operations, differences: [] });
    expect(operations).toBeGreaterThan(5000);
  });
});
