/**
 * The search that the others are held against: every choice at every place, without any reduction.
 */
import { conflicts } from '../../../src/explore/search/access.ts';
import { Driver } from '../../../src/explore/search/driver.ts';
import type { Step } from '../../../src/explore/search/execution.ts';
import type { Program } from '../../../src/explore/search/program.ts';
import type { Search, SearchCounts } from '../../../src/explore/search/search.ts';

export interface Every {
  readonly executions: number;
  /** Mazurkiewicz traces: executions that do not differ only in the order of steps that commute. */
  readonly traces: number;
  readonly states: ReadonlySet<string>;
}

/** Runs a search to its end. Returns the final states that it came to, with what was found, and its counts. */
export function finish(
  search: Search<string>,
  program: { readonly state: string },
  most = 100_000,
): { states: Set<string> } & SearchCounts {
  const states = new Set<string>();
  for (let executions = 0; executions < most; executions++) {
    const ended = search.next();
    if (!ended) break;
    if (ended === 'complete') states.add(`${program.state} ${search.driver.finding}`);
  }
  return { states, ...search.counts };
}

/**
 * @param state tells the final state
 * @param most executions; undefined is returned where there are more
 */
export function every(program: Program<string>, state: () => string, most = 200_000): Every | undefined {
  const driver = new Driver(program);
  let result: Every | undefined | 'anew';
  do result = everyOnce(driver, state, most);
  while (result === 'anew');
  return result;
}

/** Returns 'anew' where another place has become busy: steps end there from now on. */
function everyOnce(driver: Driver<string>, state: () => string, most: number): Every | undefined | 'anew' {
  const { busyPlaces } = driver.recorder;
  const traces = new Set<string>();
  const states = new Set<string>();
  let path: number[] = [];
  for (let executions = 1; executions <= most; executions++) {
    const left: number[] = [];
    driver.analyses = true;
    driver.reset();
    for (let at = 0; driver.ready !== 0; at++) {
      path[at] ??= lowestFrom(driver.ready, 0);
      left[at] = driver.ready;
      driver.step(path[at]!);
    }
    driver.end();
    if (driver.recorder.busyPlaces !== busyPlaces) return 'anew';
    traces.add(canonical(driver.execution.steps));
    states.add(`${state()} ${driver.finding}`);
    path = nextPath(path.slice(0, left.length), left);
    if (path.length === 0) return { executions, traces: traces.size, states };
  }
  return undefined;
}

/** The path that follows in order; empty behind the last. @param left at each step, the tasks that could be chosen */
function nextPath(path: readonly number[], left: readonly number[]): number[] {
  for (let at = path.length - 1; at >= 0; at--) {
    const next = lowestFrom(left[at]!, path[at]! + 1);
    if (next >= 0) return [...path.slice(0, at), next];
  }
  return [];
}

function lowestFrom(tasks: number, from: number): number {
  for (let task = from; task < 31; task++) if ((tasks >> task) & 1) return task;
  return -1;
}

/** A trace's name: which step stands before which, for each pair that depends. */
function canonical(steps: readonly Step[]): string {
  const pairs: string[] = [];
  for (const [index, later] of steps.entries()) {
    for (const step of steps.slice(0, index)) {
      if (step.task !== later.task && conflicts(step.accesses, later.accesses)) {
        pairs.push(`${step.task}.${step.nth}<${later.task}.${later.nth}`);
      }
    }
  }
  return `${steps
    .map(({ task, nth }) => `${task}.${nth}`)
    .sort()
    .join()}:${pairs.sort().join()}`;
}
