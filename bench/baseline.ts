/**
 * What bench/baseline.json holds, and when figures are worse. Ratios of one run mean much the same on every machine, times
 * do not: they are nowhere in it.
 */

import type { Row } from './benchmark.ts';
import { COMPARED, rounded } from './figures.ts';

/** Numbers by name. */
export type Numbers = Readonly<Record<string, number>>;

/** How fast and how large things were. */
export interface Baseline {
  /** For people: where the ratios were measured. */
  readonly machine: Readonly<Record<string, string | number>>;
  /** How many times as fast as its yardstick a figure is, by ROW/FIGURE:YARDSTICK. */
  readonly ratios: Numbers;
  /** Accesses to memory (counting.ts). */
  readonly counts: Numbers;
  /** Of the release cores. */
  readonly bytes: Numbers;
}

/** So many times slower than the baseline is noise, or another machine. */
const SLOWER = 1.5;
/** By so much a core may grow. */
const LARGER = 1.02;

/** The yardstick for which a C compiler is needed. */
const NATIVE = ':native';

/**
 * The row's main ratios, by name: of the fastest repetitions, since what else a machine does only ever slows them.
 */
export function ratiosOf({ name, figures }: Row): Numbers {
  const ratios: Record<string, number> = {};
  for (const [figure, of] of figures) {
    const yardstick = COMPARED[figure]?.[0];
    const to = yardstick && figures.get(yardstick);
    if (to) ratios[`${name}/${figure}:${yardstick}`] = rounded(to.min / of.min);
  }
  return ratios;
}

/** The ratios of the baseline that the measured ones do not bear out, a line each; those not measured are left out. */
export function worseRatios(baseline: Numbers, measured: Numbers): string[] {
  return Object.entries(measured).flatMap(([name, ratio]) => {
    const before = baseline[name];
    if (before === undefined || ratio * SLOWER >= before) return [];
    return [`${name}: ${ratio}, at least ${rounded(before / SLOWER)} expected (${before} in the baseline)`];
  });
}

/** What the baseline and the measured ratios do not have in common, a line each; without native what needs it is none. */
export function unmatchedRatios(baseline: Numbers, measured: Numbers, hasNative: boolean): string[] {
  const gone = Object.keys(baseline).filter((name) => !(name in measured) && (hasNative || !name.endsWith(NATIVE)));
  const added = Object.keys(measured).filter((name) => !(name in baseline));
  return [
    ...gone.map((name) => `${name}: in the baseline, but not measured any more`),
    ...added.map((name) => `${name}: measured, but not in the baseline`),
  ];
}

/** The counts above the baseline, or without their like in it, a line each. */
export function worseCounts(baseline: Numbers, counted: Numbers): string[] {
  return above(baseline, counted, 1);
}

/** The cores that are larger than the baseline has them, by more than a little, a line each. */
export function worseBytes(baseline: Numbers, found: Numbers): string[] {
  return above(baseline, found, LARGER);
}

function above(baseline: Numbers, found: Numbers, times: number): string[] {
  return [...new Set([...Object.keys(baseline), ...Object.keys(found)])].flatMap((name) => {
    const [before, now] = [baseline[name], found[name]];
    if (before === undefined || now === undefined) {
      return [`${name}: ${now ?? 'nothing'} found, ${before ?? 'nothing'} in the baseline`];
    }
    const most = Math.floor(before * times);
    return now > most ? [`${name}: ${now}, at most ${most} expected`] : [];
  });
}
