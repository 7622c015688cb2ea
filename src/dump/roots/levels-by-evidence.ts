/**
 * How many levels the tables below a root have, by nothing but what they look like.
 */
import type { Dump } from '../dump.ts';
import { addressRule } from './entry-halves.ts';
import { topOf } from './frame-scan.ts';
import { stand } from './standing.ts';
import { TableReader } from './table-reader.ts';
import { TreeChecker } from './tree-check.ts';

/** 5 or 4; undefined where the tables fit neither, or the dump does not have them. */
export async function levelsByEvidence(dump: Dump, root: number, cBit: number | undefined): Promise<4 | 5 | undefined> {
  const rule = addressRule(topOf(dump.segments), cBit);
  const tables = new TableReader(dump);
  const standing = await stand(root - (root % 4096), tables, new TreeChecker(tables, rule), rule);
  return standing?.levels;
}
