/**
 * `hugewalk map --os`: entries that are not present, and what they mean to an operating system.
 */
import { hex } from '../core/errors.ts';
import { type AbsentEntries, absentEntries } from '../dump/questions/absent-entries.ts';
import type { EntryOs } from '../dump/questions/os-entries.ts';
import type { Mmu } from '../mmu/mmu.ts';
import { columns, count, counted, type Paint, sizeOfPages } from './text.ts';

/** Runs that are shown without --all. */
const MOST = 8;
const SIZES = ['', '4 KiB', '2 MiB', '1 GiB', '512 GiB', '256 TiB'];

/** A line of --leaves. */
export function absentText({ va, level, os }: AbsentEntries): string {
  const pa = os.pa === undefined ? '-' : hex(os.pa);
  return `${hex(va).padStart(18)} ${pa.padStart(15)}  ${SIZES[level]}  ${'absent'.padEnd(10)}  ${os.words}\n`;
}

/** A line of --json; of a run, whose entries differ, without words. */
export function absentJson({ va, bytes, level, os }: AbsentEntries, isRun: boolean): string {
  const { kind, words, pa } = os;
  return `${JSON.stringify({
    va: hex(va),
    size: 2 ** (12 + 9 * (level - 1)),
    ...(isRun && { bytes: Number(bytes) }),
    present: false,
    os: { kind, ...(!isRun && { words }), ...(pa !== undefined && { pa: hex(pa) }) },
  })}\n`;
}

/** A part of the overview: how many of which kind, and the first runs. */
export function absentOverview(
  mmu: Mmu,
  os: EntryOs,
  part: { readonly from?: bigint; readonly to?: bigint },
  { all, paint, wanted }: { readonly all: boolean; readonly paint: Paint; readonly wanted: AbsentFilter },
): string[] {
  const kinds = new Map<string, { entries: number; pages: number }>();
  const shown: AbsentEntries[] = [];
  let runs = 0;
  for (const run of absentEntries(mmu, os, { ...part, coalesce: true, fold: true })) {
    if (!wanted(run)) continue;
    const kind = kinds.get(run.os.kind) ?? { entries: 0, pages: 0 };
    kind.entries += entriesOf(run);
    kind.pages += Number(run.bytes / 4096n);
    kinds.set(run.os.kind, kind);
    runs++;
    if (all || shown.length < MOST) shown.push(run);
  }
  const head = paint.bold(`not present, but something to ${os}:`);
  if (runs === 0) return ['', `${head} nothing`];
  const sums = [...kinds].map(([kind, { entries, pages }]) => [
    kind,
    counted(entries, 'entry', 'entries'),
    sizeOfPages(pages),
  ]);
  const rows = shown.map((run) => [
    hex(run.va),
    hex(run.va + run.bytes - 1n),
    counted(entriesOf(run), 'entry', 'entries'),
    run.os.kind,
    run.os.pa === undefined ? '' : `at ${hex(run.os.pa)}`,
  ]);
  return [
    '',
    head,
    ...columns(sums, 'lrr').map((line) => `  ${line}`),
    '',
    ...columns(rows, 'rrrll').map((line) => `  ${line.trimEnd()}`),
    ...(runs > shown.length ? [`  and ${count(runs - shown.length)} more (--all: all of them)`] : []),
  ];
}

function entriesOf({ bytes, level }: AbsentEntries): number {
  return Number(bytes >> BigInt(12 + 9 * (level - 1)));
}

/** Which of them are wanted. */
export type AbsentFilter = (run: AbsentEntries) => boolean;
