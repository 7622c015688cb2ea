/**
 * Searches the interleavings of a scene: first those with few preemptions, which is where most bugs are; then all that matter.
 */
import type { Finding } from './kernel/finding.ts';
import { KernelProgram, type Scene } from './kernel/kernel-program.ts';
import { BoundedSearch } from './search/bounded.ts';
import { Driver } from './search/driver.ts';
import { OptimalSearch } from './search/optimal.ts';
import { type Run, scheduleOf } from './search/schedule.ts';
import type { Search, SearchCounts } from './search/search.ts';
import { SerialOutcomes } from './serial.ts';

/** How to search. */
export interface ExploreOptions {
  /** Most preemptions of an interleaving; default: any number. */
  readonly preemptions?: number;
}

/** What was found, and how to see it again. */
export interface Found {
  readonly finding: Finding;
  readonly schedule: readonly Run[];
  /** Preemptions of the pass that found it; undefined: of the pass over all interleavings. */
  readonly preemptions: number | undefined;
  /** Executions until then, over all passes. */
  readonly executions: number;
}

/** One pass of the search. */
export interface Pass {
  /** Most preemptions; undefined: all interleavings that matter. */
  readonly preemptions: number | undefined;
  readonly counts: Readonly<SearchCounts>;
  /** Whether it came to its end. */
  readonly done: boolean;
}

/** How far a search is. */
export interface Exploration {
  /** The passes, the last one perhaps under way. */
  readonly passes: readonly Pass[];
  readonly executions: number;
  readonly found: Found | undefined;
  /** Whether the whole space was covered, without a finding. */
  readonly exhausted: boolean;
}

/** Passes with so few preemptions come before the one over everything. */
const FEW = [0, 1, 2];
/** So many executions of a pass with few preemptions; what is left then, the pass over everything has, too, and mostly in fewer. */
const MOST_OF_FEW = 256;
/** Executions between two reports. */
const BATCH = 64;

/**
 * Searches a scene until something is found, or nothing is left. Reports how far it is every now and then; whoever has waited long enough stops asking.
 *
 * @param onExecution called after each execution that was run to its end without a finding
 */
export function* explore(
  scene: Scene,
  { preemptions }: ExploreOptions = {},
  onExecution: () => void = () => undefined,
): Generator<Exploration, Exploration, void> {
  const driver = new Driver(new KernelProgram(scene));
  const serial = new SerialOutcomes(scene);
  const passes: Pass[] = [];
  let executions = 0;
  const bounds =
    preemptions === undefined ? [...FEW, undefined] : FEW.filter((few) => few < preemptions).concat(preemptions);
  for (const bound of bounds) {
    const search = searchOf(driver, bound);
    const at = passes.length;
    const most = bound !== undefined && preemptions === undefined ? executions + MOST_OF_FEW : Number.POSITIVE_INFINITY;
    for (let done = false; !done && executions < most; ) {
      for (let run = 0; run < BATCH && !done; run++) {
        const ended = search.next();
        done = ended === undefined;
        if (ended !== 'complete') continue;
        executions++;
        const finding = driver.finding ?? serial.judge(scene.observe());
        if (finding !== undefined) {
          passes[at] = { preemptions: bound, counts: search.counts, done: false };
          const schedule = scheduleOf(driver.steps);
          return { passes, executions, found: { finding, schedule, preemptions: bound, executions }, exhausted: false };
        }
        onExecution();
      }
      passes[at] = { preemptions: bound, counts: search.counts, done };
      yield { passes, executions, found: undefined, exhausted: false };
    }
  }
  return { passes, executions, found: undefined, exhausted: preemptions === undefined };
}

function searchOf(driver: Driver<Finding>, preemptions: number | undefined): Search<Finding> {
  return preemptions === undefined ? new OptimalSearch(driver) : new BoundedSearch(driver, preemptions);
}
