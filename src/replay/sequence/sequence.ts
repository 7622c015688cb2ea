/**
 * What a scenario consists of, once it has been read.
 */
import type { Line } from '../line/line.ts';
import type { Setting } from '../line/setting.ts';
import type { PoolCounts } from '../line/states.ts';
import type { Found } from '../stage/answer.ts';
import type { Expectation } from './expectation.ts';
import type { Model } from './model.ts';
import type { Operation } from './operation.ts';

/** How the model answers where a kernel died: of a BUG(), of what never ends; 'either' where it is not told which. */
export type Died = 'BUG' | 'HANG' | 'either';

/** An operation, or a look at something, and what is known of how it ended. */
export interface ScenarioStep extends Line {
  /** A look is not counted: it is no operation of the scenario's. */
  readonly kind: 'operation' | 'look';
  readonly operation: Operation;
  /** The task that does it while others do theirs, by its number; a replay, which has no tasks, does one after the other. */
  readonly task?: number;
  /** What its fields mean. */
  readonly values: Readonly<Record<string, unknown>>;
  /** OK, an errno, a signal; undefined if it is not compared. */
  readonly result?: string;
  /** What it found, as far as it is told. */
  readonly found?: Readonly<Record<string, Found>>;
  /** Whether it never ended. */
  readonly hang: boolean;
  /** That the kernel died in it. */
  readonly died?: Died;
  /** Why nothing of it can be compared: what the line says is not known. */
  readonly uncompared?: string;
  /** What could be observed after it: the format knows what that is. */
  readonly state?: object;
  /** Where that is told. */
  readonly stateLine?: number;
}

/** How a sequence ends: all processes are gone, all files closed. */
export interface ScenarioEnd extends Line {
  readonly pool?: PoolCounts;
}

/** Who runs, and over how many places where another could come in: what `explore` found, to be seen again. A replay, which has no tasks, leaves it. */
export type Schedule = readonly (readonly [task: number, places: number])[];

/** Operations on a machine of their own. */
export interface Sequence extends Line {
  readonly number: number;
  readonly model: Model;
  readonly setting: Setting;
  readonly steps: readonly ScenarioStep[];
  /** What a search of its interleavings finds; undefined: nothing. */
  readonly expectation: Expectation | undefined;
  /** How its tasks take turns, if it is told. */
  readonly schedule?: Schedule;
  /** Undefined where the kernel died before. */
  readonly end: ScenarioEnd | undefined;
}

/** Everything that a file holds. */
export interface Scenario {
  readonly file: string;
  readonly sequences: readonly Sequence[];
}
