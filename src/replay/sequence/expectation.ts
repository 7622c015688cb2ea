/**
 * `{"expect":"deadlock","why":"..."}`: what a search of all interleavings is known to find in a sequence. A replay, which runs one, does not care.
 */
import { choice, text } from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import { NOWHERE, read } from '../line/lines.ts';

/** What can be wrong with an interleaving, by its kind: see FindingKind in src/explore. */
export const FINDING_KINDS = [
  'freed table',
  'stale translation',
  'unguarded write',
  'wrong page',
  'leaked lock',
  'deadlock',
  'lock order',
  'pinned page',
  'lost wake-up',
  'sleep under a spin lock',
  'livelock',
  'dead end',
  'broken rule',
  'outcome',
  'answer',
] as const;

/** What is expected to be found. */
export interface Expectation extends Line {
  readonly kind: (typeof FINDING_KINDS)[number];
  /** How it comes, by the kernel's source. */
  readonly why: string;
}

const FIELDS = {
  expect: choice(Object.fromEntries(FINDING_KINDS.map((kind) => [kind, kind]))),
  why: text(/\S/, 'why, in words'),
};

/** Reads the line. */
export function parseExpectation(line: Line, object: LineObject): Expectation {
  const { expect, why } = read(line, object, FIELDS, NOWHERE, 'an expectation');
  return { ...line, kind: expect, why };
}
