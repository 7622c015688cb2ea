/**
 * hugewalk/replay: recordings of real kernels, and written scenarios, run on the model of `hugewalk/linux`.
 *
 * @module
 */
export { describeDifference } from './describe.ts';
export type { Disagreement } from './disagreement.ts';
export type { CacheEntry } from './hgm/cache.ts';
export type { MapRun, SlotMap } from './hgm/maps.ts';
export type { Usage } from './hgm/state.ts';
export type { PageEntry } from './hugetlb/pages.ts';
export type { Answer, Found } from './operation.ts';
export {
  type Difference,
  memoryForTables,
  type Place,
  type ReplayedLine,
  type ReplayOptions,
  replay,
  replaySequence,
} from './replay.ts';
export { parseScenario } from './scenario.ts';
export { ScenarioError } from './scenario-error.ts';
export type { PoolCounts, Scenario, ScenarioEnd, ScenarioStep, Sequence } from './sequence.ts';
