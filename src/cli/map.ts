/**
 * `hugewalk map`: what is mapped.
 */
import { hex } from '../core/errors.ts';
import type { AddressSpace, LoadResult } from '../dump/address-space.ts';
import type { EntryOs } from '../dump/questions/os-entries.ts';
import { absentOverview } from './absent.ts';
import { line } from './failure.ts';
import { absentFilterOf, type FilterOptions, filterOf, filterWords } from './filter.ts';
import { checkFollow, follow } from './follow.ts';
import { list } from './listing.ts';
import { assumedLines, letGo, type SpaceOptions, tellOrigin, titleOf, withSpace } from './open.ts';
import { checkRange } from './options.ts';
import type { Output } from './output.ts';
import { overview } from './overview.ts';
import type { Progress } from './progress.ts';
import { survey } from './ranges.ts';
import { counted, type Paint, printable } from './text.ts';

/** The options of `map`. */
export interface MapOptions extends SpaceOptions, FilterOptions {
  readonly from?: bigint;
  readonly to?: bigint;
  readonly leaves?: boolean;
  readonly json?: boolean;
  readonly all?: boolean;
  /** Of a machine that runs: seconds from one look to the next. */
  readonly follow?: number;
  /** Whose entries that are not present are shown, too. */
  readonly os?: EntryOs;
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
export async function map(paths: readonly string[], options: MapOptions, surroundings: Surroundings): Promise<void> {
  const { from, to } = options;
  const { progress } = surroundings;
  checkFollow(paths, options);
  await withSpace(paths, options, surroundings, async (space) => {
    checkRange(from, to, space.mmu.levels);
    const part = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
    const onProgress = (n: number): void =>
      progress.report(() => `reading ${printable(space.dump.name)}: ${counted(n, 'page table')}`);
    const loaded = await space.load({ ...part, onProgress });
    await letGo(space.dump);
    progress.clear();
    if (options.json) tellOrigin(space, surroundings.errors);
    if (options.leaves || options.json) await mapAsList(space, part, loaded, options, surroundings);
    else await mapForPeople(space, part, loaded, options, surroundings);
    if (options.follow !== undefined) await follow(space, { ...part, onProgress }, options, surroundings);
  });
}

async function mapAsList(
  { mmu, dump }: AddressSpace,
  part: Part,
  { missing }: LoadResult,
  options: MapOptions,
  { output, errors, progress }: Surroundings,
): Promise<void> {
  const { leaves = false, json = false, all = false, os } = options;
  const filter = filterOf(options);
  const { lost } = await list(
    mmu,
    { ...part, leaves, json, all, os, absent: absentFilterOf(options), ...(filter && { filter }) },
    output,
    progress,
  );
  progress.clear();
  if (lost === 0) return;
  const absent = missing > 0 ? `; the dump lacks ${counted(missing, 'table')}` : '';
  errors.write(line(`${dump.name}: left out ${counted(lost, 'entry', 'entries')} that lead nowhere${absent}`));
}

async function mapForPeople(
  space: AddressSpace,
  part: Part,
  { tables }: LoadResult,
  options: MapOptions,
  { output, progress, paint, width }: Surroundings,
): Promise<void> {
  const found = survey(space.mmu, part, progress, filterOf(options));
  progress.clear();
  const title = titleOf(space) + rangeOf(part) + filterWords(options);
  const all = options.all ?? false;
  const lines = overview(found, { title, assumed: assumedLines(space), tables, width, paint, all });
  if (options.os) {
    const how = { all, paint, wanted: absentFilterOf(options) };
    lines.push(...absentOverview(space.mmu, options.os, part, how));
  }
  output.add(`${lines.join('\n')}\n`);
  await output.flush();
}

type Part = Pick<MapOptions, 'from' | 'to'>;

function rangeOf({ from, to }: Part): string {
  if (from === undefined && to === undefined) return '';
  return `, from ${hex(from ?? 0n)} to ${to === undefined ? 'the end' : hex(to)}`;
}
