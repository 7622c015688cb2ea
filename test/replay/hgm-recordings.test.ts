import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../src/replay/scenario.ts';
import { THOROUGH } from '../support/thorough.ts';
import { HGM_RECORDINGS, replayed, textOf } from './support.ts';

/* With a trace, the model goes through page tables entry by entry; without one, run by run. Both must come to what the kernel did. */

describe.each(Object.values(HGM_RECORDINGS))('the recording $path', (recording) => {
  const { sequences, operations } = recording;
  const parsed = parseScenario(recording.path, textOf(recording)).sequences;

  test('is what the model does, one sequence in two', () => {
    const some = parsed.filter((_, index) => index % 2 === 0);
    expect(replayed(some, { trace: false })).toMatchObject({ sequences: some.length, differences: [] });
  });

  test('is what the model does, all of it', THOROUGH, () => {
    expect(replayed(parsed, { trace: false })).toEqual({ sequences, operations, differences: [] });
  });

  test('is what the model does with a trace, one sequence in three', THOROUGH, () => {
    const some = parsed.filter((_, index) => index % 3 === 0);
    expect(replayed(some)).toMatchObject({ sequences: some.length, differences: [] });
  });
});
