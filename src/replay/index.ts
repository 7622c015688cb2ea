/**
 * hugewalk/replay: recordings of real kernels, and written scenarios, run on the model of `hugewalk/linux`.
 *
 * @module
 */
export { describeDifference } from './describe.ts';
export { ScenarioError } from './line/scenario-error.ts';
export type { CacheEntry, MapRun, PageEntry, PoolCounts, SlotMap, Usage } from './line/states.ts';
export { memoryForTables, replay, replaySequence } from './replay.ts';
export type { Difference, Place, ReplayedLine, ReplayOptions } from './replayed.ts';
export { parseScenario } from './scenario.ts';
export type { Disagreement } from './sequence/disagreement.ts';
export type { Scenario, ScenarioEnd, ScenarioStep, Sequence } from './sequence/sequence.ts';
export type { Answer, Found } from './stage/answer.ts';
export { type Played, type Written, withAnswers } from './written.ts';
