/**
 * `hugewalk map`: what is mapped.
 */
import { hex } from '../core/errors.ts';
import { line } from './failure.ts';
import { list } from './listing.ts';
import { openSpace, type SpaceOptions, titleOf } from './open.ts';
import { checkRange } from './options.ts';
import type { Output } from './output.ts';
import { overview } from './overview.ts';
import type { Progress } from './progress.ts';
import { survey } from './ranges.ts';
import { counted, type Paint, printable } from './text.ts';

/** The options of `map`. */
export interface MapOptions extends SpaceOptions {
  readonly from?: bigint;
  readonly to?: bigint;
  readonly leaves?: boolean;
  readonly json?: boolean;
  readonly all?: boolean;
}

/** Where a command writes, and how. */
export interface Surroundings {
  readonly output: Output;
  readonly errors: { write(text: string): unknown };
  readonly progress: Progress;
  readonly paint: Paint;
  /** Columns of the terminal. */
  readonly width: number;
}

/** Runs the command. */
export async function map(path: string, options: MapOptions, surroundings: Surroundings): Promise<void> {
  const { from, to, leaves = false, json = false, all = false } = options;
  const { output, errors, progress, paint, width } = surroundings;
  const space = await openSpace(path, options, progress);
  checkRange(from, to, space.mmu.levels);
  const part = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
  const { tables, missing } = await space.load({
    ...part,
    onProgress: (n) => progress.report(() => `reading ${printable(path)}: ${counted(n, 'page table')}`),
  });

  if (leaves || json) {
    const { lost } = await list(space.mmu, { ...part, leaves, json, all }, output, progress);
    progress.clear();
    if (lost > 0) {
      const absent = missing > 0 ? `; the dump lacks ${counted(missing, 'table')}` : '';
      errors.write(line(`${path}: left out ${counted(lost, 'entry', 'entries')} that lead nowhere${absent}`));
    }
    return;
  }
  const title = titleOf(space, options) + rangeOf(from, to);
  const found = survey(space.mmu, part, progress);
  progress.clear();
  output.add(`${overview(found, { title, tables, width, paint, all }).join('\n')}\n`);
  await output.flush();
}

function rangeOf(from: bigint | undefined, to: bigint | undefined): string {
  if (from === undefined && to === undefined) return '';
  return `, from ${hex(from ?? 0n)} to ${to === undefined ? 'the end' : hex(to)}`;
}
