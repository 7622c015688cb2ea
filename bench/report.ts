/**
 * Results for people (a table on the terminal, row by row as they come) and for programs (JSON).
 */
import { readFileSync } from 'node:fs';
import { arch, cpus, platform, totalmem } from 'node:os';
import type { Measured, Row } from './cells.ts';
import type { Native } from './native.ts';

/** One figure, in the shape that trackers of benchmarks read. */
export interface Result {
  readonly name: string;
  readonly unit: 'M/s';
  /** Median. */
  readonly value: number;
  /** Slowest and fastest repetition. */
  readonly range: readonly [number, number];
  readonly repetitions: number;
  /** How many times as fast as other figures of the row, by their names; 1 is as fast. */
  readonly ratios?: Readonly<Record<string, number>>;
  /** Levels of the walk, and bytes of the tables that there really are. */
  readonly levels?: number;
  readonly tableBytes?: number;
}

/** Which figure of a row is compared with which others. */
const COMPARED: Readonly<Record<string, readonly string[]>> = {
  batch: ['native'],
  access: ['probe', 'native'],
  sparse: ['flat'],
  mappings: ['blocks'],
};

/** The row's figures. */
export function resultsOf({ name, figures, image }: Row): Result[] {
  return [...figures].map(([figure, of]) => {
    const ratios = (COMPARED[figure] ?? []).flatMap((name) => {
      const yardstick = figures.get(name);
      return yardstick ? [[name, rounded(yardstick.median / of.median)] as const] : [];
    });
    return {
      name: `${name}/${figure}`,
      unit: 'M/s',
      value: rounded(perMicrosecond(of.median)),
      range: [rounded(perMicrosecond(of.max)), rounded(perMicrosecond(of.min))],
      repetitions: of.repetitions,
      ...(ratios.length && { ratios: Object.fromEntries(ratios) }),
      ...(image && { levels: image.levels, tableBytes: image.tables * 4096 }),
    };
  });
}

/** Millions a second, from milliseconds for one. */
function perMicrosecond(milliseconds: number): number {
  return 1e-3 / milliseconds;
}

/** Four digits that count: more would pretend. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** The machine that the figures belong to. */
export function describeMachine(native: Native): Record<string, string | number> {
  const all = cpus();
  return {
    date: new Date().toISOString(),
    machine: `${platform()} ${arch()}`,
    cpu: all[0]?.model.trim() ?? 'unknown',
    cpus: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    v8: process.versions.v8,
    compiler: native.binary === undefined ? native.missing : native.compiler,
    hugePages: transparentHugePages(),
  };
}

/** Whether the native walker's tables can lie on 2 MiB pages; `[madvise]` or `[always]` says that they do. */
function transparentHugePages(): string {
  try {
    return readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly cell: (row: Measured) => string;
}

const NAME_WIDTH = 22;
const LEVELS: Column = { title: 'levels', width: 7, cell: ({ image }) => `${image?.levels ?? '-'}` };
const TABLES: Column = { title: 'tables', width: 8, cell: ({ image }) => `${image?.tables ?? '-'}` };

/** The columns of each kind of row. */
const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  walk: [
    LEVELS,
    TABLES,
    plain('translate', 10),
    plain('word', 8),
    plain('many', 8),
    ranged('batch'),
    ranged('native'),
    ratio('batch', 'native'),
  ],
  marks: [
    LEVELS,
    TABLES,
    ranged('probe'),
    ranged('access'),
    ranged('native'),
    ratio('access', 'probe'),
    ratio('access', 'native'),
  ],
  sparse: [LEVELS, TABLES, ranged('sparse'), ranged('flat'), ratio('sparse', 'flat')],
  list: [LEVELS, TABLES, ranged('blocks'), ranged('mappings'), ratio('mappings', 'blocks')],
};

/** What a kind's table shows. */
export const LEGEND: Readonly<Record<string, string>> = {
  walk: `Walks, in millions a second: median (slowest-fastest repetition); - was not measured. A table has 4 KiB.
batch/native: 1.00 is as fast as the plain walk in C.`,
  marks: `Writes that set A and D, in millions a second, beside the same as probes; /anew: A and D were cleared before.
access/native: 1.00 is as fast as the plain walk in C that sets them, too.`,
  sparse: 'Walks in batches over sparse and over flat memory, in millions a second.',
  list: 'Leaves listed, in millions a second: as blocks of records, and as one object a leaf.',
};

/** The heading of a kind's table. */
export function headingOf(kind: string): string {
  return `${kind.padEnd(NAME_WIDTH)}${COLUMNS[kind]!.map(({ title, width }) => title.padStart(width)).join('')}`;
}

/** One line of a kind's table. */
export function lineOf(row: Row): string {
  const [kind, ...rest] = row.name.split('/');
  return `${rest.join('/').padEnd(NAME_WIDTH)}${COLUMNS[kind!]!.map(({ width, cell }) => cell(row).padStart(width)).join('')}`;
}

function plain(figure: string, width: number): Column {
  const cell: Column['cell'] = ({ figures }) => {
    const of = figures.get(figure);
    return of ? perMicrosecond(of.median).toFixed(1) : '-';
  };
  return { title: figure, width, cell };
}

function ranged(figure: string): Column {
  const cell: Column['cell'] = ({ figures }) => {
    const of = figures.get(figure);
    if (!of) return '-';
    const [median, slowest, fastest] = [of.median, of.max, of.min].map((time) => perMicrosecond(time).toFixed(1));
    return `${median} (${slowest}-${fastest})`;
  };
  return { title: figure, width: 22, cell };
}

function ratio(figure: string, yardstick: string): Column {
  const cell: Column['cell'] = ({ figures }) => {
    const [of, to] = [figures.get(figure), figures.get(yardstick)];
    return of && to ? (to.median / of.median).toFixed(2) : '-';
  };
  return { title: `${figure}/${yardstick}`, width: `${figure}/${yardstick}`.length + 2, cell };
}
