/**
 * What a sequence is run on, and what can be observed there.
 */
import type { FlatMemory } from '../../core/flat-memory.ts';
import type { Setting } from '../line/setting.ts';
import type { Stage } from '../stage/stage.ts';
import type { Disagreement } from './disagreement.ts';

/** The model's side, as a format has it. */
export interface Model {
  /** The stage of a sequence. @param tables memory for page tables, which nobody else uses meanwhile */
  stage(setting: Setting, tables: FlatMemory): Stage;
  /** All that a state tells. */
  observe(stage: Stage): object;
  /** What differs between a state as a step has it and the stage. */
  compare(stage: Stage, state: object): Disagreement[];
}
