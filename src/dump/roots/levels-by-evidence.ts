/**
 * How many levels the tables below a root have, by nothing but what they look like.
 */
import type { Dump } from '../dump.ts';
import { addressRule } from './entry-halves.ts';
import { topOf } from './frame-scan.ts';
import { stand } from './standing.ts';
import { TableReader } from './table-reader.ts';
import { TreeChecker } from './tree-check.ts';

/** What the tables tell of the levels. */
export interface LevelsSeen {
  readonly levels: 4 | 5;
  /** Whether they fit five levels as well as these four. */
  readonly fitsBoth: boolean;
}

/** Undefined where the tables fit neither five nor four levels, or the dump does not have them. */
export async function levelsByEvidence(
  dump: Dump,
  root: number,
  cBit: number | undefined,
): Promise<LevelsSeen | undefined> {
  const rule = addressRule(topOf(dump.segments), cBit);
  const tables = new TableReader(dump);
  return stand(root - (root % 4096), tables, new TreeChecker(tables, rule), rule);
}
