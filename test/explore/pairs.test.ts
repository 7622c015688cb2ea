/**
 * Of the scenario library: a fault that a header brings back has a scenario that finds it, and the same one without the fault, in which nothing is found.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { judgedWitness } from '../../src/explore/judged.ts';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { explored } from './support.ts';

const FOLDER = fileURLToPath(new URL('../../scenarios', import.meta.url));

/** With the fault, mended, what is found: the search says the first one. */
const PAIRS = [
  ['fork-linking-early-against-hole-punch', 'fork-against-hole-punch', /does not hold vma_lock of process 1/],
  ['split-huge-pages-against-munmap-without-share-count', 'split-huge-pages-against-munmap', /last reference to table/],
  ['split-huge-pages-against-fork-without-share-count', 'split-huge-pages-against-fork', /expected 7, got 0/],
  ['hgm-rfc-v2-gup-against-collapse', 'hgm-rfc-v2-gup-against-collapse-mended', /which was freed/],
  ['hgm-rfc-v2-gup-against-mprotect', 'hgm-rfc-v2-gup-against-mprotect-mended', /no end/],
  [
    'hgm-collapse-as-posted-against-truncate',
    'hgm-collapse-against-truncate',
    /waits for page lock .* holds .*vma_lock.*; .* waits for vma_lock .* holds .*page lock/,
  ],
  ['hgm-v2-fork-against-read', 'hgm-v2-fork-against-read-mended', /page-table lock .* never be released/],
] as const;

const read = (name: string): Record<string, unknown>[] =>
  readFileSync(join(FOLDER, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** What a scenario has in common with its twin. */
const common = (name: string) =>
  read(name).flatMap(({ note, bugs, posted, expect: expectation, ...line }) =>
    note === undefined && expectation === undefined ? [line] : [],
  );

const flagsOf = (name: string): unknown[] =>
  read(name).flatMap(({ bugs, posted }) => [bugs ?? [], posted ?? []].flat());

describe('a scenario with a fault', () => {
  test('is one of these pairs', () => {
    const names = readdirSync(FOLDER).map((file) => file.replace('.jsonl', ''));
    const pairs: readonly string[] = PAIRS.map(([faulty]) => faulty).sort();
    expect(names.filter((name) => flagsOf(name).length > 0).sort()).toEqual(pairs);
  });

  test.each(PAIRS)('%s is %s, but for the fault and what is expected', (faulty, mended) => {
    expect(flagsOf(faulty)).toHaveLength(1);
    expect(flagsOf(mended)).toEqual([]);
    expect(common(mended)).toEqual(common(faulty));
  });

  test.each(PAIRS)('%s: the schedule that was found leads there again', (faulty, _, what) => {
    const text = readFileSync(join(FOLDER, `${faulty}.jsonl`), 'utf8');
    const scene = () => new SequenceScene(parseScenario(faulty, text).sequences[0]!);
    const { found } = explored(scene());
    expect(found?.finding.what).toMatch(what);
    expect(judgedWitness(scene(), found!.schedule).finding).toEqual(found!.finding);
  });
});
