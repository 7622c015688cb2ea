/**
 * `hugewalk map` for people: a picture, the ranges, totals, and what leads nowhere.
 */
import { outline } from './outline.ts';
import { GLYPHS, layOut, paintCover, type Row, rowColumns } from './picture.ts';
import { AGAIN, LOST, mappedPages, type Range, type Survey } from './ranges.ts';
import { REPEATED_TABLE } from './record.ts';
import {
  columns,
  count,
  counted,
  EXECUTABLE,
  hexOfPage,
  hexOfPageEnd,
  PAGE_SIZES,
  PAGES_OF_LEVEL,
  type Paint,
  paintLevel,
  rightsText,
  sizeOfPages,
  WRITABLE,
} from './text.ts';

/** How to show a survey. */
export interface OverviewOptions {
  /** File, processor, CR3, levels. */
  readonly title: string;
  /** What was assumed, as lines. */
  readonly assumed: readonly string[];
  /** Page tables read. */
  readonly tables: number;
  /** Columns of the terminal. */
  readonly width: number;
  readonly paint: Paint;
  /** Every range on a line of its own. */
  readonly all: boolean;
}

const LEGEND = [
  'Rights are those over all levels; ? is a right that only a part has. A range goes on where accessed',
  'and dirty bits or the physical address change: "at" says where it does not. See hugewalk map --help',
];
const MOST_ROWS = 24;
const MOST_LINES = 40;
/** Columns of a row of the picture before its bar; the narrowest and the widest bar. */
const LABELS = 2 + 18 + 2 + 8 + 2 + 8 + 2;
const NARROWEST = 16;
const WIDEST = 128;
/** Number of the first page of the upper half. */
const UPPER = 2 ** 51;

/** The overview, as lines. */
export function overview(survey: Survey, options: OverviewOptions): string[] {
  const { title, assumed, tables, width, paint } = options;
  const cells = Math.max(NARROWEST, Math.min(WIDEST, width - LABELS));
  const rows = layOut(survey.ranges, MOST_ROWS, cells);
  const head = `${paint.bold(title)}, ${counted(tables, 'page table')}`;
  const heads = [head, ...assumed.map(paint.dim)];
  if (rows.length === 0) return [...heads, '', 'nothing is mapped'];
  return [
    ...heads,
    '',
    ...picture(rows, survey, paint),
    ...rangeTable(rows, survey, options),
    '',
    ...totals(survey, paint),
    ...survey.notes.lines(paint),
    '',
    ...LEGEND.map(paint.dim),
  ];
}

function picture(rows: readonly Row[], { ranges }: Survey, paint: Paint): string[] {
  const header = ['from', 'spans', 'maps', legend(ranges, paint)];
  return columns([header, ...rows.map((row) => rowColumns(row, paint))], 'rrrl').map((line) => `  ${line}`);
}

function legend(ranges: readonly Range[], paint: Paint): string {
  const shown = (cover: number): boolean => ranges.some(({ pages }) => pages[cover]! > 0);
  const words = [
    ...[1, 2, 3].map((level) => [level, PAGE_SIZES[level]!] as const),
    ...(shown(AGAIN) ? [[AGAIN, 'a table again'] as const] : []),
    ...(shown(LOST) ? [[LOST, 'leads nowhere'] as const] : []),
    [0, 'hole'] as const,
  ];
  return words.map(([cover, word]) => `${paintCover(paint, cover, GLYPHS[cover]!)} ${word}`).join('  ');
}

function rangeTable(rows: readonly Row[], { ranges, joined }: Survey, { paint, all }: OverviewOptions): string[] {
  const byRow = rows.map(({ firstRange, lastRange }) =>
    ranges.slice(firstRange, lastRange).filter((range) => mappedPages(range) > 0),
  );
  const halves = [
    ['lower half', byRow.filter((_, i) => rows[i]!.first < UPPER)],
    ['upper half', byRow.filter((_, i) => rows[i]!.first >= UPPER)],
  ] as const;
  const sections = halves.flatMap(([name, rowsOfHalf]) => {
    const ranges = rowsOfHalf.flat();
    return ranges.length === 0 ? [] : [{ name, ranges, lines: all ? ranges : outline(rowsOfHalf, MOST_LINES) }];
  });
  const table = columns(
    sections.flatMap(({ lines }) => lines.map((range) => cellsOf(range, paint))),
    'rrrrll',
  );
  let printed = 0;
  return [
    ...sections.flatMap(({ name, ranges, lines }) => {
      const held = ranges.reduce((sum, { pieces }) => sum + pieces, 0);
      const fewer = lines.length < ranges.length ? ` in ${counted(lines.length, 'line')} (--all: one by one)` : '';
      const text = table.slice(printed, printed + lines.length).map((line) => `  ${line}`);
      printed += lines.length;
      return ['', paint.bold(`${name}: ${counted(held, 'range')}${fewer}`), ...text];
    }),
    ...(joined ? ['', 'There are more ranges than can be kept: near ones were joined.'] : []),
  ];
}

function cellsOf(range: Range, paint: Paint): string[] {
  const { first, end, all, some, pieces, physical } = range;
  const levels = ([1, 2, 3] as const).filter((level) => range.pages[level]! > 0);
  const sizes = levels.map((level) => paintLevel(paint, level, PAGE_SIZES[level]));
  const number = levels.length === 1 ? `${count(range.pages[levels[0]!]! / PAGES_OF_LEVEL[levels[0]!])} × ` : '';
  const rights = rightsText(all, some);
  return [
    hexOfPage(first),
    hexOfPageEnd(end - 1),
    sizeOfPages(mappedPages(range)),
    number + sizes.join(' + '),
    all & WRITABLE && all & EXECUTABLE ? paint.red(rights) : rights,
    pieces > 1 ? `${count(pieces)} ranges` : physical >= 0 ? `at ${hexOfPage(physical)}` : '',
  ];
}

/** Leaves by page size, and what is worth a look. */
function totals({ leaves, writableExecutable, notes }: Survey, paint: Paint): string[] {
  const rows = ([1, 2, 3] as const).map((level) => [
    paintLevel(paint, level, PAGE_SIZES[level]),
    `${count(leaves[level]!)} ${leaves[level] === 1 ? 'page ' : 'pages'}`,
    sizeOfPages(leaves[level]! * PAGES_OF_LEVEL[level]),
  ]);
  const all = leaves.reduce((sum, n) => sum + n, 0);
  const bytes = ([1, 2, 3] as const).reduce((sum, level) => sum + leaves[level]! * PAGES_OF_LEVEL[level], 0);
  rows.push(['all', `${count(all)} ${all === 1 ? 'page ' : 'pages'}`, sizeOfPages(bytes)]);
  const once = notes.countOf(REPEATED_TABLE) > 0 ? ', the pages of a table counted once' : '';
  const both =
    writableExecutable > 0
      ? paint.red(`${sizeOfPages(writableExecutable)} can be written and executed`)
      : 'nothing can be both written and executed';
  return [paint.bold(`mapped${once}:`), ...columns(rows, 'rrr').map((line) => `  ${line}`), `  ${both}`];
}
