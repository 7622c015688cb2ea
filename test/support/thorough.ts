/**
 * What takes too long for each run. A test with the tag `thorough` is left out by `npm test`, which lists it at the end, and run by
 * `npm run test:rest`; both together are `npm run test:all`.
 */

import { describe } from 'vitest';

/** A tag of tests, as their options take it. */
type Tags = { readonly tags: 'thorough'[] };

export const THOROUGH: Tags = { tags: ['thorough'] };

/** Whether this suite runs in a browser. */
export const IN_BROWSER: boolean = 'document' in globalThis;

/** For what Node has been asked at length: the browser's engine is the same, and is asked again only in the thorough run. */
export const AGAIN_IN_BROWSER: Tags = IN_BROWSER ? THOROUGH : { tags: [] };

/** The options of a test that runs in Node as they say, and in the browser only in the thorough run. */
export function againInBrowser(options: Tags): Tags {
  return IN_BROWSER ? THOROUGH : options;
}

/**
 * Suites over implementations. All rules are asked of the debug builds, too; what is asked of an implementation at length, of those only in
 * the thorough run, as they are slow.
 */
export function longSuites<One extends { readonly name: string }>(
  some: readonly One[],
  suiteOf: (one: One) => void,
): void {
  for (const one of some) {
    describe(one.name, one.name.startsWith('debug') ? THOROUGH : AGAIN_IN_BROWSER, () => suiteOf(one));
  }
}

/** A property in two tests: some runs each time, and many for the thorough run. */
export function fewAndMany(few: number, many: number): readonly { readonly numRuns: number; readonly options: Tags }[] {
  return [
    { numRuns: few, options: { tags: [] } },
    { numRuns: many, options: THOROUGH },
  ];
}

/** How much of a sweep a test goes through. */
export interface Part {
  /** In words, for the test's name: `one in 61`, `each`. */
  readonly part: string;
  /** From one case to the next. */
  readonly stride: number;
  readonly options: Tags;
}

/**
 * A sweep in two tests: a strided one for each run, and the whole for the thorough one.
 *
 * @param stride odd, so that it goes through every state of the flags, each of which is a bit of a combination
 * @param whole the stride of the thorough run, for sweeps of which even that takes but a part
 */
export function partAndWhole(stride: number, whole = 1): readonly [Part, Part] {
  return [partOf(stride), { ...partOf(whole), options: THOROUGH }];
}

/** The whole of a sweep, each time. */
export const WHOLE: Part = partOf(1);

function partOf(stride: number): Part {
  return { part: stride === 1 ? 'each' : `one in ${stride}`, stride, options: { tags: [] } };
}
