/**
 * The reference for callers from outside: the same functions, after a look at the arguments.
 */
import { checkedReader, checkNumber, checkWalk, checkWord } from './checks.ts';
import * as explaining from './explain.ts';
import * as listing from './mappings.ts';
import * as walking from './walk.ts';

/** The highest access: bit 8, and all that a page fault reports. */
const HIGHEST_ACCESS = 0x1ff;

/**
 * Translates `va` for an access, described by the W/R, U/S, I/D and SS bits of an error code, and bit 8 for an implicit one.
 *
 * @throws TypeError or RangeError for arguments of the wrong kind, and where `readEntry` answers with no entry
 */
export function referenceWalk(
  readEntry: walking.ReadEntry,
  state: walking.PagingState,
  va: bigint,
  access: number,
): walking.WalkRecord {
  checkWalk(readEntry, state);
  checkWord('va', va);
  checkNumber('access', access, HIGHEST_ACCESS);
  return walking.referenceWalk(checkedReader(readEntry), state, va, access);
}

/**
 * Walks one address and explains every step.
 *
 * @throws TypeError or RangeError for arguments of the wrong kind, and where `readEntry` answers with no entry
 */
export function explain(
  readEntry: walking.ReadEntry,
  state: walking.PagingState,
  va: bigint,
  access: number,
): explaining.Explanation {
  checkWalk(readEntry, state);
  checkWord('va', va);
  checkNumber('access', access, HIGHEST_ACCESS);
  return explaining.explain(checkedReader(readEntry), state, va, access);
}

/**
 * Lists every leaf in ascending order of the address. Tables that contain each other are followed wherever they lead.
 *
 * @throws TypeError or RangeError for arguments of the wrong kind, and where `readEntry` answers with no entry
 */
export function referenceMappings(
  readEntry: walking.ReadEntry,
  state: walking.PagingState,
): Generator<listing.ReferenceLeaf, void, undefined> {
  checkWalk(readEntry, state);
  return listing.referenceMappings(checkedReader(readEntry), state);
}
