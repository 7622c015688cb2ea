/**
 * Whether a search found what its scenario expects.
 */
import type { Expectation } from '../../replay/sequence/expectation.ts';
import type { Finding, FindingKind } from '../kernel/finding.ts';

/** What a search found, and was to find. */
export type Verdict =
  /** Nothing, and nothing was expected. */
  | 'as expected: nothing'
  /** A finding of the kind that was expected. */
  | 'as expected: found'
  /** A finding where none was expected, or of another kind. */
  | 'unexpected'
  /** Nothing where something was expected. */
  | 'missing';

/** Holds what was found against what was expected. Kinds decide, not words. */
export function verdictOf(found: Finding | undefined, expected: Expectation | undefined): Verdict {
  /* Both lists of kinds are the same, or this does not compile. */
  const kind: FindingKind | undefined = expected?.kind;
  const got: Expectation['kind'] | undefined = found?.kind;
  if (got === undefined) return kind === undefined ? 'as expected: nothing' : 'missing';
  return got === kind ? 'as expected: found' : 'unexpected';
}
