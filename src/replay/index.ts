/**
 * hugewalk/replay: recordings of real kernels, and written scenarios, run on the model of `hugewalk/linux`.
 *
 * @module
 */

export { describeDifference } from './describe.ts';
export type { Answer } from './operations.ts';
export {
  type Difference,
  type Disagreement,
  memoryForTables,
  type Place,
  type ReplayedLine,
  replay,
  replaySequence,
} from './replay.ts';
export { parseScenario } from './scenario.ts';
export { ScenarioError } from './scenario-error.ts';
export type { PageEntry, PoolCounts, Scenario, ScenarioEnd, ScenarioStep, Sequence } from './sequence.ts';
