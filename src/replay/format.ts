/**
 * The formats that scenarios are written in.
 */
import type { FlatMemory } from '../core/flat-memory.ts';
import type { HgmOptions } from '../linux/base/hgm.ts';
import type { Begun } from './begun.ts';
import type { Disagreement } from './disagreement.ts';
import type { LineObject } from './lines.ts';
import type { Operation } from './operation.ts';
import type { Line } from './sequence.ts';
import type { Setting } from './setting.ts';
import type { Stage } from './stage.ts';

/** What a header says. */
export interface Header {
  /** Of the sequence. */
  readonly number: number;
  readonly setting: Setting;
}

/** A format: what the lines of a sequence are, and what can be observed between its operations. */
export interface Format {
  /** The lines that only this format has, by a field that tells each. */
  readonly kinds: readonly string[];
  readonly operations: ReadonlyMap<string, Operation>;
  /**
   * Reads `{"seq":...}`.
   *
   * @param kernel what the last `{"kernel":...}` of the file said
   */
  header(line: Line, object: LineObject, kernel: HgmOptions | undefined): Header;
  /** Takes a line of one of `kinds`. */
  take(kind: string, line: Line, object: LineObject, begun: Begun): void;
  /** The model's side of a sequence. @param tables memory for page tables, which nobody else uses meanwhile */
  stage(setting: Setting, tables: FlatMemory): Stage;
  /** What differs between a state as a step has it and the stage. */
  compare(stage: Stage, state: object): Disagreement[];
}
