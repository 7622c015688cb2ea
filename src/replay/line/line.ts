/**
 * A line of a scenario.
 */

/** A line and where it stands. */
export interface Line {
  readonly file: string;
  /** The first is 1. */
  readonly line: number;
  readonly text: string;
}

/** A line's fields, not looked at yet. */
export type LineObject = Readonly<Record<string, unknown>>;
