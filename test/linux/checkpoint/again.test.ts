/**
 * After a return to a checkpoint, a machine is what it was: whatever is done then goes as it went the first time, to the last lock that a
 * trace shows, and as on another machine that has never gone any further.
 */
import { describe, expect, test } from 'vitest';
import { THOROUGH } from '../../support/thorough.ts';
import { type End, goAgain, SCENES } from './again.ts';

const FEW = 6;
const MANY = 14;
const ENDS: readonly End[] = ['ends', 'is left in the midst'];

/** What was done, to show that there is something to see. */
const reached = new Set<string>();
let checkpoints = 0;

function play(scene: (typeof SCENES)[number], end: End, from: number, to: number): void {
  for (let seed = from; seed < to; seed++) {
    /* No two scenes begin with the same. */
    const lines = goAgain(scene, 1000 * SCENES.indexOf(scene) + 500 * ENDS.indexOf(end) + seed, end);
    if (lines.length > 0) checkpoints++;
    for (const line of lines) reached.add(line);
  }
}

describe.each(SCENES)('$name', (scene) => {
  describe.each(ENDS)('a sequence that %s', (end) => {
    test('goes as it did when it is done again, and another one as on a machine that has done neither', () => {
      play(scene, end, 0, FEW);
    });

    test('likewise, many', THOROUGH, () => play(scene, end, FEW, MANY));
  });
});

test('the sequences reach what they are for', () => {
  expect(checkpoints).toBeGreaterThan(SCENES.length * FEW);
  const lines = [...reached];
  const all = [
    ...[
      'table n of level n shared',
      'sleeps: waits for a userfaultfd',
      'event of a fork',
      'event of an munmap',
      'a deadlock',
    ],
    ...[
      'fork process n',
      'migrate OK',
      'memory failure OK',
      'register buffer OK',
      'continue { result: OK',
      'vmsplice n',
    ],
    ...['madvise_collapse', 'umount', 'pipe read n', 'abandoned'],
  ];
  expect(all.filter((what) => !lines.some((line) => line.includes(what)))).toEqual([]);
});
