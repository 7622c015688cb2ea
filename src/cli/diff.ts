/**
 * `hugewalk diff`: what differs between the address spaces of two dumps.
 */
import { hex } from '../core/errors.ts';
import type { AddressSpace } from '../dump/address-space.ts';
import { type DiffSide, diffMappings, type SpaceDifference } from '../dump/questions/diff.ts';
import type { Mmu } from '../mmu/mmu.ts';
import { fieldsOf } from '../reference/entry.ts';
import { checkOnce } from './dump-files.ts';
import type { Surroundings } from './map.ts';
import { assumedLines, letGo, type SpaceOptions, tellOrigin, titleOf, withSpace } from './open.ts';
import { columns, EXECUTABLE, PAGE_SIZES, rightsText, USER, WRITABLE } from './text.ts';

/** The options of `diff`. */
export interface DiffCliOptions extends SpaceOptions {
  readonly json?: boolean;
  /** A and D count, too. */
  readonly marks?: boolean;
  /** Of the second dump, where it is another root. */
  readonly toCr3?: bigint;
}

/** Lines that are aligned together. */
const BLOCK = 256;

/** Runs the command. Returns the exit status: 0 where nothing differs, 1 where something does. */
export async function diff(
  [before, after]: readonly [readonly string[], readonly string[]],
  options: DiffCliOptions,
  { output, errors, progress, paint }: Surroundings,
): Promise<number> {
  const { json = false, marks = false, toCr3, ...first } = options;
  const second = toCr3 === undefined ? first : { ...first, cr3: toCr3 };
  checkOnce([...before, ...after]);
  let differs = false;
  await withSpace(before, first, { progress, errors }, async (one) => {
    await one.load();
    /* Also because the other may be the same machine. */
    await letGo(one.dump);
    await withSpace(after, second, { progress, errors }, async (other) => {
      await other.load();
      await letGo(other.dump);
      progress.clear();
      if (json) for (const space of [one, other]) tellOrigin(space, errors);
      else output.add(`${headOfBoth(one, other, paint)}\n`);
      differs = await writeDifferences(one.mmu, other.mmu, { json, marks }, { output, paint });
      if (!differs && !json) output.add('nothing differs\n');
      await output.flush();
    });
  });
  return differs ? 1 : 0;
}

/** Writes what differs; whether anything does. @param head what stands above it */
export async function writeDifferences(
  before: Mmu,
  after: Mmu,
  { json, marks, head = '' }: { readonly json: boolean; readonly marks: boolean; readonly head?: string },
  { output, paint }: Pick<Surroundings, 'output' | 'paint'>,
): Promise<boolean> {
  let differs = false;
  let rows: string[][] = [];
  const flush = async (): Promise<void> => {
    const lines = rows.length > 0 ? columns(rows, 'lrrlrllll') : [];
    for (const row of lines) output.add(`${coloured(row, paint)}\n`);
    rows = [];
    await output.flush();
  };
  for (const difference of diffMappings(before, after, { marks })) {
    if (!differs && !json) output.add(head);
    differs = true;
    if (json) {
      if (output.add(`${JSON.stringify(jsonOf(difference))}\n`)) await output.flush();
      continue;
    }
    rows.push(...rowsOf(difference));
    if (rows.length >= BLOCK) await flush();
  }
  await flush();
  return differs;
}

/** The first lines: both sides, and what was assumed; once, where it is the same of both. */
function headOfBoth(one: AddressSpace, other: AddressSpace, paint: Surroundings['paint']): string {
  const [before, after] = [assumedLines(one), assumedLines(other)];
  const titles = [`- ${titleOf(one)}`, `+ ${titleOf(other)}`].map(paint.bold);
  const isSame = String(before) === String(after);
  const assumed = isSame ? before : [...before.map((words) => `- ${words}`), ...after.map((words) => `+ ${words}`)];
  return [...titles, ...assumed.map(paint.dim), ''].join('\n');
}

function coloured(row: string, paint: Surroundings['paint']): string {
  return row.startsWith('-') ? paint.red(row) : paint.green(row);
}

function rowsOf({ va, bytes, before, after }: SpaceDifference): string[][] {
  const row = (sign: string, { pa, mapping }: DiffSide): string[] => [
    sign,
    hex(va),
    hex(va + bytes - 1n),
    PAGE_SIZES[mapping.level as 1 | 2 | 3],
    hex(pa),
    rightsText(rightsOf(mapping)),
    fieldsOf(mapping.entry, mapping.level, true).join(' '),
  ];
  return [...(before ? [row('-', before)] : []), ...(after ? [row('+', after)] : [])];
}

function rightsOf({ writable, user, executable }: DiffSide['mapping']): number {
  return (writable ? WRITABLE : 0) | (user ? USER : 0) | (executable ? EXECUTABLE : 0);
}

function jsonOf({ kind, va, bytes, before, after }: SpaceDifference): object {
  const side = (one: DiffSide | undefined): object | null =>
    one
      ? { pa: hex(one.pa), size: one.mapping.pageSize, rights: rightsJson(one), entry: hex(one.mapping.entry) }
      : null;
  return { kind, va: hex(va), bytes: Number(bytes), before: side(before), after: side(after) };
}

function rightsJson({ mapping: { writable, user, executable } }: DiffSide): object {
  return { write: writable, user, execute: executable };
}
