/**
 * Post-copy migration, the example: what has to be so whatever the seed is.
 */
import { describe, expect, test } from 'vitest';
import { migrate, type Outcome, type Setting } from '../../examples/post-copy/migration.ts';
import { fetchTime, type Link } from '../../examples/post-copy/network.ts';
import { quantile } from '../../examples/post-copy/report.ts';
import { PIECE, Source } from '../../examples/post-copy/source.ts';
import { Random } from '../../examples/support/random.ts';

const [MIB, MIB2, GIB] = [2 ** 20, 2 ** 21, 2 ** 30];
const BYTES = 32 * MIB;
const link: Link = { latency: 25, bandwidth: 10 };
const setting = { link, vcpus: 8, thinkTime: 250 };
const inPieces = { hugePageSize: GIB, hgm: true };
const in2MiB = { hugePageSize: MIB2, hgm: false };
const in1GiB = { hugePageSize: GIB, hgm: false };

const run = (way: Pick<Setting, 'hugePageSize' | 'hgm'>, seed: number, bytes = BYTES): Outcome =>
  migrate(new Source(bytes, new Random(seed)), { ...setting, ...way, seed });
const median = ({ waits }: Outcome): number => quantile(waits, 0.5);

test('the same seed gives the same run, another seed another', () => {
  const first = run(inPieces, 1);
  expect(run(inPieces, 1)).toEqual(first);
  expect(run(inPieces, 2).waits).not.toEqual(first.waits);
});

describe.each([1, 2, 3])('with seed %i', (seed) => {
  const outcomes = [run(inPieces, seed), run(in2MiB, seed), run(in1GiB, seed)] as const;
  const [pieces, twoMiB, oneGiB] = outcomes;

  test('the guest finds its memory as it was at the source, and what it has written since', () => {
    expect(outcomes.map(({ wrong }) => wrong)).toEqual([0, 0, 0]);
    for (const { touches, waits } of outcomes) expect(touches).toBeGreaterThanOrEqual(waits.length);
  });

  test('a fault waits for one fetch of 4 KiB with HGM, and for many of 2 MiB or all of 1 GiB without', () => {
    const one = fetchTime(link, PIECE);
    expect(median(pieces)).toBeGreaterThanOrEqual(one);
    expect(median(pieces)).toBeLessThan(100);
    expect(median(twoMiB)).toBeGreaterThan(fetchTime(link, MIB2));
    expect(median(twoMiB)).toBeGreaterThan(50 * median(pieces));
    expect(median(oneGiB)).toBeGreaterThan(median(twoMiB));
  });

  test('all of it arrives in the time that the link needs for it, whatever is asked for first', () => {
    const bytesAlone = fetchTime(link, BYTES) - link.latency;
    for (const { complete } of outcomes) expect(complete).toBeCloseTo(bytesAlone, 3);
  });

  test('every fault that waits is a message, and what several wait for is fetched once', () => {
    for (const { waits, messages, requested, units } of outcomes) {
      expect(messages).toBeGreaterThanOrEqual(waits.length);
      expect(requested).toBeLessThanOrEqual(Math.min(messages, units));
    }
  });

  test('a leaf for each piece, and one for each huge page after the collapse', () => {
    expect([pieces.leavesBefore, pieces.leaves]).toEqual([BYTES / PIECE, 1]);
    expect([twoMiB.leavesBefore, twoMiB.leaves]).toEqual([BYTES / MIB2, BYTES / MIB2]);
    expect([oneGiB.leavesBefore, oneGiB.leaves]).toEqual([1, 1]);
  });
});

test('a guest of several huge pages, the last one not full, is collapsed page by page', () => {
  const source = new Source(6 * MIB, new Random(5));
  const outcome = migrate(source, { ...setting, hugePageSize: MIB2, hgm: true, seed: 5 });
  expect(outcome).toMatchObject({ wrong: 0, leavesBefore: (6 * MIB) / PIECE, leaves: 3 });
});

test('the source has contents in one piece of thirty-two, as its page tables show them', () => {
  const { pieces } = new Source(BYTES, new Random(1));
  expect(pieces.size).toBeGreaterThan(BYTES / PIECE / 64);
  expect(pieces.size).toBeLessThan(BYTES / PIECE / 16);
  for (const [piece, bytes] of pieces) {
    expect(piece).toBeLessThan(BYTES / PIECE);
    expect(bytes.some((byte) => byte !== 0)).toBe(true);
  }
});
