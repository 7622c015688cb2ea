/**
 * Memory errors of 4 KiB, the example: what is lost.
 */
import { describe, expect, test } from 'vitest';
import { GIB, Guest, PIECE } from '../../examples/memory-errors/guest.ts';
import { tryErrors } from '../../examples/memory-errors/trial.ts';

const ERRORS = 5;

test('the same seed gives the same errors, another seed others', () => {
  const first = tryErrors(GIB, 2, 1);
  expect(tryErrors(GIB, 2, 1)).toEqual(first);
  expect(tryErrors(GIB, 2, 2).steps).not.toEqual(first.steps);
});

describe('in a guest of two pages', () => {
  const { steps, hgm, whole } = tryErrors(2 * GIB, ERRORS, 3);
  const hit = (step: number): number =>
    new Set(steps.slice(0, step).map(({ offset }) => Math.floor(offset / GIB))).size;

  test('with HGM each error takes 4 KiB', () => {
    expect(steps.map((step) => step.hgm.lost)).toEqual(steps.map(({ error }) => error * PIECE));
    expect(hgm.failures).toEqual(steps.map(() => ({ result: 'OK', told: PIECE })));
    expect(hgm.unreadable).toBe(ERRORS);
  });

  test('without, the first error in a page takes all 1 GiB of it, and later ones nothing more', () => {
    expect(steps.map((step) => step.whole.lost)).toEqual(steps.map(({ error }) => hit(error) * GIB));
    expect(whole.failures.map(({ told }) => told)).toEqual(steps.map(() => GIB));
    expect(whole.failures.filter(({ result }) => result === 'EHWPOISON')).toHaveLength(ERRORS - hit(ERRORS));
    expect(whole.unreadable).toBe((hit(ERRORS) * GIB) / PIECE);
  });

  test('what is not lost can be read, as it was written', () => {
    expect([hgm.wrong, whole.wrong]).toEqual([0, 0]);
  });

  test('the picture has a cross where something is lost', () => {
    expect(hgm.picture.match(/×/g)!.length).toBeLessThanOrEqual(ERRORS);
    expect(whole.picture.match(/×/g)).toHaveLength(hit(ERRORS) * 64);
  });
});

test('one error splits a leaf of 1 GiB into 511 of 2 MiB and 511 of 4 KiB, and the bad piece', () => {
  const guest = new Guest(GIB, true);
  expect([...guest.stretches()]).toEqual([{ offset: 0, bytes: GIB, lost: false }]);
  guest.fail(1000);
  const stretches = [...guest.stretches()];
  expect(stretches.filter(({ bytes }) => bytes === 2 ** 21)).toHaveLength(511);
  expect(stretches.filter(({ bytes }) => bytes === PIECE)).toHaveLength(512);
  expect(stretches.filter(({ lost }) => lost)).toEqual([{ offset: 1000 * PIECE, bytes: PIECE, lost: true }]);
});
