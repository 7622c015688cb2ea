import { describe, expect, test } from 'vitest';
import { type Exploration, explore } from '../../src/explore/explore.ts';
import { type PartResult, Parts } from '../../src/explore/parts.ts';
import { type PieceResult, PieceSearcher } from '../../src/explore/pieces.ts';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { witness } from '../../src/explore/witness.ts';
import { parseScenario } from '../../src/replay/scenario.ts';

function sceneOf(...lines: readonly object[]): SequenceScene {
  const text = [{ seq: 1, pool: 6, files: [2] }, ...lines, { end: 1 }].map((line) => JSON.stringify(line)).join('\n');
  return new SequenceScene(parseScenario('test', text).sequences[0]!);
}

const FILE = { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 2, prot: 'rw' };
const FAULTS = [
  { op: 'write', proc: 0, slot: 0, page: 1, value: 42, task: 0 },
  { op: 'write', proc: 0, slot: 0, page: 0, value: 3, task: 1 },
  { op: 'write', proc: 0, slot: 0, page: 1, value: 4, task: 1 },
];
/** Two threads that touch pages of a file for the first time: hundreds of interleavings. */
const two = sceneOf(FILE, ...FAULTS);
/** The same, and only one order of the writes is expected. */
const wrong = sceneOf(FILE, ...FAULTS, { op: 'read', proc: 0, slot: 0, page: 1, value: 4 });
/** Parent and child copy a page, and touch another for the first time. */
const three = sceneOf(
  { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 2, prot: 'rw' },
  { op: 'write', proc: 0, slot: 0, page: 0, value: 1 },
  { op: 'fork', proc: 0, child: 1 },
  { op: 'write', proc: 0, slot: 0, page: 0, value: 1, task: 0 },
  { op: 'write', proc: 0, slot: 0, page: 1, value: 3, task: 1 },
  { op: 'read', proc: 1, slot: 0, page: 0, task: 2 },
  { op: 'write', proc: 1, slot: 0, page: 1, value: 2, task: 2 },
);

function whole(scene: SequenceScene, options = {}): Exploration {
  const search = explore(scene, options);
  for (;;) {
    const { value, done } = search.next();
    if (done) return value;
  }
}

/** Searches a piece to its end. */
function searched(
  ...[searcher, { piece, executions }]: [
    PieceSearcher,
    { piece: Parameters<PieceSearcher['search']>[0]; executions: number },
  ]
): PieceResult {
  const search = searcher.search(piece, executions);
  for (;;) {
    const { value, done } = search.next();
    if (done) return value;
  }
}

interface Cut {
  readonly scene: SequenceScene;
  readonly busyPlaces: Exploration['busyPlaces'];
  readonly preemptions?: number;
  /** Parts at least. */
  readonly least: number;
  /** Whether the parts are for shards. */
  readonly apart?: boolean;
  readonly mine?: (part: number) => boolean;
  readonly known?: readonly PartResult[];
}

/** Searches what is to be searched here of a pass. @param searchers each takes every so manieth piece */
function inParts({ scene, busyPlaces, preemptions, least, mine, known, apart }: Cut, searchers = 1): Parts {
  const pass = { preemptions, busyPlaces: busyPlaces() };
  const all = Array.from({ length: searchers }, () => new PieceSearcher(scene, pass));
  const parts = new Parts(preemptions, mine, known);
  for (const _ of parts.probe(all[0]!, least, apart));
  while (!parts.isOver) {
    const jobs = all.flatMap((searcher) => {
      const job = parts.next();
      return job ? [{ job, result: searched(searcher, job) }] : [];
    });
    for (const { job, result } of jobs.reverse()) parts.take(job, result);
  }
  return parts;
}

describe('a pass in parts', () => {
  const ofTwo = { scene: two, busyPlaces: whole(two).busyPlaces };
  const ofThree = { scene: three, busyPlaces: whole(three).busyPlaces };

  test.each([
    { what: 'two tasks', cut: ofTwo },
    { what: 'three tasks', cut: ofThree },
  ])('of $what has as many executions as one search, however many search', ({ cut }) => {
    const { executions } = whole(cut.scene).passes.at(-1)!.counts;
    const alone = inParts({ ...cut, least: 4 }).pass();
    expect(alone.pieces!.of).toBeGreaterThanOrEqual(4);
    expect(alone).toMatchObject({ done: true, counts: { executions }, pieces: { done: alone.pieces!.of } });
    expect(inParts({ ...cut, least: 4 }, 3).pass()).toEqual(alone);
  });

  test('with few preemptions, too', () => {
    const { executions } = whole(three, { preemptions: 2 }).passes.at(-1)!.counts;
    const pass = inParts({ ...ofThree, preemptions: 2, least: 8 }, 2).pass();
    expect(pass).toMatchObject({ done: true, counts: { executions }, preemptions: 2 });
  });

  test('shards search each part once, and together all: no part asks for another', () => {
    const alone = inParts({ ...ofThree, least: 6 }).pass();
    const of = { ...ofThree, least: 6, apart: true };
    const shards = [0, 1, 2].map((nth) => inParts({ ...of, mine: (part) => part % 3 === nth }));
    for (const [nth, { missing }] of shards.entries()) expect(missing.every((part) => part % 3 !== nth)).toBe(true);
    const known = JSON.parse(JSON.stringify(shards.flatMap(({ results }) => results))) as PartResult[];
    expect(new Set(known.map(({ part }) => part)).size).toBe(known.length);
    const merged = inParts({ ...of, mine: () => false, known });
    expect(merged.missing).toEqual([]);
    expect(merged.pass()).toMatchObject({ done: true, counts: { executions: alone.counts.executions } });
    const fewer = inParts({ ...of, mine: () => false, known: known.slice(1) });
    expect([fewer.pass().done, fewer.missing]).toEqual([false, [known[0]!.part]]);
  });

  test('a finding has a schedule that shows it again, and is the same however many search', () => {
    const cut = { scene: wrong, busyPlaces: ofTwo.busyPlaces, least: 4 };
    const parts = inParts(cut);
    expect(parts.found!.finding).toMatchObject({ kind: 'answer' });
    expect(witness(wrong, parts.found!.schedule).finding).toEqual(parts.found!.finding);
    const others = inParts(cut, 3);
    expect([others.found, others.pass()]).toEqual([parts.found, parts.pass()]);
  });

  test('a place that is learned of in a piece is told by its name; with it, all begin anew', () => {
    let known: ReturnType<Exploration['busyPlaces']> = [];
    let rounds = 0;
    for (; ; rounds++) {
      const grown = inParts({ scene: two, busyPlaces: () => known, least: 4 }).decided?.grown;
      if (!grown) break;
      expect(grown).toEqual(expect.arrayContaining([...known]));
      expect(grown.length).toBeGreaterThan(known.length);
      known = grown;
    }
    expect(rounds).toBeGreaterThan(1);
    expect(known).toEqual(ofTwo.busyPlaces());
  });
});

test('what comes of a piece does not depend on what was searched before, nor on who searches it', () => {
  const pass = { preemptions: undefined, busyPlaces: whole(three).busyPlaces() };
  const [one, other] = [new PieceSearcher(three, pass), new PieceSearcher(three, pass)];
  const parts = new Parts(undefined);
  for (const _ of parts.probe(one, 6));
  const jobs = [parts.next()!, parts.next()!, parts.next()!];
  const results = jobs.map((job) => searched(one, job));
  expect(jobs.toReversed().map((job) => searched(other, job))).toEqual(results.toReversed());
  expect(jobs.toReversed().map((job) => searched(one, job))).toEqual(results.toReversed());
});
