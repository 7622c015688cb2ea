/**
 * The permission matrix over the reference walk. It makes some 40,000 walks a second, the core some millions: all cases
 * would take half an hour, so that one case in 583 or 247 is checked, evenly strided, and in each run one in five of those.
 * MATRIX=full checks all of them.
 */
import { describe, expect, test } from 'vitest';
import { compileCoreSync } from '../../src/index.ts';
import { againInBrowser, partAndWhole } from '../support/thorough.ts';
import { Matrix, machine } from './matrix.ts';
import { wrongInReference } from './reference.ts';
import { EXTRA_SWEEPS, type Processor, type SweepName } from './sweeps.ts';

const full = typeof process !== 'undefined' && process.env.MATRIX === 'full';
const CLASSIC = partAndWhole(2915, full ? 1 : 583);
const EXTRA = partAndWhole(1235, full ? 1 : 247);
const LONG = { timeout: full ? 7_200_000 : 600_000 };

const matrix = new Matrix(machine('flat', compileCoreSync()));

/** Checks every `stride`th case; how many that were. Throws with the first that is wrong. */
function check(name: SweepName, processor: Processor, stride: number): number {
  let checked = 0;
  for (const { combination, case: one } of matrix.cases(name, processor, stride)) {
    const wrong = wrongInReference(one);
    if (wrong) expect.fail(`${name}, combination 0x${combination.toString(16)}, reference: ${wrong}`);
    checked++;
  }
  return checked;
}

describe.each([4, 5] as const)('reference > %i levels', (levels) => {
  const processor = { levels, maxPhysicalAddress: 36 };

  for (const { part, stride, options } of CLASSIC) {
    test(`${part} of the states of a PTE and a PDE under every access does what the rules say`, {
      ...LONG,
      ...options,
    }, () => {
      const checked = check('classic', processor, stride);
      expect(checked).toBe(Math.ceil(matrix.count('classic', processor) / stride));
    });
  }

  for (const { part, stride, options } of EXTRA) {
    test.each(EXTRA_SWEEPS)(
      `so does ${part} of those that concern $about`,
      { ...LONG, ...againInBrowser(options) },
      ({ name, counts }) => {
        expect(check(name, processor, stride)).toBe(Math.ceil(counts[levels] / stride));
      },
    );
  }
});

test('an expectation that the reference does not meet is reported', () => {
  for (const { case: one } of matrix.cases('lass', { levels: 4 }, 997)) {
    expect(wrongInReference(one)).toBeUndefined();
    expect(wrongInReference({ ...one, expected: 0n })).toBeDefined();
    expect(wrongInReference({ ...one, after: one.after.map((entry) => entry ^ 0x20n) })).toBeDefined();
  }
});
