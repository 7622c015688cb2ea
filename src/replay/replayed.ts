/**
 * What comes of a replay, line by line, and what it may be asked for.
 */
import type { TraceEvent } from '../linux/base/trace.ts';
import type { Disagreement } from './sequence/disagreement.ts';
import type { ScenarioStep } from './sequence/sequence.ts';
import type { Answer } from './stage/answer.ts';

/** How to replay. */
export interface ReplayOptions {
  /**
   * Whether the model keeps a record of what it does, which is the default. Without one, it works on the pieces of a huge page run by
   * run, which is faster, and must come to the same.
   */
  readonly trace?: boolean;
  /** Whether each line has the state behind it, and what has changed; default: no. It costs more than most operations do. */
  readonly observe?: boolean;
  /**
   * Whether the model is held against what the scenario tells, which is the default. If not, there are no differences but those of a
   * model that breaks down.
   */
  readonly compare?: boolean;
}

/** What was run, and what the model did meanwhile. */
export interface Place {
  readonly file: string;
  /** The number of the sequence. */
  readonly sequence: number;
  /** Of the operation, or of the sequence's end. */
  readonly line: number;
  /** That line: the operation as JSON. */
  readonly operation: string;
  /** What the model did; empty in a replay without traces. */
  readonly trace: readonly TraceEvent[];
}

/** A difference and where it is. */
export type Difference = Place & Disagreement;

/** A line that was run: an operation, a look at something, or at last the end of its sequence. */
export interface ReplayedLine extends Place {
  readonly kind: ScenarioStep['kind'] | 'end';
  /** How the model answered; undefined at the end, or where it broke down. */
  readonly answer: Answer | undefined;
  /** Why nothing was compared: the kernel died of something that the line does not tell in words that are known. */
  readonly uncompared?: string;
  readonly differences: readonly Difference[];
  /** What can be observed behind it, as lines with states have it; undefined unless it was asked for. */
  readonly state?: object;
  /** What it has changed, in words; likewise. */
  readonly changes?: readonly string[];
}
