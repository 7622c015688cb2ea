/**
 * How fast hugewalk wants to be: for each row, what its figures have to reach. Wherever it can be, a target is a ratio to
 * something that was measured in turn with it, so that it means the same on every machine.
 */
import type { Row } from './benchmark.ts';
import { ratioOf, speedOf } from './figures.ts';

/**
 * What a figure has to reach: so many times what another figure of the row reaches; so many millions a second; or for one
 * so many nanoseconds at most.
 */
export type Limit =
  | { readonly figure: string; readonly against: string; readonly atLeast: number }
  | { readonly figure: string; readonly atLeast: number }
  | { readonly figure: string; readonly nanoseconds: number };

/** A target: one of its limits has to be kept. */
export type Target = readonly Limit[];

/** What became of a target; `undecided` where a yardstick was not measured. */
export interface Verdict {
  readonly state: 'met' | 'missed' | 'undecided';
  /** For people: what was measured, and what was wanted. */
  readonly words: string;
}

/** Sizes of tables that fit the second-level cache. */
const IN_SECOND_LEVEL_CACHE = ['32KiB', '512KiB'];
const SHAPES_LISTED = ['4k', '2m', 'mixed'];

/** The targets of a row, by its name. */
export function targetsOf(name: string): Target[] {
  const [kind, shape, size, pattern] = name.split('/');
  switch (kind) {
    case 'walk':
      return [[{ figure: 'batch', against: 'native', atLeast: walkRatio(size!, pattern!) }]];
    case 'tlb':
      return [
        [
          { figure: 'hits', against: 'native', atLeast: 2 },
          { figure: 'hits', atLeast: 400 },
        ],
      ];
    case 'call':
      /* With larger tables it would be cache misses that are judged, not calls. */
      if (!IN_SECOND_LEVEL_CACHE.includes(size!)) return [];
      return [
        [{ figure: 'translate', nanoseconds: 100 }],
        [{ figure: 'word', nanoseconds: 100 }],
        [{ figure: 'number', nanoseconds: 20 }],
      ];
    case 'marks':
      return [[{ figure: 'access', against: 'probe', atLeast: 1 / 1.5 }]];
    case 'sparse':
      return [[{ figure: 'sparse', against: 'flat', atLeast: 1 / 1.3 }]];
    case 'workers':
      return [[{ figure: 'two', against: 'one', atLeast: 1.9 }]];
    case 'list':
      return SHAPES_LISTED.includes(shape!) ? [[{ figure: 'blocks', atLeast: 100 }]] : [];
    default:
      return [];
  }
}

function walkRatio(size: string, pattern: string): number {
  if (pattern !== 'random') return 1.5;
  return IN_SECOND_LEVEL_CACHE.includes(size) ? 1.3 : 1;
}

/** Whether a row meets its targets, in their order. */
export function verdictsOf(row: Row): Verdict[] {
  return targetsOf(row.name).map((target) => verdictOf(target, row));
}

function verdictOf(target: Target, row: Row): Verdict {
  const tried = target.map((limit) => tryLimit(limit, row));
  const words = tried.map(({ words }) => words).join(' or ');
  if (tried.some(({ isKept }) => isKept)) return { state: 'met', words };
  return { state: tried.some(({ isKept }) => isKept === undefined) ? 'undecided' : 'missed', words };
}

/** Whether a limit is kept; undefined where that was not measured. */
function tryLimit(limit: Limit, { figures }: Row): { isKept: boolean | undefined; words: string } {
  const { figure } = limit;
  const speed = speedOf(figures, figure);
  if ('nanoseconds' in limit) {
    const took = speed && 1e3 / speed;
    const words = `${figure} ${took?.toFixed(1) ?? '-'} ns, wanted under ${limit.nanoseconds} ns`;
    return { isKept: took === undefined ? took : took < limit.nanoseconds, words };
  }
  const { atLeast } = limit;
  if ('against' in limit) {
    const ratio = ratioOf(figures, figure, limit.against);
    const words = `${figure}/${limit.against} ${ratio?.toFixed(2) ?? '-'}, wanted ${atLeast.toFixed(2)}`;
    return { isKept: ratio === undefined ? ratio : ratio >= atLeast, words };
  }
  const words = `${figure} ${speed?.toFixed(1) ?? '-'} M/s, wanted ${atLeast}`;
  return { isKept: speed === undefined ? speed : speed >= atLeast, words };
}
