/**
 * Differences in words.
 */

import { wrongKind } from '../core/errors.ts';
import { differingPages } from './hugetlb/pages.ts';
import type { PageEntry, SlotMap } from './line/states.ts';
import { differingEntries } from './sequence/differing.ts';
import { DIED, type Disagreement } from './sequence/disagreement.ts';
import type { Found } from './stage/answer.ts';

/**
 * A difference in one line, or in one a page.
 *
 * @example
 * ```text
 * result: kernel SIGBUS, model OK
 * result: kernel not told, model no pages in list 0
 * pool (total, free, reserved, surplus): kernel [9,8,1,0], model [9,7,1,0]
 * pages (proc, slot, page, class, mapcount, flags): kernel [0,3,2,0,1,33], model absent
 * ```
 */
export function describeDifference(difference: Disagreement): string[] {
  const given: Partial<Disagreement> | null | undefined = difference;
  if (typeof given?.what !== 'string') throw wrongKind('difference', 'a Difference that replay() gave', difference);
  const { what } = difference;
  switch (what) {
    case 'found':
      return [`${difference.field}: kernel ${wordOf(difference.kernel)}, model ${wordOf(difference.model)}`];
    case 'result':
      return [`result: kernel ${toldOf(difference.kernel)}, model ${difference.model}`];
    case 'hang':
      return [`hang: kernel ${toldOf(difference.kernel)}, model ${toldOf(difference.model)}`];
    case 'invariant':
      return [`invariant: the model broke a rule of its own, and its sequence is left here: ${difference.model}`];
    case 'pool':
    case 'end': {
      const name = what === 'pool' ? 'pool' : 'pool at the end';
      return [`${name} (total, free, reserved, surplus): ${bothSides(difference.kernel, difference.model)}`];
    }
    case 'pages':
      return describePages(difference.kernel, difference.model);
    case 'usage':
      return describeEntries('usage (proc, 4 KiB pages)', 1, difference.kernel, difference.model);
    case 'cache':
      return describeEntries(CACHE, 2, difference.kernel, difference.model);
    case 'maps':
      return describeEntries(MAPS, 3, runsOf(difference.kernel), runsOf(difference.model));
  }
}

const CACHE = 'cache (file, huge page, mapcount, refcount, mapcounts of its pages)';
const MAPS = 'maps (proc, slot, page, count, size, file, filepage, flags)';

/** Entries that only one side has, or that differ. @param key how many of its first items tell which entry it is */
function describeEntries(name: string, key: number, kernel: Entries, model: Entries): string[] {
  const differing = differingEntries(kernel, model, key);
  if (differing.length === 0) return [`${name}: ${bothSides(kernel, model)}`];
  return differing.map((entry) => `${name}: ${bothSides(entry.kernel, entry.model)}`);
}

type Entries = readonly (readonly unknown[])[];

function wordOf(found: Found): string {
  return typeof found === 'object' ? JSON.stringify(found) : `${found}`;
}

/** A result in words; there is none where a line tells nothing of it. */
function toldOf(result: string | undefined): string {
  if (result === undefined) return 'not told';
  if (result === DIED) return 'died (not told of what)';
  return result === 'HANG' ? 'hangs' : result;
}

function describePages(kernel: readonly PageEntry[], model: readonly PageEntry[]): string[] {
  const name = 'pages (proc, slot, page, class, mapcount, flags)';
  const differing = differingPages(kernel, model);
  /* The same pages in another order: a scenario may list them so, and only then. */
  if (differing.length === 0) return [`${name}: ${bothSides(kernel, model)}`];
  return differing.map((page) => `${name}: ${bothSides(page.kernel, page.model)}`);
}

function bothSides(kernel: readonly unknown[] | undefined, model: readonly unknown[] | undefined): string {
  const list = (side: readonly unknown[] | undefined): string => (side ? JSON.stringify(side) : 'absent');
  return `kernel ${list(kernel)}, model ${list(model)}`;
}

/** The runs of all slots, each with its process and slot before it. */
function runsOf(maps: readonly SlotMap[]): Entries {
  return maps.flatMap(([proc, slot, runs]) => runs.map((run) => [proc, slot, ...run]));
}
