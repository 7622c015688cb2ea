/**
 * The scenario library: in each, exactly what it expects is found, and else nothing is left to be searched.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { verdictOf } from '../../src/explore/scenario/verdict.ts';
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
});
