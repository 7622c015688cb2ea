/**
 * Results for people: a table on the terminal for each kind of row, line by line as they come.
 */
import type { Measured, Row } from './benchmark.ts';
import { perMicrosecond, ratioOf } from './figures.ts';
import { verdictsOf } from './targets.ts';

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
  walk: [LEVELS, TABLES, ranged('batch'), ranged('native'), ratio('batch', 'native')],
  tlb: [LEVELS, TABLES, ranged('hits'), ranged('native'), ratio('hits', 'native')],
  call: [LEVELS, TABLES, lasting('translate'), lasting('word'), lasting('number'), lasting('many')],
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
  workers: [
    LEVELS,
    TABLES,
    ranged('one'),
    ranged('two'),
    ratio('two', 'one'),
    ranged('two-apart'),
    ratio('two', 'two-apart'),
  ],
  v86: [lasting('number'), lasting('batch'), lasting('v86-walk'), lasting('v86-hit'), ratio('number', 'v86-walk')],
  list: [LEVELS, TABLES, ranged('blocks'), ranged('mappings'), ratio('mappings', 'blocks')],
};

/** What a kind's table shows. */
export const LEGEND: Readonly<Record<string, string>> = {
  walk: `Walks in batches, in millions a second: median (slowest-fastest repetition); - was not measured. A table has 4 KiB.
batch/native: 1.00 is as fast as the plain walk in C.`,
  tlb: 'Hits in a TLB, in batches, in millions a second, beside the plain walk in C of the same addresses.',
  call: `One address a call from JavaScript, in millions a second and in nanoseconds a call: translate answers with an object,
word with a bigint, number takes and gives numbers. many: arrays that are copied, nanoseconds an address.`,
  marks: `Writes that set A and D, in millions a second, beside the same as probes; /anew: A and D were cleared before.
access/native: 1.00 is as fast as the plain walk in C that sets them, too.`,
  sparse: 'Walks in batches over sparse and over flat memory, in millions a second.',
  workers:
    'Walks in batches over one shared memory, in millions a second: of one worker, and of two together.\ntwo-apart: two, each over a memory of its own: what the processors of this machine make of two that share nothing.',
  v86: `One address a call, in millions a second and in nanoseconds a call: our walks of 4 levels, as numbers and in a batch;\nthe 2 levels of v86, which fill its TLB, and hits in that.`,
  list: 'Leaves listed, in millions a second: as blocks of records, and as one object a leaf.',
};

/** The heading of a kind's table. */
export function headingOf(kind: string): string {
  return `${kind.padEnd(NAME_WIDTH)}${COLUMNS[kind]!.map(({ title, width }) => title.padStart(width)).join('')}`;
}

/** One line of a kind's table; says at its end which targets the row misses, unless those are not asked for. */
export function lineOf(row: Row, withTargets = true): string {
  const [kind, ...rest] = row.name.split('/');
  const cells = COLUMNS[kind!]!.map(({ width, cell }) => cell(row).padStart(width)).join('');
  const missed = withTargets ? verdictsOf(row).filter(({ state }) => state === 'missed') : [];
  const misses = missed.length ? `  MISSED: ${missed.map(({ words }) => words).join('; ')}` : '';
  return `${rest.join('/').padEnd(NAME_WIDTH)}${cells}${misses}`;
}

/** What stands below all tables: how many targets were met, and which were not. */
export function summaryOf(rows: readonly Row[]): string {
  const all = rows.flatMap((row) => verdictsOf(row).map((verdict) => ({ ...verdict, name: row.name })));
  const missed = all.filter(({ state }) => state === 'missed');
  const undecided = all.filter(({ state }) => state === 'undecided').length;
  const met = all.length - missed.length - undecided;
  const lines = missed.map(({ name, words }) => `  missed  ${name.padEnd(NAME_WIDTH + 6)}${words}`);
  if (undecided) lines.push(`  undecided: ${undecided}, for want of a native walker`);
  return [`${met} of ${all.length} targets met`, ...lines].join('\n');
}

/** Millions a second, and nanoseconds for one. */
function lasting(figure: string): Column {
  const cell: Column['cell'] = ({ figures }) => {
    const of = figures.get(figure);
    return of ? `${perMicrosecond(of.median).toFixed(1)} (${(of.median * 1e6).toFixed(1)} ns)` : '-';
  };
  return { title: figure, width: 19, cell };
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
  const cell: Column['cell'] = ({ figures }) => ratioOf(figures, figure, yardstick)?.toFixed(2) ?? '-';
  return { title: `${figure}/${yardstick}`, width: `${figure}/${yardstick}`.length + 2, cell };
}
