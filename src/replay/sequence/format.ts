/**
 * The formats that scenarios are written in.
 */
import type { HgmOptions } from '../../linux/base/hgm.ts';
import type { Line, LineObject } from '../line/line.ts';
import type { Setting } from '../line/setting.ts';
import type { Begun } from './begun.ts';
import type { Model } from './model.ts';
import type { Operation } from './operation.ts';

/** What a header says. */
export interface Header {
  /** Of the sequence. */
  readonly number: number;
  readonly setting: Setting;
}

/** A format: what the lines of a sequence are, and what can be observed between its operations. */
export interface Format extends Model {
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
}
