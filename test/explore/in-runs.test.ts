/**
 * Entries that no other task touches are worked on run by run while others are under way: a search must not see a difference.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';
import { KernelWatch } from '../../src/explore/kernel/kernel-watch.ts';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { THOROUGH } from '../support/thorough.ts';
import { explored } from './support.ts';

const FOLDER = fileURLToPath(new URL('../../scenarios', import.meta.url));
const names = readdirSync(FOLDER).sort();

afterEach(() => void vi.restoreAllMocks());

/** What a search of each sequence of a scenario has done and seen. */
function searched(name: string): object[] {
  return parseScenario(name, readFileSync(join(FOLDER, name), 'utf8')).sequences.map((sequence) => {
    const scene = new SequenceScene(sequence);
    const outcomes = new Set<string>();
    const { passes, found, busyPlaces } = explored(scene, () => {
      outcomes.add(JSON.stringify(scene.observe()));
    });
    /* A pass that is given up after so many executions counts those before the search began anew, which may be others. */
    const done = passes.filter(({ done }) => done);
    const counts = done.map(({ counts: { executions, asleep, impossible } }) => [executions, asleep, impossible]);
    const { finding, schedule } = found ?? {};
    return { counts, finding, schedule, outcomes: [...outcomes].sort(), busyPlaces: busyPlaces() };
  });
}

const QUICK = ['gup', 'gup-fast', 'read'].map((other) => `hgm-collapse-against-${other}.jsonl`);
for (const [some, options] of [
  [QUICK, {}],
  [names.filter((name, index) => index % 3 === 0 && !QUICK.includes(name)), THOROUGH],
] as const) {
  test.for(some)('%s: entry by entry and run by run, the same executions and answers', options, (name) => {
    const quiet = vi.spyOn(KernelWatch.prototype, 'quietEntries');
    const inRuns = searched(name);
    if (some === QUICK) expect(quiet.mock.results.some(({ value }) => value > 100)).toBe(true);
    quiet.mockReturnValue(0);
    expect(inRuns).toEqual(searched(name));
  });
}
