/**
 * Searches the interleavings of a scene: first those with few preemptions, which is where most bugs are; then all that matter.
 */
import type { Finding } from './kernel/finding.ts';
import { KernelProgram, type Scene } from './kernel/kernel-program.ts';
import type { Place } from './kernel/kernel-watch.ts';
import { LockOrder, type Nesting, together } from './kernel/lock-order.ts';
import { foundOrder, located } from './located.ts';
import { BoundedSearch } from './search/bounded.ts';
import { Driver } from './search/driver.ts';
import { OptimalSearch } from './search/optimal.ts';
import { RandomSearch } from './search/random.ts';
import { type Run, scheduleOf } from './search/schedule.ts';
import type { Search, SearchCounts } from './search/search.ts';
import { SerialOutcomes } from './serial.ts';

/** How to search. */
export interface ExploreOptions {
  /** Most preemptions of an interleaving; default: any number. */
  readonly preemptions?: number;
  /** So many executions by chance, instead of all interleavings. */
  readonly random?: { readonly executions: number; readonly seed: number };
  /** After so many executions, a pass asks whether somebody searches it in pieces; default: it does not ask. */
  readonly most?: number;
  /** Places that are known to be busy, from another search of the scene. */
  readonly busyPlaces?: readonly Place[];
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
  /** Where it is by chance. */
  readonly seed?: number;
  readonly counts: Readonly<SearchCounts>;
  /** Whether it came to its end. */
  readonly done: boolean;
  /** Where it is searched in parts (parts.ts): how many are done, of how many. */
  readonly pieces?: { readonly done: number; readonly of: number };
}

/** A pass that somebody has searched in pieces. */
export interface PassInPieces {
  /** What was run before is discarded: the pieces have it again. */
  readonly pass: Pass;
  readonly found: Pick<Found, 'finding' | 'schedule'> | undefined;
  readonly busyPlaces: readonly Place[];
  readonly nestings: readonly Nesting[];
}

/** How far a search is. */
export interface Exploration {
  /** The passes, the last one perhaps under way. */
  readonly passes: readonly Pass[];
  readonly executions: number;
  readonly found: Found | undefined;
  /** Whether the whole space was covered, without a finding. */
  readonly exhausted: boolean;
  /** Places that several tasks pass in ways that do not commute, as far as is known. */
  readonly busyPlaces: () => readonly Place[];
  /** Which locks were taken while others were held, in all executions. */
  readonly nestings: () => readonly Nesting[];
  /** Whether the last pass is so large that it may be searched in pieces: then the search is told what came of that, or goes on by itself. */
  readonly isLong?: boolean;
}

/** Passes with so few preemptions come before the one over everything. */
const FEW = [0, 1, 2];
/** So many executions of a pass with few preemptions; what is left then, the pass over everything has, too, and mostly in fewer. */
const MOST_OF_FEW = 256;
/** Steps in order that a bug needs at most, for the executions by chance: two preemptions. */
const DEPTH = 3;
/** Executions between two reports. */
const BATCH = 64;

/**
 * Searches a scene until something is found, or nothing is left. Reports how far it is every now and then; whoever has waited long enough stops asking.
 *
 * @param onExecution called after each execution that was run to its end without a finding
 */
export function* explore(
  scene: Scene,
  { preemptions, random, most = Number.POSITIVE_INFINITY, busyPlaces: known = [] }: ExploreOptions = {},
  onExecution: () => void = () => undefined,
): Generator<Exploration, Exploration, PassInPieces | undefined> {
  const order = new LockOrder();
  const program = new KernelProgram(scene, known, order);
  const driver = new Driver(program);
  const serial = new SerialOutcomes(scene, order);
  const fromPieces: Nesting[] = [];
  const learned = {
    busyPlaces: () => program.busyPlaces,
    nestings: () => (fromPieces.length > 0 ? together([order.nestings, fromPieces]) : order.nestings),
  };
  const passes: Pass[] = [];
  let executions = 0;
  for (const { bound, seed } of plannedPasses(preemptions, random?.seed)) {
    const which = { preemptions: bound, ...(seed !== undefined && { seed }) };
    const search = seed === undefined ? searchOf(driver, bound) : byChance(driver, seed, random!.executions);
    const at = passes.length;
    const before = executions;
    const few = bound !== undefined && preemptions === undefined;
    const mostOfPass = few ? executions + MOST_OF_FEW : Number.POSITIVE_INFINITY;
    let asks = !few && seed === undefined;
    for (let done = false; !done && executions < mostOfPass; ) {
      for (let run = 0; run < BATCH && !done; run++) {
        const ended = search.next();
        done = ended === undefined;
        order.settle(() => scheduleOf(driver.steps));
        if (ended !== 'complete') continue;
        executions++;
        const finding = driver.finding ?? serial.judge(scene.observe());
        if (finding !== undefined) {
          /* Also those before the search knew this place, and began anew. */
          passes[at] = { ...which, counts: { ...search.counts, executions: executions - before }, done: false };
          const schedule = scheduleOf(driver.steps);
          const found = { finding: located(scene, finding, schedule), schedule, preemptions: bound, executions };
          return { passes, executions, found, exhausted: false, ...learned };
        }
        onExecution();
      }
      passes[at] = { ...which, counts: search.counts, done };
      const isLong = asks && !done && search.counts.executions >= most;
      const inPieces = yield { passes, executions, found: undefined, exhausted: false, ...learned, isLong };
      if (isLong) asks = false;
      if (!inPieces) continue;
      passes[at] = inPieces.pass;
      executions = before + inPieces.pass.counts.executions;
      program.expectBusy(inPieces.busyPlaces);
      fromPieces.push(...inPieces.nestings);
      if (inPieces.found) {
        const found = { ...inPieces.found, preemptions: bound, executions };
        return { passes, executions, found, exhausted: false, ...learned };
      }
      break;
    }
  }
  const exhausted = preemptions === undefined && !random && passes.at(-1)!.done;
  return withLockOrder(scene, { passes, executions, found: undefined, exhausted, ...learned });
}

/** What a search comes to that ends here: where no execution was wrong, the order may be in which locks were taken in all of them. */
export function withLockOrder(scene: Scene, exploration: Exploration): Exploration {
  const { found, executions, passes } = exploration;
  const shown = found ? undefined : foundOrder(scene, exploration.nestings());
  if (!shown) return exploration;
  return { ...exploration, found: { ...shown, preemptions: passes.at(-1)?.preemptions, executions }, exhausted: false };
}

/** The passes, in order. */
function plannedPasses(
  preemptions: number | undefined,
  seed: number | undefined,
): { readonly bound: number | undefined; readonly seed?: number }[] {
  if (seed !== undefined) return [{ bound: undefined, seed }];
  const bounds =
    preemptions === undefined ? [...FEW, undefined] : FEW.filter((few) => few < preemptions).concat(preemptions);
  return bounds.map((bound) => ({ bound }));
}

function byChance(driver: Driver<Finding>, seed: number, executions: number): Search<Finding> {
  return new RandomSearch(driver, { seed, executions, depth: DEPTH });
}

function searchOf(driver: Driver<Finding>, preemptions: number | undefined): Search<Finding> {
  return preemptions === undefined ? new OptimalSearch(driver) : new BoundedSearch(driver, preemptions);
}
