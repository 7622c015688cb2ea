import { describe, expect, test } from 'vitest';
import { type Exploration, explore } from '../../src/explore/explore.ts';
import { type PieceResult, Pieces } from '../../src/explore/pieces.ts';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { witness } from '../../src/explore/witness.ts';
import { parseScenario } from '../../src/replay/scenario.ts';

function sceneOf(...lines: readonly object[]): SequenceScene {
  const text = [{ seq: 1, pool: 3, files: [2] }, ...lines, { end: 1 }].map((line) => JSON.stringify(line)).join('\n');
  return new SequenceScene(parseScenario('test', text).sequences[0]!);
}

/** Two threads that touch the same page of a file for the first time. */
const faults = sceneOf(
  { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 2, prot: 'rw' },
  { op: 'write', proc: 0, slot: 0, page: 0, value: 1, task: 0 },
  { op: 'write', proc: 0, slot: 0, page: 0, value: 2, task: 1 },
);

function whole(scene: SequenceScene, options = {}): Exploration {
  const search = explore(scene, options);
  for (;;) {
    const { value, done } = search.next();
    if (done) return value;
  }
}

function searched(pieces: Pieces, piece: number): PieceResult {
  const search = pieces.search(piece);
  for (;;) {
    const { value, done } = search.next();
    if (done) return value;
  }
}

const all = (pieces: Pieces): PieceResult[] =>
  Array.from({ length: pieces.count }, (_, piece) => searched(pieces, piece));

describe('the pieces of a scene', () => {
  const { passes, busyPlaces } = whole(faults);

  test.each([2, 10])('at least %i: together as many executions as the whole has', (least) => {
    const pieces = new Pieces(faults, busyPlaces(), least);
    expect(pieces.count).toBeGreaterThanOrEqual(least);
    const results = all(pieces);
    expect(results.filter(({ grown, found }) => grown || found)).toEqual([]);
    expect(results.reduce((sum, { counts }) => sum + counts.executions, 0)).toBe(passes.at(-1)!.counts.executions);
  });

  test('are the same for all who know the same busy places, and for each on its own, whatever was searched before', () => {
    const [one, other] = [new Pieces(faults, busyPlaces(), 10), new Pieces(faults, [...busyPlaces()].reverse(), 10)];
    const inOrder = all(one);
    expect(other.busyPlaces).toEqual(one.busyPlaces);
    expect(inOrder.map(({ piece }) => searched(other, piece))).toEqual(inOrder);
    expect(inOrder.toReversed().map(({ piece }) => searched(one, piece))).toEqual(inOrder.toReversed());
  });

  test('a place that is learned of in one is told by its name; with it, all begin anew', () => {
    let known: Pieces['busyPlaces'] = [];
    const rounds: Pieces['busyPlaces'][] = [];
    for (;;) {
      const pieces = new Pieces(faults, known, 2);
      rounds.push(pieces.busyPlaces);
      const grown = all(pieces).find((result) => result.grown)?.grown;
      if (!grown) break;
      expect(grown).toEqual(expect.arrayContaining([...pieces.busyPlaces]));
      expect(grown.length).toBeGreaterThan(pieces.busyPlaces.length);
      known = grown;
    }
    expect(rounds.length).toBeGreaterThan(1);
    expect(rounds.at(-1)).toEqual(busyPlaces());
  });
});

test('what is found in a piece has a schedule that shows it again', () => {
  const scene = sceneOf(
    { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 2, prot: 'rw' },
    { op: 'write', proc: 0, slot: 0, page: 0, value: 1, task: 0 },
    { op: 'write', proc: 0, slot: 0, page: 0, value: 2, task: 1 },
    { op: 'read', proc: 0, slot: 0, page: 0, value: 2 },
  );
  const pieces = new Pieces(scene, whole(faults).busyPlaces(), 10);
  const { found } = all(pieces).find((result) => result.found)!;
  expect(found!.finding).toMatchObject({ kind: 'answer' });
  expect(witness(scene, found!.schedule).finding).toEqual(found!.finding);
});
