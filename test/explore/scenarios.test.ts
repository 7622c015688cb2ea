/**
 * The scenario library: in each, exactly what it expects is found, and else nothing is left to be searched.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { KernelProgram } from '../../src/explore/kernel/kernel-program.ts';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { verdictOf } from '../../src/explore/scenario/verdict.ts';
import { BoundedSearch } from '../../src/explore/search/bounded.ts';
import { Driver } from '../../src/explore/search/driver.ts';
import { OptimalSearch } from '../../src/explore/search/optimal.ts';
import type { Search } from '../../src/explore/search/search.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { THOROUGH } from '../support/thorough.ts';
import { explored } from './support.ts';

const FOLDER = fileURLToPath(new URL('../../scenarios', import.meta.url));
const names = readdirSync(FOLDER).sort();
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

/** Those that take a second or more. */
const SLOW =
  /^(hgm-collapse-|hgm-memory-failure-against-collapse|hgm-continue-against-truncate|pmd-(share-against-(migration|truncate)|unshare-against-(share|split))|migration-against-migration|memory-failure-against-migration|hole-punch-against-two|fork-of-a-pinned-page-against-migration)/;

describe('of the scenario library', () => {
  test('each scenario says in its first line what it shows, and has two or three tasks of one to three operations', () => {
    expect(names.length).toBeGreaterThanOrEqual(40);
    for (const name of names) {
      const { note } = JSON.parse(read(name).split('\n')[0]!) as { note?: string };
      expect(note, name).toMatch(/\S/);
      for (const sequence of parseScenario(name, read(name)).sequences) {
        const { tasks, operations } = new SequenceScene(sequence);
        expect([2, 3], name).toContain(tasks);
        for (const steps of operations) expect([1, 2, 3], name).toContain(steps.length);
      }
    }
  });

  const quick = names.filter((name) => !SLOW.test(name));
  const slow = names.filter((name) => SLOW.test(name));
  for (const [some, options] of [
    [quick, {}],
    [slow, THOROUGH],
  ] as const) {
    test.for(some)('%s: what is expected is found, and nothing else', options, (name) => {
      for (const sequence of parseScenario(name, read(name)).sequences) {
        const { found, exhausted } = explored(new SequenceScene(sequence));
        const verdict = verdictOf(found?.finding, sequence.expectation);
        expect([verdict, found?.finding.what]).toEqual(
          sequence.expectation ? ['as expected: found', expect.any(String)] : ['as expected: nothing', undefined],
        );
        expect(exhausted).toBe(sequence.expectation === undefined);
      }
    });
  }

  /** What the operations of a scenario answer, all together, in each execution of a search. */
  function outcomesOf(scene: SequenceScene, search: Search<unknown>, most: number): Set<string> {
    const seen = new Set<string>();
    for (let ended = search.next(); ended && search.counts.executions < most; ended = search.next()) {
      if (ended === 'complete')
        seen.add(
          scene
            .observe()
            .map(({ answer }) => answer)
            .join('; '),
        );
    }
    return seen;
  }

  /* Otherwise something is read or written that the watch is not told of: the search takes what depends on each other for what commutes. */
  const half = names.filter((_, index) => index % 2 === 0);
  test.for(half)('%s: what a few preemptions lead to, the search over everything meets, too', THOROUGH, (name) => {
    for (const sequence of parseScenario(name, read(name)).sequences) {
      if (sequence.expectation) continue;
      const scene = new SequenceScene(sequence);
      const driver = new Driver(new KernelProgram(scene));
      const few = [0, 1, 2].map((preemptions) => outcomesOf(scene, new BoundedSearch(driver, preemptions), 600));
      const all = outcomesOf(scene, new OptimalSearch(driver), Number.POSITIVE_INFINITY);
      expect([...all]).toEqual(expect.arrayContaining(few.flatMap((seen) => [...seen])));
    }
  });
});
